"""Atomic Operations at /api/operations (https://jsonapi.org/ext/atomic): the document, its operations, its results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.http.api.answers import VARY
from service.jsonapi.atomic import MAX_OPERATIONS
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.contract.contract import Contract
from tests.spec.operating import ATOMIC, GOOD, MEDIA_TYPE, URL, Batches, add, local, names, one, relate, remove, update
from tests.spec.writing import Api, ids, offenders, pointers, to
from tests.support import Access, Grant

FIRST = "/atomic:operations/0"


async def tag(api: Api, name: str = "vip") -> str:
    """A tag's id."""
    return str((await api.create("tags", {"name": name}))["id"])


async def customer(api: Api) -> str:
    """A customer's id."""
    return str((await api.create("customers", {"email": "sam@example.com"}))["id"])


@pytest.mark.rule("AO-01", "AO-05", "CN-25", "CN-28", "EX-01", "EX-02")
async def test_two_resources_at_once(batches: Batches, api: Api) -> None:
    answer = await batches.run(add("tags", {"name": "a"}), add("customers", {"email": "sam@example.com"}))
    assert answer.status_code == 200
    first, second = (result["data"] for result in answer.json()["atomic:results"])
    assert {name.strip() for name in answer.headers["vary"].split(",")} >= set(VARY.split(", "))
    assert first == (await api.get(f"tags/{first['id']}"))["data"]
    assert second == (await api.get(f"customers/{second['id']}"))["data"]


@pytest.mark.rule("AO-11", "AO-19")
async def test_three_ways_to_name_what_is_updated(batches: Batches, api: Api) -> None:
    id_ = await tag(api)
    targets: list[dict[str, Any]] = [{}, {"ref": one("tags", id_)}, {"href": f"tags/{id_}"}]
    for number, target in enumerate(targets):
        answer = await batches.run(update("tags", {"name": f"n{number}"}, id=id_) | target)
        (result,) = answer.json()["atomic:results"]
        assert result["data"]["attributes"]["name"] == f"n{number}"
        assert result["data"] == (await api.get(f"tags/{id_}"))["data"]


@pytest.mark.rule("AO-34")
@pytest.mark.parametrize("base", ["", "/api/", "../api/", "//127.0.0.1/api/", "http://127.0.0.1/api/"])
async def test_href(batches: Batches, api: Api, base: str) -> None:
    id_, tag_id = await customer(api), await tag(api)
    made, *_ = await batches.results(
        add("tags", {"name": "a"}) | {"href": f"{base}tags"},
        {"op": "add", "href": f"{base}customers/{id_}/relationships/tags", "data": [one("tags", tag_id)]},
    )
    assert ids(await api.get(f"customers/{id_}/tags")) == [tag_id]
    assert (await batches.run({"op": "remove", "href": f"{base}tags/{made['id']}"})).status_code == 204
    assert await names(api) == ["vip"]


@pytest.mark.rule("AO-13", "AO-20", "AO-24")
async def test_to_one(batches: Batches, api: Api) -> None:
    id_, group = await customer(api), (await api.create("customer_groups", {"name": "Friends"}))["id"]
    for data in (one("customer_groups", group), None):
        answer = await batches.run(relate("update", "customers", id_, "customer_group", data))
        assert answer.status_code == 204
        assert (await api.get(f"customers/{id_}/relationships/customer_group"))["data"] == data
    for code in ("add", "remove"):
        answer = await batches.run(relate(code, "customers", id_, "customer_group", one("customer_groups", group)))
        assert (answer.status_code, pointers(answer)) == (403, [FIRST])


@pytest.mark.rule("AO-20", "AO-24", "AO-25")
async def test_to_many(batches: Batches, api: Api) -> None:
    id_ = await customer(api)
    a, b, c = sorted([await tag(api, name) for name in "abc"])
    for code, sent, left in (
        ("add", [a, b], [a, b]),
        ("add", [b, b, c], [a, b, c]),
        ("remove", [a, "nope"], [b, c]),
        ("remove", [a], [b, c]),
        ("update", [a], [a]),
        ("update", [], []),
    ):
        answer = await batches.run(relate(code, "customers", id_, "tags", [one("tags", one_) for one_ in sent]))
        assert answer.status_code == 204
        assert ids(await api.get(f"customers/{id_}/tags")) == left
    answer = await batches.run(relate("add", "customers", id_, "tags", [one("tags", a), one("tags", "nope")]))
    assert (answer.status_code, pointers(answer)) == (404, [f"{FIRST}/data/1"])


@pytest.mark.rule("AO-20", "AO-24")
async def test_empty_results_beside_others(batches: Batches, api: Api) -> None:
    id_ = await tag(api)
    made, nothing = await batches.results(add("tags", {"name": "b"}), remove("tags", id_))
    assert made["attributes"]["name"] == "b"
    assert nothing is None


@pytest.mark.rule("AO-14")
async def test_each_sees_what_was_done_before(batches: Batches, api: Api) -> None:
    """Also a unique value that one gives up and another takes."""
    first = await tag(api, "taken")
    results = await batches.results(
        remove("tags", first),
        add("tags", {"name": "taken"}, id="second"),
        update("tags", {"name": "free"}, id="second"),
        add("tags", {"name": "taken"}, id="third"),
        remove("tags", "third"),
        add("tags", {"name": "taken"}, id="third"),
    )
    assert [result and result["attributes"]["name"] for result in results] == [
        None, "taken", "free", "taken", None, "taken"
    ]  # fmt: skip
    versions = [result["meta"]["version"] for result in results if result]
    assert versions[1] == versions[0] + 1
    assert versions[2] < versions[3], "another resource of the same id has other versions"
    assert await names(api) == ["free", "taken"]
    answer = await batches.run(remove("tags", "third"), remove("tags", "third"))
    assert (answer.status_code, pointers(answer)) == (404, ["/atomic:operations/1"])
    assert await names(api) == ["free", "taken"]


@pytest.mark.rule("AO-17")
async def test_local_ids(batches: Batches, api: Api) -> None:
    """In `ref`, in linkage, in the data of updates and of relationships; each the resource that was made for it."""
    sam, vip = local("customers", "sam"), local("tags", "vip")
    made, label, order, changed, *empty = await batches.results(
        add("customers", {"email": "sam@example.com"}, lid="sam"),
        add("tags", {"name": "vip"}, lid="vip", id="vip-tag"),
        add("orders", None, {"customer": {"data": sam}, "tags": {"data": [vip]}}, lid="vip"),
        update("customers", {"reference": "A-1"}, lid="sam"),
        {"op": "update", "ref": vip, "data": {**vip, "attributes": {"name": "VIP"}}},
        {"op": "add", "ref": sam | {"relationship": "tags"}, "data": [vip]},
        add("tags", {"name": "gone"}, lid="gone"),
        {"op": "remove", "ref": local("tags", "gone")},
    )
    assert made["id"] == changed["id"] == order["relationships"]["customer"]["data"]["id"]
    assert changed["attributes"]["reference"] == "A-1"
    assert label["id"] == "vip-tag"
    assert ids(await api.get(f"orders/{order['id']}/tags")) == ["vip-tag"]
    assert ids(await api.get(f"customers/{made['id']}/tags")) == ["vip-tag"]
    assert [bool(result) for result in empty] == [True, False, True, False]
    assert await names(api) == ["VIP"]


@pytest.mark.rule("AO-18")
@pytest.mark.parametrize(
    ("operations", "pointer"),
    [
        ([add("orders", None, {"tags": {"data": [local("tags", "a")]}}), add("tags", {"name": "a"}, lid="a")],
         f"{FIRST}/data/relationships/tags/data/0"),
        ([{"op": "remove", "ref": local("tags", "a")}, add("tags", {"name": "a"}, lid="a")], f"{FIRST}/ref/lid"),
        ([add("tags", {"name": "a"}, lid="a"), add("tags", {"name": "b"}, lid="a")],
         "/atomic:operations/1/data/lid"),
        ([add("tags", {"name": "a"}, lid="a"), {"op": "remove", "ref": local("customers", "a")}],
         "/atomic:operations/1/ref/lid"),
        ([add("tags", {"name": "a"}, lid="a"), update("customers", {"reference": "b"}, lid="a")],
         "/atomic:operations/1/data/lid"),
    ],
)  # fmt: skip
async def test_local_ids_that_name_nothing(batches: Batches, api: Api, operations: Any, pointer: str) -> None:
    answer = await batches.run(*operations)
    assert (answer.status_code, pointers(answer)) == (400, [pointer])
    assert await names(api) == []


@pytest.mark.rule("AO-15", "AO-21")
async def test_a_failure_undoes_all(batches: Batches, api: Api, connection: Connection, store: Store) -> None:
    """Whether it is found by a rule, a hook, a constraint, a lock or a state."""
    id_, label = await customer(api), await tag(api)
    placed = await factories.order(connection, store)
    cart = (await api.create("carts"))["id"]
    before = await counts(connection, store)
    done = [
        add("tags", {"name": "new"}, lid="new"),
        update("customers", {"reference": "A-1"}, id=id_),
        relate("add", "customers", id_, "tags", [local("tags", "new")]),
        remove("tags", label),
    ]
    for failing, status, pointer in (
        (add("customers", {"email": "x@example.com"}, id=id_), 409, "/data/id"),
        (add("customers", {"email": "sam@example.com"}), 409, "/data/attributes/email"),
        (add("orders", None, {"customer": to("customers", "nope")}), 404, "/data/relationships/customer/data"),
        (add("cart_items", {"sku_code": "nope", "quantity": 1}, {"cart": to("carts", cart)}), 422,
         "/data/attributes/sku_code"),
        (remove("orders", placed), 409, ""),
        (update("orders", {"coupon_code": "X"}, id=placed), 409, ""),
        (remove("customers", "nope"), 404, ""),
    ):  # fmt: skip
        answer = await batches.run(*done, failing)
        assert (answer.status_code, pointers(answer)) == (status, [f"/atomic:operations/4{pointer}"]), answer.text
        assert await counts(connection, store) == before


async def counts(connection: Connection, store: Store) -> list[Any]:
    """How many rows of each sort the store has, with the sum of their versions, and its events."""
    tables = ("customers", "tags", "customer_tags", "orders", "line_items", "carts", "cart_items", "events")
    found = []
    for table in tables:
        versions = "0" if table in ("customer_tags", "events") else "sum(version)"
        found += await connection.fetch(f"select count(*), {versions} from {table} where store_id = $1", store.id)
    return found


@pytest.mark.rule("AO-16")
async def test_nothing_can_fail_at_the_end_only(connection: Connection) -> None:
    """No constraint waits for the commit: each fails in the operation that breaks it, which the error can point to."""
    late = await connection.fetch("select conname from pg_constraint where condeferrable")
    assert late == []


@pytest.mark.rule("AO-26", "AO-28", "DS-14")
async def test_the_most_operations(batches: Batches, api: Api) -> None:
    operations = [add("tags", {"name": f"t{number}"}) for number in range(MAX_OPERATIONS)]
    answer = await batches.run(*operations, GOOD)
    assert (answer.status_code, pointers(answer)) == (413, ["/atomic:operations"])
    error = answer.json()["errors"][0]
    assert error["meta"] == {"limit": MAX_OPERATIONS, "value": MAX_OPERATIONS + 1}
    assert str(MAX_OPERATIONS) in error["detail"]
    assert await names(api) == []
    assert len(await batches.results(*operations)) == MAX_OPERATIONS
    assert (await api.get("tags"))["meta"]["total"] == MAX_OPERATIONS
    assert (await batches.send(b" " * 3_000_000)).status_code == 413


@pytest.mark.rule("AO-28")
async def test_the_most_seconds(batches: Batches, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.operations.generic.batches.MOST_SECONDS", -1)
    answer = await batches.run(GOOD)
    assert (answer.status_code, pointers(answer)) == (413, [FIRST])
    assert await names(api) == []


@pytest.mark.rule("AO-27")
async def test_further_members(batches: Batches) -> None:
    operation = add("tags", {"name": "a"}) | {"meta": {"note": "x", "version": None}, "params": {}, "@x": 1}
    document = {"atomic:operations": [operation], "jsonapi": {"ext": [ATOMIC]}, "meta": {}, "links": {}, "nonsense": 1}
    assert (await batches.send(document)).status_code == 200


@pytest.mark.rule("AO-28", "HT-07")
async def test_a_key_replays_all(batches: Batches, api: Api) -> None:
    operations = [add("tags", {"name": "a"}), add("tags", {"name": "b"})]
    key = {"Idempotency-Key": "one-batch"}
    first, again = [await batches.run(*operations, **key) for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert (await batches.run(*operations[::-1], **key)).status_code == 422
    assert await names(api) == ["a", "b"]


@pytest.mark.rule("AO-24", "HT-08")
async def test_preferences(batches: Batches, api: Api) -> None:
    id_ = await tag(api)
    full = await batches.run(GOOD, Prefer="return=minimal")
    assert (full.status_code, full.headers.get("preference-applied")) == (200, None)
    empty = await batches.run(remove("tags", id_), Prefer="return=minimal")
    assert (empty.status_code, empty.headers["preference-applied"]) == (204, "return=minimal")


async def test_secrets_are_told_once(batches: Batches, client: httpx2.AsyncClient) -> None:
    """A token is in the first answer, and in none that is given again."""
    sam = local("customers", "sam")
    operations = [
        add("customers", {"email": "sam@example.com"}, lid="sam"),
        add("tokens", None, {"customer": {"data": sam}}),
    ]
    key = {"Idempotency-Key": "secret"}
    first, again = [(await batches.run(*operations, **key)).json()["atomic:results"][1]["data"] for _ in range(2)]
    token = first["attributes"].pop("token")
    assert again == first
    answer = await client.get("/api/customers", headers={"Authorization": f"Bearer {token}"})
    assert len(answer.json()["data"]) == 1


@pytest.mark.rule("AO-01")
async def test_the_answers_are_as_described(
    client: httpx2.AsyncClient, integration: Access, contract: Contract, grant: Grant, api: Api
) -> None:
    id_ = await tag(api)
    headers = integration.headers | {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
    poor = (await grant(scopes=[])).headers | {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
    for operation, sent, status in (
        (GOOD, headers, 200), (remove("tags", id_), headers, 204), ({}, headers, 400), (GOOD, {}, 415),
        (GOOD, {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}, 401), (remove("tags", id_), poor, 403),
        (remove("tags", id_), headers, 404), (GOOD, headers | {"Accept": "text/html"}, 406),
        (GOOD, headers, 409), (GOOD, headers | {"If-Match": "*"}, 412), (add("tags"), headers, 422),
    ):  # fmt: skip
        document = {"atomic:operations": [operation]}
        answer = await client.post(URL, content=json.dumps(document), headers=sent)
        assert answer.status_code == status, answer.text
        contract.check(answer)
        if status in (200, 204, 409):
            contract.validate({"$ref": "#/components/schemas/AtomicOperations"}, document)
    refused: list[Any] = [{}, {"atomic:operations": []}, {"atomic:operations": [GOOD], "data": None}]
    for wrong in refused:
        with pytest.raises(AssertionError):
            contract.validate({"$ref": "#/components/schemas/AtomicOperations"}, wrong)


@pytest.mark.rule("AO-17")
async def test_the_example_of_the_reference(
    batches: Batches, connection: Connection, store: Store, contract: Contract
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "atomic-operations.md").read_text()
    document, second = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    await factories.sku(connection, store, code="SHIRT", price=1999)
    await factories.sku(connection, store, code="MUG", price=850)
    contract.validate({"$ref": "#/components/schemas/AtomicOperations"}, document)
    contract.validate({"$ref": "#/components/schemas/AtomicOperation"}, second)
    answer = await batches.send(document)
    assert answer.status_code == 200, answer.text
    results = [result.get("data") for result in answer.json()["atomic:results"]]
    assert results[3]["attributes"]["total_amount_cents"] == 3 * 1999 + 850
    assert results[6]["attributes"]["quantity"] == 3
    assert await offenders(connection, store) == []
