"""`make bench`: what the service costs beside the least that can be done, as a ratio in the same run.

Compared is processor time a request, of the server and of Postgres together: it doesn't depend on how fast the load
comes, and little on what else the machine does. Rounds go from one server to the next; the median of them counts.

    python -m tests.bench --only one-order --rounds 1 --no-peers    one case, in some ten seconds
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console

from tests.bench import copies, report, serialising, servers
from tests.bench.cases import Case, cases
from tests.bench.checking import check
from tests.bench.load import Load, Missing, Server, Spent, memory, press, program, tree
from tests.bench.report import Measured, Report
from tests.bench.world import World, built, gather_statistics

PEERS = ("fastapi_jsonapi", "django_jsonapi", "fastify")
ORDERS, FEW_ORDERS = 100_000, 20_000


@dataclass(frozen=True)
class Run:
    """How to measure: which cases (None: all), how often, how long, beside whom, and where the database is."""

    only: Sequence[str] | None = None
    rounds: int = 3
    seconds: int = 2
    orders: int = ORDERS
    peers: Sequence[str] = PEERS
    quick: bool = False
    folder: Path = servers.BUILD


@dataclass
class _Field:
    """The servers that run, by name, and the headers that the service is sent."""

    running: dict[str, Server] = field(default_factory=dict)
    token: str = ""

    def loads(self, case: Case) -> dict[str, Load]:
        """What to send to whom in a case."""
        found = {}
        for name, requests in case.asked.items():
            server = self.running.get("service" if name == "whole" else name)
            if server is not None:
                ours = {"Authorization": f"Bearer {self.token}", "Accept": case.media, "Content-Type": case.media}
                found[name] = Load(server, requests, ours if server.name == "service" else {})
        return found


def measure(run: Run, out: Console) -> Report:
    """Start everything, ask everybody in turn, and collect what it cost. Raises Missing without wrk."""
    program()
    made = Report(run.rounds, run.seconds, run.orders)
    with ExitStack() as stack:
        world = stack.enter_context(built(run.orders, run.folder))
        ground = _Field()
        ground.running["floor"] = stack.enter_context(servers.floor(world.url))
        ground.running["service"], ground.token = stack.enter_context(servers.service(world.url))
        for peer in run.peers:
            if said := servers.prepared(peer):
                made.missing.append(said)
            else:
                ground.running[peer] = stack.enter_context(getattr(servers, peer)(world.url))
        for case in chosen(cases(world), run):
            with out.status(case.title):
                made.measured.append(_measure(case, ground, world, run))
        if run.only is None:
            made.extra += serialising.lines(ground.running["service"], ground.token)
        made.memory = {name: memory(tree(server.pid), "VmHWM") for name, server in ground.running.items()}
        made.postgres = world.version
    return made


def chosen(every: Iterable[Case], run: Run) -> list[Case]:
    """The cases that a run has. Raises SystemExit for a name that there isn't."""
    known = list(every)
    if run.only is None:
        return [case for case in known if case.quick or not run.quick]
    if unknown := set(run.only) - {case.key for case in known}:
        raise SystemExit(f"No case {', '.join(sorted(unknown))}; there are {', '.join(case.key for case in known)}.")
    return [case for case in known if case.key in run.only]


def _measure(case: Case, ground: _Field, world: World, run: Run) -> Measured:
    loads = ground.loads(case)
    sizes = {name: check(load, case) for name, load in loads.items()}
    for load in loads.values():
        press(load, world.postmaster, world.database, 1)  # warms caches and prepares statements
    if any(load.requests[0].method != "GET" for load in loads.values()):
        # As autovacuum would within a minute: some tables were empty until now.
        asyncio.run(gather_statistics(world.url))
    rounds: dict[str, list[Spent]] = {name: [] for name in loads}
    for _ in range(run.rounds):
        for name, load in loads.items():
            rounds[name].append(press(load, world.postmaster, world.database, run.seconds))
    return Measured(case, {name: _median(spent) for name, spent in rounds.items()}, sizes)


def _median(rounds: Sequence[Spent]) -> Spent:
    """The round in the middle; the errors are those of all."""
    middle = sorted(rounds, key=lambda spent: spent.total)[len(rounds) // 2]
    return Spent(
        middle.requests,
        median(spent.server for spent in rounds),
        median(spent.postgres for spent in rounds),
        sum(spent.errors for spent in rounds),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure as the arguments say and print it; exit code 1 when a request failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", metavar="CASE", help="only this case; may be given several times")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=int, default=2, metavar="N", help="how long each server is asked in a round")
    parser.add_argument("--orders", type=int, metavar="N", help="how many orders the store has")
    parser.add_argument("--no-peers", action="store_true", help="leave out other frameworks")
    parser.add_argument("--no-copies", action="store_true", help="leave out the workers' copies")
    parser.add_argument("--quick", action="store_true", help="one round of reads and reorder, without peers and copies")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into a page, between its marks")
    given = parser.parse_args(arguments)
    small = given.quick or given.only is not None
    run = Run(
        only=given.only,
        rounds=1 if given.quick else given.rounds,
        seconds=given.seconds,
        orders=given.orders or (FEW_ORDERS if small else ORDERS),
        peers=() if given.no_peers or given.quick else PEERS,
        quick=given.quick,
    )
    out = Console(highlight=False)
    try:
        made = measure(run, out)
    except Missing as missing:
        raise SystemExit(str(missing)) from None
    if not (small or given.no_copies):
        with out.status("recurring copies"):
            made.extra += copies.lines()
    report.show(made, out)
    if given.markdown is not None:
        report.write(made, given.markdown)
    sys.exit(1 if made.errors else 0)


if __name__ == "__main__":
    main()
