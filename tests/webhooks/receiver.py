"""A receiver of webhooks that keeps what it is sent: python receiver.py [CERTIFICATE]. Prints its port.

The path says how it answers: /ok with 200, /count too, but keeps only how many there were, /fail with 500, /gone with
410, /alternate with 500 every other time, /slow after a second, /late after a tenth of one, /never after a minute,
/redirect with a way to a private address, /busy with 503 and `Retry-After: 2` the first time that it gets an id.
`GET /` tells all that it was sent.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import Counter
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

sent: list[dict[str, Any]] = []
seen: Counter[str] = Counter()


async def answer(request: Request) -> Response:
    path, body = request.url.path, await request.body()
    if path.startswith("/count/"):
        seen[path] += 1
        return PlainTextResponse("noted")
    key = f"{path} {request.headers.get('webhook-id')}"
    seen[path] += 1
    seen[key] += 1
    behaviour = path.split("/")[1]
    status = {"fail": 500, "gone": 410, "alternate": 500 if seen[path] % 2 else 200}.get(behaviour, 200)
    one = {"path": path, "headers": dict(request.headers), "body": body.decode(), "at": time.time()}
    if behaviour == "busy" and seen[key] == 1:
        sent.append(one | {"status": 503})
        return PlainTextResponse("later", 503, {"Retry-After": "2"})
    if behaviour == "redirect":
        sent.append(one | {"status": 302})
        return Response(status_code=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})
    sent.append(one | {"status": status})
    await asyncio.sleep({"slow": 1, "late": 0.1, "never": 60}.get(behaviour, 0))
    return PlainTextResponse("noted" if status < 300 else "no", status)


async def books(request: Request) -> Response:
    prefix = request.query_params.get("of", "/")
    return JSONResponse([one for one in sent if one["path"].startswith(prefix)])


async def number(request: Request) -> Response:
    return JSONResponse(seen[request.query_params["of"]])


app = Starlette(routes=[Route("/", books), Route("/number", number), Route("/{path:path}", answer, methods=["POST"])])

if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)  # noqa: T201 -- the test reads it
        certificate = sys.argv[1] if len(sys.argv) > 1 else None
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, ssl_certfile=certificate)
        uvicorn.Server(config).run(sockets=[listening])
