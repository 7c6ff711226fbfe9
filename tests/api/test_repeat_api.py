"""Repeat links for shops with their own page: the token as Bearer, a preview that is inert, a commit that is a cart."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from service import clock
from service.http import guessing
from service.store.pool import Connection
from tests import factories
from tests.contract.contract import Contract
from tests.pages import Link, carts, change, digest, items
from tests.support import Access

PREVIEW = "/api/repeat_link_preview"
COMMITS = "/api/repeat_link_commits"
MEDIA_TYPE = "application/vnd.api+json"
SECRETS = ("Sam", "Rivers", "Dorpsstraat", "Utrecht", "3511 AA", "+31 30", "@example.com", "third floor")


def headers(token: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Accept": MEDIA_TYPE} | more


def body(**attributes: Any) -> dict[str, Any]:
    return {"data": {"type": "repeat_link_commits", "attributes": attributes}}


async def commit(client: httpx2.AsyncClient, link: Link, key: str = "", **attributes: Any) -> httpx2.Response:
    more = {"Idempotency-Key": key} if key else {}
    if not attributes:
        return await client.post(COMMITS, headers=headers(link.token, **more))
    sent = headers(link.token, **more) | {"Content-Type": MEDIA_TYPE}
    return await client.post(COMMITS, json=body(**attributes), headers=sent)


@pytest.mark.rule("FM-30", "FM-35")
async def test_a_preview_tells_all_outcomes_and_nothing_of_the_customer(
    client: httpx2.AsyncClient, connection: Connection, link: Link, contract: Contract
) -> None:
    await factories.set_price(connection, link.store, link.shirt, 3000)
    await connection.execute(
        "update skus set disabled_at = $3 where store_id = $1 and id = $2", link.store.id, link.mug.id, clock.now()
    )
    before = await digest(connection, link.store)
    for method in ("HEAD", "GET"):
        for _ in range(10):
            answer = await client.request(method, PREVIEW, headers=headers(link.token, **{"Accept-Language": "nl"}))
            assert answer.status_code == 200, answer.text
            assert "set-cookie" not in answer.headers
    assert await digest(connection, link.store) == before
    assert answer.headers["cache-control"] == "no-store"
    document = contract.check(answer)
    assert document["data"]["attributes"] == {
        "store_name": link.store.name,
        "order_code": "JJ5HH",
        "currency_code": "EUR",
        "total_amount_cents": 6000 + 495,
        "total_amount_float": 64.95,
        "formatted_total_amount": "€\xa064,95",
        "tax_included": True,
        "total_tax_amount_cents": 1041,
        "total_tax_amount_float": 10.41,
        "formatted_total_tax_amount": "€\xa010,41",
        "added_count": 1,
        "adjusted_count": 0,
        "skipped_count": 1,
        "recipient": "S*** R***, 35***",
        "shipping_method_name": "Parcel",
        "payment_method_name": "Wire transfer",
        "proof": "sign_in",
    }
    told = [outcome["attributes"] for outcome in document["included"]]
    assert [(one["name"], one["status"], one["code"]) for one in told] == [
        ("Blue <T-Shirt>", "added", None),
        ("Cotton Mug", "skipped", "product_disabled"),
    ]
    assert (told[0]["previous_unit_amount_cents"], told[0]["current_unit_amount_cents"]) == (2500, 3000)
    assert told[1]["detail"] == "Dit product is op dit moment niet beschikbaar."
    everything = answer.text + str(answer.headers)
    assert [secret for secret in SECRETS if secret in everything] == []
    assert link.token not in everything


async def test_a_commit_is_a_cart_with_its_session(
    client: httpx2.AsyncClient, connection: Connection, link: Link, contract: Contract
) -> None:
    answer = await commit(client, link)
    assert answer.status_code == 201, answer.text
    document = contract.check(answer)
    (cart,) = await carts(connection, link.store)
    assert document["data"]["attributes"] == {
        "session": cart["session"],
        "checkout_url": f"http://127.0.0.1/demo/checkout?store={link.store.id}&session={cart['session']}",
    }
    assert answer.headers["location"] == f"http://127.0.0.1/api/carts/{cart['id']}"
    assert [one["type"] for one in document["included"]] == ["carts", "cart_items", "cart_items"]
    assert document["included"][0]["attributes"]["total_amount_cents"] == 5900 + 495
    assert await items(connection, cart) == [("Blue <T-Shirt>", 2, 2500), ("Cotton Mug", 1, 900)]
    assert (cart["customer_id"], cart["repeat_link_id"]) == (None, link.id)
    assert [secret for secret in SECRETS if secret in answer.text] == []


async def test_one_name_of_a_browser_is_one_open_cart(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    name = "a-browser-of-16-characters"
    answers = await asyncio.gather(*(commit(client, link, browser=name) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1
    other = await commit(client, link, browser=name + "-2")
    assert other.json()["data"]["id"] != answers[0].json()["data"]["id"]
    kept = {row["browser"] for row in await carts(connection, link.store)}
    assert len(kept) == 2
    assert name not in kept
    await connection.execute(
        "update carts set status = 'converted', converted_at = $2 where store_id = $1", link.store.id, clock.now()
    )
    assert (await commit(client, link, browser=name)).json()["data"]["id"] != answers[0].json()["data"]["id"]


async def test_one_idempotency_key_is_one_cart_whatever_became_of_it(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    first, *others = await asyncio.gather(*(commit(client, link, "one-key") for _ in range(6)))
    assert first.status_code == 201
    assert all(other.json() == first.json() for other in others)
    await connection.execute(
        "update carts set status = 'converted', converted_at = $2 where store_id = $1", link.store.id, clock.now()
    )
    again = await commit(client, link, "one-key")
    assert again.json()["data"] == first.json()["data"]
    assert (await commit(client, link, "another-key")).json()["data"]["id"] != first.json()["data"]["id"]
    assert (await commit(client, link)).json()["data"]["id"] != first.json()["data"]["id"]
    assert (await commit(client, link, "not a key")).status_code == 400
    assert len(await carts(connection, link.store)) == 3


@pytest.mark.rule("FM-34")
async def test_every_link_that_does_not_work_is_the_same_410(
    client: httpx2.AsyncClient, connection: Connection, link: Link, integration: Access, contract: Contract
) -> None:
    before = await digest(connection, link.store)
    store_id, link_id, signature = link.token.split(".")
    wrong = [
        "x",
        f"{store_id}.{link_id}.{'A' * 43}",
        f"{int(store_id) + 1}.{link_id}.{signature}",
        f"{store_id}.{clock.new_id()}.{signature}",
        integration.token,
    ]
    told = []
    for token in wrong:
        answer = await client.get(PREVIEW, headers=headers(token))
        contract.check(answer)
        told.append((answer.status_code, answer.json()["errors"][0] | {"id": ""}))
        assert (await client.post(COMMITS, headers=headers(token))).status_code == 410
    assert await digest(connection, link.store) == before
    for changes in (
        {"expires_at": clock.now()},
        {"expires_at": None, "max_uses": 1, "uses": 1},
        {"max_uses": None, "revoked_at": clock.now()},
    ):
        await change(connection, link, changes)
        answer = await client.get(PREVIEW, headers=headers(link.token))
        told.append((answer.status_code, answer.json()["errors"][0] | {"id": ""}))
        assert (await commit(client, link)).status_code == 410
    assert {status for status, _ in told} == {410}
    assert all(error == told[0][1] for _, error in told)
    assert await carts(connection, link.store) == []
    assert (await client.get(PREVIEW, headers={"Accept": MEDIA_TYPE})).status_code == 401


async def test_a_document_that_makes_no_sense_is_refused_and_nothing_is_made(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    sent = headers(link.token) | {"Content-Type": MEDIA_TYPE}
    for content, status, pointer in (
        (b"[]", 400, ""),
        (b'{"data": null}', 400, ""),
        (b'{"data": {"attributes": {}}}', 400, ""),
        (b'{"data": {"type": "carts"}}', 409, "/data/type"),
        (
            b'{"data": {"type": "repeat_link_commits", "attributes": {"browser": "short"}}}',
            422,
            "/data/attributes/browser",
        ),
        (b'{"data": {"type": "repeat_link_commits", "attributes": {"x/y": 1}}}', 422, "/data/attributes/x~1y"),
    ):
        answer = await client.post(COMMITS, content=content, headers=sent)
        assert (answer.status_code, answer.json()["errors"][0]["source"]["pointer"]) == (status, pointer)
    assert (await client.post(COMMITS, content=b"{}", headers=sent | {"Content-Type": "text/plain"})).status_code == 415
    assert (await client.get(f"{PREVIEW}?id=JJ5HH", headers=headers(link.token))).status_code == 400
    assert await carts(connection, link.store) == []


async def test_when_nothing_can_be_had_no_cart_is_made(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    await connection.execute("update skus set deleted_at = $2 where store_id = $1", link.store.id, clock.now())
    before = await digest(connection, link.store)
    answer = await commit(client, link)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "INVALID_STATE")
    assert await digest(connection, link.store) == before


async def test_a_live_store_without_a_checkout_still_gets_its_cart(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    await connection.execute("update stores set mode = 'live' where store_id = $1", link.store.id)
    answer = await commit(client, link)
    assert answer.status_code == 201
    assert answer.json()["data"]["attributes"]["checkout_url"] is None


@pytest.mark.rule("FM-101")
async def test_whoever_tries_many_wrong_links_still_opens_one_that_works(
    client: httpx2.AsyncClient, link: Link, contract: Contract
) -> None:
    for attempt in range(guessing.LIMIT.amount):
        answer = await (client.get("/repeat-order") if attempt % 2 else client.get(PREVIEW, headers=headers("x")))
        assert answer.status_code == 410
    page = await client.get("/repeat-order")
    assert page.status_code == 429
    assert page.headers["retry-after"].isdecimal()
    assert page.headers["content-type"].startswith("text/html")
    refused = await client.get(PREVIEW, headers=headers(f"{link.token[:-1]}x"))
    assert refused.status_code == 429
    contract.check(refused)
    assert (await client.get(link.url)).status_code == 200
    assert (await client.get(PREVIEW, headers=headers(link.token))).status_code == 200
    assert (await commit(client, link)).status_code == 201


async def test_links_that_work_are_never_counted(client: httpx2.AsyncClient, link: Link) -> None:
    for _ in range(guessing.LIMIT.amount + 5):
        assert (await client.head(link.url)).status_code == 200
