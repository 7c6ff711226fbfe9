"""Stores that take their money through a gateway of their own: how they name it, and orders that are placed with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.jobs.pay import PaymentJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.checkout.conftest import ordered, placed, ready
from tests.gateways import SECRET, Example, example, nearby
from tests.sealed import opened
from tests.spec.writing import Api, offenders, pointers


@pytest.fixture
async def named(api: Api, store: Store) -> AsyncIterator[Example]:
    """The gateway of the store, named over the API."""
    async with example() as running:
        answer = await api.update("stores", str(store.id), {"gateway_url": running.url, "_gateway_secret": SECRET})
        assert answer.status_code == 200, answer.text
        yield running


async def bought(api: Api, connection: Connection, store: Store) -> Any:
    """An order of two shirts, to be paid through the store's gateway."""
    customer_id = await factories.customer(connection, store)
    return await ordered(api, await ready(connection, store, customer_id=customer_id, gateway="external"))


async def attempts(connection: Connection, store: Store) -> list[Any]:
    return list(await connection.fetch("select * from payment_attempts where store_id = $1 order by id", store.id))


async def test_a_store_names_its_gateway_and_its_secret_is_never_shown(
    api: Api, named: Example, connection: Connection, store: Store
) -> None:
    shown = await api.send("GET", f"stores/{store.id}")
    assert shown.json()["data"]["attributes"]["gateway_url"] == named.url
    assert SECRET not in shown.text
    row = await connection.fetchrow("select * from stores where store_id = $1", store.id)
    assert row is not None
    assert SECRET not in row["gateway_secret"]
    assert opened(connection, "stores", row)["gateway_secret"] == SECRET
    events = await connection.fetchval("select string_agg(payload::text, '') from events where store_id = $1", store.id)
    assert SECRET not in events
    again = await api.update("stores", str(store.id), {"_gateway_secret": SECRET})
    assert again.json()["data"]["meta"]["version"] == shown.json()["data"]["meta"]["version"], "nothing changed"


@pytest.mark.parametrize(
    "url",
    [
        "http://pay.example/",
        "https://user:secret@pay.example/",
        "https://pay.example/#there",
        "https://pay.example:99999/",
        "https://:443/",
        "ftp://pay.example/",
    ],
)
async def test_a_gateway_is_asked_over_https_only(api: Api, store: Store, url: str) -> None:
    answer = await api.update("stores", str(store.id), {"gateway_url": url})
    assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/gateway_url"])


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%"])
async def test_a_secret_that_can_be_guessed_is_refused(api: Api, store: Store, secret: str) -> None:
    answer = await api.update("stores", str(store.id), {"_gateway_secret": secret})
    assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/_gateway_secret"])


async def test_the_retry_ladder_is_checked(api: Api, store: Store) -> None:
    fine = await api.update("stores", str(store.id), {"policies": {"payment_retry_hours": [1, 24]}})
    assert fine.status_code == 200
    for wrong in (24, [0], ["1"], [1] * 11, None):
        answer = await api.update("stores", str(store.id), {"policies": {"payment_retry_hours": wrong}})
        assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/policies"])
    assert (await api.update("stores", str(store.id), {"name": "Other"})).status_code == 200


async def test_an_order_is_placed_with_its_yes(api: Api, named: Example, connection: Connection, store: Store) -> None:
    order = await bought(api, connection, store)
    answer = await placed(api, order["id"], "tok_1")
    assert answer.json()["data"]["attributes"]["status"] == "placed"
    (attempt,) = await attempts(connection, store)
    assert (attempt["status"], attempt["gateway_url"]) == ("authorized", named.url)
    assert (await named.payments())[attempt["key"]]["amount_cents"] == 5000 + 495
    cancelled = await api.update("orders", order["id"], {"_cancel": True})
    assert cancelled.json()["data"]["attributes"]["payment_status"] == "voided"
    assert (await named.payments())[attempt["key"]]["status"] == "voided"
    assert await offenders(connection, store) == []


async def test_its_no_is_told_in_its_words(api: Api, named: Example, connection: Connection, store: Store) -> None:
    order = await bought(api, connection, store)
    answer = await placed(api, order["id"], "tok_stolen")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["meta"]["error"]) == (402, "stolen_card")
    assert "This card can't be used." in error["detail"]
    assert len(await named.payments()) == 1


async def test_who_is_not_sure_yet_is_asked_again_for_the_same_payment(
    api: Api, named: Example, database: Database, connection: Connection, store: Store
) -> None:
    order = await bought(api, connection, store)
    answer = await placed(api, order["id"], "tok_pending")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "REQUEST_IN_PROGRESS")
    await connection.execute("update payment_attempts set lease_expires_at = created_at where store_id = $1", store.id)
    assert await PaymentJob(database, nearby()).go_on(store.id, order["id"])
    shown = (await api.get(f"orders/{order['id']}"))["data"]["attributes"]
    assert (shown["status"], shown["payment_status"]) == ("placed", "authorized")
    (attempt,) = await attempts(connection, store)
    assert list(await named.payments()) == [attempt["key"]]


async def test_a_payment_is_finished_where_it_was_begun(
    api: Api, named: Example, connection: Connection, store: Store
) -> None:
    """A store that moves to another gateway voids what the old one holds there."""
    order = await bought(api, connection, store)
    assert (await placed(api, order["id"], "tok_1")).status_code == 200
    moved = await api.update("stores", str(store.id), {"gateway_url": "https://other.example/"})
    assert moved.status_code == 200
    assert (await api.update("orders", order["id"], {"_cancel": True})).status_code == 200
    ((_, taken),) = (await named.payments()).items()
    assert taken["status"] == "voided"
