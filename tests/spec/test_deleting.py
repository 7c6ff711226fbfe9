"""Deleting resources: chapter DE of the checklist."""

from __future__ import annotations

import asyncio

import pytest

from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection
from tests import factories
from tests.contract.contract import Contract
from tests.spec.writing import Api, ids, offenders, to, to_all


@pytest.mark.rule("DE-01")
async def test_once(api: Api, connection: Connection, store: Store) -> None:
    """204 without a body, then 404, also to a second DELETE; an event tells of it."""
    id_ = (await api.create("customers", {"email": "sam@example.com"}))["id"]
    assert (await api.send("DELETE", f"customers/{id_}")).status_code == 204
    assert (await api.send("GET", f"customers/{id_}")).status_code == 404
    assert (await api.send("DELETE", f"customers/{id_}")).status_code == 404
    names = await connection.fetch("select name from events where store_id = $1 and resource_id = $2", store.id, id_)
    assert [row[0] for row in names] == ["customers.create", "customers.destroy"]


@pytest.mark.rule("DE-01")
async def test_at_once(api: Api) -> None:
    """Of concurrent DELETEs one is 204, the others 404."""
    id_ = (await api.create("customers", {"email": "sam@example.com"}))["id"]
    answers = await asyncio.gather(*(api.send("DELETE", f"customers/{id_}") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [204, 404, 404, 404, 404]


@pytest.mark.rule("DE-03")
async def test_what_clients_do_not_delete(api: Api) -> None:
    """405 with `Allow`."""
    answer = await api.send("DELETE", "event_stores/x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.rule("DE-04")
async def test_no_document_links_to_it(api: Api) -> None:
    """A tag leaves those that carried it."""
    tag = (await api.create("tags", {"name": "vip"}))["id"]
    customer = (await api.create("customers", {"email": "a@b.example"}, {"tags": to_all("tags", tag)}))["id"]
    assert (await api.send("DELETE", f"tags/{tag}")).status_code == 204
    assert ids(await api.get(f"customers/{customer}/relationships/tags")) == []


@pytest.mark.rule("DE-04")
@pytest.mark.parametrize(
    ("type_", "kept_by"),
    [
        ("customers", {"type": "addresses", "relationship": "customer"}),
        ("customer_groups", {"type": "customers", "relationship": "customer_group"}),
        ("skus", {"type": "prices", "relationship": "sku"}),
        ("shipping_methods", {"type": "carts", "relationship": "shipping_method"}),
        ("addresses", {"type": "carts", "relationship": "billing_address"}),
    ],
)
async def test_what_others_refer_to(
    api: Api, connection: Connection, store: Store, type_: str, kept_by: dict[str, str]
) -> None:
    """409, which names the type and the relationship that lead to it; nothing changes."""
    group = await factories.insert(connection, "customer_groups", store, name="Friends")
    customer = await factories.customer(connection, store, customer_group_id=group)
    address = await factories.address(connection, store, customer_id=customer)
    method = await factories.shipping_method(connection, store)
    await factories.cart(connection, store, shipping_method_id=method, billing_address_id=address)
    sku = await factories.sku(connection, store)
    there = {
        "customers": customer,
        "customer_groups": group,
        "skus": sku.id,
        "shipping_methods": method,
        "addresses": address,
    }
    answer = await api.send("DELETE", f"{type_}/{there[type_]}")
    assert answer.status_code == 409
    error = answer.json()["errors"][0]
    assert error["meta"] == {"kept_by": kept_by}
    assert kept_by["type"] in error["detail"]
    assert (await api.send("GET", f"{type_}/{there[type_]}")).status_code == 200


@pytest.mark.rule("DE-08")
@pytest.mark.parametrize("body", [None, {}, {"data": {"type": "tags", "id": "x"}}])
async def test_bodies(api: Api, body: object) -> None:
    """With a Content-Type, and with any of the bodies that clients send."""
    tag = (await api.create("tags", {"name": "vip"}))["id"]
    assert (await api.send("DELETE", f"tags/{tag}", body)).status_code == 204


@pytest.mark.rule("DE-01", "HT-08")
async def test_a_document_for_those_who_need_one(api: Api, contract: Contract) -> None:
    """A client that can read no empty answer asks for a representation, and is told by a document with meta alone."""
    tag = (await api.create("tags", {"name": "vip"}))["id"]
    answer = await api.send("DELETE", f"tags/{tag}", Prefer="return=representation")
    assert answer.status_code == 200
    assert contract.check(answer) == {"jsonapi": {"version": "1.1"}, "meta": {}}
    assert answer.headers["preference-applied"] == "return=representation"
    assert (await api.send("GET", f"tags/{tag}")).status_code == 404


@pytest.mark.rule("IN-10", "QP-01")
async def test_parameters(api: Api) -> None:
    """A query parameter is 400, and nothing is deleted."""
    tag = (await api.create("tags", {"name": "vip"}))["id"]
    for query in ("include=customers", "foo=1"):
        assert (await api.send("DELETE", f"tags/{tag}?{query}")).status_code == 400
    assert (await api.send("GET", f"tags/{tag}")).status_code == 200


async def test_lines_leave_their_totals(api: Api, connection: Connection, store: Store) -> None:
    """Totals are right after a line went; a whole takes its lines along."""
    sku = await factories.sku(connection, store, price=1000)
    customer = await factories.customer(connection, store)
    line = {"sku_code": sku.code, "quantity": 2}
    for whole, part, name in (("carts", "cart_items", "cart"), ("orders", "line_items", "order")):
        made = (await api.create(whole, None, {"customer": to("customers", customer)}))["id"]
        first = (await api.create(part, line, {name: to(whole, made)}))["id"]
        assert (await api.get(f"{whole}/{made}"))["data"]["attributes"]["total_amount_cents"] == 2000
        assert (await api.send("DELETE", f"{part}/{first}")).status_code == 204
        left = (await api.get(f"{whole}/{made}"))["data"]["attributes"]
        assert (left["total_amount_cents"], left["status"]) == (0, "active" if whole == "carts" else "draft")
        second = (await api.create(part, line, {name: to(whole, made)}))["id"]
        assert (await api.send("DELETE", f"{whole}/{made}")).status_code == 204
        assert (await api.send("GET", f"{part}/{second}")).status_code == 404
    assert await offenders(connection, store) == []


@pytest.mark.rule("DE-01", "DE-04")
@pytest.mark.parametrize("type_", [type_ for type_, entry in RESOURCES.items() if entry.remove])
async def test_of_every_type(api: Api, world: dict[str, str], type_: str) -> None:
    """Deleted, and then no document of any type leads to it; or refused, and then all is as it was."""
    url = f"{type_}/{world[type_]}"
    shown = await api.get(url)
    answer = await api.send("DELETE", url)
    if answer.status_code in (409, 422):
        assert await api.get(url) == shown
        return
    assert answer.status_code == 204
    for other, entry in RESOURCES.items():
        names = [name for name, found in entry.resource.relationships.items() if found.includable]
        document = await api.get(f"{other}?page[size]=100&include={','.join(names)}")
        for one in [*document["data"], *document["included"]]:
            assert (one["type"], one["id"]) != (type_, world[type_])
            for name, found in one.get("relationships", {}).items():
                data = found.get("data") or []
                linked = data if isinstance(data, list) else [data]
                assert {"type": type_, "id": world[type_]} not in linked, (one["type"], name)
    assert (await api.send("GET", url)).status_code == 404
