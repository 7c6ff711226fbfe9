"""`make bench-import`: a history with a million order lines is imported and exported: how fast, in how much memory.

The history is made up as it is written: skus, customers, and orders of three lines with an address each, over five
years. The processes are `reprise import` and `reprise export`; their memory is the most that they held, as the kernel
tells. With `--export` a tenth of the history is exported first: memory is flat where both exports hold as much.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from service.store import embedded
from service.store.pool import connect
from tests.bench.load import memory, postmaster_of, spent_by_ended
from tests.processes import ROOT, reprise

LINES_AN_ORDER = 3
MOST_SECONDS = 600.0
"""How long a million lines may take on two cores."""
MOST_MEMORY = 150.0
"""Megabytes that the process may hold, whatever the length of the history."""
_SINCE = datetime(2021, 1, 1, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Imported:
    """So many order lines: how long it took, of which so much of a processor by the process and by Postgres.

    All in seconds. One waits for the other, so that both together are what it takes where nothing else runs.
    `megabytes` is the most that the process held.
    """

    lines: int
    seconds: float
    own: float
    postgres: float
    megabytes: float
    said: str

    @property
    def rate(self) -> float:
        """Order lines in a second of processor time."""
        return self.lines / (self.own + self.postgres)

    @property
    def wrong(self) -> list[str]:
        """What is a finding."""
        seconds = 1_000_000 / self.rate
        return [
            *([f"a million lines take {seconds:.0f} s"] if seconds > MOST_SECONDS else []),
            *([f"it holds {self.megabytes:.0f} MB"] if self.megabytes > MOST_MEMORY else []),
            *([self.said] if not self.said.splitlines()[0].endswith(", 0 refused.") else []),
        ]


@dataclass(frozen=True)
class Exported:
    """So many order lines, written in so many seconds of a processor, by a process that held `megabytes` at most."""

    lines: int
    own: float
    postgres: float
    megabytes: float

    @property
    def wrong(self) -> list[str]:
        """What is a finding."""
        return [f"an export holds {self.megabytes:.0f} MB"] if self.megabytes > MOST_MEMORY else []


def records(lines: int) -> Iterator[dict[str, Any]]:
    """A history with so many order lines."""
    orders = lines // LINES_AN_ORDER
    customers, skus = max(orders // 4, 1), 1_000
    for n in range(skus):
        yield {"type": "skus", "id": f"sku{n}", "code": f"SKU-{n}", "name": f"Thing {n}", "tax_rate": 0.21}
    for n in range(customers):
        yield {"type": "customers", "id": f"c{n}", "email": f"c{n}@example.com", "status": "repeat"}
    place = {"first_name": "Ada", "last_name": "Bell", "line_1": "Canal 1", "city": "Utrecht", "country_code": "NL"}
    for n in range(orders):
        at = (_SINCE + timedelta(days=1_825) * n / orders).isoformat(timespec="milliseconds")
        customer = n * 7 % customers
        yield {
            "type": "orders",
            "id": f"o{n}",
            "number": str(n + 1),
            "code": f"OLD-{n + 1}",
            "customer_id": f"c{customer}",
            "customer_email": f"c{customer}@example.com",
            "payment_status": "paid",
            "fulfillment_status": "fulfilled",
            "placed_at": at,
            "created_at": at,
            "shipping_address": place,
            "line_items": [
                {
                    "sku_code": f"SKU-{(n + 331 * line) % skus}",
                    "name": f"Thing {(n + 331 * line) % skus}",
                    "quantity": 1 + line,
                    "unit_amount_cents": 995,
                    "tax_rate": 0.21,
                    "tax_amount_cents": (1 + line) * 173,
                }
                for line in range(LINES_AN_ORDER)
            ],
        }


def write(path: Path, lines: int) -> None:
    """Write such a history into a file."""
    with path.open("wb") as file:
        for record in records(lines):
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def bring(url: str, lines: int, store: int, folder: Path) -> Imported:
    """Import such a history into a new store."""
    path = folder / f"history-{lines}.ndjson"
    write(path, lines)
    made = reprise("store", "create", "--id", str(store), "--name", f"Store {store}", "--database-url", url)
    if made.code:
        raise RuntimeError(made.err)
    found = _run("import", str(path), url=url, store=store)
    path.unlink()
    return Imported(lines, *found)


def take(url: str, store: int, folder: Path) -> Exported:
    """Export a store into a file, and count its order lines."""
    path = folder / "exported.ndjson"
    _, own, postgres, megabytes, _ = _run("export", "--to", str(path), url=url, store=store)
    with path.open("rb") as file:
        lines = sum(len(orjson.loads(line).get("line_items", ())) for line in file)
    path.unlink()
    return Exported(lines, own, postgres, megabytes)


def _run(*command: str, url: str, store: int) -> tuple[float, float, float, float, str]:
    """Seconds that a command took, of which of a processor by itself and by Postgres, its memory, and what it said."""
    arguments = [sys.executable, "-m", "service", *command, "--store", str(store), "--database-url", url]
    postmaster = asyncio.run(_postmaster(url))
    begun, before = time.monotonic(), spent_by_ended(postmaster)
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        used, megabytes = _watched(process)
        said = process.stdout.read().strip()
    own, postgres = used.ru_utime + used.ru_stime, spent_by_ended(postmaster) - before
    return time.monotonic() - begun, own, postgres, megabytes, said


def _watched(process: subprocess.Popen[str]) -> tuple[resource.struct_rusage, float]:
    """Wait for a process; returns what it used, and the most memory that it held, in MB.

    The kernel counts what a process held before it became another program, which is its parent's, to `ru_maxrss`.
    """
    most, ended = 0.0, 0
    while not ended:
        time.sleep(0.02)
        with suppress(OSError, IndexError):  # it may be gone by now
            most = max(most, memory([process.pid], "VmHWM"))
        ended, _, used = os.wait4(process.pid, os.WNOHANG)
    process.returncode = 0
    return used, most


async def _postmaster(url: str) -> int:
    async with connect(url) as connection:
        return await postmaster_of(connection)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `make bench-import`; returns 1 when something is a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="how many order lines (default: 1 000 000)")
    parser.add_argument("--export", action="store_true", help="export it, too, and a tenth of it before")
    parser.add_argument("--folder", type=Path, default=Path("build/bench/import"), help="where Postgres keeps its data")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    out = Console()
    with embedded.start(options.folder / "postgres") as server:
        if reprise("migrate", "--database-url", server.url).code:
            return 1
        store = int(time.time())
        if options.export:
            bring(server.url, options.lines // 10, store - 1, options.folder)
        found = bring(server.url, options.lines, store, options.folder)
        taken = [take(server.url, one, options.folder) for one in (store - 1, store)] if options.export else []
    out.print(found.said)
    out.print(
        f"{found.lines:,} order lines in {found.seconds:.0f} s, of which {found.own:.0f} s of a processor importing and"
        f" {found.postgres:.0f} s in Postgres: {found.rate:,.0f} a second where nothing else runs;"
        f" the process held {found.megabytes:.0f} MB at most"
    )
    for one in taken:
        out.print(
            f"{one.lines:,} order lines exported in {one.own:.1f} s of a processor and {one.postgres:.1f} s in"
            f" Postgres; the process held {one.megabytes:.0f} MB at most"
        )
    wrong = [*found.wrong, *(finding for one in taken for finding in one.wrong)]
    for finding in wrong:
        out.print(f"[red]{finding}[/red]")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
