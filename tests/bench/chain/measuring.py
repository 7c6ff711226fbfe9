"""What a chain costs: pages that operations touch, sizes and vacuum."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from service.store.pool import connect
from tests.bench import hot, plans, report
from tests.bench.chain.loading import LARGEST, PATIENT, Tell
from tests.bench.touching import Touched
from tests.bench.world import execute
from tests.support import with_database

SMALL = 1_000
"""How many orders the store has that the largest is held against."""

FACTOR, SPARE = 2, 40
"""What may be more in the large store: indexes of two levels there have three or four, and each row goes into many."""

ROOM = 1.5
"""How many times the size of the chain a copy of it may need, with what is written to it."""

WORST = 5
"""So many statements are named of an operation that grows."""


@dataclass(frozen=True)
class Pages:
    """Pages of Postgres that each operation touches, in a small store by itself and in the largest of a chain."""

    small: Mapping[str, int]
    large: Mapping[str, int]
    touched_small: Mapping[str, Touched]
    touched_large: Mapping[str, Touched]

    @property
    def wrong(self) -> list[str]:
        """What grows, each operation with the statements that it comes from."""
        return [
            "\n".join([f"{name}: {small} -> {self.large[name]}", *self._worst(name)])
            for name, small in self.small.items()
            if self.large[name] > FACTOR * small + SPARE
        ]

    def _worst(self, name: str) -> Iterator[str]:
        """The statements of an operation that touch more pages in the large store, those first that do by the most."""
        small, large = self.touched_small.get(name, {}), self.touched_large.get(name, {})
        more = {one: touched - small.get(one, 0) for one, touched in large.items()}
        for one in sorted(more, key=lambda one: -more[one])[:WORST]:
            if more[one] > 0:
                yield f"    {small.get(one, 0)} -> {large[one]}  {one}"

    def __str__(self) -> str:
        """As a table."""
        head = ["", f"{report.spaced(SMALL)} orders, alone", "the largest of the chain"]
        rows = [[name, str(small), str(self.large[name])] for name, small in self.small.items()]
        return "\n".join(report.rows(head, rows))


async def pages(url: str, folder: Path, only: Sequence[str] = ()) -> Pages:
    """Count the pages that operations touch in the chain and in a small store, with statistics.

    They are counted on a copy of the chain where the disk has room for one, else on the chain itself: what that leaves
    behind is in the way of counting again. Raises Used for such a chain.
    """
    touched_small: dict[str, Touched] = {}
    touched_large: dict[str, Touched] = {}
    async with _to_change(url, folder) as own:
        await execute(own, PATIENT, _LATER)
        subjects = await hot.make_subjects(own)
        await execute(own, PATIENT, "vacuum (analyze)")
        large = await plans.count_on(own, subjects, only, filtered=True, noted=touched_large)
    small = await plans.count(url, SMALL, ["analysed"], only, filtered=True, noted=touched_small)
    return Pages(small["analysed"], large, touched_small, touched_large)


class Used(Exception):
    """Pages were counted on the chain itself before."""


@asynccontextmanager
async def _to_change(url: str, folder: Path) -> AsyncIterator[str]:
    """A database with the chain that may be changed."""
    name, admin = "chain_pages", with_database(url, "template1")
    await execute(url, PATIENT, f"drop database if exists {name} with (force)")
    async with connect(url) as connection:
        size = await connection.fetchval("select pg_database_size(current_database())")
        if await connection.fetchval(_USED, LARGEST):
            raise Used(
                "Pages were counted on this very chain before, since there was no room for a copy: load another."
            )
    if shutil.disk_usage(folder).free < ROOM * size:
        yield url
        return
    await execute(admin, PATIENT, f"create database {name} template {urlsplit(url).path[1:]} strategy file_copy")
    try:
        yield with_database(url, name)
    finally:
        await execute(url, PATIENT, f"drop database if exists {name} with (force)")


_USED = "select exists (select from order_subscriptions where store_id = $1 and id = 'due-0')"
_LATER = """
    update order_subscriptions set next_run_at = now() + interval '300 days'
    where status = 'active' and next_run_at <= now()
"""
"""What a backlog has left is not due while runs of some others are counted."""


async def sizes(url: str, tell: Tell) -> str:
    """Rows, sizes of tables and of their indexes, and how long a vacuum takes, as a table."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(PATIENT)
        rows = []
        found = await connection.fetch(_SIZES)
        for done, (name, number, heap, indexes, count) in enumerate(found, 1):
            began = time.monotonic()
            await connection.execute(f"vacuum (analyze) {name}")
            took = time.monotonic() - began
            tell(done, len(found))
            rows.append(
                [f"`{name}`", report.spaced(number), _mb(heap), _mb(indexes), str(count), f"{indexes / heap:.1f}",
                 f"{took:.1f}"]
            )  # fmt: skip
        head = ["table", "rows", "table, MB", "indexes, MB", "indexes", "ratio", "vacuum and analyse, s"]
        return "\n".join(report.rows(head, rows))
    finally:
        await connection.close()


def _mb(number: int) -> str:
    return report.spaced(round(number / 1_000_000))


_SIZES = """
    select
        c.relname::text, c.reltuples::bigint, pg_table_size(c.oid), pg_indexes_size(c.oid),
        (select count(*) from pg_index i where i.indrelid = c.oid)
    from pg_class c
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and pg_total_relation_size(c.oid) > 10000000
    order by pg_total_relation_size(c.oid) desc
"""
