"""/healthz and /readyz, for whoever runs the service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service import clock
from service.operations.runtime import watching
from service.operations.runtime.watching import Situation
from service.store import deployment, migrate
from service.store.pool import Database

log = structlog.get_logger("reprise.health")

REMEMBERED = 5.0
"""For how many seconds a look at the work is remembered: whoever may ask for it, may ask often."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of the database: migrations that are missing, whose it is and, if it has all, how the work stands.

    `foreign` says that it belongs to another installation.
    """

    pending: list[str]
    foreign: bool = False
    situation: Situation | None = None


@dataclass(slots=True)
class Lookout:
    """Looks at the database for one process, at most once in a while."""

    database: Database
    deployment_id: str = ""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _migrated: bool = False
    _last: tuple[float, Look] | None = None

    async def look(self) -> Look:
        """What there is to see, seen within the last seconds. Raises whatever keeps the database from answering."""
        async with self._lock, asyncio.timeout(5), self.database.connection() as connection:
            if self._last is not None and self._last[0] > monotonic() - REMEMBERED:
                # That it answers is never remembered.
                await connection.execute("select 1")
                return self._last[1]
            # Migrations only go forward: once all were there, they are.
            pending = [] if self._migrated else await migrate.pending(connection)
            if pending:
                return Look(pending)
            self._migrated = True
            here = await deployment.here(connection, self.deployment_id)
            foreign = await deployment.owner(connection) not in (None, here)
            look = Look([], foreign, await watching.look(connection, clock.now()))
            self._last = monotonic(), look
            return look


async def healthz(request: Request) -> Response:  # noqa: ARG001 -- the process answers, that is all it says
    """200 as long as the process answers."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 when the database answers and has every migration; 503 with the reason otherwise.

    What keeps subscriptions from running is noted and changes nothing: the API can serve meanwhile.
    """
    lookout: Lookout = request.app.state.lookout
    try:
        seen = await lookout.look()
    except Exception as error:  # noqa: BLE001 -- whatever it is, the answer is that we are not ready
        log.warning("not ready", error=type(error).__name__)
        return JSONResponse(
            {"status": "unavailable", "reason": "the database does not answer"}, 503, {"Retry-After": "5"}
        )
    if seen.pending:
        return JSONResponse(
            {"status": "unavailable", "reason": f"migrations are pending: {', '.join(seen.pending)}"},
            503,
            {"Retry-After": "30"},
        )
    notes = [{"code": code, "detail": detail} for code, detail in _notes(seen)]
    return JSONResponse({"status": "ok", "notes": notes} if notes else {"status": "ok"})


def _notes(seen: Look) -> Iterator[tuple[str, str]]:
    """What is worth a look though the API serves, each with a code that stays."""
    if seen.foreign:
        yield (
            "foreign_database",
            "the database belongs to another deployment: its schedule and queue are idle until `reprise adopt`",
        )
    if seen.situation is None:
        return
    if not seen.situation.workers:
        yield "no_worker", "no worker shows a sign of life: `reprise work`"
    if seen.situation.late_since is not None:
        since = seen.situation.late_since.strftime("%Y-%m-%dT%H:%M:%SZ")
        yield "late_runs", f"runs that are late: {seen.situation.late}, the first since {since}"


routes = [Route("/healthz", healthz), Route("/readyz", readyz)]
