"""`make plans`: how many shared buffers each hot operation touches, in small and large stores.

A statement that is planned well touches as many in a large store as in a small one, but for the depth of an index. It
is to do so right after its tables were loaded, when Postgres has no statistics of them, as well as later. Buffers are
counted, since times tell of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from service.cli import logs
from service.store import embedded
from tests.bench import hot, report
from tests.bench.buffers import Meter
from tests.bench.touching import Touched, Watch
from tests.bench.world import KEYS, execute
from tests.matrix import machine
from tests.processes import ROOT, start
from tests.support import with_database

VERSIONS = ("18", "15")
SIZES = (10, 1_000, 100_000)
STATES = ("fresh", "analysed")
LASTING = 6
"""From this turn on statements have the plans that they keep."""


@dataclass(frozen=True)
class Key:
    """A database that was measured: the version of Postgres, how many orders there are, with statistics or without."""

    postgres: str
    orders: int
    state: str


Counts = Mapping[str, int]
"""Buffers by operation: those of the first plans or of the lasting ones, whichever are more."""

Found = Mapping[Key, Counts]


async def count(
    url: str,
    orders: int,
    states: Sequence[str],
    only: Sequence[str] = (),
    *,
    filtered: bool = False,
    noted: dict[str, Touched] | None = None,
) -> dict[str, Counts]:
    """Load a store of this size on a server, and count in each state of its statistics.

    What is `noted` is that of `count_on`.
    """
    name = f"plans_{orders}"
    await execute(url, f"drop database if exists {name} with (force)", f"create database {name}")
    loaded = with_database(url, name)
    await asyncio.to_thread(load, loaded, orders)
    subjects = await hot.make_subjects(loaded)
    await execute(loaded, _QUIET)
    found = {}
    for state in states:
        copied = f"{name}_{state}"
        await execute(
            url, f"drop database if exists {copied} with (force)", f"create database {copied} template {name}"
        )
        own = with_database(url, copied)
        await execute(own, *(_FORGET if state == "fresh" else ("vacuum (analyze)",)))
        found[state] = await count_on(own, subjects, only, filtered=filtered, noted=noted)
        await execute(url, f"drop database {copied} with (force)")
    await execute(url, f"drop database {name} with (force)")
    return found


async def count_on(
    url: str,
    subjects: hot.Subjects,
    only: Sequence[str] = (),
    *,
    filtered: bool = False,
    noted: dict[str, Touched] | None = None,
) -> Counts:
    """Count the operations on a database as it is.

    On a server that can tell, what each statement touched in a turn is `noted` by operation.
    """
    counts: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        watch = None if noted is None else await stack.enter_async_context(Watch.over(url))
        ground = await stack.enter_async_context(hot.ready_on(url, subjects))
        meter = Meter(ground.database)
        await meter.calibrate()
        for name, work in {**ground.operations, **(ground.filtered if filtered else {})}.items():
            if only and not any(part in name for part in only):
                continue
            turns = []
            if watch is not None:
                await watch.begin()
            for turn in range(hot.TURNS):
                await ground.prepare(name, turn)
                turns.append(await meter.touched(lambda work=work, turn=turn: work(turn)))  # type: ignore[misc]
            if watch is not None and noted is not None:
                noted[name] = {one: touched // hot.TURNS for one, touched in (await watch.end()).items()}
            # The very first turn reads the catalogue.
            counts[name] = round(max(median(turns[1 : LASTING - 1]), median(turns[LASTING:])))
    return counts


_QUIET = """
    do $$
    declare
        one regclass;
    begin
        for one in
            select oid from pg_class
            where oid >= 16384 and relkind = 'r' and relnamespace not in ('pg_toast'::regnamespace)
        loop
            execute format('alter table %s set (autovacuum_enabled = false)', one);
        end loop;
    end $$
"""
"""Nobody vacuums meanwhile, which would be counted and would gather statistics."""

_FORGET = (
    "set allow_system_table_mods = on",
    "delete from pg_statistic where starelid >= 16384",
    """
    update pg_class set
        relpages = case when relkind = 'i' then 1 else 0 end,
        reltuples = case when relkind = 'i' then 0 else -1 end,
        relallvisible = 0
    where oid >= 16384 and relkind in ('r', 'i')
    """,
)
"""Leaves a database as it is right after its tables were made and filled: nothing is known of them."""


def load(url: str, orders: int, *options: str) -> None:
    """Migrate a database and fill a store, as its operator would. Raises AssertionError where a command fails."""
    environment = {"DATABASE_URL": url, "REPRISE_SECRET_KEYS": KEYS}
    amounts = ("--orders", str(orders), "--customers", str(max(orders // 10, 3)), "--skus", "200")
    for command in (("migrate", *options), ("seed", *amounts, "--subscriptions", str(orders // 20))):
        process = start(command, **environment)
        _, said = process.communicate()  # takes minutes for large stores
        assert process.returncode == 0, said


@contextmanager
def _server(programs: Path | None, folder: Path) -> Iterator[str]:
    """The URL of a server of these programs; the embedded one without."""
    if programs is not None:
        with machine.serving(programs) as url:
            yield url
    else:
        with embedded.start(folder) as server:
            yield server.url


def measure(
    versions: Sequence[str], sizes: Sequence[int], states: Sequence[str], only: Sequence[str]
) -> Iterator[Found]:
    """Count on each server that this machine has of these versions, one after the other; all that is known so far."""
    found: dict[Key, Counts] = {}
    there = machine.search().servers
    for version in versions:
        if version not in there:
            sys.stderr.write(f"Postgres {version} is not on this machine.\n")
            continue
        with _server(there[version], ROOT / "build" / "plans") as url:
            for orders in sizes:
                for state, counts in asyncio.run(count(url, orders, states, only)).items():
                    found[Key(version, orders, state)] = counts
                    sys.stderr.write(f"Postgres {version}, {orders} orders, {state}: {dict(counts)}\n")
                yield found


def markdown(found: Found) -> str:
    """A table for each version: operations down, stores across."""
    lines = []
    for version in dict.fromkeys(key.postgres for key in found):
        keys = [key for key in found if key.postgres == version]
        lines += [f"Postgres {version}:", "", f"| | {' | '.join(_title(key) for key in keys)} |"]
        lines += [f"|---|{'---|' * len(keys)}"]
        for name in found[keys[0]]:
            lines.append(f"| {name} | {' | '.join(str(found[key][name]) for key in keys)} |")
        lines.append("")
    return "\n".join(lines)


def _title(key: Key) -> str:
    return f"{report.spaced(key.orders)}, {key.state}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, and print the tables."""
    parser = argparse.ArgumentParser(prog="make plans", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--postgres", action="append", metavar="VERSION", help="only this version")
    parser.add_argument("--orders", action="append", type=int, metavar="N", help="only stores of this size")
    parser.add_argument("--state", action="append", choices=STATES, help="only with or without statistics")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only operations with this in them")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables into a page, between its marks")
    given = parser.parse_args(arguments)
    logs.configure("error")
    found: Found = {}
    for found in measure(given.postgres or VERSIONS, given.orders or SIZES, given.state or STATES, given.only):
        if given.markdown is not None:
            report.insert(given.markdown, markdown(found))
    sys.stdout.write(f"{markdown(found)}\n")


if __name__ == "__main__":
    main()
