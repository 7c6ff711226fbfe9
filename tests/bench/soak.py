"""`make soak`: what a served process holds in memory while it answers hundreds of thousands of requests.

They are those of `make bench`, reads and the writes that can be done again and again, in turns. Memory is what the
process holds after a tenth of them, when all caches are warm, and in the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.bench import servers
from tests.bench.cases import cases
from tests.bench.load import Load, Missing, memory, press, program, tree
from tests.bench.world import built

MOST_MEMORY = 150.0
"""Megabytes that a process may hold."""
MOST_GROWTH = 1.1
"""How many times what it held after a tenth of the requests."""
AGAIN = ("one-order", "tree", "page", "counted", "customer", "copy")
"""Cases whose requests can be sent any number of times."""


@dataclass(frozen=True)
class Soaked:
    """How many requests were answered, how many were not, and megabytes after a tenth of them and in the end."""

    requests: int
    errors: int
    early: float
    late: float

    @property
    def wrong(self) -> list[str]:
        """What is a finding."""
        return [
            *([f"{self.errors} requests were not answered by 2xx"] if self.errors else []),
            *([f"it grew from {self.early:.0f} to {self.late:.0f} MB"] if self.late > MOST_GROWTH * self.early else []),
            *([f"it holds {self.late:.0f} MB"] if self.late > MOST_MEMORY else []),
        ]


def soak(requests: int, orders: int, folder: Path, out: Console) -> Soaked:
    """Send so many requests to a process of its own, on a store with so many orders. Raises Missing without wrk."""
    program()
    with built(orders, folder) as world, servers.service(world.url) as (server, token), Progress(console=out) as bar:
        turns = [
            Load(
                server,
                case.asked[name],
                {"Authorization": f"Bearer {token}", "Accept": case.media, "Content-Type": case.media},
            )
            for case in cases(world)
            if case.key in AGAIN
            for name in ("service", "whole")
            if name in case.asked
        ]
        task = bar.add_task("requests", total=requests)
        sent = errors = turn = 0
        early = 0.0
        while sent < requests or not early:
            done = press(turns[turn % len(turns)], world.postmaster, world.database, 1)
            sent, errors, turn = sent + done.requests, errors + done.errors, turn + 1
            bar.update(task, completed=sent)
            if not early and sent * 10 >= requests and turn >= len(turns):
                early = memory(tree(server.pid))
        return Soaked(sent, errors, early, memory(tree(server.pid)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what came of it; exit code 1 with a finding."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--orders", type=int, default=20_000)
    given = parser.parse_args(arguments)
    out = Console(stderr=True)
    try:
        found = soak(given.requests, given.orders, servers.BUILD, out)
    except Missing as error:
        raise SystemExit(str(error)) from None
    sys.stdout.write(
        f"{found.requests} requests, {found.errors} not answered; "
        f"{found.early:.0f} MB after a tenth of them, {found.late:.0f} MB in the end\n"
    )
    sys.stdout.writelines(f"{problem}\n" for problem in found.wrong)
    sys.exit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
