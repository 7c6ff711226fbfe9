"""A payment gateway of a shop's own, small but whole: python example.py SECRET. Prints the port that it listens on.

It keeps what it is asked for by key, so that a payment is taken once, however often it is asked for. What it says is
told by what is paid with: `tok_short` is declined, `tok_stolen` is declined for good, `tok_slow` is taken and not
answered, `tok_pending` takes until it is asked about, `tok_lost` never arrives, everything else is authorized. A source
that is to be saved gets a name for further payments. `GET /` tells what it has taken, and what it was told.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import sys
import time
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = base64.b64decode(sys.argv[1].removeprefix("whsec_")) if len(sys.argv) > 1 else b""
TOLERANCE = 300
"""Seconds by which the sender's clock may be off; an older request is somebody's recording."""

payments: dict[str, dict[str, Any]] = {}
asked: list[tuple[str, str]] = []
told: list[dict[str, Any]] = []


def is_signed(request: Request, body: bytes) -> bool:
    """Whether the request is from who knows the secret, and of now."""
    id_, timestamp = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "0")
    content = b".".join((id_.encode(), timestamp.encode(), body))
    expected = base64.b64encode(hmac.digest(SECRET, content, hashlib.sha256)).decode()
    signatures = request.headers.get("webhook-signature", "").split()
    known = any(hmac.compare_digest(one, f"v1,{expected}") for one in signatures)
    return known and abs(time.time() - int(timestamp)) < TOLERANCE


def decided(token: str | None) -> dict[str, Any]:
    reference = f"ref_{len(payments) + 1}"
    if token == "tok_short":
        return {"status": "declined", "reference": reference, "decline_code": "insufficient_funds", "hard": False}
    if token == "tok_stolen":
        return {
            "status": "declined",
            "reference": reference,
            "decline_code": "stolen_card",
            "detail": "This card can't be used.",
            "hard": True,
        }
    return {"status": "pending" if token == "tok_pending" else "authorized", "reference": reference}


async def answer(request: Request) -> Response:
    body = await request.body()
    if not is_signed(request, body):
        return JSONResponse({"error": "not signed"}, 401)
    sent = json.loads(body)
    key, action, token = sent["key"], sent["action"], sent["source_token"]
    asked.append((action, key))
    if token == "tok_lost" and action == "authorize":
        return JSONResponse({"error": "busy"}, 503)
    if action == "authorize":
        told.append(sent)
        payments.setdefault(key, decided(token) | {"amount_cents": sent["amount_cents"]})
        if sent["save_source"]:
            payments[key]["source_token"] = f"kept_{token}"
        if token == "tok_slow":
            await asyncio.sleep(30)
    elif action == "void":
        payments.setdefault(key, {})["status"] = "voided"
    elif payments.get(key, {}).get("status") == "pending":
        payments[key]["status"] = "authorized"
    return JSONResponse(payments.get(key, {"status": "unknown"}))


async def books(_: Request) -> Response:
    return JSONResponse({"payments": payments, "asked": asked, "told": told})


app = Starlette(routes=[Route("/", books), Route("/payments", answer, methods=["POST"])])

if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)  # noqa: T201 -- the test reads it
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])
