"""The terms of a subscription are the shop's; contents and dates are the customer's."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.factories import Line
from tests.spec.writing import Api, pointers, resource, to
from tests.support import Grant

TERMS: dict[str, Any] = {
    "max_occurrences": 99,
    "expires_at": "2030-01-01T00:00:00.000Z",
    "place_target_order": False,
    "price_mode": "current",
    "catchup_policy": "run_all",
    "cutoff_hours": 24,
    "min_days_between_runs": 3,
    "max_increase_percent": 5,
    "min_occurrences": 3,
    "pricing_phases": [{"occurrences": None, "percentage": 5}],
}
"""What only integrations set, in a new subscription and in one that runs."""


@pytest.fixture
async def order_id(connection: Connection, store: Store) -> str:
    """A placed order of a customer."""
    return await factories.full_order(connection, store, [Line(await factories.sku(connection, store), 2)])


@pytest.fixture
async def customer(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant, order_id: str
) -> Api:
    """The one who ordered."""
    found = await connection.fetchval(
        "select customer_id from orders where store_id = $1 and id = $2", store.id, order_id
    )
    return Api(client, await grant(customer_id=found))


async def subscribed(api: Api, order_id: str, **attributes: Any) -> Any:
    """A new daily subscription of an order."""
    return await api.create(
        "order_subscriptions", {"frequency": "daily"} | attributes, {"source_order": to("orders", order_id)}
    )


@pytest.mark.rule("FM-114")
@pytest.mark.parametrize("name", TERMS)
async def test_customers_do_not_set_the_terms(customer: Api, api: Api, order_id: str, name: str) -> None:
    document = resource(
        "order_subscriptions", {"frequency": "daily", name: TERMS[name]}, {"source_order": to("orders", order_id)}
    )
    refused = await customer.send("POST", "order_subscriptions", document)
    assert (refused.status_code, pointers(refused)) == (403, [f"/data/attributes/{name}"])
    made = await subscribed(api, order_id)
    refused = await customer.update("order_subscriptions", made["id"], {name: TERMS[name]})
    assert (refused.status_code, pointers(refused)) == (403, [f"/data/attributes/{name}"])
    agreed = await api.update("order_subscriptions", made["id"], {name: TERMS[name]})
    assert agreed.json()["data"]["attributes"][name] == TERMS[name]


@pytest.mark.rule("FM-114")
async def test_customers_do_not_move_the_anchor(customer: Api, order_id: str) -> None:
    made = await subscribed(customer, order_id)
    refused = await customer.update("order_subscriptions", made["id"], {"anchor_at": "2026-01-31T09:00:00.000Z"})
    assert (refused.status_code, pointers(refused)) == (403, ["/data/attributes/anchor_at"])


@pytest.mark.rule("FM-114")
async def test_customers_do_not_have_an_extra_copy_placed(customer: Api, order_id: str) -> None:
    made = await subscribed(customer, order_id)
    ends = {"source_order": to("orders", order_id), "order_subscription": to("order_subscriptions", made["id"])}
    document = resource("recurring_order_copies", {"place_target_order": True}, ends)
    refused = await customer.send("POST", "recurring_order_copies", document)
    assert (refused.status_code, pointers(refused)) == (403, ["/data/attributes/place_target_order"])


@pytest.mark.rule("FM-114")
async def test_customers_choose_contents_and_dates(customer: Api, order_id: str) -> None:
    made = await subscribed(customer, order_id)
    for sent in ({"frequency": "weekly"}, {"timezone": "Asia/Tokyo"}, {"_skip_next": True}, {"reference": "mine"}):
        answer = await customer.update("order_subscriptions", made["id"], sent)
        assert answer.status_code == 200, (sent, answer.text)


@pytest.mark.rule("FM-114")
async def test_customers_have_one_extra_run_a_day(customer: Api, api: Api, order_id: str) -> None:
    """Whichever way they ask for it; integrations have as many as they like, and a failed one doesn't count."""
    made = await subscribed(customer, order_id)
    ends = {"source_order": to("orders", order_id), "order_subscription": to("order_subscriptions", made["id"])}

    async def run_now() -> httpx2.Response:
        return await customer.update("order_subscriptions", made["id"], {"_run_now": True})

    async def copy() -> httpx2.Response:
        return await customer.send("POST", "recurring_order_copies", resource("recurring_order_copies", None, ends))

    answers = await asyncio.gather(*(ask() for ask in (run_now, copy) * 4))
    assert sorted(answer.status_code < 300 for answer in answers) == [False] * 7 + [True]
    for answer in answers:
        if answer.status_code >= 300:
            assert answer.status_code == 429, answer.text
            assert 86_000 < int(answer.headers["retry-after"]) <= 86_400
    again = await api.update("order_subscriptions", made["id"], {"_run_now": True})
    assert again.status_code == 200


@pytest.mark.rule("FM-114")
async def test_an_extra_run_that_failed_can_be_had_again(
    customer: Api, order_id: str, connection: Connection, store: Store
) -> None:
    made = await subscribed(customer, order_id)
    for _ in range(5):
        assert (await customer.update("order_subscriptions", made["id"], {"_run_now": True})).status_code == 200
        await connection.execute(
            "update order_factories set status = 'failed', failed_at = created_at where store_id = $1", store.id
        )
    refused = await customer.update("order_subscriptions", made["id"], {"_run_now": True})
    assert refused.status_code == 429
