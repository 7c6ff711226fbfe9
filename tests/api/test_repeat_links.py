"""Repeat links as resources: made, changed, revoked and rotated by their owners, who alone are told their state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.pages import Link, change, digest, show, submit, url_of
from tests.support import Access, Grant

URL = "/api/repeat_links"
Post = Callable[..., Awaitable[httpx2.Response]]


def document(order_id: str, **attributes: Any) -> dict[str, Any]:
    order = {"data": {"type": "orders", "id": order_id}}
    return {"data": {"type": "repeat_links", "attributes": attributes, "relationships": {"order": order}}}


def later(**delta: float) -> str:
    return (clock.now() + timedelta(**delta)).isoformat()


@pytest.fixture
def post(client: httpx2.AsyncClient, integration: Access) -> Post:
    async def send(order_id: str, access: Access = integration, **attributes: Any) -> httpx2.Response:
        return await client.post(URL, json=document(order_id, **attributes), headers=access.headers)

    return send


@pytest.fixture
def patch(client: httpx2.AsyncClient, integration: Access) -> Post:
    async def send(id_: str, access: Access = integration, **attributes: Any) -> httpx2.Response:
        data = {"data": {"type": "repeat_links", "id": id_, "attributes": attributes}}
        return await client.patch(f"{URL}/{id_}", json=data, headers=access.headers)

    return send


def told(answer: httpx2.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    attributes: dict[str, Any] = answer.json()["data"]["attributes"]
    return attributes


async def test_a_link_is_made_with_an_end_and_a_number_of_uses(
    client: httpx2.AsyncClient, link: Link, post: Post, integration: Access
) -> None:
    answer = await post(link.order_id, expires_at=later(days=30), max_uses=2)
    made = told(answer, 201)
    assert (made["kind"], made["state"], made["uses"], made["max_uses"]) == ("custom", "live", 0, 2)
    assert made["url"].startswith("http://127.0.0.1/repeat-order?id=JJ5HH&token=")
    assert made["url"].endswith("&type=order")
    assert "Blue <T-Shirt>" in (await show(client, made["url"])).text
    again = await client.get(answer.headers["location"], headers=integration.headers)
    assert again.json()["data"] == answer.json()["data"]
    default = await client.get(f"{URL}/{link.id}", headers=integration.headers)
    assert default.json()["data"]["attributes"]["url"] == f"http://127.0.0.1{link.url}"


async def test_values_that_make_no_sense_are_refused(
    connection: Connection, store: Store, link: Link, post: Post, patch: Post
) -> None:
    draft = await factories.order(connection, store, status="pending", payment_status="unpaid")
    for order_id, attributes, pointer in (
        (link.order_id, {"expires_at": later(seconds=-1)}, "/data/attributes/expires_at"),
        (link.order_id, {"max_uses": 0}, "/data/attributes/max_uses"),
        (draft, {}, "/data/relationships/order/data"),
    ):
        answer = await post(order_id, **attributes)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["source"]["pointer"] == pointer
    assert (await post("unknown")).status_code == 404
    await change(connection, link, {"uses": 3})
    for attributes, status in (
        ({"max_uses": 2}, 422),
        ({"expires_at": later(seconds=-1)}, 422),
        ({"revoked_reason": "why not"}, 422),
        ({"uses": 0}, 403),
        ({"state": "revoked"}, 403),
        ({"url": "https://evil.example"}, 403),
        ({"kind": "custom"}, 403),
        ({"_revoke": "yes"}, 422),
    ):
        before = await digest(connection, store)
        answer = await patch(link.id, **attributes)
        assert answer.status_code == status, attributes
        assert answer.json()["errors"][0]["source"]["pointer"] == f"/data/attributes/{next(iter(attributes))}"
        assert await digest(connection, store) == before


async def test_a_link_that_is_sent_back_as_it_was_read_stays_as_it_is(
    client: httpx2.AsyncClient, link: Link, integration: Access
) -> None:
    read = (await client.get(f"{URL}/{link.id}", headers=integration.headers)).json()["data"]
    sent = {"data": {key: read[key] for key in ("type", "id", "attributes")}}
    answer = await client.patch(f"{URL}/{link.id}", json=sent, headers=integration.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == read


async def test_the_owner_is_told_the_state_that_nobody_else_is(
    client: httpx2.AsyncClient, connection: Connection, link: Link, integration: Access
) -> None:
    states = []
    for changes in (
        {},
        {"max_uses": 1, "uses": 1},
        {"expires_at": clock.now()},
        {"revoked_at": clock.now()},
    ):
        if changes:
            await change(connection, link, changes)
        answer = await client.get(f"{URL}/{link.id}?fields[repeat_links]=state", headers=integration.headers)
        states.append(answer.json()["data"]["attributes"]["state"])
    assert states == ["live", "used_up", "expired", "revoked"]


async def test_revoking_ends_a_link_for_good(
    client: httpx2.AsyncClient, connection: Connection, store: Store, link: Link, patch: Post
) -> None:
    revoked = told(await patch(link.id, _revoke=True, revoked_reason="sent to the wrong person"))
    assert (revoked["state"], revoked["revoked_reason"]) == ("revoked", "sent to the wrong person")
    await show(client, link.url, 410)
    for attributes in ({"_revoke": True}, {"_rotate": True}, {"expires_at": later(days=1)}, {"revoked_reason": "x"}):
        answer = await patch(link.id, **attributes)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "INVALID_STATE"), attributes
    assert told(await patch(link.id, metadata={"seen": True}))["state"] == "revoked"
    names = await connection.fetch(
        "select name from events where store_id = $1 and resource_id = $2 order by sequence", store.id, link.id
    )
    assert [row["name"] for row in names] == [
        "repeat_links.create", "repeat_links.update", "repeat_links.revoke", "repeat_links.update",
    ]  # fmt: skip


async def test_rotating_gives_another_url_and_the_old_one_is_dead(
    client: httpx2.AsyncClient, link: Link, patch: Post
) -> None:
    page = await show(client, link.url)
    rotated = told(await patch(link.id, _rotate=True))
    assert rotated["url"] != f"http://127.0.0.1{link.url}"
    await show(client, link.url, 410)
    assert (await submit(client, page.fields)).status_code == 410
    await show(client, rotated["url"])
    assert told(await patch(link.id, _rotate=False))["url"] == rotated["url"]


async def test_the_end_of_a_link_can_be_moved(
    client: httpx2.AsyncClient, connection: Connection, link: Link, patch: Post
) -> None:
    await change(connection, link, {"expires_at": clock.now()})
    await show(client, link.url, 410)
    told(await patch(link.id, expires_at=later(days=1), max_uses=1))
    await show(client, link.url)
    assert told(await patch(link.id, expires_at=None, max_uses=None))["state"] == "live"


async def test_the_carts_of_a_link_are_listed_and_counted(
    client: httpx2.AsyncClient, link: Link, integration: Access
) -> None:
    for _ in range(3):
        assert (await submit(client, (await show(client, link.url)).fields)).status_code == 303
    client.cookies.clear()
    assert (await submit(client, (await show(client, link.url)).fields)).status_code == 303
    listed = (await client.get(f"{URL}/{link.id}/carts", headers=integration.headers)).json()
    assert listed["meta"]["total"] == 2
    read = (await client.get(f"{URL}/{link.id}", headers=integration.headers)).json()["data"]["attributes"]
    assert (read["carts_count"], read["uses"]) == (2, 0)
    answer = await client.delete(f"{URL}/{link.id}", headers=integration.headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "INVALID_STATE")


async def test_a_link_that_made_no_cart_can_be_deleted(
    client: httpx2.AsyncClient, link: Link, integration: Access
) -> None:
    assert (await client.delete(f"{URL}/{link.id}", headers=integration.headers)).status_code == 204
    await show(client, link.url, 410)


async def test_customers_make_and_see_links_of_their_own_orders_only(
    client: httpx2.AsyncClient, connection: Connection, link: Link, grant: Grant, *, post: Post, patch: Post
) -> None:
    owner = await connection.fetchval("select customer_id from orders where store_id = $1", link.store.id)
    own, other = (
        await grant(customer_id=owner),
        await grant(customer_id=await factories.customer(connection, link.store)),
    )
    made = told(await post(link.order_id, own), 201)
    await show(client, made["url"])
    refused = await post(link.order_id, other)
    unknown = await post("unknown", other)
    assert refused.status_code == unknown.status_code == 404
    assert refused.json()["errors"][0]["detail"] == unknown.json()["errors"][0]["detail"]
    for access, total in ((own, 2), (other, 0)):
        listed = await client.get(URL, headers=access.headers)
        assert listed.json()["meta"]["total"] == total
    assert (await client.get(f"{URL}/{link.id}", headers=other.headers)).status_code == 404
    assert (await patch(link.id, other, _revoke=True)).status_code == 404
    assert told(await patch(link.id, own, _revoke=True))["state"] == "revoked"
    reader = await grant(scopes=["read_orders"])
    assert (await post(link.order_id, reader)).status_code == 403


async def test_what_is_kept_of_an_answer_holds_no_token(
    client: httpx2.AsyncClient, connection: Connection, store: Store, link: Link, integration: Access
) -> None:
    headers = integration.headers | {"Idempotency-Key": "one"}
    first = await client.post(URL, json=document(link.order_id), headers=headers)
    token = first.json()["data"]["attributes"]["url"].partition("token=")[2]
    again = await client.post(URL, json=document(link.order_id), headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json()["data"]["id"] == first.json()["data"]["id"]
    assert again.json()["data"]["attributes"]["url"] is None
    kept = await connection.fetchval(
        "select string_agg(convert_from(body, 'utf8'), '') from idempotency_keys where store_id = $1", store.id
    )
    assert first.json()["data"]["id"] in kept
    assert token.split("&")[0] not in kept


async def test_a_shop_with_its_own_page_gets_links_to_it(
    client: httpx2.AsyncClient, app: Starlette, connection: Connection, link: Link, integration: Access
) -> None:
    data = {
        "type": "stores",
        "id": str(link.store.id),
        "attributes": {"repeat_order_url": "https://shop.example/again?lang=nl#top"},
    }
    answer = await client.patch(f"/api/stores/{link.store.id}", json={"data": data}, headers=integration.headers)
    assert answer.status_code == 200
    expected = f"https://shop.example/again?lang=nl&id=JJ5HH&token={link.token}&type=order"
    read = await client.get(f"{URL}/{link.id}", headers=integration.headers)
    assert read.json()["data"]["attributes"]["url"] == f"{expected}#top"
    ecwid = await client.get(f"/api/v3/{link.store.id}/orders/JJ5HH/repeatURL", headers=integration.headers)
    assert ecwid.json() == {
        "repeatOrderUrl": f"{expected}&utm_source=repeat_order_button&utm_medium=api#top",
    }
    # Links that are out already still have our page.
    await show(client, await url_of(app, connection, link.store, "JJ5HH"))


@pytest.mark.rule("FM-37")
async def test_a_hundred_reads_of_the_default_link_are_one_row_and_one_url(
    client: httpx2.AsyncClient, connection: Connection, store: Store, integration: Access
) -> None:
    await factories.order(connection, store, code="JJ5HH")
    path = f"/api/v3/{store.id}/orders/JJ5HH/repeatURL"
    urls = {(await client.get(path, headers=integration.headers)).json()["repeatOrderUrl"] for _ in range(100)}
    assert len(urls) == 1
    assert await connection.fetchval("select count(*) from repeat_links where store_id = $1", store.id) == 1
