"""Tables that only grow have a partition for each month, by the time in the ids of their rows.

Who owns the tables makes the months to come: `reprise migrate`, and workers that log in as the owner. What no month was
made for is kept all the same, in a last partition. Once the time of a month is over, a worker empties its partition at
once, which locks nothing else; an empty one of the past is dropped by the next `reprise migrate`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from asyncpg import LockNotAvailableError

from service.clock import first_id
from service.store.pool import Connection

TABLES: Final = ("event_callbacks",)
"""Those whose ids begin with an instant in real time, and that are kept for so long and no longer."""

AHEAD: Final = 6
"""How many months beyond the current one there are."""

_VACUUMING: Final = "autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05"


class Busy(Exception):
    """A partition can't be emptied now."""


class Month(NamedTuple):
    """A month's partition of a table: its ids begin at `first`, and end before `until`."""

    name: str
    first: str
    until: str


_THERE = """
    select c.relname::text
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = to_regclass($1) and c.relname ~ '_[0-9]{4}_[0-9]{2}$'
    order by 1
"""
_IS_OURS = "select pg_has_role(relowner, 'usage') from pg_class where oid = to_regclass($1)"


def month(table: str, at: datetime) -> Month:
    """The month of an instant."""
    begin = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Month(f"{table}_{begin:%Y_%m}", first_id(begin), first_id(_next(begin)))


def _next(begin: datetime) -> datetime:
    return begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)


async def past(connection: Connection, table: str, before: datetime) -> list[Month]:
    """The months of a table that were over at an instant."""
    found = [_named(table, row[0]) for row in await connection.fetch(_THERE, table)]
    return [one for one in found if one.until <= first_id(before)]


def _named(table: str, name: str) -> Month:
    year, number = name.removeprefix(f"{table}_").split("_")
    return month(table, datetime(int(year), int(number), 1, tzinfo=UTC))


async def make_ahead(connection: Connection, at: datetime) -> list[str]:
    """Make the month of an instant and those that follow, and drop past ones that are empty; returns their names.

    Nothing is done where somebody else owns the tables, or where others keep us from it for seconds. A month of which
    there are rows already is left out: they stay where they are.
    """
    made: list[str] = []
    for table in TABLES:
        if await connection.fetchval(_IS_OURS, table):
            try:
                async with connection.transaction():
                    # Whoever waits for a lock of a table lets nobody else at it meanwhile.
                    await connection.execute("set local lock_timeout = '2s'")
                    made += [name async for name in _settle(connection, table, at)]
            except LockNotAvailableError:
                continue
    return made


async def _settle(connection: Connection, table: str, at: datetime) -> AsyncIterator[str]:
    there = {row[0] for row in await connection.fetch(_THERE, table)}
    begin = at
    for _ in range(AHEAD + 1):
        one = month(table, begin)
        # Citus can't gather rows without a column from several nodes.
        taken = f"select exists (select 1 from {table}_of_no_month where id >= $1 and id < $2)"
        if one.name not in there and not await connection.fetchval(taken, one.first, one.until):
            await connection.execute(
                f"create table {one.name} partition of {table}"
                f" for values from ('{one.first}') to ('{one.until}') with ({_VACUUMING})"
            )
            yield one.name
        begin = _next(begin.astimezone(UTC).replace(day=1))
    for one in await past(connection, table, at):
        if not await connection.fetchval(f"select exists (select 1 from {one.name})"):
            await connection.execute(f"drop table {one.name}")
            yield one.name


async def may_empty(connection: Connection, one: Month) -> bool:
    """Whether who is connected may empty a partition at once."""
    return bool(await connection.fetchval("select has_table_privilege($1::text, 'truncate')", one.name))


async def lock(connection: Connection, one: Month) -> None:
    """Keep everybody out of a partition until the end of the transaction. Raises Busy where somebody is at it."""
    try:
        await connection.execute(f"lock table {one.name} in access exclusive mode nowait")
    except LockNotAvailableError as error:
        raise Busy from error


def require(fulfilled: bool) -> None:  # noqa: FBT001 -- a condition
    """Raise Busy, and with that leave a partition as it is, unless a condition is fulfilled."""
    if not fulfilled:
        raise Busy


async def empty(connection: Connection, one: Month) -> None:
    """Empty a partition at once; what it held no longer takes any room."""
    await connection.execute(f"truncate {one.name}")
