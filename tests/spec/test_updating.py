"""Updating resources: chapter UP of the checklist."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection
from tests import factories
from tests.spec.writing import Api, ids, offenders, pointers, resource, to, to_all
from tests.support import Grant

LINKED = "/data/relationships"


@pytest.fixture
async def customer(api: Api) -> Any:
    """A customer with a group, a tag and texts."""
    group = await api.create("customer_groups", {"name": "Friends"})
    tag = await api.create("tags", {"name": "vip"})
    return await api.create(
        "customers",
        {"email": "sam@example.com", "reference": "r", "metadata": {"a": 1}},
        {"customer_group": to("customer_groups", group["id"]), "tags": to_all("tags", tag["id"])},
    )


@pytest.mark.rule("UP-01", "UP-02", "HT-05")
async def test_one_attribute(api: Api, customer: Any) -> None:
    """200 with the whole resource; what was not sent stays; `updated_at` and version rise."""
    answer = await api.update("customers", customer["id"], {"reference": "s"})
    assert answer.status_code == 200
    changed = answer.json()["data"]
    assert changed["meta"]["version"] == customer["meta"]["version"] + 1
    assert changed["attributes"].pop("updated_at") >= customer["attributes"].pop("updated_at")
    assert changed["attributes"] == customer["attributes"] | {"reference": "s"}
    assert changed["relationships"] == customer["relationships"]
    assert len(ids(await api.get(f"customers/{customer['id']}/tags"))) == 1


@pytest.mark.rule("UP-03")
async def test_null(api: Api, customer: Any) -> None:
    """Null empties what may be empty, and is 422 elsewhere."""
    assert (await api.update("customers", customer["id"], {"reference": None})).json()["data"]["attributes"][
        "reference"
    ] is None
    for name in ("email", "metadata"):
        answer = await api.update("customers", customer["id"], {name: None})
        assert (answer.status_code, pointers(answer)) == (422, [f"/data/attributes/{name}"])


@pytest.mark.rule("UP-04", "UP-18")
async def test_nothing_changes(api: Api, customer: Any) -> None:
    """An update of nothing, or to what is so, is 200 and leaves version and `updated_at` alone."""
    same = {"email": "sam@example.com", "metadata": {"a": 1}}
    for attributes in (None, {}, same):
        answer = await api.update("customers", customer["id"], attributes)
        assert answer.status_code == 200
        assert answer.json()["data"] == customer


@pytest.mark.rule("UP-05", "UP-06")
async def test_to_one(api: Api, customer: Any) -> None:
    """A to-one relationship is replaced, and emptied by null."""
    other = await api.create("customer_groups", {"name": "Others"})
    for linkage in (to("customer_groups", other["id"]), to("customer_groups", None)):
        answer = await api.update("customers", customer["id"], None, {"customer_group": linkage})
        assert answer.status_code == 200
        assert answer.json()["data"]["relationships"]["customer_group"]["data"] == linkage["data"]


@pytest.mark.rule("UP-07")
async def test_to_many(api: Api, customer: Any) -> None:
    """A to-many relationship is replaced as a whole, and that raises the version."""
    tags = [(await api.create("tags", {"name": name}))["id"] for name in "ab"]
    answer = await api.update("customers", customer["id"], None, {"tags": to_all("tags", *tags)})
    assert answer.json()["data"]["meta"]["version"] == customer["meta"]["version"] + 1
    assert ids(await api.get(f"customers/{customer['id']}/tags")) == tags


@pytest.mark.rule("UP-08", "UP-10", "UP-11", "UP-13", "UP-17")
@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"type": "orders"}, 409, "/data/type"),
        ({"id": "other"}, 409, "/data/id"),
        ({"id": ...}, 400, "/data"),
        ({"type": ...}, 400, "/data"),
        ({"type": 7}, 400, "/data/type"),
        ({"id": 7}, 400, "/data/id"),
        ({"relationships": {"customer_group": to_all("customer_groups")}}, 400, f"{LINKED}/customer_group/data"),
        ({"relationships": {"customer_group": to("orders", "x")}}, 409, f"{LINKED}/customer_group/data/type"),
        ({"relationships": {"tags": {"data": None}}}, 400, "/data/relationships/tags/data"),
        ({"relationships": {"tags": {}}}, 400, "/data/relationships/tags"),
        ({"relationships": {"tags": {"links": None}}}, 400, "/data/relationships/tags"),
        ({"relationships": {"customer_group": to("customer_groups", "x")}}, 404, f"{LINKED}/customer_group/data"),
        ({"relationships": {"tags": to_all("tags", "x")}}, 404, "/data/relationships/tags/data/0"),
        ({"relationships": {"orders": to_all("orders", "x")}}, 403, "/data/relationships/orders"),
    ],
)  # fmt: skip
async def test_refused_as_a_whole(api: Api, customer: Any, change: Any, status: int, pointer: str) -> None:
    """One thing is wrong, and a good attribute beside it isn't written either."""
    document = resource("customers", {"reference": "new"}, id=customer["id"])
    document["data"] = {k: v for k, v in (document["data"] | change).items() if v is not ...}
    answer = await api.send("PATCH", f"customers/{customer['id']}", document)
    assert (answer.status_code, pointers(answer)) == (status, [pointer]), answer.text
    assert (await api.get(f"customers/{customer['id']}"))["data"] == customer


@pytest.mark.rule("UP-12", "UP-14", "UP-19")
async def test_what_is_not_there_or_not_for_clients(api: Api) -> None:
    """An unknown id is 404, a type that clients don't change 403, a related URL 405."""
    assert (await api.update("customers", "nope", {})).status_code == 404
    assert (await api.update("customers", "abc'--", {})).status_code == 404
    assert (await api.update("event_stores", "nope", {})).status_code == 403
    assert (await api.send("PATCH", "orders/x/customer", resource("customers", id="x"))).status_code == 405
    assert (await api.update("nope", "nope", {})).status_code == 404


@pytest.mark.rule("UP-09")
async def test_a_conflict(api: Api, customer: Any) -> None:
    """What another resource has already is 409."""
    await api.create("customers", {"email": "taken@example.com"})
    answer = await api.update("customers", customer["id"], {"email": "taken@example.com"})
    assert (answer.status_code, pointers(answer)) == (409, ["/data/attributes/email"])


@pytest.mark.rule("CR-15")
@pytest.mark.parametrize("type_", [type_ for type_, entry in RESOURCES.items() if entry.update])
async def test_echoes(api: Api, world: dict[str, str], type_: str) -> None:
    """Clients that send a whole resource back unchanged are welcome; each changed read-only field is 403.

    Relationships that came without linkage go back without it, with their links alone, and stay as they are.
    """
    id_ = world[type_]
    many = [n for n, r in RESOURCES[type_].resource.relationships.items() if r.includable]
    shown = (await api.get(f"{type_}/{id_}?include={','.join(many)}"))["data"]
    answer = await api.send("PATCH", f"{type_}/{id_}", {"data": shown})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["meta"] == shown["meta"]
    wrong = {"created_at": "2001-01-01T00:00:00.000Z", "updated_at": None}
    answer = await api.update(type_, id_, wrong)
    assert (answer.status_code, pointers(answer)) == (403, [f"/data/attributes/{name}" for name in wrong])


async def test_concurrent_updates_are_all_kept(api: Api, customer: Any) -> None:
    """Each writer waits for the one before: no update is lost, and each raises the version by one."""
    answers = await asyncio.gather(*(api.update("customers", customer["id"], {"metadata": {"n": n}}) for n in range(8)))
    versions = sorted(answer.json()["data"]["meta"]["version"] for answer in answers)
    assert versions == list(range(2, 10))


async def test_a_customer_changes_only_its_own(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    """A customer's token: own rows only, others are 404; what only integrations may set is 403 with its pointer."""
    own, other = [await factories.customer(connection, store) for _ in range(2)]
    theirs = await factories.address(connection, store, customer_id=other)
    api = Api(client, await grant(customer_id=own))
    place = {"line_1": "Kade 1", "city": "Utrecht", "country_code": "NL", "first_name": "A", "last_name": "B"}
    address = await api.create("addresses", place)
    assert address["relationships"]["customer"]["data"] == {"type": "customers", "id": own}
    said = await api.send("POST", "addresses", resource("addresses", place, {"customer": to("customers", own)}))
    assert said.status_code == 201
    stolen = await api.send("POST", "addresses", resource("addresses", place, {"customer": to("customers", other)}))
    assert (stolen.status_code, pointers(stolen)) == (403, ["/data/relationships/customer"])
    assert (await api.update("addresses", theirs, {"city": "x"})).status_code == 404
    assert (await api.send("DELETE", f"addresses/{theirs}")).status_code == 404
    cart = await api.create("carts")
    answer = await api.update("carts", cart["id"], None, {"shipping_address": to("addresses", theirs)})
    assert (answer.status_code, pointers(answer)) == (404, ["/data/relationships/shipping_address/data"])
    for attributes, relationships, pointer in (
        ({"tax_exemption_code": "x"}, None, "/data/attributes/tax_exemption_code"),
        ({"email": "new@example.com"}, None, "/data/attributes/email"),
        ({"_add_tags": "vip"}, None, "/data/attributes/_add_tags"),
        (None, {"customer_group": to("customer_groups", "x")}, "/data/relationships/customer_group"),
        (None, {"tags": to_all("tags", "x")}, "/data/relationships/tags"),
    ):
        answer = await api.update("customers", own, attributes, relationships)
        assert (answer.status_code, pointers(answer)) == (403, [pointer]), answer.text
    assert (await api.send("DELETE", f"customers/{own}")).status_code == 403
    assert (await api.send("POST", "customers", resource("customers", {"email": "x@b.example"}))).status_code == 403
    models = resource("subscription_models", {"name": "x", "frequencies": ["daily"]})
    assert (await api.send("POST", "subscription_models", models)).status_code == 403


async def test_a_customer_orders_at_the_shops_prices(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    """Lines of a customer's own draft take the sku's price; another's order is not there."""
    own, other = [await factories.customer(connection, store) for _ in range(2)]
    sku = await factories.sku(connection, store, price=1000)
    theirs = await factories.order(connection, store, customer_id=other, status="draft")
    api = Api(client, await grant(customer_id=own))
    order = await api.create("orders")
    assert order["relationships"]["customer"]["data"]["id"] == own
    line = {"sku_code": sku.code, "quantity": 3}
    made = await api.create("line_items", line, {"order": to("orders", order["id"])})
    assert made["attributes"]["total_amount_cents"] == 3000
    cheap = line | {"unit_amount_cents": 1, "item_type": "adjustments"}
    answer = await api.send("POST", "line_items", resource("line_items", cheap, {"order": to("orders", order["id"])}))
    assert (answer.status_code, len(pointers(answer))) == (403, 2)
    answer = await api.update("line_items", made["id"], {"unit_amount_cents": 1})
    assert (answer.status_code, pointers(answer)) == (403, ["/data/attributes/unit_amount_cents"])
    answer = await api.send("POST", "line_items", resource("line_items", line, {"order": to("orders", theirs)}))
    assert (answer.status_code, pointers(answer)) == (404, ["/data/relationships/order/data"])
    order = (await api.get(f"orders/{order['id']}"))["data"]
    assert (order["attributes"]["status"], order["attributes"]["total_amount_cents"]) == ("pending", 3000)
    assert await offenders(connection, store) == []


@pytest.mark.rule("UP-09")
async def test_what_is_placed_stays(api: Api, connection: Connection, store: Store) -> None:
    """A placed order and its lines keep everything but the client's own fields; so do copied addresses."""
    sku = await factories.sku(connection, store)
    order = await factories.full_order(connection, store, [factories.Line(sku)])
    line = ids(await api.get(f"orders/{order}/line_items"))[0]
    address = (await api.get(f"orders/{order}/billing_address"))["data"]["id"]
    for type_, id_, attributes in (
        ("orders", order, {"coupon_code": "x"}),
        ("line_items", line, {"quantity": 5}),
        ("addresses", address, {"city": "Delft"}),
    ):
        answer = await api.update(type_, id_, attributes)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "INVALID_STATE")
        assert (await api.send("DELETE", f"{type_}/{id_}")).status_code == 409
        assert (await api.update(type_, id_, {"reference": "mine", "metadata": {"a": 1}})).status_code == 200
    assert (await api.update("orders", order, {"_add_tags": "vip"})).status_code == 200
    assert await offenders(connection, store) == []


@pytest.mark.rule("UP-20")
async def test_a_post_that_stands_for_a_patch(api: Api, customer: Any) -> None:
    document = resource("customers", {"reference": "s"}, id=customer["id"])
    headers = {"X-HTTP-Method-Override": "PATCH"}
    answer = await api.send("POST", f"customers/{customer['id']}", document, **headers)
    assert (answer.status_code, answer.json()["data"]["attributes"]["reference"]) == (200, "s")
    refused = await api.send("POST", f"customers/{customer['id']}", document)
    assert refused.status_code == 405, "without the header it is a POST"


@pytest.mark.rule("UP-10", "DS-12")
@pytest.mark.parametrize("document", [{"data": []}, {"data": [{"type": "customers"}]}, {"data": None}, {}, [], 1, "x"])
async def test_what_is_no_resource_object(api: Api, customer: Any, document: Any) -> None:
    url = f"customers/{customer['id']}"
    answer = await api.send("PATCH", url, document)
    assert (answer.status_code, pointers(answer)) == (400, ["/data" if "data" in str(document) else ""])
    assert (await api.get(url))["data"] == customer


@pytest.mark.rule("DS-11", "AT-01")
async def test_members_that_nobody_knows(api: Api, customer: Any) -> None:
    """In the document, the resource, a relationship and an identifier: ignored, as are those that begin with @."""
    group = customer["relationships"]["customer_group"]["data"] | {"nope": 1, "@id": "x"}
    data = {"type": "customers", "id": customer["id"], "nope": 1, "@id": "x"}
    data |= {"attributes": {"reference": "s", "@type": "x"}}
    data |= {"relationships": {"customer_group": {"data": group, "nope": 1, "@x": 1}, "@x": {}}}
    answer = await api.send("PATCH", f"customers/{customer['id']}", {"data": data, "nope": 1, "@context": {}})
    assert (answer.status_code, answer.json()["data"]["attributes"]["reference"]) == (200, "s")
