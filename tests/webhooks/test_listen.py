"""`reprise listen` as a real process: what it prints, what it passes on, and that a server may go away meanwhile."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
from standardwebhooks import Webhook
from starlette.applications import Starlette

from service.principal import Store
from tests.processes import ROOT, reprise
from tests.spec.writing import Api
from tests.support import Access
from tests.webhooks.receiving import Receiver
from tests.webhooks.streaming import listening


def _interruptible() -> None:
    """Let Ctrl-C reach a process also where the tests run in the background of a shell, which has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@asynccontextmanager
async def listen(
    *arguments: str, stdout: int = asyncio.subprocess.PIPE, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "REPRISE_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "listen", *arguments,
        cwd=ROOT, env=inherited | {"COLUMNS": "200"} | environment, stdout=stdout, stderr=asyncio.subprocess.PIPE,
        preexec_fn=_interruptible,
    )  # fmt: skip
    try:
        async with asyncio.timeout(90):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    return (await process.stderr.readline()).decode().strip()


async def printed(process: asyncio.subprocess.Process) -> dict[str, dict[str, dict[str, str]]]:
    assert process.stdout is not None
    document: dict[str, dict[str, dict[str, str]]] = orjson.loads(await process.stdout.readline())
    return document


async def test_events_are_passed_on_as_a_webhook_sends_them(
    *, app: Starlette, api: Api, integration: Access, hooks: Receiver, store: Store
) -> None:
    to = hooks.url("ok", store.id)
    given = ("--token", integration.token, "--topics", "tags.*", "--forward-to", to)
    async with listening(app) as url, listen(*given, "--url", url) as process:
        secret = (await said(process)).rpartition(" ")[2]
        assert await said(process) == f"Listening to {url} ..."
        tag = await api.create("tags", {"name": "vip"})
        document = await printed(process)
        (sent,) = await hooks.sent(to)
        assert Webhook(secret).verify(sent["body"], sent["headers"])["data"]["id"] == tag["id"]
        assert sent["headers"]["x-commercelayer-topic"] == document["meta"]["event"]["name"] == "tags.create"
        assert document["meta"]["forwarded"] == {"status": 200, "message": "noted"}
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_a_connection_that_is_lost_is_taken_up_after_the_last_event(
    app: Starlette, api: Api, integration: Access
) -> None:
    async with AsyncExitStack() as stack:
        async with listening(app) as url:
            given = ("--token", integration.token, "--topics", "tags.*", "--thin", "--url", url)
            process = await stack.enter_async_context(listen(*given))
            await said(process)
            first = await api.create("tags", {"name": "first"})
            assert (await printed(process))["data"]["id"] == first["id"]
        second = await api.create("tags", {"name": "second"})
        assert (await said(process)).startswith("The connection is lost")
        async with listening(app, int(url.rpartition(":")[2])):
            assert (await printed(process))["data"]["id"] == second["id"]


async def test_on_a_terminal_an_event_is_a_line_for_people(
    *, app: Starlette, api: Api, database_url: str, store: Store
) -> None:
    method = await api.create("shipping_methods", {"name": "Post", "currency_code": "EUR", "price_amount_cents": 495})
    screen, terminal = pty.openpty()
    given = ("--store", str(store.id), "--topics", "shipping_methods.update")
    environment = {"DATABASE_URL": database_url, "REPRISE_SECRET_KEYS": "first-key-of-the-tests"}
    async with listening(app) as url, listen(*given, "--url", url, stdout=terminal, **environment) as process:
        os.close(terminal)
        await said(process)
        await api.update("shipping_methods", method["id"], {"price_amount_cents": 595})
        shown = (await asyncio.to_thread(os.read, screen, 4096)).decode()
    os.close(screen)
    for part in ("shipping_methods.update", method["id"], "price_amount_cents", "495 → 595"):
        assert part in shown


async def test_a_refusal_is_told_and_ends_it(app: Starlette) -> None:
    async with listening(app) as url, listen("--token", "secret_1_wrong", "--url", url) as process:
        text = await said(process)
        assert text == f"{url}/api/events/stream refuses: The access token is unknown, expired or revoked."
        assert await process.wait() == 1


def test_it_takes_a_token_or_a_store() -> None:
    done = reprise("listen")
    assert done.code == 2
    assert "send a token or name a store" in done.err
