"""`make chain`: a chain of stores of which one has half of everything, in a Postgres of its own, and what it costs.

Without steps, all are taken one after the other: load, check, sizes, drain, flood, pages, months. What was found is
printed step by step, and once more as a table. One that fails is told of there, and the others are taken all the same.

A whole chain of ten million lines takes 33 GB, and 22 GB more for the log and for what is made of it (another 50 GB if
there is room for a copy). On two cores that have nothing else to do, it takes some 75 minutes: load 15, check 12, sizes
5, drain 8, flood 20, pages 10, months 1.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from service.cli import logs
from service.cli.progress import progress
from service.store.checks import violations
from service.store.pool import connect
from service.texts import Phrase
from tests.bench import report
from tests.bench.chain import draining, loading, measuring, months, planning
from tests.bench.chain.draining import Drained
from tests.bench.chain.loading import Plan, Tell
from tests.bench.load import spent_by_ended

FOLDER = Path("/tmp/reprise-chain")
BYTES_A_LINE = 5_500
"""What a line takes on the disk with all that belongs to it, with the log, and with what is made of it."""

Found = Iterator[tuple[str, str]]
"""What a step has found, in words: what, and how much."""

Step = Callable[[argparse.Namespace, str, Tell], Found]


def load(given: argparse.Namespace, url: str, tell: Tell) -> Found:
    """Make the chain."""
    postmaster = asyncio.run(loading.postmaster(url))
    began, before = time.monotonic(), time.process_time() + spent_by_ended(postmaster)
    with loading.hasty(url):
        asyncio.run(loading.load(url, Plan(given.stores, given.lines, given.subscriptions), tell))
    seconds, processor = time.monotonic() - began, time.process_time() + spent_by_ended(postmaster) - before
    for name, number in asyncio.run(loading.counted(url)).items():
        yield name.replace("_", " "), report.spaced(number)
    yield "loaded and analysed", f"{seconds:.0f} s, of which {processor:.0f} of a processor"


def check(_: argparse.Namespace, url: str, tell: Tell) -> Found:
    """Look for rows that break an invariant or a foreign key."""

    async def look() -> list[str]:
        async with connect(url) as connection:
            await connection.execute(loading.PATIENT)
            return [str(one) for one in await violations(connection)]

    began = time.monotonic()
    wrong = [*asyncio.run(look()), *asyncio.run(loading.orphans(url, tell))]
    _say("\n".join(wrong))
    yield (
        "rows that break an invariant or a foreign key",
        f"{len(wrong)}, looked for in {time.monotonic() - began:.0f} s",
    )


def sizes(_: argparse.Namespace, url: str, tell: Tell) -> Found:
    """Print sizes of tables and indexes, and how long a vacuum takes."""
    began = time.monotonic()
    _say(asyncio.run(measuring.sizes(url, tell)))
    yield "vacuum and analysis of the large tables", f"{time.monotonic() - began:.0f} s"


def drain(given: argparse.Namespace, url: str, tell: Tell) -> Found:
    """Have every subscription of the largest store due, and see how fast they drain, and who waits."""
    yield from _drained(asyncio.run(draining.drain(url, given.seconds, tell)))


def flood(given: argparse.Namespace, url: str, tell: Tell) -> Found:
    """Have every subscription of all stores due, and see how fast they drain."""
    yield from _drained(asyncio.run(draining.drain(url, given.seconds, tell, everywhere=True)))


def _drained(found: Drained) -> Found:
    _say("\n".join([str(found), *found.wrong]))
    yield "subscriptions that were due", report.spaced(found.due)
    yield "made", f"{report.spaced(found.copies)} copies in {found.seconds:.0f} s; {report.spaced(found.left)} left"
    yield "a copy takes", f"{found.each:.0f} microseconds of processor time"
    yield "on two cores with nothing else to do", f"{found.on_two_cores:.0f} copies a second"
    if found.lateness:
        yield "latest run of a small store meanwhile", f"{max(found.lateness):.1f} s late; {found.waiting} still due"


def pages(given: argparse.Namespace, url: str, _: Tell) -> Found:
    """Count the pages that operations touch in the largest store, beside a small one."""
    through = asyncio.run(planning.gone_through(url))
    found = asyncio.run(measuring.pages(url, given.folder, given.only))
    _say("\n".join([str(found), *found.wrong, *through]))
    yield "operations that grow with the store", str(len(found.wrong))
    yield "statements that go through a store for an id", str(len(through))


def months_(given: argparse.Namespace, url: str, _: Tell) -> Found:
    """Delete a month of deliveries at once and row by row; count what events would cost in partitions."""
    number = given.deliveries
    at_once, by_row = asyncio.run(months.deliveries(url, number))
    for how, one in (("at once", at_once), ("row by row", by_row)):
        yield f"{report.spaced(number)} deliveries deleted {how}", f"{one.seconds:.1f} s, {one.megabytes:.0f} MB of log"
    _say(asyncio.run(months.events(url, number // 10)))


def _say(text: str) -> None:
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


STEPS: dict[str, Step] = {
    "load": load,
    "check": check,
    "sizes": sizes,
    "drain": drain,
    "flood": flood,
    "pages": pages,
    "months": months_,
}


def take(given: argparse.Namespace, url: str) -> tuple[list[list[str]], bool]:
    """Take steps; returns the rows of a table of what they found, and whether one of them failed."""
    rows: list[list[str]] = []
    failed = False
    for name in given.steps:
        try:
            with progress(Phrase(name), 1) as tell:
                for found in STEPS[name](given, url, tell):
                    rows.append([name, *found])  # noqa: PERF401 -- what a step has found before it fails is kept
        except Exception as error:  # noqa: BLE001 -- the others are taken all the same
            traceback.print_exc()
            rows.append([name, "failed", str(error).partition("\n")[0]])
            failed = True
            if name == "load":
                break
    return rows, failed


def _step(name: str) -> str:
    if name not in STEPS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(STEPS)}")
    return name


def _refused(given: argparse.Namespace, url: str) -> str | None:
    """Why the steps can't be taken; None where they can."""
    loaded = asyncio.run(loading.is_loaded(url))
    if "load" not in given.steps:
        return None if loaded else f"There is no chain in {given.folder}: begin with the step load."
    if loaded:
        return f"There is a chain in {given.folder}: name the steps to take on it, or another --folder."
    needed, free = given.lines * BYTES_A_LINE, shutil.disk_usage(given.folder).free
    if free < needed:
        return f"{needed // 10**9} GB are needed in {given.folder}, and {free // 10**9} GB are free."
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Take steps, one after the other, and print what they found; exit code 1 when one can't be taken or fails."""
    usual = Plan()
    what, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="make chain", description=what, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="*", type=_step, default=list(STEPS), metavar="STEP")
    parser.add_argument("--stores", type=int, default=usual.stores)
    parser.add_argument("--lines", type=int, default=usual.lines)
    parser.add_argument("--subscriptions", type=int, default=usual.subscriptions)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where Postgres keeps the data")
    parser.add_argument("--deliveries", type=int, default=200_000, help="how many a month has that is deleted")
    parser.add_argument("--seconds", type=float, default=1_800, help="how long a backlog may drain")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only operations with this in them")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into a page, between its marks")
    given = parser.parse_args(arguments)
    logs.configure("error")
    with loading.serving(given.folder) as url:
        refused = _refused(given, url)
        if refused is not None:
            sys.stderr.write(f"{refused}\n")
            sys.exit(1)
        rows, failed = take(given, url)
    table = "\n".join(report.rows(["step", "what", "how much"], rows))
    _say(f"\n{table}")
    if given.markdown is not None:
        report.insert(given.markdown, f"Measured on {report.machine()}.\n\n{table}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
