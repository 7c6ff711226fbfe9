"""Which statements touch how many shared buffers, by pg_stat_statements: what an operation does too much of, by name.

A server has to be started with that library (`PRELOADED`). Statements of sql/queries go by their path there. Others go
by how they begin, such as checks of foreign keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache

import pglast

from service.store.pool import connect
from sql import statements, topics
from tests.bench.world import execute

PRELOADED = ("shared_preload_libraries = 'pg_stat_statements'", "pg_stat_statements.track = 'none'")
"""Settings of a server that can tell: it costs nothing until `watched`."""

LONGEST = 90
"""Of a statement without a name, so many characters are shown."""

Touched = Mapping[str, int]
"""Buffers that each statement touched, those of the triggers that it set off among them."""


class Watch:
    """Tells what statements of one database touch between `begin` and `end`, on a server that was preloaded for it."""

    def __init__(self, url: str) -> None:
        self._url = url

    @classmethod
    @asynccontextmanager
    async def over(cls, url: str) -> AsyncIterator[Watch]:
        """Watch a database's statements, those that others set off too."""
        track = "pg_stat_statements.track"
        await execute(
            url,
            "create extension if not exists pg_stat_statements",
            f"alter system set {track} = 'all'",
            "select pg_reload_conf()",
        )
        yield cls(url)
        await execute(url, f"alter system set {track} = 'none'", "select pg_reload_conf()")

    async def begin(self) -> None:
        """Forget what was touched so far."""
        await execute(self._url, "select pg_stat_statements_reset()")

    async def end(self) -> Touched:
        """What statements have touched since, the most first."""
        found: dict[str, int] = {}
        async with connect(self._url) as connection:
            for text, touched in await connection.fetch(_TOUCHED):
                name = name_of(text)
                found[name] = found.get(name, 0) + int(touched)
        return dict(sorted(found.items(), key=lambda one: -one[1]))


_TOUCHED = """
    select query, shared_blks_hit + shared_blks_read
    from pg_stat_statements
    where dbid = (select oid from pg_database where datname = current_database()) and query !~ 'pg_stat_'
"""


def name_of(text: str) -> str:
    """What a statement is called, as Postgres keeps it: with parameters in place of what was constant."""
    known = None
    with suppress(pglast.Error):  # where it is cut off, or of a later Postgres than the parser's
        known = _names().get(pglast.fingerprint(text))
    return known or " ".join(text.split())[:LONGEST]


@cache
def _names() -> Mapping[str, str]:
    """The paths of the statements of sql/queries, by their fingerprints, which constants don't change."""
    return {pglast.fingerprint(one.text): one.path for topic in topics() for one in statements(topic).values()}
