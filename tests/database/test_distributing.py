"""Spreading a database over several nodes: what keeps the schema fit for it and, on a cluster, that it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import asyncpg
import pytest

from schemas.tables import AT_HAND, Place, places
from service.errors import StartupError
from service.store import distributing, schema
from service.store.pool import Connection
from tests.nodes import CITUS, on_nodes


@pytest.mark.parametrize(
    ("referred", "order"),
    [
        ({"a": [], "b": ["a"], "c": ["b", "a"]}, [["a"], ["b"], ["c"]]),
        # What refers to each other goes together, and to itself alone.
        ({"a": ["c"], "b": ["a"], "c": ["d", "b"], "d": ["d"]}, [["d"], ["a", "b", "c"]]),
        ({"a": ["b", "elsewhere"], "b": ["a"], "c": []}, [["c"], ["a", "b"]]),
        ({}, []),
    ],
)
def test_each_table_comes_after_those_that_it_refers_to(
    referred: Mapping[str, list[str]], order: list[list[str]]
) -> None:
    assert distributing.circles(referred) == order


async def test_every_table_has_its_place(connection: Connection) -> None:
    rows = await connection.fetch(
        "select c.relname, exists(select from pg_attribute a where a.attrelid = c.oid and a.attname = 'store_id')"
        " from pg_class c"
        " where c.relkind in ('r', 'p') and not c.relispartition"
        " and c.relnamespace in ('public'::regnamespace, 'pgqueuer'::regnamespace)"
        " and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')"
    )
    with_store = {table for table, has_store in rows if has_store} - AT_HAND
    assert {table for table, place in places().items() if place is not Place.COORDINATOR} == with_store
    assert {table for table, _ in rows} == places().keys()


async def test_foreign_keys_are_such_as_nodes_can_check(connection: Connection) -> None:
    """What is on every node refers to such rows, what is on one to its store's too; no key is set to null in part."""
    rows = await connection.fetch(
        "select k.conname, r.relname, o.relname, k.confdeltype, k.confupdtype from pg_constraint k"
        " join pg_class r on r.oid = k.conrelid join pg_class o on o.oid = k.confrelid"
        " where k.contype = 'f' and k.conparentid = 0 and k.connamespace = current_schema()::regnamespace"
    )
    found = places()
    reaches = {
        Place.WITH_STORE: {Place.WITH_STORE, Place.EVERYWHERE},
        Place.EVERYWHERE: {Place.EVERYWHERE},
        Place.COORDINATOR: {Place.COORDINATOR},
    }
    assert rows
    assert [name for name, table, to, *_ in rows if found[to] not in reaches[found[table]]] == []
    # No action, or cascade. To set a part of a key to null is refused.
    assert [name for name, _, _, *acts in rows if not {*acts} <= {b"a", b"c"}] == []


async def test_rows_of_stores_can_move_while_they_change(connection: Connection) -> None:
    """They are logged, and replication tells which was changed or deleted by a key, or else by all that it holds."""
    rows = await connection.fetch(
        "select c.relname from pg_class c where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace"
        " and c.relpersistence = 'p' and (c.relreplident = 'f' or exists ("
        " select from pg_index i where i.indrelid = c.oid and i.indisprimary))"
    )
    assert {table for table, place in places().items() if place is Place.WITH_STORE} <= {table for (table,) in rows}


@pytest.mark.skipif(CITUS, reason="There is Citus.")
async def test_a_database_without_citus_is_refused(own_url: str) -> None:
    with pytest.raises(StartupError, match="The database has no Citus: run `create extension citus` on it"):
        await distributing.distribute(own_url)


@on_nodes
async def test_what_is_in_its_place_stays_there(own_url: str) -> None:
    assert await distributing.distribute(own_url) == []


@on_nodes
async def test_a_further_table_is_placed_by_the_next_time(own_url: str) -> None:
    connection = await asyncpg.connect(own_url)
    try:
        # Tables that come back are new to the nodes, as those of a later release are.
        await connection.execute("drop table address_horizons; drop table event_callbacks")
        await connection.execute("create table address_horizons (store_id bigint primary key, event_id text)")
        await connection.execute(
            "create table event_callbacks (store_id bigint, id text, webhook_id text, primary key (store_id, id),"
            " foreign key (store_id, webhook_id) references webhooks (store_id, id) on delete cascade)"
        )
        for table in ("address_horizons", "event_callbacks"):
            await connection.execute(f"alter table {table} owner to {await _owner(connection)}")
        assert await distributing.distribute(own_url) == ["address_horizons", "event_callbacks"]
        assert await _colocations(connection) == 1
        assert await distributing.distribute(own_url) == []
    finally:
        await connection.close()


@on_nodes
async def test_a_distribution_that_was_killed_goes_on(own_url: str) -> None:
    connection = await asyncpg.connect(own_url)
    try:
        foreign_keys = await connection.fetch(distributing.FOREIGN_KEYS)
        wanted = {table for table, place in places().items() if place is not Place.COORDINATOR}
        await connection.execute("select undistribute_table('orders', cascade_via_foreign_keys => true)")
        before = {name for (name,) in await connection.fetch(schema.PLACED)}
        assert "orders" not in before
        work = asyncio.create_task(distributing.distribute(own_url))
        while "orders" not in {name for (name,) in await connection.fetch(schema.PLACED)}:
            await asyncio.sleep(0)
            if work.done():
                break
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )
        with pytest.raises(_CUT_OFF):
            await work
        assert await distributing.distribute(own_url)
        assert {name for (name,) in await connection.fetch(schema.PLACED)} == wanted
        assert {tuple(row) for row in await connection.fetch(distributing.FOREIGN_KEYS)} == {
            tuple(row) for row in foreign_keys
        }
        assert await _colocations(connection) == 1
    finally:
        await connection.close()


_CUT_OFF = (StartupError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


async def _owner(connection: asyncpg.Connection[asyncpg.Record]) -> str:
    """Who owns the schema."""
    found: str = await connection.fetchval(
        "select relowner::regrole::text from pg_class where oid = 'schema_migrations'::regclass"
    )
    return found


async def _colocations(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    """In how many ways distributed tables lie apart."""
    found: int = await connection.fetchval(
        "select count(distinct colocationid) from pg_dist_partition where partmethod = 'h'"
    )
    return found
