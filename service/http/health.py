"""/healthz and /readyz, for whoever runs the service."""

from __future__ import annotations

import asyncio

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.store import migrate

log = structlog.get_logger("reprise.health")


async def healthz(request: Request) -> Response:  # noqa: ARG001 -- the process answers, that is all it says
    """200 as long as the process answers."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 when the database answers and has every migration; 503 with the reason otherwise."""
    try:
        async with asyncio.timeout(5), request.app.state.database.connection() as connection:
            pending = await migrate.pending(connection)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the answer is that we are not ready
        log.warning("not ready", error=type(error).__name__)
        return JSONResponse(
            {"status": "unavailable", "reason": "the database does not answer"}, 503, {"Retry-After": "5"}
        )
    if pending:
        return JSONResponse(
            {"status": "unavailable", "reason": f"migrations are pending: {', '.join(pending)}"},
            503,
            {"Retry-After": "30"},
        )
    return JSONResponse({"status": "ok"})


routes = [Route("/healthz", healthz), Route("/readyz", readyz)]
