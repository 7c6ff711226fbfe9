"""docs/how-to/react-to-failed-renewals.md: its webhook and its receivers, as they stand, told by a worker."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from standardwebhooks import Webhook

from service import clock
from service.operations.events import outbox
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.clients.conftest import FOLDER, NODE
from tests.processes import ROOT
from tests.spec.writing import Api
from tests.webhooks.test_delivering import telling

PAGE = (ROOT / "docs" / "how-to" / "react-to-failed-renewals.md").read_text()
RECEIVERS = dict(re.findall(r"^```(python|js|php)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
PHP = shutil.which("php")
STARTED = re.compile(r"Development Server \(http://127\.0\.0\.1:(\d+)\) started")


@dataclass
class Running:
    """A receiver that runs, and what it prints."""

    language: str
    lines: asyncio.StreamReader
    port: int = 0

    async def begun(self) -> None:
        """Wait until it listens."""
        async with asyncio.timeout(60):
            while not self.port:
                line = (await self.lines.readline()).decode().strip()
                started = STARTED.search(line)
                self.port = int(started[1] if started else line if self.language != "php" else 0)

    async def said(self) -> str:
        """The next line that the receiver itself prints: PHP's server notes each connection, too."""
        while True:
            line = (await self.lines.readline()).decode().strip()
            own = re.sub(r"^\[[^]]*\] ", "", line)
            if self.language != "php" or not re.match(r"127\.0\.0\.1:\d+ ", own):
                return own


@asynccontextmanager
async def running(language: str, secret: str, folder: Path) -> AsyncIterator[Running]:
    """A receiver of the page, as long as it is needed."""
    process = await asyncio.create_subprocess_exec(
        *command(language, folder),
        cwd=FOLDER,
        env=os.environ | {"SHARED_SECRET": secret, "PORT": "0", "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT if language == "php" else None,
    )
    try:
        assert process.stdout is not None
        receiver = Running(language, process.stdout)
        await receiver.begun()
        yield receiver
    finally:
        process.kill()
        await process.wait()


def command(language: str, folder: Path) -> list[str]:
    """What runs a receiver: programs that listen read theirs from a file."""
    if language == "js":
        return [str(NODE), "--input-type=module", "--eval", RECEIVERS[language]]
    script = folder / f"hooks.{language}"
    script.write_text(RECEIVERS[language])
    if language == "python":
        return [sys.executable, str(script)]
    if PHP is None:
        pytest.skip("php is not installed: make php")
    return [PHP, "-S", "127.0.0.1:0", str(script)]


@pytest.mark.rule("FM-150")
@pytest.mark.parametrize("language", sorted(RECEIVERS))
async def test_a_receiver_of_the_page_tells_whose_renewal_failed_and_why(
    *, language: str, api: Api, database_url: str, connection: Connection, store: Store, tmp_path: Path
) -> None:
    order_id = await factories.full_order(connection, store, [factories.Line(await factories.sku(connection, store))])
    customer_id = await connection.fetchval("select customer_id from orders where store_id = $1", store.id)
    email = await connection.fetchval(
        "select email from customers where store_id = $1 and id = $2", store.id, customer_id
    )
    subscription_id = await factories.subscription(connection, store, order_id)
    sent = re.search(r"POST /api/webhooks\n(.*?)\n```", PAGE, re.DOTALL)
    assert sent is not None
    attributes = json.loads(sent[1])["data"]["attributes"]
    webhook = await api.create("webhooks", attributes)
    secret = webhook["attributes"]["shared_secret"]
    async with running(language, secret, tmp_path) as receiver:
        url = f"http://127.0.0.1:{receiver.port}/hooks/reprise"
        await api.update("webhooks", webhook["id"], {"callback_url": url})
        payload = {"copy_id": "c", "reasons": {"line_items": ["MUG - out_of_stock", "TEE - no_price"]}}
        for name, told in (("last_run_failed", payload), ("last_run_succeeded", {})):
            await outbox.record(
                connection, store, f"order_subscriptions.{name}", subscription_id,
                actor=outbox.WORKER, payload=told,
            )  # fmt: skip
        async with telling(database_url):
            lines = [await receiver.said() for _ in range(2)]
    assert lines == [
        f"mail {email}: {subscription_id} failed: MUG - out_of_stock; TEE - no_price",
        f"{subscription_id} is fine again",
    ]


@pytest.mark.parametrize("language", sorted(RECEIVERS))
async def test_a_receiver_of_the_page_believes_only_what_was_signed_lately_and_reacts_once(
    language: str, tmp_path: Path
) -> None:
    secret = "whsec_" + "c2VjcmV0" * 4
    document = {
        "data": {"type": "order_subscriptions", "id": "S"},
        "included": [{"type": "customers", "id": "C", "attributes": {"email": "ada@example.com"}}],
        "meta": {"event": {"id": clock.new_id(), "name": "order_subscriptions.last_run_succeeded"}},
    }
    other = json.loads(json.dumps(document))
    other["meta"]["event"]["id"], other["data"]["id"] = clock.new_id(), "T"
    async with running(language, secret, tmp_path) as receiver, httpx2.AsyncClient() as client:

        async def status(document: object, *, secret: str = secret, age: float = 0, cut: int = 0) -> int:
            body, at = json.dumps(document), clock.now() - timedelta(seconds=age)
            headers = {
                "webhook-id": "msg_1",
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": "v1,bm8= " + Webhook(secret).sign("msg_1", at, body),
            }
            url = f"http://127.0.0.1:{receiver.port}/hooks/reprise"
            return (await client.post(url, content=body[cut:], headers=headers)).status_code

        assert await status(document, secret="whsec_" + "b3RoZXIh" * 4) == 401
        assert await status(document, age=3600) == 401
        assert await status(document, cut=1) == 401
        assert [await status(document), await status(document), await status(other)] == [204, 204, 204]
        assert [await receiver.said(), await receiver.said()] == ["S is fine again", "T is fine again"]
