"""`make hostile`: what clients can do to stall a process, at two sizes each, while somebody else looks at `/healthz`.

A served process of its own answers. For each attack the table has what it was answered, how long the slowest look at
`/healthz` took meanwhile, and by how much the process and the largest backend of its Postgres grew. An attack that is
answered by 5xx (but 503, which says to come back), that makes a look slower than a second or memory grow by 100 MB is a
finding.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from service.jsonapi.negotiation import ATOMIC, MEDIA_TYPE
from service.store import embedded
from service.store.pool import connect
from tests.bench.load import memory, postmaster_of, tree
from tests.chaos import fleet
from tests.processes import reprise, serving

MOST_SECONDS = 1.0
MOST_GROWTH = 100.0
"""Megabytes."""
STORE = 1003
TOKENS = 4


@dataclass(frozen=True)
class Answer:
    """What came back: its status (0 for a connection that was closed without one) and its body."""

    status: int
    body: bytes = b""


@dataclass
class Target:
    """The process that is attacked, and what there is in its store."""

    port: int
    pid: int
    postmaster: int
    tokens: Sequence[str]
    skus: Sequence[str] = ()

    async def ask(self, method: str, path: str, body: bytes = b"", *headers: str, token: int = 0) -> Answer:
        """One request with a token, on a connection of its own."""
        lines = [f"Authorization: Bearer {self.tokens[token % len(self.tokens)]}", *headers]
        if body:
            lines += [f"Content-Type: {MEDIA_TYPE}"] if not any(h.startswith("Content-Type") for h in headers) else []
            lines += [f"Content-Length: {len(body)}"]
        head = "".join(f"{line}\r\n" for line in lines)
        return await self.send(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{head}\r\n".encode() + body
        )

    async def send(self, *pieces: bytes) -> Answer:
        """Send bytes as they are, and read to the end."""
        return await self.stream(iter(pieces))

    async def stream(self, pieces: Iterator[bytes]) -> Answer:
        """Send bytes until there are none left, or until nobody takes them any more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**25)
        try:
            with suppress(OSError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            answer = b""
            with suppress(OSError):
                answer = await asyncio.wait_for(reader.read(), 60)
            head, _, body = answer.partition(b"\r\n\r\n")
            return Answer(int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else 0, body)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


Attack = Callable[["Target", float], Coroutine[Any, Any, list[Answer]]]
"""What a client does, at its size times a factor."""


@dataclass(frozen=True)
class Case:
    """An attack, the fault that it once was, and what it may be answered."""

    name: str
    fault: str
    attack: Attack


@dataclass
class Result:
    """How it went: statuses and how often each came, the slowest look in seconds, growth in MB."""

    case: Case
    factor: float
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    looks: int = 0
    growth: float = 0.0
    backend: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """What is a finding, whatever the machine: accidents and memory."""
        named = f"{self.case.name} x {self.factor:g}"
        accidents = {status for status in self.statuses if status >= 500 and status not in (501, 503)}
        return [
            *([f"{named}: answered by {sorted(accidents)}"] if accidents else []),
            *([f"{named}: the process grew by {self.growth:.0f} MB"] if self.growth > MOST_GROWTH else []),
            *([f"{named}: a backend grew by {self.backend:.0f} MB"] if self.backend > MOST_GROWTH else []),
        ]

    @property
    def slow(self) -> list[str]:
        """What is a finding on a machine that does nothing else."""
        named = f"{self.case.name} x {self.factor:g}"
        return [f"{named}: /healthz took {self.slowest:.2f} seconds"] if self.slowest > MOST_SECONDS else []


# --- What they do -------------------------------------------------------------------------------------------------


async def _spaces(target: Target, factor: float) -> list[Answer]:
    sent = f'"x"{" " * int(31_000 * factor)}y'
    read = await target.ask("GET", f"/api/skus/{target.skus[0]}", b"", f"If-None-Match: {sent}")
    short = f'"x"{" " * min(int(7_000 * factor), 8_000)}y'
    body = orjson.dumps({"data": {"type": "skus", "id": target.skus[0], "attributes": {"name": "x"}}})
    return [
        read,
        await target.ask("GET", f"/api/skus/{target.skus[0]}", b"", f"If-None-Match: {short}"),
        await target.ask("PATCH", f"/api/skus/{target.skus[0]}", body, f"If-Match: {short}"),
        await target.ask("GET", "/api/skus", b"", f"Accept: {MEDIA_TYPE};{short}"),
        await target.ask("GET", "/api/skus", b"", f"Accept-Language: {short}"),
        await target.ask("GET", "/api/skus", b"", f"Forwarded: {short}"),
    ]


_GET = b"GET /api/skus HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_CHUNKED = b"POST /api/skus HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


def _endless(start: bytes, piece: bytes) -> Attack:
    async def attack(target: Target, factor: float) -> list[Answer]:
        def pieces() -> Iterator[bytes]:
            yield start
            for _ in range(int(400 * factor)):
                yield piece * (65_536 // len(piece))

        return [await target.stream(pieces())]

    return attack


async def _names(target: Target, factor: float) -> list[Answer]:
    attributes = {f"a{n}": n for n in range(int(130_000 * factor))}
    few = dict(list(attributes.items())[:60_000])
    return [
        await target.ask("POST", f"/api/{type_}", orjson.dumps({"data": {"type": type_, "attributes": sent}}))
        for type_ in ("skus", "addresses")
        for sent in (attributes, few)
    ]


async def _filters(target: Target, factor: float) -> list[Answer]:
    names = "_or_".join(["code", "name"] * int(1_200 * factor))
    values = ",".join(["x"] * 500)
    fitting = "_or_".join(["code", "name"] * min(int(400 * factor), 700))
    long = ",".join(["x"] * min(int(2_000 * factor), 4_000))
    paths = [
        f"/api/skus?filter[q][{names}_cont_any]={values}",
        f"/api/skus?filter[q][{fitting}_cont_any]={values}",
        f"/api/skus?filter[id]={long}",
    ]
    return [await target.ask("GET", path) for path in paths]


async def _expensive(target: Target, factor: float) -> list[Answer]:
    path = "/api/orders?filter[q][line_items_name_cont]=zzz&sort=-total_amount_cents&include=line_items&page[size]=100"
    return list(await asyncio.gather(*(target.ask("GET", path) for _ in range(int(32 * factor)))))


async def _batches(target: Target, factor: float) -> list[Answer]:
    def batch(turn: int) -> bytes:
        order = target.skus[:4] if turn % 2 else [*reversed(target.skus[:4])]
        steps = [
            {"op": "update", "data": {"type": "skus", "id": id_, "attributes": {"name": f"turn {turn}"}}}
            for id_ in order
        ]
        return orjson.dumps({"atomic:operations": steps})

    async def client(own: int) -> list[Answer]:
        media = f'Content-Type: {MEDIA_TYPE};ext="{ATOMIC}"', f'Accept: {MEDIA_TYPE};ext="{ATOMIC}"'
        return [
            await target.ask("POST", "/api/operations", batch(own + turn), *media, token=own)
            for turn in range(int(10 * factor))
        ]

    return [answer for each in await asyncio.gather(*map(client, range(4))) for answer in each]


async def _large(target: Target, factor: float) -> list[Answer]:
    metadata = {"x": "y" * int(1_900_000 * factor)}
    address = {
        "line_1": "x",
        "city": "x",
        "country_code": "NL",
        "first_name": "x",
        "last_name": "y",
        "metadata": metadata,
    }
    body = orjson.dumps({"data": {"type": "addresses", "attributes": address}})
    made = [await target.ask("POST", "/api/addresses", body, f"Idempotency-Key: large-{n}-{factor}") for n in range(5)]
    return [
        *made,
        await target.ask("GET", "/api/orders?page[size]=100&include=line_items", b"", "Accept-Encoding: gzip"),
    ]


async def _shapes(target: Target, factor: float) -> list[Answer]:
    fields = [
        "code",
        "payment_status",
        "status",
        "number",
        "currency_code",
        "created_at",
        "updated_at",
        "metadata",
        "placed_at",
    ]
    answers = []
    for n in range(min(int(560 * factor), 1_024)):
        wanted = ",".join(name for place, name in enumerate(fields) if n >> place & 1) or "number"
        include = "&include=line_items,customer" if n & 1 else ""
        answers.append(await target.ask("GET", f"/api/orders?fields[orders]={wanted}{include}"))
    return answers


async def _assets(target: Target, factor: float) -> list[Answer]:
    return [
        await target.send(
            b"GET /openapi.yaml HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAccept-Encoding: br, gzip\r\n\r\n"
        )
        for _ in range(int(100 * factor))
    ]


async def _leap_days(target: Target, factor: float) -> list[Answer]:
    found = await target.ask("GET", "/api/order_subscriptions?page[size]=1&fields[order_subscriptions]=number")
    listed = orjson.loads(found.body)["data"] if found.status == 200 else []
    answers = [found]
    for one in listed:
        change = {"type": "order_subscriptions", "id": one["id"], "attributes": {"frequency": "0 0 29 2 *"}}
        answers.append(
            await target.ask("PATCH", f"/api/order_subscriptions/{one['id']}", orjson.dumps({"data": change}))
        )
        path = f"/api/order_subscriptions/{one['id']}/forecast?page[size]={min(int(50 * factor), 100)}"
        answers.append(await target.ask("GET", path))
    return answers


async def _slow(target: Target, factor: float) -> list[Answer]:
    """Connections that say nothing, half a head or half a body, while others are answered."""
    said = [
        b"",
        b"GET /api/skus HTTP/1.1\r\nHost: x\r\n",
        b"POST /api/skus HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ]
    held = []
    for n in range(int(200 * factor)):
        _, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(said[n % len(said)])
        held.append(writer)
    try:
        return [await target.ask("GET", "/api/skus") for _ in range(20)]
    finally:
        for writer in held:
            writer.close()


async def _many(target: Target, factor: float) -> list[Answer]:
    """Requests of several tokens on a hundred connections."""

    async def client(own: int) -> list[Answer]:
        return [await target.ask("GET", "/api/orders?page[size]=5", token=own) for _ in range(int(20 * factor))]

    return [answer for each in await asyncio.gather(*map(client, range(100))) for answer in each]


CASES = [
    Case("a header of many spaces", "FM-120", _spaces),
    Case("25 MB of tiny headers", "FM-121", _endless(_GET, b"a:b\r\n")),
    Case("a header line without end", "FM-121", _endless(_GET + b"X: ", b"x")),
    Case("a target without end", "FM-121", _endless(b"GET /", b"x")),
    Case("trailers without end", "FM-121", _endless(_CHUNKED, b"a:b\r\n")),
    Case("200 slow connections", "FM-122", _slow),
    Case("130 000 unknown attributes", "FM-123", _names),
    Case("filters of 2 400 names", "FM-124", _filters),
    Case("expensive reads of one token", "FM-124", _expensive),
    Case("batches over the same rows", "FM-125", _batches),
    Case("large JSON, large answers", "FM-127", _large),
    Case("requests of many shapes", "FM-128", _shapes),
    Case("leap days", "FM-131", _leap_days),
    Case("assets again and again", "FM-131", _assets),
    Case("2 000 requests on 100 connections", "FM-122", _many),
]


# --- Looking on ---------------------------------------------------------------------------------------------------


async def play(target: Target, case: Case, factor: float) -> Result:
    """Carry out an attack while somebody looks at `/healthz` again and again."""
    result = Result(case, factor)
    process, backend = memory([target.pid], "RssAnon"), _largest_backend(target)
    attacking = asyncio.create_task(case.attack(target, factor))
    while not attacking.done():
        began = time.monotonic()
        await target.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        result.slowest = max(result.slowest, time.monotonic() - began)
        result.looks += 1
        await asyncio.wait([attacking], timeout=0.02)
    result.statuses.update(answer.status for answer in attacking.result())
    result.growth = memory([target.pid], "RssAnon") - process
    result.backend = _largest_backend(target) - backend
    return result


def _largest_backend(target: Target) -> float:
    found = [0.0]
    for pid in tree(target.postmaster)[1:]:
        with suppress(OSError):  # it may be gone by now
            found.append(memory([pid], "RssAnon"))
    return max(found)


@asynccontextmanager
async def attacked(folder: Path, *, orders: int) -> AsyncIterator[Target]:
    """A served process with a Postgres of its own and a store with so many orders."""
    with embedded.start(folder / "postgres") as server:
        environment = {"DATABASE_URL": server.url, "REPRISE_SECRET_KEYS": "k" * 32, "REPRISE_LOG_LEVEL": "warning"}
        for command in (("migrate",), ("seed", "--orders", str(orders))):
            done = await asyncio.to_thread(reprise, *command, **environment)
            assert done.code == 0, done.err
        tokens = []
        for _ in range(TOKENS):
            made = await asyncio.to_thread(reprise, "token", "create", "--store", str(STORE), **environment)
            tokens.append(made.out.strip())
        with serving("serve", "--port", "0", until="answers at", **environment) as served:
            async with connect(server.url) as connection:
                postmaster = await postmaster_of(connection)
            target = Target(int(served.url.rpartition(":")[2]), served.process.pid, postmaster, tokens)
            listed = await target.ask("GET", "/api/skus?page[size]=10&fields[skus]=code")
            target.skus = [one["id"] for one in orjson.loads(listed.body)["data"]]
            yield target


async def run(folder: Path, *, orders: int, factors: Sequence[float]) -> list[Result]:
    """Play every case at these sizes."""
    async with attacked(folder, orders=orders) as target:
        await target.ask("GET", "/api/orders")
        return [await play(target, case, factor) for case in CASES for factor in factors]


def main() -> None:
    """Print what came of it; exit code 1 with a finding."""
    parser = argparse.ArgumentParser(prog="make hostile")
    parser.add_argument("--orders", type=int, default=20_000)
    asked = parser.parse_args()
    with fleet.own_folder("hostile") as folder:
        results = asyncio.run(run(folder, orders=asked.orders, factors=(1, 2)))
    table = Table("attack", "once", "size", "answers", "slowest /healthz, ms", "process, MB", "backend, MB")
    for result in results:
        statuses = ", ".join(f"{status or 'closed'} x {count}" for status, count in sorted(result.statuses.items()))
        table.add_row(
            result.case.name, result.case.fault, f"{result.factor:g}", statuses, f"{result.slowest * 1000:.0f}",
            f"{result.growth:+.0f}", f"{result.backend:+.0f}",
        )  # fmt: skip
    Console().print(table)
    wrong = [problem for result in results for problem in [*result.wrong, *result.slow]]
    sys.stdout.writelines(f"{problem}\n" for problem in wrong)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
