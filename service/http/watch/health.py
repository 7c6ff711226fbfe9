"""/healthz and /readyz, for whoever runs the service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service import clock
from service.http.proxies import Proxies
from service.http.state import Process, process_of
from service.http.watch.lookout import Look
from service.operations.runtime.watching import LATE
from service.store.replica import Replica

READY, UNREADY = "ok", "unavailable"
"""What `/readyz` says."""
NAME = "Reprise"
_NAMED = {"Server": NAME}
"""What these two say whose they are by (RFC 9110, section 10.2.4): others have URLs of the same names."""

UNTRUSTED = "untrusted_proxy"
"""The code of the note on forwarding headers that come from elsewhere than from a trusted proxy."""

log = structlog.get_logger(part="health")


async def healthz(request: Request) -> Response:  # noqa: ARG001 -- the process answers, that is all it says
    """200 as long as the process answers."""
    return JSONResponse({"status": READY}, headers=_NAMED)


async def readyz(request: Request) -> Response:
    """200 when the database answers and has every migration; 503 with the reason otherwise.

    What keeps subscriptions from running is noted and changes nothing: the API can serve meanwhile.
    """
    try:
        process = process_of(request)
        seen = await process.lookout.look()
    except Exception as error:  # noqa: BLE001 -- whatever it is, the answer is that we are not ready
        log.warning("not ready", error=type(error).__name__)
        return _unready("the database does not answer", retry_after=5)
    if seen.pending:
        return _unready(f"migrations are pending: {', '.join(seen.pending)}", retry_after=30)
    told = chain(_notes(seen, process.proxies), _of_replica(process))
    notes = [{"code": code, "detail": detail} for code, detail in told]
    return JSONResponse({"status": READY, "notes": notes} if notes else {"status": READY}, headers=_NAMED)


def _unready(reason: str, *, retry_after: int) -> Response:
    headers = _NAMED | {"Retry-After": str(retry_after)}
    return JSONResponse({"status": UNREADY, "reason": reason}, 503, headers)


def _notes(seen: Look, proxies: Proxies | None) -> Iterator[tuple[str, str]]:
    """What is worth a look though the API serves, each with a code that stays."""
    if proxies is not None and proxies.untrusted:
        yield UNTRUSTED, "forwarding headers come from an address that isn't trusted: the log names it"
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
        since = _written(seen.situation.late_since)
        yield "late_runs", f"runs that are late: {seen.situation.late}, the first since {since}"
    if seen.deliveries is not None and seen.deliveries.since is not None and _is_late(seen.deliveries.since):
        told, since = seen.deliveries.waiting, _written(seen.deliveries.since)
        yield "late_deliveries", f"deliveries to webhooks that wait: {told}, the first since {since}"
    if seen.stream is not None and seen.stream.since is not None and _is_late(seen.stream.since):
        reason = "" if seen.stream.error is None else f": {seen.stream.error}"
        since = _written(seen.stream.since)
        yield "late_events", f"events to be published: {seen.stream.waiting}, the first since {since}{reason}"


def _of_replica(process: Process) -> Iterator[tuple[str, str]]:
    """What keeps reads from the replica, if there is one."""
    replica = getattr(process, "reads", None)
    if not isinstance(replica, Replica):
        return
    if replica.is_away:
        yield "replica_away", "the replica doesn't answer or follows nobody: reads go to the primary"
    elif replica.is_behind:
        yield "replica_behind", f"the replica is {replica.lag:.0f} seconds behind: reads go to the primary"


def _is_late(since: datetime) -> bool:
    """Whether what should have happened then is late."""
    return since < clock.now() - LATE


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


routes = [Route("/healthz", healthz), Route("/readyz", readyz)]
