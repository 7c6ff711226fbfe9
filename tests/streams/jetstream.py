"""A server of NATS with JetStream, which can be killed and comes back with what it kept, and what its stream holds."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from service.gateways.jetstream import Destination
from service.jobs.publish import Feed

SERVER = Path(sys.executable).with_name("nats-server")
TEMPLATE = "reprise.{store}.{topic}"
EVERYTHING = "reprise.*.*.*"


@dataclass(frozen=True)
class Kept:
    """A message that the stream keeps."""

    subject: str
    headers: dict[str, str]
    event: dict[str, Any]

    @property
    def id(self) -> str:
        """The event's."""
        return str(self.event["id"])

    @property
    def resource(self) -> str:
        """What it happened to."""
        return str(self.event["subject"])

    @property
    def sequence(self) -> int:
        """Which event of its resource it is."""
        return int(self.event["data"]["meta"]["event"]["sequence"])


@dataclass
class Server:
    """A server in a folder of its own, at one port whenever it runs; `more` is further configuration."""

    folder: Path
    more: str = ""
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    def destination(self, **options: Any) -> Destination:
        """Its stream."""
        given = {"servers": [self.url], "stream": "reprise", "subjects": EVERYTHING} | options
        return Destination(**given)

    def feed(self, *, history: bool = False, **options: Any) -> Feed:
        """What is published to it."""
        return Feed(self.destination(**options), TEMPLATE, history)

    def start(self) -> None:
        """Start it, with what it kept."""
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.port = probe.getsockname()[1]
        self.folder.mkdir(parents=True, exist_ok=True)
        written = self.folder / "nats.conf"
        kept = json.dumps(str(self.folder / "kept"))
        written.write_text(f"listen: 127.0.0.1:{self.port}\njetstream {{ store_dir: {kept} }}\n{self.more}\n")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([SERVER, "-c", written], stderr=log)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def answers(self) -> None:
        """Wait until it takes connections."""
        async with asyncio.timeout(30):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)

    async def number(self) -> int:
        """How many messages its stream keeps."""
        client = await nats.connect(self.url)
        try:
            return int((await client.jetstream().stream_info("reprise")).state.messages)
        except NotFoundError:
            return 0
        finally:
            await client.close()

    async def kept(self) -> list[Kept]:
        """All messages of its stream, as a consumer of its own reads them from the first on."""
        client = await nats.connect(self.url)
        found: list[Kept] = []
        try:
            context = client.jetstream()
            left = (await context.stream_info("reprise")).state.messages
            reads = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL)
            consumer = await context.pull_subscribe("", stream="reprise", config=reads)
            while len(found) < left:
                fetched = await consumer.fetch(min(500, left - len(found)), timeout=10)
                found += [Kept(one.subject, dict(one.headers or {}), json.loads(one.data)) for one in fetched]
            return found
        finally:
            await client.close()


@asynccontextmanager
async def server(folder: Path, more: str = "") -> AsyncIterator[Server]:
    """A server, as long as it is needed."""
    running = Server(folder, more)
    running.start()
    try:
        await running.answers()
        yield running
    finally:
        running.kill()


def out_of_order(kept: Sequence[Kept]) -> list[str]:
    """The ids of messages that came after a later event of their resource, each counted where it came first."""
    latest: dict[str, int] = {}
    seen: set[str] = set()
    wrong = []
    for one in kept:
        if one.id in seen:
            continue
        seen.add(one.id)
        if one.sequence != latest.get(one.resource, 0) + 1:
            wrong.append(one.id)
        latest[one.resource] = one.sequence
    return wrong
