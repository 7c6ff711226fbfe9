"""Webhooks as resources: what they are made with, what is refused, and who may have one."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service.gateways.signing import is_secret
from service.principal import SCOPES, Store
from service.resources import RESOURCES
from service.rules import topics
from service.store.pool import Connection
from tests import counted, factories
from tests.spec.writing import Api, pointers, resource
from tests.support import Grant

URL = "https://shop.example.com/hooks"


async def made(api: Api, **attributes: Any) -> Any:
    return (await api.create("webhooks", {"callback_url": URL} | attributes))["attributes"]


async def refused(api: Api, **attributes: Any) -> tuple[list[str | None], list[str]]:
    answer = await api.send("POST", "webhooks", resource("webhooks", {"callback_url": URL} | attributes))
    assert answer.status_code == 422, answer.text
    return pointers(answer), [error["detail"] for error in answer.json()["errors"]]


async def test_a_webhook_needs_a_topic_and_a_url(api: Api) -> None:
    answer = await api.create("webhooks", {"topic": "orders.place", "callback_url": URL})
    found = answer["attributes"]
    assert is_secret(found["shared_secret"])
    assert found["name"] == f"Webhook {answer['id']}"
    assert (found["topics"], found["include_resources"], found["payload"], found["ordered"]) == (
        ["orders.place"], [], "full", False,
    )  # fmt: skip
    assert (found["circuit_state"], found["circuit_failure_count"], found["health"]) == ("closed", 0, "healthy")
    assert found["disabled_at"] is None
    missing = await api.send("POST", "webhooks", resource("webhooks", {}))
    assert missing.status_code == 422
    assert (await refused(api))[1] == ["topic - can't be blank"]


async def test_topic_is_the_first_of_topics_whichever_is_sent(api: Api) -> None:
    several = await made(api, topics=["orders.*", "order_subscriptions.last_run_failed"])
    assert several["topic"] == "orders.*"
    webhook = await api.create("webhooks", {"topic": "*", "callback_url": URL})
    for sent, topic, all_ in (
        ({"topic": "orders.place"}, "orders.place", ["orders.place"]),
        ({"topics": ["skus.*", "prices.*"]}, "skus.*", ["skus.*", "prices.*"]),
        ({"topics": ["skus.*", "prices.*"], "topic": "skus.*"}, "skus.*", ["skus.*", "prices.*"]),
    ):
        answer = await api.update("webhooks", webhook["id"], sent)
        found = answer.json()["data"]["attributes"]
        assert (found["topic"], found["topics"]) == (topic, all_)
    assert await refused(api, topics=["skus.*"], topic="prices.*") == (
        ["/data/attributes/topic"], ["topic - must be the first of topics"],
    )  # fmt: skip
    assert await refused(api, topics=[]) == (["/data/attributes/topics"], ["topics - can't be blank"])
    assert (await refused(api, topics=["skus.*", "skus.*"]))[0] == ["/data/attributes/topics"]


async def test_a_topic_that_does_not_exist_is_answered_with_the_nearest(api: Api) -> None:
    document = resource("webhooks", {"topic": "orders.placed", "callback_url": URL})
    answer = await api.send("POST", "webhooks", document)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["source"]["pointer"]) == (422, "/data/attributes/topic")
    assert error["meta"]["suggestion"] == "orders.place"
    for topic in ("", "orders", "orders.", ".*", "*.*", "nothing.*", "access_tokens.token", "**"):
        assert (await refused(api, topics=[topic]))[0] == ["/data/attributes/topics"], topic


async def test_what_is_sent_along_has_to_lead_somewhere_from_one_of_the_types(api: Api) -> None:
    both = ["order_subscriptions.*", "orders.place"]
    found = await made(api, topics=both, include_resources=["source_order.customer", "line_items.sku", "customer"])
    assert found["include_resources"] == ["source_order.customer", "line_items.sku", "customer"]
    assert await refused(api, topics=["orders.place"], include_resources=["source_order", "events"]) == (
        ["/data/attributes/include_resources"],
        ["include_resources - events leads nowhere from orders"],
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com/hooks", "https://name:secret@shop.example.com/", "https://0177.0.0.1/",
        "https://2130706433/", "https://0x7f000001/", "https://shop.example.com:0/", "https://shop.example.com/#here",
    ],
)  # fmt: skip
async def test_a_url_is_over_tls_and_plain(api: Api, url: str) -> None:
    assert (await refused(api, topic="orders.place", callback_url=url))[0] == ["/data/attributes/callback_url"]


async def test_nobody_is_told_of_what_their_token_may_not_read(client: httpx2.AsyncClient, grant: Grant) -> None:
    own = ["read_webhooks", "update_webhooks", "read_subscriptions"]
    api = Api(client, await grant(scopes=own))
    found = await api.create("webhooks", {"topic": "order_subscriptions.*", "callback_url": URL})
    for attributes in (
        {"topic": "customers.update"},
        {"topic": "*"},
        {"topics": ["order_subscriptions.*", "orders.place"]},
        {"include_resources": ["customer"]},
    ):
        answer = await api.update("webhooks", found["id"], attributes)
        assert answer.status_code == 403, answer.text
    whole = Api(client, await grant(scopes=SCOPES))
    assert (await whole.update("webhooks", found["id"], {"topic": "*"})).status_code == 200


async def test_customers_have_none(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    own = await grant(customer_id=await factories.customer(connection, store))
    for type_ in ("webhooks", "event_callbacks"):
        answer = await client.get(f"/api/{type_}", headers=own.headers)
        assert answer.status_code == 403


async def test_it_can_be_made_disabled_and_enabled_later(api: Api) -> None:
    webhook = await api.create("webhooks", {"topic": "*", "callback_url": URL, "_disable": True})
    found = webhook["attributes"]
    assert (found["health"], found["health_reason"], found["disabled_at"] is None) == ("disabled", "_disable", False)
    answer = await api.update("webhooks", webhook["id"], {"_enable": True})
    found = answer.json()["data"]["attributes"]
    assert (found["health"], found["health_reason"], found["disabled_at"]) == ("healthy", None, None)
    refusal = await api.update("webhooks", webhook["id"], {"shared_secret": "whsec_mine"})
    assert refusal.status_code == 403


async def test_too_much_is_not_replayed_at_once(api: Api, connection: Connection, store: Store) -> None:
    webhook = await api.create("webhooks", {"topic": "*", "callback_url": URL})
    insert = (
        "insert into events (store_id, id, name, resource_type, resource_id, sequence, created_at, updated_at)"
        " select $1, 'e' || n, 'skus.update', 'skus', 'x', n, now(), now() from generate_series(1, 10001) n"
    )
    await connection.execute(insert, store.id)
    await counted.anew(connection, store)
    answer = await api.update("webhooks", webhook["id"], {"_replay_since": "2020-01-01T00:00:00Z"})
    assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/_replay_since"])
    narrow = {"_replay_since": "2020-01-01T00:00:00Z", "_replay_until": "2020-01-02T00:00:00Z"}
    assert (await api.update("webhooks", webhook["id"], narrow)).status_code == 200


def test_topics_are_those_of_the_registry_and_of_the_verbs() -> None:
    for type_, entry in RESOURCES.items():
        words = topics.TOPICS.get(type_, ())
        if entry.create is not None and type_ != "tokens":  # which makes access_tokens
            assert "create" in words, type_
        if entry.update is not None and not entry.resource.log:  # whose rows never change
            assert "update" in words, type_
    assert topics.TOPICS.keys() <= RESOURCES.keys()
    assert all(topics.is_known(topic) for topic in topics.all_known())
