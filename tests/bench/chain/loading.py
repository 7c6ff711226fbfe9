"""A chain of stores in a database: as many lines and subscriptions as asked for, half of them in one store, by COPY."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path

import asyncpg

from service import clock
from service.operations.generic import numbers
from service.operations.tenant import tenants
from service.store import embedded, migrate
from service.store.pool import Connection, connect
from tests.bench.chain.pattern import Pattern, Stamped, amounts_of, make
from tests.bench.load import postmaster_of
from tests.bench.touching import PRELOADED
from tests.bench.world import KEYS, STORE, execute

LARGEST = STORE
"""The store that has half of everything."""

FIRST = 2001
"""The number of the first of the other stores."""

CLASSES = ((0.009, 1 / 4), (0.09, 1 / 8), (1, 1 / 8))
"""Of the other stores and of their lines, the larger ones first: which part of all, up to the last class."""

TILE_LINES = 80_000
"""How many lines a tile has at most."""

LOADERS = 4

Tell = Callable[[int, int], None]
"""Told how much of how much is done."""


@dataclass(frozen=True)
class Plan:
    """How large a chain is."""

    stores: int = 1_000
    lines: int = 10_000_000
    subscriptions: int = 1_000_000


@dataclass(frozen=True)
class Kind:
    """Stores that are alike: each has so many tiles, of about so many lines and active subscriptions."""

    stores: Sequence[int]
    tiles: int
    lines: float
    active: float


def kinds(plan: Plan) -> Iterator[Kind]:
    """What stores a chain has, the smallest first."""
    found = [([LARGEST], 1 / 2)]
    first, left, carried = FIRST, plan.stores - 1, 0.0
    for part, share in CLASSES:
        count = left if part == 1 else min(round(part * plan.stores), left)
        carried += share
        if count:
            found.append((list(range(first, first + count)), carried))
            first, left, carried = first + count, left - count, 0.0
    for stores, share in reversed(found):
        lines, active = (number * share / len(stores) for number in (plan.lines, plan.subscriptions))
        tiles = ceil(lines / TILE_LINES)
        yield Kind(stores, tiles, lines / tiles, active / tiles)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The URL of the chain's database, on a server in this folder that has memory for it and can tell of statements."""
    folder.mkdir(parents=True, exist_ok=True)
    with embedded.start(folder) as server:
        asyncio.run(execute(server.url, *(f"alter system set {one}" for one in _SETTINGS)))
    # It ends a moment after the last that used it has left. Until then, it runs on without some of the settings.
    for _ in range(PATIENCE):
        with embedded.start(folder) as server:
            if asyncio.run(_has_settings(server.url)):
                yield server.url
                return
        time.sleep(0.5)
    raise TimeoutError(f"The server in {folder} is used by others, and can't be started anew with its settings.")


async def _has_settings(url: str) -> bool:
    async with connect(url) as connection:
        return bool(await connection.fetchval("select current_setting('shared_preload_libraries') <> ''"))


PATIENCE = 120
"""How often a server is started and left again until it has its settings."""

_SETTINGS = (
    *("shared_buffers = '2GB'", "max_wal_size = '8GB'", "maintenance_work_mem = '512MB'", "jit = off"),
    *PRELOADED,
)
PATIENT = "set statement_timeout = 0"


@contextmanager
def hasty(url: str) -> Iterator[None]:
    """Have a server of our own wait for no disk meanwhile, since nothing can be lost that isn't easily made again."""
    names = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
    asyncio.run(execute(url, *(f"alter system set {name} = off" for name in names), "select pg_reload_conf()"))
    yield
    resets = (f"alter system reset {name}" for name in names)
    asyncio.run(execute(url, *resets, "select pg_reload_conf()", "checkpoint"))


async def load(url: str, plan: Plan, tell: Tell) -> None:
    """Make a chain in an empty database."""
    await migrate.migrate(url)
    found = list(kinds(plan))
    # Making a pattern counts as the first of its stamps.
    progress = _Progress(tell, sum(_orders(kind) * len(kind.stores) * kind.tiles for kind in found))
    at = clock.now()
    async with connect(url, [KEYS]) as connection:
        markets = await _stores(connection, [store for kind in found for store in kind.stores])
        stamps: list[tuple[Pattern, Kind, int, int]] = []
        for seed, kind in enumerate(found, 1):
            pattern = await asyncio.to_thread(make, amounts_of(kind.lines, kind.active), at, seed, progress.add)
            for store in kind.stores:
                await numbers.use(connection, store, pattern.numbers(kind.tiles))
            stamps += [(pattern, kind, store, tile) for store in kind.stores for tile in range(kind.tiles)]
            # The first of a kind is held to the foreign keys, which the others, being the same, need not be.
            await _copy(connection, pattern.stamped(kind.stores[0], markets[kind.stores[0]], 0))
            await connection.execute(f"{PATIENT}; analyze")
        rest = iter([one for one in stamps if one[2:] != (one[1].stores[0], 0)])

        async def some() -> None:
            async with connect(url, [KEYS]) as own:
                await own.execute("set session_replication_role = replica")
                for pattern, kind, store, tile in rest:
                    await _copy(own, pattern.stamped(store, markets[store], tile))
                    progress.add(_orders(kind))

        await asyncio.gather(*(some() for _ in range(LOADERS)))
    await execute(url, PATIENT, "vacuum (analyze)")


def _orders(kind: Kind) -> int:
    return amounts_of(kind.lines, kind.active).orders


async def _stores(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Make stores; returns the ids of their markets."""
    at = clock.now()
    async with connection.transaction():
        for id_ in ids:
            await tenants.create(
                connection, store_id=id_, name=f"Store {id_} of the chain", timezone="Europe/Amsterdam", at=at
            )
        return {id_: await tenants.market_id(connection, id_) for id_ in ids}


async def _copy(connection: Connection, rows: Iterator[Stamped]) -> None:
    async with connection.transaction():
        await connection.execute(PATIENT)
        for table, columns, text in rows:
            await connection.copy_to_table(table, source=BytesIO(text), columns=columns, format="text")


@dataclass
class _Progress:
    """Adds up what is done, in orders that were made or stamped."""

    tell: Tell
    total: int
    done: int = 0

    def add(self, orders: int) -> None:
        self.done += orders
        self.tell(min(self.done, self.total), self.total)


async def postmaster(url: str) -> int:
    """The first process of the server."""
    async with connect(url) as connection:
        return await postmaster_of(connection)


async def orphans(url: str, tell: Tell) -> list[str]:
    """The foreign keys that rows break: the loaders check those of the first tiles only."""
    wrong: list[str] = []
    async with connect(url) as connection:
        await connection.execute(PATIENT)
        found = await connection.fetch(_KEYS)
        for done, (name, table, to, pairs) in enumerate(found):
            tell(done, len(found))
            keys = " and ".join(f"one.{own} = whole.{other}" for own, other in pairs)
            there = " and ".join(f"one.{own} is not null" for own, _ in pairs)
            lost = f"not exists (select from {to} whole where {keys})"
            if await connection.fetchval(f"select exists (select from {table} one where {there} and {lost})"):
                wrong.append(name)
    return wrong


_KEYS = """
    select
        k.conname, k.conrelid::regclass::text, k.confrelid::regclass::text,
        array(
            select array[own.attname::text, other.attname::text]
            from unnest(k.conkey, k.confkey) as pair (own, other)
            join pg_attribute own on own.attrelid = k.conrelid and own.attnum = pair.own
            join pg_attribute other on other.attrelid = k.confrelid and other.attnum = pair.other
        )
    from pg_constraint k
    where k.contype = 'f' and k.conparentid = 0 and k.connamespace = 'public'::regnamespace
"""


async def is_loaded(url: str) -> bool:
    """Whether a database holds a chain."""
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("select to_regclass('stores') is not null"):
            return False
        return bool(await connection.fetchval("select exists (select from stores where store_id = $1)", FIRST))
    finally:
        await connection.close()


COUNTS = """
    select
        (select count(*) from stores) as stores,
        (select count(*) from orders) as orders,
        (select count(*) from line_items) as order_lines,
        (select count(*) from line_items where store_id = $1) as lines_of_the_largest,
        (select count(*) from order_subscriptions where status = 'active') as active_subscriptions,
        (select count(*) from events) as events,
        pg_database_size(current_database()) as bytes
"""


async def counted(url: str) -> dict[str, int]:
    """How much there is, by name."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(COUNTS, LARGEST)
        assert row is not None
        return dict(row)
    finally:
        await connection.close()
