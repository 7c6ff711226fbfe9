"""Updating relationships: chapters UR and RL of the checklist."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.spec.writing import Api, ids, pointers, to, to_all


@pytest.fixture
async def customer(api: Api) -> str:
    """A customer's id."""
    made = await api.create("customers", {"email": "sam@example.com"})
    return str(made["id"])


@pytest.fixture
async def tags(api: Api) -> list[str]:
    """The ids of four tags."""
    return [(await api.create("tags", {"name": f"tag{n}"}))["id"] for n in range(4)]


async def held(api: Api, customer: str) -> list[str]:
    """The tags of a customer, seen from all sides."""
    linkage, related = (
        await api.get(f"customers/{customer}/relationships/tags"),
        await api.get(f"customers/{customer}/tags"),
    )
    whole = (await api.get(f"customers/{customer}?include=tags"))["data"]["relationships"]["tags"]
    assert ids(linkage) == ids(related) == ids(whole)
    return ids(linkage)


@pytest.mark.rule("RL-03", "RL-04", "RL-06")
async def test_empty_ones(api: Api, customer: str) -> None:
    """Null and an empty list in all three places."""
    for name, empty in (("customer_group", None), ("tags", [])):
        linkage = await api.get(f"customers/{customer}/relationships/{name}")
        related = await api.get(f"customers/{customer}/{name}")
        whole = (await api.get(f"customers/{customer}?include={name}"))["data"]["relationships"][name]
        assert [linkage["data"], related["data"], whole["data"]] == [empty] * 3


@pytest.mark.rule("UR-01", "UR-16", "RL-05", "RL-08")
async def test_to_one(api: Api, customer: str) -> None:
    """Set and emptied with 204, seen from all sides; its URL stays the same."""
    group = (await api.create("customer_groups", {"name": "Friends"}))["id"]
    for linkage in (to("customer_groups", group), to("customer_groups", None)):
        assert (
            await api.send("PATCH", f"customers/{customer}/relationships/customer_group", linkage)
        ).status_code == 204
        own = await api.get(f"customers/{customer}/relationships/customer_group")
        whole = (await api.get(f"customers/{customer}"))["data"]["relationships"]["customer_group"]
        related = await api.get(f"customers/{customer}/customer_group")
        assert own["data"] == whole["data"] == linkage["data"]
        assert (related["data"] or {}).get("id") == (linkage["data"] or {}).get("id")
        assert whole["links"]["related"].endswith(f"/api/customers/{customer}/customer_group")


@pytest.mark.rule("UR-03", "UR-13", "RI-04", "RI-06")
@pytest.mark.parametrize("method", ["PATCH", "POST", "DELETE"])
@pytest.mark.parametrize(
    ("document", "status", "pointer"),
    [
        ({}, 400, ""),
        ([], 400, ""),
        (None, 400, None),
        ("x", 400, ""),
        (1, 400, ""),
        ({"data": None}, 400, "/data"),
        ({"data": {"type": "tags", "id": "x"}}, 400, "/data"),
        ({"data": ["x"]}, 400, "/data/0"),
        ({"data": [{"type": "tags"}]}, 400, "/data/0"),
        ({"data": [{"type": "orders", "id": "x"}]}, 409, "/data/0/type"),
        ({"data": [{"type": "tags", "lid": "x"}]}, 400, "/data/0"),
    ],
)
async def test_what_is_no_linkage(
    api: Api, customer: str, method: str, *, document: Any, status: int, pointer: str | None
) -> None:
    """Documents of another form, type or cardinality."""
    answer = await api.send(method, f"customers/{customer}/relationships/tags", document)
    assert (answer.status_code, pointers(answer)) == (status, [pointer])


@pytest.mark.rule("UR-03")
async def test_a_list_for_a_to_one(api: Api, customer: str) -> None:
    answer = await api.send("PATCH", f"customers/{customer}/relationships/customer_group", {"data": []})
    assert (answer.status_code, pointers(answer)) == (400, ["/data"])


@pytest.mark.rule("UR-04", "UR-05", "UR-07", "UR-10", "UR-17")
async def test_set_algebra(api: Api, customer: str, tags: list[str]) -> None:
    """Replace, add, remove and clear are sets; a change raises the version once."""
    a, b, c, d = tags
    url = f"customers/{customer}/relationships/tags"
    for method, sent, left in (
        ("PATCH", [a, b], [a, b]),
        ("POST", [b, c, c], [a, b, c]),
        ("POST", [c], [a, b, c]),
        ("DELETE", [a, d], [b, c]),
        ("DELETE", [a], [b, c]),
        ("DELETE", ["nope"], [b, c]),
        ("PATCH", [d, d], [d]),
        ("POST", [], [d]),
        ("PATCH", [], []),
    ):
        before = await held(api, customer)
        version = (await api.get(f"customers/{customer}"))["data"]["meta"]["version"]
        assert (await api.send(method, url, to_all("tags", *sent))).status_code == 204
        assert await held(api, customer) == left
        raised = (await api.get(f"customers/{customer}"))["data"]["meta"]["version"] - version
        assert raised == (before != left)
        for tag in tags:
            assert (customer in ids(await api.get(f"tags/{tag}/customers"))) == (tag in left)


@pytest.mark.rule("UR-04", "UR-09")
@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_one_of_them_is_missing(api: Api, customer: str, tags: list[str], method: str) -> None:
    """404 with the pointer of the missing one, and nothing changes."""
    url = f"customers/{customer}/relationships/tags"
    await api.send("PATCH", url, to_all("tags", tags[0]))
    answer = await api.send(method, url, to_all("tags", tags[1], tags[1], "nope"))
    assert (answer.status_code, pointers(answer)) == (404, ["/data/2"])
    assert await held(api, customer) == [tags[0]]


@pytest.mark.rule("UR-08")
async def test_the_same_member_at_once(api: Api, customer: str, tags: list[str]) -> None:
    """Concurrent POSTs of one member all succeed, and it is one membership."""
    url = f"customers/{customer}/relationships/tags"
    answers = await asyncio.gather(*(api.send("POST", url, to_all("tags", tags[0])) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {204}
    assert await held(api, customer) == [tags[0]]


@pytest.mark.rule("UR-08")
async def test_different_members_at_once(api: Api, customer: str, tags: list[str]) -> None:
    """Concurrent POSTs of different members lose none."""
    url = f"customers/{customer}/relationships/tags"
    answers = await asyncio.gather(*(api.send("POST", url, to_all("tags", tag)) for tag in tags))
    assert {answer.status_code for answer in answers} == {204}
    assert await held(api, customer) == tags


@pytest.mark.rule("UR-11", "UR-12")
@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("POST", "customer_group"),
        ("DELETE", "customer_group"),
        ("POST", "orders"),
        ("DELETE", "orders"),
        ("PATCH", "orders"),
    ],
)
async def test_what_is_not_offered(api: Api, customer: str, method: str, name: str) -> None:
    """403, with what is offered."""
    answer = await api.send(method, f"customers/{customer}/relationships/{name}", {"data": []})
    assert answer.status_code == 403
    assert method not in answer.headers["allow"]


@pytest.mark.rule("UR-14")
async def test_what_is_not_there(api: Api, customer: str) -> None:
    """A missing parent or relationship is 404, another's related URL 405."""
    none: dict[str, Any] = {"data": []}
    for method in ("PATCH", "POST", "DELETE"):
        assert (await api.send(method, "customers/nope/relationships/tags", none)).status_code == 404
        assert (await api.send(method, f"customers/{customer}/relationships/nope", none)).status_code == 404
    assert (await api.send("POST", f"customers/{customer}/tags", none)).status_code == 405


@pytest.mark.rule("IN-10", "QP-01")
async def test_no_parameters(api: Api, customer: str, tags: list[str]) -> None:
    """An answer without a document takes no query parameter, and nothing changes."""
    for query in ("include=tags", "foo=1", "fields[tags]=name"):
        answer = await api.send("POST", f"customers/{customer}/relationships/tags?{query}", to_all("tags", tags[0]))
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["source"] == {"parameter": query.partition("=")[0]}
    assert await held(api, customer) == []


@pytest.mark.rule("UR-01")
async def test_a_required_to_one_stays(api: Api, connection: Connection, store: Store) -> None:
    """What can't be changed is refused, also when its resource is there."""
    sku = await factories.sku(connection, store)
    price = ids(await api.get(f"skus/{sku.id}/prices"))[0]
    answer = await api.send("PATCH", f"prices/{price}/relationships/sku", {"data": None})
    assert answer.status_code == 403


async def test_totals_follow_relationships(api: Api, connection: Connection, store: Store) -> None:
    """A shipping method that is set at its relationship's own URL is paid for."""
    sku = await factories.sku(connection, store, price=1000)
    method = await factories.shipping_method(connection, store)
    cart = (await api.create("carts"))["id"]
    await api.create("cart_items", {"sku_code": sku.code, "quantity": 2}, {"cart": to("carts", cart)})
    url = f"carts/{cart}/relationships/shipping_method"
    for linkage, total in ((to("shipping_methods", method), 2495), (to("shipping_methods", None), 2000)):
        assert (await api.send("PATCH", url, linkage)).status_code == 204
        assert (await api.get(f"carts/{cart}"))["data"]["attributes"]["total_amount_cents"] == total
    foreign = await factories.shipping_method(connection, store, currency_code="USD")
    answer = await api.send("PATCH", url, to("shipping_methods", foreign))
    assert (answer.status_code, pointers(answer)) == (422, ["/data"])
