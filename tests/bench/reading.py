"""`make bench`: what reading costs, as a ratio to the floor of `floor.py` in the same run on the same machine.

What is compared is processor time per request, of the server's process and of Postgres together: it doesn't depend on
how fast the client asks, and little on what else the machine does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asyncpg
from rich.console import Console
from rich.table import Table

from service.jsonapi.negotiation import MEDIA_TYPE
from service.jsonapi.pagination import PROFILE
from service.store import embedded
from tests.processes import ROOT, reprise, serving

KEYS = "a-key-of-the-benchmark"
STORE = 1003
CONNECTIONS = 16
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    """One way of reading: its name, the path at the floor and at the service."""

    name: str
    floor: str
    service: str


@dataclass(frozen=True)
class Result:
    """Microseconds of processor time per request, at the floor and of the service."""

    case: Case
    floor: float
    service: float

    @property
    def ratio(self) -> float:
        """1 is as cheap as the floor, 0.5 twice as dear."""
        return self.floor / self.service


@dataclass(frozen=True)
class Target:
    """A server: where it listens, its process, and the headers that it asks for."""

    port: int
    pid: int
    headers: str = ""


def cases(order_id: str, customer_id: str) -> list[Case]:
    """What is read."""
    floor = f"store={STORE}&id="
    tree = "line_items,customer,billing_address,shipping_address"
    return [
        Case("one order", f"/order?{floor}{order_id}", f"/api/orders/{order_id}"),
        Case("with lines, customer, addresses", f"/tree?{floor}{order_id}", f"/api/orders/{order_id}?include={tree}"),
        Case("page of 25", f"/page?{floor}0", "/api/orders?sort=id&page[size]=25"),
        Case(
            "customer's 25 with lines",
            f"/customer?{floor}{customer_id}",
            f"/api/orders?filter[customer]={customer_id}&sort=id&include=line_items&page[size]=25",
        ),
    ]


def measure(requests: int, rounds: int, orders: int) -> list[Result]:
    """Seed a database, start both servers, and ask each of them so often in turn."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="reprise-bench-", ignore_cleanup_errors=True))
        )
        folder.chmod(0o755)
        url = stack.enter_context(embedded.start(folder / "postgres")).url
        environment = {"DATABASE_URL": url, "REPRISE_SECRET_KEYS": KEYS, "REPRISE_LOG_LEVEL": "warning"}
        assert reprise("migrate", **environment).code == 0
        seeded = reprise("seed", "--orders", str(orders), **environment)
        assert seeded.code == 0, seeded.err
        token = reprise("token", "create", "--store", str(STORE), **environment).out.strip()
        order_id, customer_id = asyncio.run(_busiest(url))
        served = stack.enter_context(serving("serve", "--port", "0", until="answers at", **environment))
        headers = f'Authorization: Bearer {token}\r\nAccept: {MEDIA_TYPE};profile="{PROFILE}"\r\n'
        service = Target(int(served.url.rpartition(":")[2]), served.process.pid, headers)
        floor = stack.enter_context(_floor(url))
        postmaster = int((_cluster(folder) / "postmaster.pid").read_text().split()[0])
        results = []
        for case in cases(order_id, customer_id):
            spent: dict[str, list[float]] = {"floor": [], "service": []}
            for _ in range(rounds):
                for name, target, path in (("floor", floor, case.floor), ("service", service, case.service)):
                    spent[name].append(_microseconds(target, postmaster, path, requests))
            results.append(Result(case, median(spent["floor"]), median(spent["service"])))
        return results


def _cluster(folder: Path) -> Path:
    """The data folder of the embedded server, which moves it where its user can reach it."""
    location = folder / "postgres" / "location"
    return next(Path(location.read_text().strip() if location.exists() else folder).rglob("postmaster.pid")).parent


async def _busiest(url: str) -> tuple[str, str]:
    """An order in the middle, and the customer with most orders."""
    connection = await asyncpg.connect(url)
    try:
        order_id = await connection.fetchval(
            "select id from orders where store_id = $1 order by id offset (select count(*) / 2 from orders) limit 1",
            STORE,
        )
        customer_id = await connection.fetchval(
            "select customer_id from orders where store_id = $1 and customer_id is not null"
            " group by customer_id order by count(*) desc, customer_id limit 1",
            STORE,
        )
        return str(order_id), str(customer_id)
    finally:
        await connection.close()


@contextmanager
def _floor(url: str) -> Iterator[Target]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "tests.bench.floor:app", "--lifespan", "on", *options],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the floor did not start"
                time.sleep(0.05)
        yield Target(port, process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _microseconds(target: Target, postmaster: int, path: str, requests: int) -> float:
    asyncio.run(_ask(target, path, max(requests // 10, CONNECTIONS)))  # warms caches and prepares statements
    before = _spent([target.pid, *_children(postmaster)])
    asyncio.run(_ask(target, path, requests))
    after = _spent([target.pid, *_children(postmaster)])
    ticks = sum(after.values()) - sum(before[pid] for pid in before.keys() & after.keys())
    return ticks / _TICKS / requests * 1_000_000


def _children(postmaster: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]


def _spent(pids: Sequence[int]) -> dict[int, int]:
    """Ticks of processor time, in user and system mode, of processes that are still there."""
    spent = {}
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        spent[pid] = int(fields[11]) + int(fields[12])
    return spent


async def _ask(target: Target, path: str, requests: int) -> None:
    """Ask so often, over some connections at a time."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nUser-Agent: bench\r\n{target.headers}\r\n"
    ).encode()
    share = -(-requests // CONNECTIONS)
    await asyncio.gather(*(_one_after_another(target.port, request, share) for _ in range(CONNECTIONS)))


async def _one_after_another(port: int, request: bytes, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    for _ in range(number):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        assert head.startswith("http/1.1 200"), body[:500]
        assert length > 500, "there is nothing to read"
    writer.close()
    await writer.wait_closed()


def main() -> None:
    """Print what reading costs here and now."""
    table = Table("processor time per request, microseconds", *("floor", "Reprise", "ratio"))
    for result in measure(requests=4_000, rounds=3, orders=20_000):
        table.add_row(result.case.name, f"{result.floor:.0f}", f"{result.service:.0f}", f"{result.ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
