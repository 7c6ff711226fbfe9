"""POST /api/subscription_previews: what a change would lead to, and changes that are held to it."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.faults.playing import Shop, short
from tests.jobs.steps import row
from tests.jobs.test_swapping import Subscribed
from tests.pages import digest
from tests.spec.operating import Batches
from tests.spec.writing import Api, pointers, resource, to
from tests.support import Grant

TYPE = "subscription_previews"


@pytest.fixture
async def weekly(
    *, api: Api, database: Database, connection: Connection, store: Store, client: httpx2.AsyncClient, grant: Grant
) -> Subscribed:
    """Two shirts a week, on Thursday 8 January 2026, at 19.00; mugs are 7.00."""
    shop = await Shop.open(api, database, connection, store, "2026-01-08 12:00")
    mug = await factories.sku(connection, store, price=700, code="MUG-BLUE", name="Blue Mug", stock=100)
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly")
    owner = (await row(connection, "order_subscriptions", store, id_))["customer_id"]
    (item,) = (await api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    return Subscribed(shop, id_, item["id"], mug, Api(client, await grant(customer_id=owner)))


async def preview(api: Api, type_: str, id_: str, attributes: Any = None, **relationships: Any) -> httpx2.Response:
    """The answer to a preview of a change."""
    return await api.send("POST", TYPE, resource(TYPE, attributes, {"subject": to(type_, id_), **relationships}))


def runs(answer: httpx2.Response) -> list[tuple[str, int | None, list[tuple[str, int, int]]]]:
    """When it would run, for how much, and what would be ordered."""
    assert answer.status_code == 200, answer.text
    return [
        (
            short(one["attributes"]["scheduled_at"]),
            one["attributes"]["total_amount_cents"],
            [
                (line["sku_code"], line["quantity"], line["current_unit_amount_cents"])
                for line in one["attributes"]["lines"]
            ],
        )
        for one in answer.json()["included"]
    ]


async def test_a_swap_is_shown_and_nothing_of_it_stays(weekly: Subscribed, connection: Connection) -> None:
    before = await digest(connection, weekly.shop.store)
    shown = await preview(weekly.customer, "order_subscription_items", weekly.item, {"_swap": "MUG-BLUE"})
    assert runs(shown) == [(f"2026-01-{day} 09:00", 2 * 700 + 495, [("MUG-BLUE", 2, 700)]) for day in (12, 19, 26)]
    data = shown.json()["data"]
    assert data["id"] == data["attributes"]["digest"]
    assert data["attributes"]["out_of_stock_sku_codes"] == []
    assert data["relationships"]["order_subscription"]["data"]["id"] == weekly.id
    assert await digest(connection, weekly.shop.store) == before


async def test_it_comes_to_what_happens(weekly: Subscribed) -> None:
    shown = await preview(weekly.customer, "order_subscription_items", weekly.item, {"_swap": "MUG-BLUE"})
    wanted = shown.json()["data"]["attributes"]["digest"]
    done = await weekly.swap("MUG-BLUE", expected_digest=wanted)
    assert done.status_code == 200, done.text
    await weekly.shop.wait_until("2026-01-27 00:00")
    happened = [(at, lines) for at, lines in await weekly.lines()]
    assert happened == [(at, lines) for at, _, lines in runs(shown)]


async def test_any_change_can_be_looked_at(weekly: Subscribed) -> None:
    """Quantities, and what moves runs: of an item, of the subscription, of one occurrence."""
    more = await preview(weekly.customer, "order_subscription_items", weekly.item, {"quantity": 5})
    assert runs(more)[0] == ("2026-01-12 09:00", 5 * 1900 + 495, [(weekly.shop.sku.code, 5, 1900)])
    later = await preview(weekly.customer, "order_subscriptions", weekly.id, {"_delay": 3})
    assert [at for at, *_ in runs(later)] == ["2026-01-15 09:00", "2026-01-19 09:00", "2026-01-26 09:00"]
    (first, *_) = await weekly.shop.occurrences(weekly.id)
    without = await preview(weekly.customer, "occurrences", first["id"], {"_skip": True})
    assert [one["attributes"]["status"] for one in without.json()["included"]] == ["skipped", "planned", "planned"]
    ended = await preview(weekly.customer, "order_subscriptions", weekly.id, {"_cancel": True})
    assert runs(ended) == []
    assert (await weekly.shop.look(weekly.id))["next_run_at"] == "2026-01-12T09:00:00.000Z"


async def test_what_is_short_now_is_named(weekly: Subscribed) -> None:
    await factories.sku(weekly.shop.connection, weekly.shop.store, price=300, code="MUG-FEW", stock=1)
    shown = await preview(weekly.customer, "order_subscription_items", weekly.item, {"_swap": "MUG-FEW"})
    assert shown.json()["data"]["attributes"]["out_of_stock_sku_codes"] == ["MUG-FEW"]


@pytest.mark.parametrize("turn", ["price", "stock", "date", "other"])
async def test_a_swap_is_made_only_if_it_leads_to_what_was_shown(weekly: Subscribed, turn: str) -> None:
    shop, asked = weekly.shop, "MUG-BLUE"
    shown = await preview(weekly.customer, "order_subscription_items", weekly.item, {"_swap": "MUG-BLUE"})
    wanted = shown.json()["data"]["attributes"]["digest"]
    match turn:
        case "price":
            await factories.set_price(shop.connection, shop.store, weekly.mug, 800)
        case "stock":
            await shop.connection.execute("update stock_items set quantity = 1 where store_id = $1", shop.store.id)
        case "date":
            await shop.tell(weekly.id, _skip_next=True)
        case _:
            asked = (await factories.sku(shop.connection, shop.store, price=700)).code
    refused = await weekly.swap(asked, expected_digest=wanted)
    assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/expected_digest"])
    (error,) = refused.json()["errors"]
    assert error["code"] == "PREVIEW_STALE"
    assert (await weekly.look())["sku_code"] == shop.sku.code
    done = await weekly.swap(asked, expected_digest=error["meta"]["digest"])
    assert done.status_code == 200, done.text


async def test_it_is_refused_as_the_change_would_be(
    weekly: Subscribed, client: httpx2.AsyncClient, grant: Grant
) -> None:
    customer, shop = weekly.customer, weekly.shop
    unknown = await preview(customer, "order_subscription_items", weekly.item, {"_swap": "MUG-BLU"})
    assert (unknown.status_code, pointers(unknown)) == (422, ["/data/attributes/_swap"])
    assert unknown.json()["errors"][0]["meta"]["suggestion"] == "MUG-BLUE"
    guarded = await preview(customer, "order_subscription_items", weekly.item, {"unit_amount_cents": 1})
    assert (guarded.status_code, pointers(guarded)) == (403, ["/data/attributes/unit_amount_cents"])
    stranger = Api(client, await grant(customer_id=await factories.customer(shop.connection, shop.store)))
    for type_, id_ in (("order_subscription_items", weekly.item), ("order_subscriptions", weekly.id)):
        theirs = await preview(stranger, type_, id_, {"reference": "x"})
        nobodys = await preview(stranger, type_, "nobodys", {"reference": "x"})
        assert theirs.status_code == nobodys.status_code == 404
    reader = Api(client, await grant(scopes=["read_subscriptions"]))
    assert (await preview(reader, "order_subscription_items", weekly.item, {"_swap": "MUG-BLUE"})).status_code == 403


async def test_it_names_one_subject(weekly: Subscribed) -> None:
    where = "/data/relationships/subject"
    for relationships, status, pointer in (
        ({}, 422, "/data"),
        ({"subject": {"data": None}}, 400, where),
        ({"subject": "x"}, 400, where),
        ({"subject": to("orders", "x")}, 409, where),
        ({"subject": to("order_subscription_items", weekly.item), "sku": "x"}, 400, "/data/relationships/sku"),
    ):
        refused = await weekly.customer.send("POST", TYPE, resource(TYPE, {"quantity": 2}, relationships))
        assert (refused.status_code, pointers(refused)) == (status, [pointer]), refused.text
    other = await weekly.customer.send("POST", TYPE, resource("orders", None, {}))
    assert other.status_code == 409
    assert (await weekly.customer.send("GET", TYPE)).status_code == 405


@pytest.mark.parametrize(
    ("type_", "attributes"),
    [
        ("order_subscriptions", {"_skip_next": True}),
        ("order_subscriptions", {"_delay": 3}),
        ("order_subscriptions", {"frequency": "monthly"}),
        ("order_subscriptions", {"_cancel": True}),
        ("occurrences", {"_skip": True}),
        ("occurrences", {"scheduled_at": "2026-01-13T09:00:00.000Z"}),
    ],
)
async def test_changes_of_subscriptions_and_dates_are_held_to_their_previews(
    weekly: Subscribed, connection: Connection, type_: str, attributes: dict[str, Any]
) -> None:
    """What has changed since is refused and nothing of it stays; with the digest of today it is done."""
    shop = weekly.shop
    (first,) = [one for one in await shop.occurrences(weekly.id) if one["occurrence_index"] == 1]
    id_ = weekly.id if type_ == "order_subscriptions" else str(first["id"])
    shown = await preview(weekly.customer, type_, id_, attributes)
    wanted = shown.json()["data"]["attributes"]["digest"]
    fresh = wanted
    if "_cancel" not in attributes:
        await shop.api.update("order_subscription_items", weekly.item, {"quantity": 5})
        before = await digest(connection, shop.store)
        refused = await weekly.customer.update(type_, id_, attributes | {"expected_digest": wanted})
        assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/expected_digest"]), refused.text
        assert refused.json()["errors"][0]["code"] == "PREVIEW_STALE"
        assert await digest(connection, shop.store) == before
        fresh = refused.json()["errors"][0]["meta"]["digest"]
        assert fresh == (await preview(weekly.customer, type_, id_, attributes)).json()["data"]["attributes"]["digest"]
    done = await weekly.customer.update(type_, id_, attributes | {"expected_digest": fresh})
    assert done.status_code == 200, done.text


async def test_a_batch_is_held_to_previews_as_a_request_is(
    weekly: Subscribed, client: httpx2.AsyncClient, grant: Grant
) -> None:
    """The runs to come are settled before the digest is compared, although others of the batch follow."""
    rows = {one["occurrence_index"]: one["id"] for one in await weekly.shop.occurrences(weekly.id)}
    shown = await preview(weekly.customer, "occurrences", rows[1], {"_skip": True})
    wanted = shown.json()["data"]["attributes"]["digest"]

    async def batch(expected: str) -> httpx2.Response:
        data = [
            {"type": "occurrences", "id": rows[1], "attributes": {"_skip": True, "expected_digest": expected}},
            {"type": "occurrences", "id": rows[2], "attributes": {"_skip": True}},
        ]
        return await Batches(client, await grant()).run(*({"op": "update", "data": one} for one in data))

    stale = await batch("x")
    assert stale.status_code == 409, stale.text
    assert [error["source"]["pointer"] for error in stale.json()["errors"]] == [
        "/atomic:operations/0/data/attributes/expected_digest"
    ]
    assert {one["status"] for one in await weekly.shop.occurrences(weekly.id)} == {"planned"}
    done = await batch(wanted)
    assert done.status_code == 200, done.text
