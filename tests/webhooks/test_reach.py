"""How far the service connects: a URL that nothing would ever be sent to is refused, with a way out."""

from __future__ import annotations

import pytest

from service.gateways.outbound import Limits
from service.principal import Store
from service.rules.outside import Reach
from service.settings import Settings
from service.store.pool import Connection
from tests.jobs.test_worker import until
from tests.spec.test_http import served
from tests.spec.writing import Api, pointers, resource
from tests.support import Access
from tests.webhooks.receiving import Receiver
from tests.webhooks.test_delivering import arrived, happens, health, hook, telling

HERE = ("http://127.0.0.1:9000/hooks", "http://localhost/hooks", "https://[::1]/")
PRIVATE = ("https://10.0.0.1/", "https://169.254.169.254/", "https://[fd00::1]/")


@pytest.mark.rule("FM-81")
@pytest.mark.parametrize("url", [*HERE, *PRIVATE])
async def test_a_receiver_that_is_never_connected_to_is_refused_with_a_way_out(
    settings: Settings, integration: Access, store: Store, url: str
) -> None:
    async with served(settings, allow_private_addresses=False) as client:
        api = Api(client, integration)
        answer = await api.send("POST", "webhooks", resource("webhooks", {"topic": "*", "callback_url": url}))
        assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/callback_url"])
        assert "reprise listen --forward-to" in answer.json()["errors"][0]["detail"]
        answer = await api.update("stores", str(store.id), {"gateway_url": url})
        assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/gateway_url"])
        assert "REPRISE_ALLOW_PRIVATE_ADDRESSES" in answer.json()["errors"][0]["detail"]
        kept = await api.create("webhooks", {"topic": "*", "callback_url": "https://shop.example.com/"})
        answer = await api.update("webhooks", kept["id"], {"callback_url": url})
        assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/callback_url"])


async def test_local_receivers_are_those_of_stores_in_test_mode_on_this_machine(
    settings: Settings, integration: Access, connection: Connection, store: Store
) -> None:
    async with served(settings, allow_private_addresses=False, allow_local_receivers=True) as client:
        api = Api(client, integration)

        async def statuses(*urls: str) -> list[int]:
            documents = [resource("webhooks", {"topic": "*", "callback_url": url}) for url in urls]
            return [(await api.send("POST", "webhooks", document)).status_code for document in documents]

        assert await statuses(*HERE, *PRIVATE) == [201] * len(HERE) + [422] * len(PRIVATE)
        answer = await api.update("stores", str(store.id), {"gateway_url": HERE[0]})
        assert answer.status_code == 422
        await connection.execute("update stores set mode = 'live' where store_id = $1", store.id)
        assert await statuses(*HERE) == [422] * len(HERE)


async def test_a_local_receiver_of_a_store_in_test_mode_is_told_and_that_of_a_live_one_is_not(
    *, api: Api, hooks: Receiver, database_url: str, connection: Connection, store: Store
) -> None:
    url = hooks.url("ok", store.id)
    webhook = await hook(api, url)
    async with telling(database_url, receivers=Limits(timeout=1.5, reach=Reach.THIS_MACHINE)):
        await happens(api)
        await arrived(hooks, url, 1)
        await connection.execute("update stores set mode = 'live' where store_id = $1", store.id)
        await happens(api)

        async def noted() -> bool:
            return await health(connection, store, webhook) == "failing"

        await until(noted, 60)
    assert len(await hooks.sent(url)) == 1
