"""`make bench-copies`: how fast workers make copies, beside pgbench with the same statements, one copy at a time.

What runs bare is in recurring_copy.pgbench: `run` names a statement of sql/queries and what its parameters are, so that
both run the very same text.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from service import clock
from service.jobs.sweep import sweep_store
from service.store import embedded, migrate
from service.store.pool import Connection, open_database
from sql import Statement, statement
from tests.bench.load import at_work, memory, postmaster_of, spent, ticks_of, tree
from tests.chaos import fleet, world
from tests.chaos.world import World

SCRIPT = Path(__file__).with_name("recurring_copy.pgbench")
CLIENTS = 16
GROWTH = 1.5
"""How many times what a worker took after a tenth of the work it may take at most."""


@dataclass
class Report:
    """Copies a second of both, and the memory of the largest worker in MB, after a tenth of the work and at most.

    `copies` are those made in `seconds`, from when all workers are on duty; `processor` is what workers and Postgres
    spent on them, in microseconds.
    """

    bare: float
    copies: int
    seconds: float
    memory_began: float
    memory_most: float
    wrong: list[str]
    processor: float = 0.0

    @property
    def on_two_cores(self) -> float:
        """How many copies a second two cores make that have nothing else to do."""
        return 2_000_000 * self.copies / self.processor

    def __str__(self) -> str:
        """The rates, one a line."""
        rate = self.copies / self.seconds
        return (
            f"workers: {self.copies} copies in {self.seconds:.0f} seconds, {rate:.0f} a second, "
            f"{self.memory_began:.0f} MB after a tenth of them, {self.memory_most:.0f} MB at most\n"
            f"{self.processor / self.copies:.0f} microseconds of processor time a copy, workers and Postgres together: "
            f"{self.on_two_cores:.0f} a second on two cores\n"
            f"the same statements bare, one copy at a time: {self.bare:.0f} a second\n"
            f"ratio: {rate / self.bare:.2f}"
        )


async def measure(url: str, *, subscriptions: int, bare: int, workers: int) -> Report:
    """Let pgbench make some copies, then workers all others."""
    connection = await asyncpg.connect(url)
    try:
        rate = await run_bare(connection, url, bare)
        made = await world.build(connection, store_count=5, subscriptions=subscriptions, first_store=10)
        report = Report(rate, 0, 0.0, 0.0, 0.0, [])
        await _drain(connection, url, workers, sum(made.expected.values()), report)
        report.wrong = await _judge(connection, made, report)
        return report
    finally:
        await connection.close()


async def run_bare(connection: Connection, url: str, count: int) -> float:
    """Copies a second of pgbench, in a store of its own, the copies of which were ordered before."""
    made = await world.build(connection, store_count=1, subscriptions=count, first_store=1)
    async with open_database(url) as database:
        await sweep_store(database, made.stores[0].id)
    await connection.execute("delete from pgqueuer.pgqueuer")
    await connection.execute(_COPIES)
    total = int(await connection.fetchval("select count(*) from bench_copies"))
    at = await connection.fetchval("select max(created_at)::text from order_factories")
    with tempfile.NamedTemporaryFile("w", suffix=".pgbench") as script:
        script.write(script_of(made.stores[0].id, f"'{at}'::timestamptz"))
        script.flush()
        command = [
            str(embedded.program("pgbench")),
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={CLIENTS}",
            "--jobs=2",
        ]
        command += [f"--transactions={total // CLIENTS}", f"--file={script.name}", url]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    if rate is None or done.returncode:
        raise SystemExit(f"pgbench: {done.stderr}")
    await connection.execute("update order_factories set status = 'aborted' where status = 'pending'")
    return float(rate[1])


def script_of(store: int, at: str) -> str:
    """The script for pgbench, with the statements of sql/queries in it."""
    lines = []
    for line in SCRIPT.read_text().splitlines():
        given = line.format(store=store, at=at)
        if given.startswith("run "):
            path, *binds = given.removeprefix("run ").split(" | ")
            text = " ".join(statement(path).text.split("\n"))
            for place, bind in reversed(list(enumerate(_in_order(statement(path), binds), 1))):
                text = text.replace(f"${place}", f"({bind})")
            given = text.rstrip(";") + ";"
        lines.append(given)
    return "\n".join(lines)


def _in_order(called: Statement, binds: Sequence[str]) -> Sequence[str]:
    """The binds of a statement (`store: 1`) as $1, $2 and so on."""
    named = dict(bind.split(": ", 1) for bind in binds)
    return [named[name] for name in called.parameters]


_COPIES = """
    create sequence bench_number;
    create table bench_copies as
    select
        row_number() over (order by order_factories.id) as n,
        1000000 + row_number() over (order by order_factories.id) as number,
        order_factories.id,
        'made-' || order_factories.id as made,
        order_factories.order_subscription_id,
        order_factories.source_order_id,
        order_factories.occurrence_id as occurrence,
        order_subscription_items.sku_id as sku,
        orders.customer_id as customer,
        orders.billing_address_id as billing,
        orders.shipping_address_id as shipping,
        orders.shipping_method_id as method,
        orders.payment_method_id as payment
    from order_factories
    inner join orders
        on order_factories.store_id = orders.store_id and order_factories.source_order_id = orders.id
    inner join order_subscription_items
        on
            order_factories.store_id = order_subscription_items.store_id
            and order_factories.order_subscription_id = order_subscription_items.order_subscription_id;
    create unique index bench_copies_by_n on bench_copies (n);
    analyze
"""


async def _drain(connection: Connection, url: str, workers: int, expected: int, report: Report) -> None:
    """Run workers until all expected copies are made, and watch their memory."""

    async def done() -> int:
        return int(
            await connection.fetchval("select count(*) from orders where store_id >= 10 and occurrence_id is not null")
        )

    async def some_are_due() -> bool:
        due = "select exists (select from order_subscriptions where status = 'active' and next_run_at <= $1)"
        return bool(await connection.fetchval(due, clock.now()))

    async with at_work_on(connection, url, workers, "k" * 32) as (processes, ticks):
        early = made = await done()
        began, before = time.monotonic(), ticks()
        # To count all orders again and again would take a good part of a core.
        while await some_are_due() or (made := await done()) < expected:
            report.memory_most = max(report.memory_most, *(memory([process.pid]) for process in processes))
            if made * 10 < expected or not report.memory_began:
                made = await done()
                report.memory_began = report.memory_most
            await asyncio.sleep(0.05)
        report.seconds = time.monotonic() - began
        report.processor = spent(before, ticks())
        report.copies = made - early


@asynccontextmanager
async def at_work_on(
    connection: Connection, url: str, workers: int, key: str
) -> AsyncIterator[tuple[Sequence[Process], Callable[[], Mapping[int, int]]]]:
    """Workers that are on duty, and the ticks that they and Postgres have spent so far, by process.

    What it takes to start a worker is no part of a copy; what the first made until the last came doesn't count.
    """
    environment = os.environ | {"DATABASE_URL": url, "REPRISE_SECRET_KEYS": key}
    processes = [
        await asyncio.create_subprocess_exec(
            *fleet.PATIENT, cwd=fleet.ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(workers)
    ]
    postmaster = await postmaster_of(connection)
    database = str(await connection.fetchval("select current_database()"))
    watching = int(await connection.fetchval("select pg_backend_pid()"))

    def ticks() -> Mapping[int, int]:
        own = [pid for process in processes for pid in tree(process.pid)]
        return ticks_of([*own, *(pid for pid in at_work(postmaster, database) if pid != watching)])

    try:
        while int(await connection.fetchval("select count(*) from workers")) < workers:  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0.01)
        yield processes, ticks
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await process.wait()


async def _judge(connection: Connection, made: World, report: Report) -> list[str]:
    await connection.execute("delete from order_factories where status = 'aborted'")
    wrong = [problem for problem in await world.verdict(connection, made) if not problem.startswith("doubled: (1,")]
    if report.memory_most > GROWTH * report.memory_began:
        wrong.append(f"memory grew from {report.memory_began:.0f} to {report.memory_most:.0f} MB")
    return wrong


async def _measure_anew(url: str, **sizes: int) -> Report:
    await migrate.migrate(url)
    return await measure(url, **sizes)


def run(**sizes: int) -> Report:
    """Measure on a server of its own. Sizes are those of `measure`."""
    with fleet.own_folder("bench") as folder, embedded.start(folder) as server:
        return asyncio.run(_measure_anew(server.url, **sizes))


def lines() -> list[str]:
    """How many copies two workers make in a second, for small and for large amounts of subscriptions, in words."""
    said = []
    for subscriptions in (10_000, 100_000):
        report = run(subscriptions=subscriptions, bare=2_000, workers=2)
        said.append(
            f"Where {subscriptions} subscriptions are due, a recurring copy takes"
            f" {report.processor / report.copies:.0f} microseconds of processor time, of workers and Postgres:"
            f" two cores make {report.on_two_cores:.0f} a second. Two workers made"
            f" {report.copies / report.seconds:.0f}, the larger of them in {report.memory_most:.0f} MB. pgbench ran the"
            f" same statements {report.bare:.0f} times a second, one copy at a time."
        )
        said += report.wrong
    return said


def main() -> None:
    """Measure once; exit code 1 when something was lost or doubled, or the memory grew."""
    parser = argparse.ArgumentParser(prog="make bench-copies")
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--bare", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    sizes = vars(parser.parse_args())
    report = run(**sizes)
    sys.stdout.write(f"{report}\n")
    sys.stdout.writelines(f"{problem}\n" for problem in report.wrong)
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
