"""What was exported and imported again is the same store: every table, but for when and where it was imported."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from service import clock
from service.demo import load
from service.errors import InvalidState
from service.operations.data import exporting
from service.operations.data.exporting import Choice
from service.operations.tenant import tenants
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.history import made_up
from tests.history.bringing import OTHERS, TABLES, bring, rows, shop, sound, told, written
from tests.sealed import opened
from tests.support import make_store

OWN = {"store_id", "version", "market_id", "payment_source_digest", "session", "session_digest", "source_token"}
"""Columns of the store itself: its number, its only market, how often a resource was changed here, its own secrets."""


async def exported(connection: Connection, store: Store, customer_id: str | None = None) -> bytes:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return b"".join([line async for line in exporting.lines(connection, store, Choice(customer_id=customer_id))])


async def state(connection: Connection, store: Store) -> dict[str, list[dict[str, Any]]]:
    """All that a history fills, without what is the store's own, and without what an order keeps of other things."""
    left_out = OWN | {"cart_id", "repeat_link_id"}
    found = {}
    for table in TABLES:
        kept = [opened(connection, table, row) for row in await rows(connection, store, table)]
        plain = [{k: v for k, v in row.items() if k not in left_out} for row in kept]
        found[table] = sorted(plain, key=lambda row: str(row.get("id", row)))
    return found


async def check_round_trip(connection: Connection, database: Database, one: Store, folder: Path) -> None:
    """Export a store, import that into another one, and compare."""
    first = await exported(connection, one)
    path = folder / "round.ndjson"
    path.write_bytes(first)
    other = await make_store(database)
    _, refusals = await bring(connection, other, path)
    assert told(refusals) == []
    before, after = await state(connection, one), await state(connection, other)
    for table in TABLES:
        assert after[table] == before[table], table
    assert await exported(connection, other) == first
    assert await sound(connection, other) == []


async def test_every_table_of_a_store_is_history_or_listed_as_none(connection: Connection) -> None:
    found = await connection.fetch(
        "select table_name from information_schema.columns where column_name = 'store_id' and table_schema = 'public'"
        " and table_name in (select relname from pg_class where relkind in ('r', 'p') and not relispartition)"
    )
    aside = {
        "stores", "markets", "test_clocks", "number_blocks", "rate_limits", "imports", "webhooks",
        "event_callbacks", "event_cursors", "event_numbers", "destination_cursors", "collection_changes",
        "collection_counts", "api_clients", "refresh_tokens", "issuers", "refused_authentications",
        "address_horizons", "exports", "export_chunks", "action_links",
    }  # fmt: skip
    names = {str(row["table_name"]) for row in found}
    assert {*TABLES} <= names
    assert names - {*TABLES} - {*OTHERS} == aside


@settings(max_examples=25)
@given(records=made_up.stores())
async def test_import_of_export_is_the_same_store(database: Database, records: list[dict[str, Any]]) -> None:
    one = await make_store(database)
    async with database.connection() as connection:
        with tempfile.TemporaryDirectory() as folder:  # a fixture's would be shared by all examples
            _, refusals = await bring(connection, one, written(Path(folder), records))
            assert told(refusals) == []
            assert await sound(connection, one) == []
            await check_round_trip(connection, database, one, Path(folder))


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_seeded_store_with_runs_copies_and_a_wallet(
    connection: Connection, database: Database, tmp_path: Path, seed: int
) -> None:
    plan = load.Plan(store=810_000 + seed, seed=seed, customers=20, skus=20, orders=60, subscriptions=12)
    await load.seed(connection, plan, clock.now())
    one = await tenants.find(connection, plan.store)
    assert one is not None
    await check_round_trip(connection, database, one, tmp_path)


async def test_what_is_under_way_is_not_exported(connection: Connection, store: Store, tmp_path: Path) -> None:
    await bring(connection, store, written(tmp_path, shop()))
    await connection.execute("update orders set status = 'placing' where store_id = $1 and id = 'o2'", store.id)
    with pytest.raises(InvalidState, match="orders o2 is placing: wait until that is done"):
        await exported(connection, store)


async def test_one_customer_alone(connection: Connection, store: Store, tmp_path: Path) -> None:
    bo = {"type": "customers", "id": "bo", "email": "bo@example.com"}
    await bring(connection, store, written(tmp_path, [*shop(), bo]))
    await factories.customer(connection, store)
    assert (await exported(connection, store, "bo")).count(b"\n") == 1
    ada = await exported(connection, store, "ada")
    assert b"bo@example.com" not in ada
    assert b"tok_1" in ada
    assert b'"type":"skus"' not in ada
