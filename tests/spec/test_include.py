"""Inclusion: https://jsonapi.org/format/1.1/#fetching-includes, checklist chapters IN and CD."""

from __future__ import annotations

from typing import Any

import pytest

from service.jsonapi import renderers
from service.principal import Store
from service.store import compile as compiler
from service.store.pool import Connection
from tests import factories
from tests.spec.reading import Reader


@pytest.fixture
async def order(connection: Connection, store: Store) -> str:
    """A placed order of two lines with everything that belongs to it."""
    skus = [await factories.sku(connection, store, code=code) for code in ("MUG", "SHIRT")]
    return await factories.full_order(connection, store, [factories.Line(sku) for sku in skus])


def types(document: dict[str, Any]) -> set[str]:
    """The types of what is included."""
    return {one["type"] for one in document["included"]}


@pytest.mark.rule("IN-01", "IN-02", "IN-03", "IN-06", "CD-01", "CD-05")
async def test_exactly_what_was_asked_for(reader: Reader, order: str) -> None:
    url = f"/api/orders/{order}"
    assert types(await reader.document(url, include="customer")) == {"customers"}
    document = await reader.document(url, include="customer,line_items.sku")
    assert types(document) == {"customers", "line_items", "skus"}
    assert len(document["included"]) == 5
    assert types(await reader.document("/api/orders", include="line_items")) == {"line_items"}
    for bare in (url, "/api/orders", f"{url}/line_items", f"{url}/relationships/line_items", f"{url}/customer"):
        assert "included" not in await reader.document(bare)


@pytest.mark.rule("IN-04", "IN-05")
async def test_nothing_to_include_is_an_empty_list(
    reader: Reader, connection: Connection, store: Store, order: str
) -> None:
    bare = await factories.order(connection, store, [], status="draft")
    assert (await reader.document(f"/api/orders/{bare}", include="customer,tags"))["included"] == []
    one = f"/api/orders/{order}"
    for url in ("/api/orders", one, f"{one}/line_items", f"{one}/customer", f"{one}/relationships/line_items"):
        assert (await reader.document(url, include=""))["included"] == []


@pytest.mark.rule("IN-07", "IN-08")
@pytest.mark.parametrize(
    "path",
    [
        "nope", "customer.nope", "status", "customer..tags", ".customer", "customer.", ",", "customer,", "Customer",
        "customer,nope", "line_items.order.line_items.order.customer", "events", "customer.orders", "id", "*",
        "a" * 5000,
    ],
)  # fmt: skip
async def test_other_paths_are_refused_everywhere(reader: Reader, order: str, path: str) -> None:
    for url in ("/api/orders", f"/api/orders/{order}"):
        assert (await reader.refused(url, "include", {"include": path}))["code"] == "INVALID_INCLUDE"
    one = f"/api/orders/{order}"
    for url in ("line_items", "customer", "relationships/line_items", "relationships/customer"):
        await reader.refused(f"{one}/{url}", "include", {"include": path if path != "customer.orders" else "orders"})


@pytest.mark.rule("IN-09")
async def test_twice_is_once(reader: Reader, order: str) -> None:
    once = await reader.document(f"/api/orders/{order}?include=customer")
    twice = await reader.document(f"/api/orders/{order}?include=customer%2Ccustomer")
    assert once["included"] == twice["included"]


@pytest.mark.rule("IN-11", "IN-12")
async def test_relationship_and_related_urls(reader: Reader, order: str) -> None:
    """Paths of a relationship begin with its own name, those of related resources don't."""
    document = await reader.document(f"/api/orders/{order}/relationships/line_items", include="line_items.sku")
    assert all(one.keys() == {"type", "id"} for one in document["data"])
    assert types(document) == {"line_items", "skus"}
    assert types(await reader.document(f"/api/orders/{order}/line_items", include="sku")) == {"skus"}
    assert types(await reader.document(f"/api/orders/{order}/customer", include="tags")) == set()


@pytest.mark.rule("CD-02", "CD-04", "CD-06")
async def test_what_is_included_is_linked_once(reader: Reader, order: str) -> None:
    document = await reader.document("/api/orders", include="line_items.order,customer,line_items.sku.tags")
    everything = [*document["data"], *document["included"]]
    keys = [(one["type"], one["id"]) for one in everything]
    assert len(keys) == len(set(keys))
    linked = set()
    for one in everything:
        for relationship in one["relationships"].values():
            data = relationship.get("data") or []
            linked |= {(i["type"], i["id"]) for i in (data if isinstance(data, list) else [data])}
    assert set(keys) - {("orders", order)} <= linked


@pytest.mark.rule("IN-08")
async def test_an_answer_includes_so_many_at_most(
    reader: Reader, connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the limit; one under it is fine, and nothing is ever cut off."""
    assert renderers.MAX_INCLUDED == 5_000
    for module in (renderers, compiler):
        monkeypatch.setattr(module, "MAX_INCLUDED", 4)
    sku = await factories.sku(connection, store)
    few = await factories.order(connection, store, [factories.Line(sku)] * 4)
    assert len((await reader.document(f"/api/orders/{few}?include=line_items"))["included"]) == 4
    many = await factories.order(connection, store, [factories.Line(sku)] * 7)
    for url in (f"/api/orders/{many}", "/api/orders"):
        error = await reader.refused(f"{url}?include=line_items", "include")
        assert error["code"] == "QUERY_TOO_COSTLY"
        assert error["meta"]["limit"] == 4
        assert error["meta"]["value"] > 4


@pytest.mark.rule("IN-13", "SF-06")
async def test_the_answer_to_a_create_too(reader: Reader, connection: Connection, store: Store, order: str) -> None:
    """`include` and fieldsets shape what a POST answers, and a mistake in them makes nothing."""
    subscription = await factories.subscription(connection, store, order)
    body = {
        "data": {
            "type": "recurring_order_copies",
            "relationships": {
                "source_order": {"data": {"type": "orders", "id": order}},
                "order_subscription": {"data": {"type": "order_subscriptions", "id": subscription}},
            },
        }
    }
    url = "/api/recurring_order_copies"
    for query in ("include=nope", "fields[orders]=nope", "sort=id", "filter[id]=x", "page[size]=1"):
        answer = await reader.client.post(f"{url}?{query}", json=body, headers=reader.access.headers)
        assert answer.status_code == 400, query
    assert await reader.ids(url) == []
    query = "include=source_order&fields[orders]=status&fields[recurring_order_copies]=status"
    answer = await reader.client.post(f"{url}?{query}", json=body, headers=reader.access.headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["attributes"] == {"status": "pending"}
    assert [one["attributes"] for one in answer.json()["included"]] == [{"status": "placed"}]


@pytest.mark.rule("IN-13", "SF-06", "UP-19")
async def test_the_answer_to_an_update_too(reader: Reader, order: str) -> None:
    url = f"/api/orders/{order}?include=customer&fields[orders]=reference,customer&fields[customers]=email"
    body = {"data": {"type": "orders", "id": order, "attributes": {"reference": "new"}}}
    answer = await reader.client.patch(url, json=body, headers=reader.access.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["attributes"] == {"reference": "new"}
    assert [one["attributes"].keys() for one in answer.json()["included"]] == [{"email"}]
    assert answer.json() == await reader.document(url)


@pytest.mark.rule("RL-09", "CD-02")
async def test_every_primary_resource_links_what_is_included(
    reader: Reader, connection: Connection, store: Store, order: str
) -> None:
    """Also those that have none of it, on collections and related URLs, and deeper down the path."""
    bare = await factories.order(connection, store, [], status="draft")
    document = await reader.document("/api/orders", include="line_items.sku,tags")
    linked = {one["id"]: one["relationships"]["line_items"]["data"] for one in document["data"]}
    assert {id_: len(found) for id_, found in linked.items()} == {order: 2, bare: 0}
    assert all(one["relationships"]["tags"]["data"] == [] for one in document["data"])
    customer = (await reader.document(f"/api/orders/{order}/customer"))["data"]["id"]
    related = await reader.document(f"/api/customers/{customer}/orders", include="line_items.sku.prices")
    assert len(related["data"][0]["relationships"]["line_items"]["data"]) == 2
    skus = [one for one in related["included"] if one["type"] == "skus"]
    assert [len(one["relationships"]["prices"]["data"]) for one in skus] == [1, 1]
