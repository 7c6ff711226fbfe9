"""Refusals that can't be had of a served shop without breaking it, as the code prints them that would answer."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request

from service.contract import examples
from service.http.exchange import Exchange, begin
from service.http.hearing import head_of
from service.http.routes import answer_to
from service.http.watch import health
from service.settings import Settings
from tests.contract.contract import Contract

HOST = "127.0.0.1:8000"
ASKED_ABOUT = {
    "listOrders": "GET /api/orders",
    "getRepeatOrderUrl": "GET /api/v3/1003/orders/JJ5HH/repeatURL",
    "askTool": "POST /mcp",
    "fetchToken": "POST /oauth/token",
    "revokeToken": "POST /oauth/revoke",
    "reorderPastOrder": "POST /api/services/webshop/v1/customer/orders/reorder",
}
"""An operation of each API -> a request for it."""

ACCIDENTS = {"500": RuntimeError("an accident"), "503": ConnectionRefusedError("the database is away")}
"""What goes wrong on the service's side, by the status of the answer."""


def refusals(contract: Contract) -> Iterator[dict[str, Any]]:
    """Examples of what is answered when something goes wrong on the service's side, one for each API and accident."""
    for operation_id, asked in ASKED_ABOUT.items():
        method, _, path = asked.partition(" ")
        operation = contract.operation(method, path)
        for status, error in ACCIDENTS.items():
            answer = answer_to(_request(method, path), error)
            assert str(answer.status_code) == status
            content = contract.resolve(operation["responses"][status])["content"]
            media_type = next(iter(content))
            yield {
                "operation": operation_id,
                "request": asked,
                "status": status,
                "media_type": media_type,
                "name": examples.name(operation, status, content[media_type]["schema"]),
                "answer": orjson.loads(answer.body),
            }


async def unready(contract: Contract) -> dict[str, Any]:
    """The example of what `/readyz` answers while the database is away."""
    answer = await health.readyz(_request("GET", "/readyz"))
    operation = contract.operation("GET", "/readyz")
    content = contract.resolve(operation["responses"][str(answer.status_code)])["content"]
    return {
        "operation": "isReady",
        "request": "GET /readyz",
        "status": str(answer.status_code),
        "media_type": "application/json",
        "name": examples.name(operation, "503", content["application/json"]["schema"]),
        "answer": orjson.loads(answer.body),
    }


class _Away:
    """A look at a database that is away."""

    async def look(self) -> None:
        raise ACCIDENTS["503"]


def _request(method: str, path: str) -> Request:
    """A request as the line hands it on, to a service that knows its settings."""
    app = Starlette()
    app.state.service = SimpleNamespace(settings=Settings(), lookout=_Away())
    headers = [(b"host", HOST.encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "scheme": "http", "app": app}
    begin(scope, Exchange(head_of(headers), request_id="2577CDB0171A703F17DEC6032F"))
    return Request(scope)
