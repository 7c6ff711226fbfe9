"""Creating resources: chapters CR and CI of the checklist."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from schemas.fields import Write
from schemas.relationships import ToMany
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection
from tests import factories
from tests.samples import SAMPLES
from tests.spec.writing import Api, ids, offenders, pointers, resource, to, to_all
from tests.support import Grant

CUSTOMER = {"email": "sam@example.com"}
PLACE = {"line_1": "x", "city": "y", "country_code": "NL"}
SKU = {"code": "a", "name": "b"}
SOLD = ("TSHIRT-BLUE", "MUG-COTTON", "FILTERS-100")
"""Skus of the demo store that samples name."""


@pytest.mark.rule("CR-01", "CR-02")
async def test_each_type(api: Api, connection: Connection, store: Store, world: dict[str, str]) -> None:
    """201 with the resource, `Location` equal to its self link; every type that has a writer, as its sample says."""
    broken = await offenders(connection, store)  # by the world, whose carts don't add up
    for code in SOLD:
        await factories.sku(connection, store, code=code)
    created = {type_ for type_, entry in RESOURCES.items() if entry.create and entry.remove}
    assert not created - SAMPLES.keys(), "run `make new TYPE=...`"
    made_before: dict[str, str] = {}
    for type_ in (type_ for type_ in SAMPLES if type_ in created):
        attributes, targets = SAMPLES[type_].attributes, SAMPLES[type_].targets
        relationships = {
            name: to(target.type_, (made_before if target.made else world)[target.type_])
            for name, target in targets.items()
        }
        answer = await api.send("POST", type_, resource(type_, attributes or None, relationships or None))
        assert answer.status_code == 201, (type_, answer.text)
        made = answer.json()["data"]
        assert answer.headers["location"] == made["links"]["self"]
        assert "lid" not in made
        made_before[type_] = made["id"]
        for name, value in attributes.items():
            if name not in RESOURCES[type_].resource.triggers:  # these are never shown
                assert made["attributes"][name] == value, (type_, name)
        once = RESOURCES[type_].resource.disclosed.keys()
        lasting = {name: value for name, value in made["attributes"].items() if name not in once}
        assert (await api.get(f"{type_}/{made['id']}"))["data"] == made | {"attributes": lasting}
        happened = await connection.fetch(
            "select name from events where store_id = $1 and resource_type = $2 and resource_id = $3",
            store.id, type_, made["id"],
        )  # fmt: skip
        assert f"{type_}.create" in [row[0] for row in happened]
    assert await offenders(connection, store) == broken


@pytest.mark.rule("CR-05", "CR-08", "CR-09")
async def test_what_is_no_resource_object(api: Api) -> None:
    """`data` of another form or without a type is 400, of another type 409; nothing is made."""
    for document, status, pointer in (
        ({}, 400, ""),
        ({"data": None}, 400, "/data"),
        ({"data": []}, 400, "/data"),
        ({"data": "x"}, 400, "/data"),
        ({"data": [resource("customers", CUSTOMER)["data"]]}, 400, "/data"),
        ({"data": {"attributes": CUSTOMER}}, 400, "/data"),
        (resource("orders", CUSTOMER), 409, "/data/type"),
    ):
        answer = await api.send("POST", "customers", document)
        assert (answer.status_code, pointers(answer)) == (status, [pointer]), document
    assert (await api.get("customers"))["data"] == []


@pytest.mark.rule("CR-10", "CR-11", "CR-12", "CR-13", "CR-17")
@pytest.mark.parametrize(
    ("relationships", "status", "pointer"),
    [
        ({"customer_group": {}}, 400, "/data/relationships/customer_group"),
        ({"customer_group": {"links": {}}}, 400, "/data/relationships/customer_group"),
        ({"customer_group": to("customer_groups", "nope")}, 404, "/data/relationships/customer_group/data"),
        ({"customer_group": to("orders", "nope")}, 409, "/data/relationships/customer_group/data/type"),
        ({"customer_group": to_all("customer_groups", "x")}, 400, "/data/relationships/customer_group/data"),
        ({"tags": {"data": None}}, 400, "/data/relationships/tags/data"),
        ({"tags": to("tags", "x")}, 400, "/data/relationships/tags/data"),
        ({"tags": to_all("tags", "x")}, 404, "/data/relationships/tags/data/0"),
        (
            {"customer_group": {"data": {"type": "customer_groups", "id": "x", "meta": []}}},
            400,
            "/data/relationships/customer_group/data/meta",
        ),
        ({"orders": to_all("orders", "x")}, 403, "/data/relationships/orders"),
    ],
)
async def test_bad_linkage_makes_nothing(api: Api, relationships: Any, status: int, pointer: str) -> None:
    """Relationships without data, to nothing, of another type or cardinality."""
    answer = await api.send("POST", "customers", resource("customers", CUSTOMER, relationships))
    assert (answer.status_code, pointers(answer)) == (status, [pointer]), answer.text
    assert (await api.get("customers"))["data"] == []


@pytest.mark.rule("CR-11")
async def test_missing_resources_are_told_at_once(api: Api) -> None:
    """Every identifier of a resource that isn't there, each with its pointer."""
    tag = await api.create("tags", {"name": "vip"})
    relationships = {
        "customer_group": to("customer_groups", "nope"),
        "tags": to_all("tags", tag["id"], tag["id"], "one", "two"),
    }
    answer = await api.send("POST", "customers", resource("customers", CUSTOMER, relationships))
    assert answer.status_code == 404
    at = "/data/relationships"
    assert pointers(answer) == [f"{at}/customer_group/data", f"{at}/tags/data/2", f"{at}/tags/data/3"]


@pytest.mark.rule("CR-14")
async def test_all_values_are_told_at_once(api: Api) -> None:
    """One 422 with one error per problem; an unknown attribute is one of them."""
    sent = {"email": "no", "reference": 7, "metadata": [], "nope": 1}
    answer = await api.send("POST", "customers", resource("customers", sent))
    assert answer.status_code == 422
    assert pointers(answer) == [f"/data/attributes/{name}" for name in sent]


@pytest.mark.rule("CR-15")
async def test_read_only_attributes(api: Api) -> None:
    """403 with a pointer at each."""
    sent = {"email": "a@b.example", "status": "repeat", "created_at": "2026-01-01T00:00:00.000Z"}
    answer = await api.send("POST", "customers", resource("customers", sent))
    assert answer.status_code == 403
    assert pointers(answer) == ["/data/attributes/status", "/data/attributes/created_at"]


@pytest.mark.rule("CR-16")
async def test_what_clients_do_not_create(api: Api) -> None:
    """405 with `Allow`."""
    answer = await api.send("POST", "events", resource("events"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.rule("CI-02", "CI-03", "CI-04", "CR-03")
async def test_an_id_of_the_clients_own(api: Api) -> None:
    """The id is kept, taken once; one that is no id of ours is 422, one that is no text 400."""
    assert (await api.create("customers", CUSTOMER, id="Sam-1"))["id"] == "Sam-1"
    again = await api.send("POST", "customers", resource("customers", {"email": "b@b.example"}, id="Sam-1"))
    assert (again.status_code, pointers(again)) == (409, ["/data/id"])
    for id_, status in (("a b", 422), ("", 422), ("é", 422), (7, 400)):
        answer = await api.send("POST", "customers", resource("customers", {"email": "c@b.example"}, id=id_))
        assert (answer.status_code, pointers(answer)) == (status, ["/data/id"]), id_
    assert ids(await api.get("customers")) == ["Sam-1"]


@pytest.mark.rule("CI-02")
async def test_the_same_id_twice_at_once(api: Api) -> None:
    """Of concurrent creates with one id, one is made and the others are 409."""
    documents = [resource("customers", {"email": f"c{n}@example.com"}, id="one") for n in range(6)]
    answers = await asyncio.gather(*(api.send("POST", "customers", one) for one in documents))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


@pytest.mark.rule("CR-14", "UP-09")
@pytest.mark.parametrize(
    ("type_", "attributes", "status", "pointer"),
    [
        ("customers", {"email": "taken@example.com"}, 409, "/data/attributes/email"),
        ("addresses", PLACE | {"business": True}, 422, "/data/attributes/business"),
        ("addresses", PLACE, 422, "/data"),
        ("promotions", {"name": "x", "kind": "percent"}, 422, "/data/attributes/kind"),
        ("skus", SKU | {"min_quantity": 5, "max_quantity": 2}, 422, "/data/attributes/min_quantity"),
        ("skus", SKU | {"code": "x" * 5000}, 422, "/data/attributes/code"),
    ],
)  # fmt: skip
async def test_rules_of_the_database(
    api: Api, connection: Connection, store: Store, *, type_: str, attributes: Any, status: int, pointer: str
) -> None:
    """What a constraint refuses is told like any other problem, in its own words."""
    await factories.customer(connection, store, email="taken@example.com")
    answer = await api.send("POST", type_, resource(type_, attributes))
    assert (answer.status_code, pointers(answer)) == (status, [pointer]), answer.text


@pytest.mark.rule("IN-13", "SF-06")
async def test_included_and_sparse_answers(api: Api) -> None:
    """A create answers with what `include` and `fields` ask for."""
    tag = await api.create("tags", {"name": "vip"})
    document = resource("customers", CUSTOMER, {"tags": to_all("tags", tag["id"], tag["id"])})
    answer = (await api.send("POST", "customers?include=tags&fields[customers]=tags", document)).json()
    assert [one["id"] for one in answer["included"]] == [tag["id"]]
    assert answer["data"]["relationships"]["tags"]["data"] == [{"type": "tags", "id": tag["id"]}]
    assert "attributes" not in answer["data"]


async def test_the_scope_to_write_is_needed(client: httpx2.AsyncClient, grant: Grant) -> None:
    """A token that may only read changes nothing."""
    reader = Api(client, await grant(scopes=["read_customers"]))
    answer = await reader.send("POST", "customers", resource("customers", CUSTOMER))
    assert answer.status_code == 403


async def test_tags_by_name(api: Api, connection: Connection, store: Store) -> None:
    """`_add_tags` makes the tags that aren't there; names that no tag can have, and too many, are 422."""
    there = await api.create("tags", {"name": "vip"})
    made = await api.create("customers", CUSTOMER | {"_add_tags": "vip, new"})
    tags = (await api.get(f"customers/{made['id']}/tags"))["data"]
    assert {tag["attributes"]["name"] for tag in tags} == {"vip", "new"}
    assert there["id"] in {tag["id"] for tag in tags}
    assert "_add_tags" not in made["attributes"]
    for names in ("a b", "", "x" * 26, ",".join(f"t{n}" for n in range(11)), None, 7):
        answer = await api.update("customers", made["id"], {"_add_tags": names})
        assert (answer.status_code, pointers(answer)) == (422, ["/data/attributes/_add_tags"]), names
    assert await connection.fetchval("select count(*) from tags where store_id = $1", store.id) == 2


async def test_new_tags_at_once(api: Api) -> None:
    """Concurrent requests that make the same tags all succeed, and make them once."""
    made = [await api.create("customers", {"email": f"{n}@example.com"}) for n in range(5)]
    updates = [
        api.update("customers", one["id"], {"_add_tags": "b,a,c"[:: 1 if n % 2 else -1]}) for n, one in enumerate(made)
    ]
    assert {answer.status_code for answer in await asyncio.gather(*updates)} == {200}
    assert len((await api.get("tags"))["data"]) == 3


def test_only_fields_that_can_be_kept_are_written() -> None:
    """Every to-many relationship that clients write has a join table."""
    for entry in RESOURCES.values():
        for relationship in entry.resource.relationships.values():
            if isinstance(relationship, ToMany) and relationship.write & Write.BOTH:
                assert relationship.through is not None
