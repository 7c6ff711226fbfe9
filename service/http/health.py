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
    state = request.app.state
    try:
        async with asyncio.timeout(5), state.database.connection() as connection:
            # Migrations only go forward: once all were there, it is enough that the database answers.
            pending = await migrate.pending(connection) if not getattr(state, "migrated", False) else []
            await connection.execute("select 1")
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
    state.migrated = True
    return JSONResponse({"status": "ok"})


routes = [Route("/healthz", healthz), Route("/readyz", readyz)]
