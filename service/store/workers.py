"""The workers of a database, by their signs of life, so that whoever looks knows whether anybody works."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from datetime import datetime

from service import clock
from service.store.pool import Connection
from sql import queries

WORKERS = queries("runtime/workers")


def _name() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that works, for as long as it does; its name is that of its machine and its process id."""

    id: str = field(default_factory=clock.new_id)
    name: str = field(default_factory=_name)
    started_at: datetime = field(default_factory=clock.now)


async def seen(connection: Connection, worker: Worker, *, at: datetime) -> None:
    """Note a sign of life."""
    await connection.execute(WORKERS["seen"], worker.id, worker.name, worker.started_at, at)


async def leave(connection: Connection, worker: Worker) -> None:
    """Note that a worker has stopped."""
    await connection.execute(WORKERS["leave"], worker.id)


async def forget(connection: Connection, *, before: datetime) -> None:
    """Forget workers that died before an instant."""
    await connection.execute(WORKERS["forget"], before)
