"""What a subscription's status says while it runs."""

from __future__ import annotations

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.steps import ask, bearer, claim_surely, finish, pair
from tests.spec.writing import Api
from tests.support import Access


@pytest.mark.rule("FM-57")
async def test_a_subscription_runs_as_long_as_a_copy_of_it_is_being_made(
    *, client: httpx2.AsyncClient, integration: Access, database: Database, connection: Connection, store: Store
) -> None:
    """Told by the copy itself, so that it can't stick: a worker that dies leaves nothing to be put right."""
    api = Api(client, integration)
    order_id, subscription_id = await pair(connection, store)
    await factories.subscription(connection, store, order_id)

    async def seen(query: str = "") -> dict[str, str]:
        shown = await api.get(f"order_subscriptions?sort=status,id{query}")
        return {one["id"]: one["attributes"]["status"] for one in shown["data"]}

    quiet = await seen()
    assert set(quiet.values()) == {"active"}
    url = f"order_subscriptions/{subscription_id}"
    tag = (await api.send("GET", url)).headers["etag"]
    copy_id = await ask(database, bearer(store), order_id, subscription_id)
    assert (await seen())[subscription_id] == "running"
    assert await seen("&filter[status]=running") == {subscription_id: "running"}
    assert subscription_id not in await seen("&filter[q][status_eq]=active")
    begun = await api.send("GET", url, **{"If-None-Match": tag})
    assert (begun.status_code, begun.json()["data"]["attributes"]["status"]) == (200, "running")
    claimed = await claim_surely(database, store, copy_id)
    assert (
        await api.update("order_subscriptions", subscription_id, {"reference": "told meanwhile"})
    ).status_code == 200
    await finish(database, claimed)
    assert await seen() == quiet
