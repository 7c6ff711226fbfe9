"""The workers of a database, by their signs of life: they show whether anybody works."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from datetime import datetime

from service import clock
from service.store.pool import Connection
from service.store.statements import Command

_SEEN = Command("runtime/workers.seen")
_LEAVE = Command("runtime/workers.leave")
_FORGET = Command("runtime/workers.forget")


def _name() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Worker:
    """A working process; its name is made of the machine's name and the process id."""

    id: str = field(default_factory=clock.new_id)
    name: str = field(default_factory=_name)
    started_at: datetime = field(default_factory=clock.now)


async def seen(connection: Connection, worker: Worker, *, at: datetime) -> None:
    """Note a sign of life."""
    await _SEEN(connection, id=worker.id, name=worker.name, started_at=worker.started_at, at=at)


async def leave(connection: Connection, worker: Worker) -> None:
    """Note that a worker has stopped."""
    await _LEAVE(connection, id=worker.id)


async def forget(connection: Connection, *, before: datetime) -> None:
    """Forget workers that died before an instant."""
    await _FORGET(connection, before=before)
