"""`reprise keys rotate` under load: secrets are sealed anew while processes with the keys in either order use them."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from service.store import resealing
from service.store.pool import open_database
from tests import roles
from tests.processes import reprise, serving

OLD, NEW = "the-key-so-far-of-the-test", "the-newer-key-of-the-test"
JSON_API = "application/vnd.api+json"
STORE = "77"


async def test_a_change_of_keys_fails_no_request_and_leaves_nothing_of_the_old_one(own_url: str) -> None:
    """As docs/how-to/harden.md has it: all processes know both keys by the time that one seals with the new one."""
    owner = {"DATABASE_URL": own_url, "REPRISE_LOG_LEVEL": "warning", "REPRISE_SECRET_KEYS": f"{NEW},{OLD}"}
    assert reprise("store", "create", "--id", STORE, "--name", "Shop", **owner).code == 0
    token = reprise("token", "create", "--store", STORE, **owner).out.strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON_API, "Accept": JSON_API}
    failed: list[str] = []
    done = asyncio.Event()
    serve = ("serve", "--port", "0")
    newer = roles.of("api", owner)
    older = newer | {"REPRISE_SECRET_KEYS": f"{OLD},{NEW}"}
    with (
        serving(*serve, until="answers at", **older) as before,
        serving(*serve, until="answers at", **newer) as after,
    ):
        async with httpx2.AsyncClient(base_url=before.url) as one, httpx2.AsyncClient(base_url=after.url) as two:

            async def make(client: httpx2.AsyncClient, type_: str, **attributes: object) -> dict[str, str]:
                sent = {"data": {"type": type_, "attributes": attributes}}
                answer = await client.post(f"/api/{type_}", json=sent, headers=headers)
                if answer.status_code != 201:
                    failed.append(answer.text)
                data = answer.json()["data"]
                return {"id": data["id"], **data["attributes"]}

            hook = {"topic": "*", "callback_url": "https://a.example/"}
            hooks = [await make(client, "webhooks", **hook) for client in (one, two)]

            async def shop(maker: httpx2.AsyncClient, user: httpx2.AsyncClient) -> None:
                carts = []
                while not done.is_set():
                    carts.append(await make(maker, "carts"))
                    for cart in (carts[0], carts[-1]):
                        guest = {"X-Cart-Session": f"{STORE}.{cart['session']}", "Accept": JSON_API}
                        answer = await user.get(f"/api/carts/{cart['id']}", headers=guest)
                        if answer.status_code != 200:
                            failed.append(answer.text)
                    for hook in hooks:
                        shown = await user.get(f"/api/webhooks/{hook['id']}", headers=headers)
                        if shown.json()["data"]["attributes"]["shared_secret"] != hook["shared_secret"]:
                            failed.append(shown.text)

            shoppers = [asyncio.create_task(shop(one, two)), asyncio.create_task(shop(two, one))]
            for _ in range(2):
                await asyncio.sleep(1)
                rotated = await asyncio.to_thread(reprise, "keys", "rotate", **owner)
                assert rotated.code == 0, rotated.err
                assert "secrets anew." in rotated.out
            done.set()
            await asyncio.gather(*shoppers)
    assert failed == []
    assert reprise("keys", "rotate", **owner).code == 0
    async with open_database(own_url, keys=[NEW]) as database, database.connection() as connection:
        assert await resealing.stale(connection) == 0
        assert (await resealing.reseal(connection)).lost == 0
    async with open_database(own_url, keys=[OLD]) as database, database.connection() as connection:
        assert (await resealing.reseal(connection)).done == 0


@pytest.mark.parametrize("keys", ["", "short"])
async def test_rotating_takes_keys(own_url: str, keys: str) -> None:
    refused = reprise("keys", "rotate", DATABASE_URL=own_url, REPRISE_SECRET_KEYS=keys)
    assert refused.code == 1
    assert "REPRISE_SECRET_KEYS" in refused.err
