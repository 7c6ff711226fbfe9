"""docs/how-to/react-to-failed-renewals.md: its webhook and its receivers, as they stand, told by a worker."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from service.operations.events import outbox
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.clients.conftest import FOLDER, NODE
from tests.processes import ROOT
from tests.spec.writing import Api
from tests.webhooks.test_delivering import telling

PAGE = (ROOT / "docs" / "how-to" / "react-to-failed-renewals.md").read_text()
RECEIVERS = dict(re.findall(r"^```(python|js)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def command(language: str, folder: Path) -> list[str]:
    """What runs a receiver: programs that listen read theirs from a file."""
    if language == "python":
        script = folder / "hooks.py"
        script.write_text(RECEIVERS[language])
        return [sys.executable, str(script)]
    return [str(NODE), "--input-type=module", "--eval", RECEIVERS[language]]


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
    process = await asyncio.create_subprocess_exec(
        *command(language, tmp_path),
        cwd=FOLDER,
        env=os.environ | {"SHARED_SECRET": secret, "PORT": "0"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
            await api.update("webhooks", webhook["id"], {"callback_url": f"http://127.0.0.1:{port}/hooks/reprise"})
            payload = {"copy_id": "c", "reasons": {"line_items": ["MUG - out_of_stock", "TEE - no_price"]}}
            for name, told in (("last_run_failed", payload), ("last_run_succeeded", {})):
                await outbox.record(
                    connection, store, f"order_subscriptions.{name}", subscription_id,
                    actor=outbox.WORKER, payload=told,
                )  # fmt: skip
            async with telling(database_url):
                lines = [(await process.stdout.readline()).decode().strip() for _ in range(2)]
    finally:
        process.kill()
        await process.wait()
    assert lines == [
        f"mail {email}: {subscription_id} failed: MUG - out_of_stock; TEE - no_price",
        f"{subscription_id} is fine again",
    ]
