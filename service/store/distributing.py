"""Spread a database over the nodes of Citus: the rows of a store on one node, the tables of all stores on each.

Where a table belongs is `schemas.tables.places`. Whatever is in its place stays there, so that it is safe to do this
again: after a kill it goes on, after a migration it places what is new. Like migrations it needs one direct connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import asyncpg

from schemas.tables import Place, places
from service.errors import StartupError
from service.store import roles, schema
from service.store.migrate import alone, silent
from service.store.pool import Connection, connect

_HAS_NODES = "select exists(select from pg_dist_node where isactive and shouldhaveshards)"

_FUNCTIONS = """
    select p.oid::regprocedure::text
    from pg_proc p
    where
        p.pronamespace = current_schema()::regnamespace and p.prokind = 'f'
        and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        and not exists (
            select from pg_dist_object o where o.classid = 'pg_proc'::regclass and o.objid = p.oid
        )
    order by 1
"""

FOREIGN_KEYS = """
    select k.conname::text, r.relname::text, o.relname::text, pg_get_constraintdef(k.oid)
    from pg_constraint k join pg_class r on r.oid = k.conrelid join pg_class o on o.oid = k.confrelid
    where k.contype = 'f' and k.conparentid = 0 and k.connamespace = current_schema()::regnamespace
"""


class _ForeignKey(NamedTuple):
    name: str
    table: str
    to: str
    definition: str


async def distribute(url: str, progress: Callable[[str], None] = silent) -> list[str]:
    """Put every table in its place, and return those that weren't. `progress` is told a line for each.

    Raises StartupError for a database that isn't one of Citus, has no nodes, or can't be reached.
    """
    async with connect(url) as connection, alone(connection, progress):
        await _check(connection)
        await connection.execute("set statement_timeout = 0")
        await connection.execute("set client_min_messages = warning")
        await connection.execute("set citus.enable_local_reference_table_foreign_keys = off")
        await roles.become_owner(connection)
        try:
            return await _place_all(connection, progress)
        except asyncpg.PostgresError as error:
            raise StartupError("The tables can't be distributed: {reason}.", reason=error.message) from error


async def _check(connection: Connection) -> None:
    if not await schema.has_citus(connection):
        raise StartupError(
            "The database has no Citus: run `create extension citus` on it, there and on each worker, and add the"
            " workers with `citus_add_node`."
        )
    if not await connection.fetchval(_HAS_NODES):
        raise StartupError("No node of the database may hold rows: add workers with `citus_add_node`.")


async def _place_all(connection: Connection, progress: Callable[[str], None]) -> list[str]:
    """First what all nodes have, then each table after those that it refers to."""
    for (function,) in await connection.fetch(_FUNCTIONS):
        await connection.execute("select create_distributed_function($1::regprocedure)", function)
    wanted = {table: place for table, place in places().items() if place is not Place.COORDINATOR}
    placed = {name for (name,) in await connection.fetch(schema.PLACED)}
    foreign_keys = [_ForeignKey(*row) for row in await connection.fetch(FOREIGN_KEYS)]
    done: list[str] = []
    order = circles({table: {key.to for key in foreign_keys if key.table == table} for table in wanted})
    for circle in order:
        missing = [table for table in circle if table not in placed]
        if missing:
            progress(", ".join(missing))
            await _place(connection, {table: wanted[table] for table in missing}, foreign_keys)
            done += missing
    return done


async def _place(connection: Connection, wanted: Mapping[str, Place], foreign_keys: Sequence[_ForeignKey]) -> None:
    """Place tables, which may refer to each other, all or none: meanwhile those foreign keys are away."""
    between = [key for key in foreign_keys if key.table != key.to and {key.table, key.to} <= wanted.keys()]
    async with connection.transaction():
        await connection.execute("set local citus.multi_shard_modify_mode = 'sequential'")
        for key in between:
            await connection.execute(f'alter table {key.table} drop constraint "{key.name}"')
        for table, place in wanted.items():
            if place is Place.EVERYWHERE:
                await connection.execute("select create_reference_table($1::text::regclass)", table)
            else:
                await connection.execute(
                    "select create_distributed_table($1::text::regclass, 'store_id', colocate_with => $2)",
                    *(table, await _beside(connection)),
                )
        for key in between:
            await connection.execute(f'alter table {key.table} add constraint "{key.name}" {key.definition}')


async def _beside(connection: Connection) -> str:
    """A table that is distributed already, whose nodes a further one shares; `none` for the first."""
    found: str | None = await connection.fetchval(
        "select min(logicalrelid::regclass::text) from pg_dist_partition where partmethod = 'h'"
    )
    return found or "none"


def circles(referred: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The tables in an order in which each comes after those that it refers to; tables in a circle stand together."""
    reached = {table: {other for other in others if other in referred} for table, others in referred.items()}
    grown = True
    while grown:
        grown = False
        for found in reached.values():
            further = set().union(*(reached[other] for other in found)) - found
            found.update(further)
            grown = grown or bool(further)
    circle = {
        table: tuple(sorted({table} | {other for other in found if table in reached[other]}))
        for table, found in reached.items()
    }
    # What a table refers to reaches less than the table does.
    return [list(one) for one in sorted(set(circle.values()), key=lambda one: (len(reached[one[0]] | {*one}), one))]
