"""The database that everything is measured on: made once for what it depends on, copied for each run."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from schemas.orders import Order
from service.jsonapi import pagination
from service.jsonapi.sorting import SortKey
from service.store import embedded
from service.store.pool import connect
from service.store.vault import vault_of
from tests.bench.load import postmaster_of
from tests.processes import ROOT, start
from tests.support import with_database

STORE = 1003
KEYS = "a-key-of-the-benchmark"
CARTS = 12_000
DEEP_PAGE = 10_000
DEEP_SIZE = 10


@dataclass(frozen=True)
class World:
    """A database, the process that holds its server, and whom to ask for.

    `reorders` are orders of different customers that each have a cart, of three lines that can all be had. `carts` are
    guests', `skus` codes that can be put into them. `deep` is the last id before page 10 000, and None in small stores.
    `total` is how many orders there are.
    """

    url: str
    postmaster: int
    order: str
    customer: str
    reorders: Sequence[str]
    carts: Sequence[str]
    skus: Sequence[str]
    subscriptions: Sequence[tuple[str, str]]
    deep: str | None
    total: int
    version: str

    @property
    def database(self) -> str:
        """The name of the database."""
        return urlsplit(self.url).path.removeprefix("/")

    @property
    def deep_cursor(self) -> str:
        """The cursor of the service that stands for `deep`."""
        return pagination.Cursors(Order, (SortKey(("id",), descending=False),)).at((self.deep,))


@contextmanager
def built(orders: int, folder: Path = ROOT / "build" / "bench") -> Iterator[World]:
    """A world of its own with so many orders, on a server in this folder; it is dropped in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with embedded.start(folder / "postgres") as server:
        template = f"bench_{orders}_{_state()}"
        own = f"run_{os.getpid()}"
        asyncio.run(_prepare(server.url, template, orders))
        asyncio.run(execute(server.url, f"create database {own} template {template} strategy file_copy"))
        try:
            yield asyncio.run(_world(with_database(server.url, own)))
        finally:
            asyncio.run(execute(server.url, f"drop database if exists {own} with (force)"))


async def gather_statistics(url: str) -> None:
    """Have Postgres look at all tables of a database."""
    await execute(url, "analyze")


def _state() -> str:
    """What stands for the files that decide what is in a world."""
    paths = [*(ROOT / "sql" / "migrations").glob("*.sql"), *(ROOT / "service" / "demo").glob("*.py")]
    texts = [*(path.read_text() for path in sorted(paths)), inspect.getsource(_add_carts)]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


async def execute(url: str, *statements: str) -> None:
    """Run statements on a connection of their own."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _prepare(url: str, template: str, orders: int) -> None:
    """Make the template where it isn't there, and forget those of other states."""
    connection = await asyncpg.connect(url)
    try:
        there = [row[0] for row in await connection.fetch("select datname from pg_database where datname ~ '^bench_'")]
        if template not in there:
            for name in there:
                if name == "bench_new" or not name.endswith(_state()):
                    await connection.execute(f"drop database {name} with (force)")
            await connection.execute("create database bench_new")
            await asyncio.to_thread(_seed, with_database(url, "bench_new"), orders)
            await _add_carts(with_database(url, "bench_new"))
            await execute(with_database(url, "bench_new"), "vacuum (analyze)")
            await connection.execute(f"alter database bench_new rename to {template}")
    finally:
        await connection.close()


def _seed(url: str, orders: int) -> None:
    environment = {"DATABASE_URL": url, "REPRISE_SECRET_KEYS": KEYS}
    amounts = ("--orders", str(orders), "--customers", str(orders // 10), "--subscriptions", str(orders // 20))
    for command in (("migrate",), ("seed", *amounts)):
        process = start(command, **environment)
        _, said = process.communicate()  # takes minutes for large stores
        assert process.returncode == 0, said


async def _add_carts(url: str) -> None:
    """Add carts of guests, and those of customers who have none."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    async with connect(url, [KEYS]) as connection:
        customers = await connection.fetch(
            "select id from customers where store_id = $1 and not exists ("
            " select from carts where carts.store_id = $1 and carts.customer_id = customers.id)",
            STORE,
        )
        owners = [(f"guest-{n}", None) for n in range(1, CARTS + 1)] + [(f"cart-{row[0]}", row[0]) for row in customers]
        own = {"store_id": STORE, "currency_code": "EUR", "created_at": at, "updated_at": at}
        rows = [{**own, "id": id_, "session": f"a-session-of-{id_}", "customer_id": owner} for id_, owner in owners]
        vault = vault_of(connection)
        sealed = [vault.seal_row("carts", STORE, row["id"], row) for row in rows]
        records = [tuple(row.values()) for row in sealed]
        await connection.copy_records_to_table("carts", records=records, columns=list(sealed[0]))


_SOLD = f"""
    select skus.id, skus.code from skus
    where
        store_id = {STORE} and options = '[]' and min_quantity = 1 and max_quantity is null and reorderable
        and disabled_at is null and deleted_at is null and not do_not_ship
        and exists (
            select from prices
            where
                prices.store_id = {STORE} and prices.sku_id = skus.id and prices.currency_code = 'EUR'
                and customer_group_id is null and expires_at is null and min_quantity = 1
        )
"""


async def _world(url: str) -> World:
    connection = await asyncpg.connect(url)
    try:
        postmaster = await postmaster_of(connection)
        version = "Postgres " + await connection.fetchval("show server_version")
        many = await connection.fetchval(
            f"""
            select customer_id from orders where store_id = {STORE} and customer_id is not null
            group by customer_id having count(*) >= 25 order by count(*), customer_id limit 1
            """
        )
        total = await connection.fetchval(f"select count(*) from orders where store_id = {STORE}")
        offset = (DEEP_PAGE - 1) * DEEP_SIZE - 1
        deep = await connection.fetchval(
            f"select id from orders where store_id = {STORE} order by id offset {offset} limit 1"
        )
        reorders = await connection.fetch(
            f"""
            with sold as ({_SOLD})
            select min(orders.id) from orders
            inner join customers on customers.store_id = {STORE} and orders.customer_id = customers.id
            where
                orders.store_id = {STORE} and orders.placed_at is not null and customers.customer_group_id is null
                and orders.currency_code = 'EUR'
                and 3 = (
                    select count(distinct line_items.sku_id) filter (where sold.id is not null and item_type = 'skus')
                    from line_items left join sold on line_items.sku_id = sold.id
                    where line_items.store_id = {STORE} and line_items.order_id = orders.id having count(*) = 3
                )
            group by orders.customer_id order by 1 limit 5000
            """
        )
        middle = await connection.fetchval(
            f"""
            select id from orders
            where
                store_id = {STORE} and status = 'approved'
                and 3 = (
                    select count(*) from line_items where store_id = {STORE} and line_items.order_id = orders.id
                )
            order by id desc offset 5 limit 1
            """
        )
        carts = await connection.fetch(f"select id from carts where store_id = {STORE} and id ~ '^guest-' order by id")
        skus = await connection.fetch(f"{_SOLD} order by code limit 8")
        subscriptions = await connection.fetch(
            f"select id, source_order_id from order_subscriptions where store_id = {STORE} and status = 'active'"
        )
    finally:
        await connection.close()
    return World(
        url=url,
        postmaster=postmaster,
        order=middle,
        customer=many,
        reorders=[row[0] for row in reorders],
        carts=[row[0] for row in carts],
        skus=[row[1] for row in skus],
        subscriptions=[(row[0], row[1]) for row in subscriptions],
        deep=deep,
        total=total,
        version=version,
    )
