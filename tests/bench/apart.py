"""What each hot operation takes where a store's rows lie on another node, beside one server in the same run.

    python -m tests.bench.apart postgresql://postgres@127.0.0.1:5432/postgres

The URL names an empty database on the coordinator of a cluster that has Citus and its workers. It is migrated and its
tables are spread; beside it the embedded Postgres has the same. An operation is done on both, one after the other, so
that whatever else the machine does falls on both. Times are medians, from the turn on in which plans last.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from statistics import median

from service.cli import logs
from service.store import embedded
from tests.bench import hot, report
from tests.bench.plans import LASTING, load
from tests.chaos.fleet import own_folder

ORDERS = 1_000

Times = Mapping[str, tuple[float, float]]
"""Milliseconds of an operation on one server and on the cluster, by its name."""


async def measure(urls: Sequence[str], only: Sequence[str] = ()) -> Times:
    """Do each operation on all databases by turns."""
    async with AsyncExitStack() as stack:
        grounds = [await stack.enter_async_context(hot.ready_on(url, await hot.make_subjects(url))) for url in urls]
        found = {}
        for name in grounds[0].operations:
            if only and not any(part in name for part in only):
                continue
            taken: list[list[float]] = [[] for _ in urls]
            for turn in range(hot.TURNS):
                for ground, of in zip(grounds, taken, strict=True):
                    await ground.prepare(name, turn)
                    began = time.perf_counter()
                    await ground.operations[name](turn)
                    of.append(1_000 * (time.perf_counter() - began))
            one, several = (median(of[LASTING:]) for of in taken)
            found[name] = one, several
        return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    what, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.apart",
        description=what,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", help="an empty database on the coordinator")
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only operations with this in them")
    parser.add_argument("--together", action="store_true", help="the URL is one server too: spread nothing")
    given = parser.parse_args(arguments)
    logs.configure("error")
    with own_folder("apart") as folder, embedded.start(folder) as server:
        load(server.url, given.orders)
        load(given.url, given.orders, *([] if given.together else ["--citus"]))
        found = asyncio.run(measure([server.url, given.url], given.only))
    rows = [[name, f"{one:.1f}", f"{several:.1f}", f"{several / one:.1f}"] for name, (one, several) in found.items()]
    sys.stdout.write("\n".join(report.rows(["operation", "one server, ms", "cluster, ms", "ratio"], rows)) + "\n")


if __name__ == "__main__":
    main()
