"""Put the demo store into a database: all of it, in one transaction, by COPY."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

import orjson

from service.demo.documents import add_documents, add_fittings
from service.demo.generator import Amounts, generate
from service.demo.rows import TABLES, Row, Sheet
from service.demo.showcase import UNPAID, add_pay_link, add_showcase
from service.demo.subscriptions import add_copy
from service.errors import StartupError
from service.operations.copies import prepaid
from service.operations.copies.prepaid import Prepaid
from service.operations.generic import numbers
from service.operations.tenant import tenants
from service.rules.prepaid import Paid
from service.store import statistics
from service.store.pool import Connection
from service.store.statements import Command, One, OnlyValue
from service.store.vault import vault_of


class Described(NamedTuple):
    """What a store was seeded with, as JSON; None for a store that was not."""

    demo: str | None


_DESCRIBE = One("data/demo.describe", Described)
_MARK = Command("data/demo.mark")
_HAS_STORES = OnlyValue("data/demo.has_stores", bool)

STORE = 1003
"""The store of the documents' samples."""

Progress = Callable[[int, int], None]
"""Told how many orders of how many are there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to seed: the same plan always gives the same rows, at the same distance from the instant of seeding."""

    store: int = STORE
    seed: int = 1
    customers: int = 300
    skus: int = 200
    orders: int = 1_000
    subscriptions: int = 60


def _silent(_done: int, _total: int) -> None:
    """Say nothing."""


async def seed(
    connection: Connection, plan: Plan, at: datetime, progress: Progress = _silent, *, actor: str = tenants.OPERATOR
) -> bool:
    """Make the store of a plan with all its data; False when exactly that has been done before.

    `at` is the instant to which the data's times keep their distance. Raises StartupError when the store exists with
    anything else in it, and for a plan that can't be carried out. Nothing is changed then, nor when it is interrupted.
    """
    if plan.subscriptions > plan.orders:
        raise StartupError("A store can't have more subscriptions than orders: each subscription repeats an order.")
    if plan.orders and not (plan.customers and plan.skus):
        raise StartupError("A store with orders needs customers and skus.")
    async with connection.transaction():
        # COPY of a batch into tables with many indexes may take its time on a slow disk.
        await connection.execute("set local statement_timeout = 0")
        there = await _DESCRIBE(connection, store=plan.store)
        if there is not None:
            if there.demo is not None and orjson.loads(there.demo) == asdict(plan):
                return False
            raise StartupError(
                "Store {store} exists already and holds other data: choose another --store.", store=plan.store
            )
        sheet, timezone = await _store(connection, plan, at, actor=actor)
        fittings = add_fittings(sheet)
        documented = add_documents(sheet, fittings, timezone)
        amounts = Amounts(plan.customers, plan.skus, plan.orders, plan.subscriptions)
        done = 0
        for added in generate(sheet, fittings, timezone, amounts):
            await _copy(connection, sheet)
            # The checks of foreign keys keep the plans that were made for empty tables.
            await statistics.gather(connection)
            done += added
            progress(done, plan.orders)
        paid: dict[str, Prepaid] = {}
        copies = add_showcase(sheet, fittings, timezone, documented)
        await _copy(connection, sheet)
        for copy in copies:
            order_id = add_copy(sheet, copy)
            if order_id is not None and copy.unpaid and copy.subscription_id == UNPAID:
                add_pay_link(sheet, order_id)
            if order_id is not None and copy.pays is not None:
                paid[copy.subscription_id] = Prepaid(Paid(copy.pays, None), order_id)
        await _copy(connection, sheet)
        await prepaid.note(connection, plan.store, paid)
        await numbers.use(connection, plan.store, sheet.highest)
        await _MARK(connection, store=plan.store, demo=orjson.dumps(asdict(plan)).decode(), at=at)
    # Otherwise the first plans are made for empty tables.
    await connection.execute(f"analyze {', '.join(TABLES)}")
    return True


async def holds_demo(connection: Connection, store_id: int = STORE) -> bool:
    """Whether a store is there and was seeded."""
    there = await _DESCRIBE(connection, store=store_id)
    return there is not None and there.demo is not None


async def has_stores(connection: Connection) -> bool:
    """Whether there is any store."""
    return await _HAS_STORES(connection)


async def _store(connection: Connection, plan: Plan, at: datetime, *, actor: str) -> tuple[Sheet, str]:
    """Make the store; gives an empty sheet for it, and its time zone."""
    store = await tenants.create(
        connection,
        store_id=plan.store,
        name="Example Store",
        slug="example-store" if plan.store == STORE else f"example-store-{plan.store}",
        url="https://example-store.example.com",
        timezone="Europe/Amsterdam",
        at=at,
        actor=actor,
    )
    market_id = await tenants.market_id(connection, plan.store)
    return Sheet(plan.store, market_id, store.currency_code, plan.seed, at), store.timezone


async def _copy(connection: Connection, sheet: Sheet) -> None:
    """Copy the sheet's rows into their tables and forget them."""
    vault = vault_of(connection)
    for table in TABLES:
        # Rows of a table may give different columns; what a row does not give has the table's default.
        alike: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in sheet.rows.pop(table, ()):
            alike[tuple(row)].append(row)
        for rows in alike.values():
            sealed = [vault.seal_row(table, sheet.store_id, row["id"], row) if "id" in row else row for row in rows]
            await connection.copy_records_to_table(
                table, records=(tuple(row.values()) for row in sealed), columns=tuple(sealed[0])
            )
