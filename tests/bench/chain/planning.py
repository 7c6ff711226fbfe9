"""Statements that Postgres would find their rows for by going through a whole store, as it plans them for any store.

Every index begins with the store, and most end with the id. An index with another column in between can be gone through
for an id, too: it is read from end to end, as far as the store goes. In a store of a few hundred rows that is cheap. If
the others are that small, the plan is made for them, and the largest store pays for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import asyncpg
import orjson

from service.store.pool import Connection
from sql import Statement, statements, topics

FEW = 5_000
"""A table of so many rows may be gone through."""

Plan = Mapping[str, Any]


async def gone_through(url: str) -> list[str]:
    """The statements that read a large table by an index of which they know store and id, but nothing between."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await connection.execute("set plan_cache_mode = force_generic_plan")
        indexes: dict[str, Sequence[str]] = dict(map(tuple, await connection.fetch(_INDEXES, FEW)))
        found = []
        for one in (one for topic in topics() for one in statements(topic).values()):
            plan = await _planned(connection, one)
            through = [name for name, condition in _scans(plan) if _skips(indexes.get(name, ()), condition)]
            found += [f"{one.path}: {name}" for name in dict.fromkeys(through)]
        return found
    finally:
        await connection.close()


_INDEXES = """
    select
        index.indexrelid::regclass::text,
        array(select pg_get_indexdef(index.indexrelid, n, true) from generate_series(1, index.indnkeyatts) as n)
    from pg_index as index
    join pg_class as whole on whole.oid = index.indrelid
    where whole.relnamespace = 'public'::regnamespace and whole.reltuples > $1
"""


async def _planned(connection: Connection, one: Statement) -> Plan:
    await connection.execute(f"prepare planned as {one.text}")
    binds = f" ({', '.join(['null'] * len(one.parameters))})" if one.parameters else ""
    found = await connection.fetchval(f"explain (format json) execute planned{binds}")
    await connection.execute("deallocate planned")
    plan: Plan = orjson.loads(found)[0]["Plan"]
    return plan


def _scans(plan: Plan) -> Iterator[tuple[str, str]]:
    """The indexes that a plan reads, and by which condition."""
    if "Index Name" in plan and "Index Cond" in plan:
        yield plan["Index Name"], plan["Index Cond"]
    for part in plan.get("Plans", ()):
        yield from _scans(part)


def _skips(columns: Sequence[str], condition: str) -> bool:
    """Whether a condition names the last of an index's columns, and not those before it."""
    named = [re.search(rf"(?<![\w.]){re.escape(column)}\b", condition) is not None for column in columns]
    return len(named) > 1 and named[-1] and not all(named)
