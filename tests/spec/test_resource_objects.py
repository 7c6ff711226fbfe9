"""Resource objects and identifiers, as they are sent and shown: chapters RO, RI and RL of the checklist."""

from __future__ import annotations

import re
from typing import Any

import pytest

from schemas.kinds import Integer, Number, Timestamp
from schemas.relationships import ToMany
from service.resources import RESOURCES
from tests.spec.writing import Api, pointers, resource, to_all

MEMBER_NAME = re.compile(r"[A-Za-z0-9]([-_ A-Za-z0-9]*[A-Za-z0-9])?")


@pytest.mark.rule(
    "RO-01", "RO-02", "RO-03", "RO-04", "RO-05", "RO-06", "RO-07", "RO-09", "RI-01", "RL-01", "RL-02", "RL-05"
)
@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_resource_object(api: Api, type_: str) -> None:
    """Of every type."""
    declared = RESOURCES[type_].resource
    includable = ",".join(name for name, found in declared.relationships.items() if found.includable)
    document = await api.get(f"{type_}?include={includable}")
    for one in [*document["data"], *document["included"]]:
        assert one.keys() <= {"type", "id", "attributes", "relationships", "links", "meta"}
        assert isinstance(one["id"], str)
        assert one["type"] in RESOURCES
        assert MEMBER_NAME.fullmatch(one["type"])
        relationships = one.get("relationships", {})
        fields = [*one["attributes"], *relationships]
        assert len(set(fields)) == len(fields)
        assert not {"type", "id"} & set(fields)
        assert not [name for name in one["attributes"] if name.removesuffix("_id") in relationships]
        for name, found in relationships.items():
            assert found["links"].keys() == {"self", "related"}
            many = isinstance(RESOURCES[one["type"]].resource.relationships[name], ToMany)
            if "data" in found:
                assert isinstance(found["data"], list) == many
                for identifier in found["data"] if many else [found["data"]] if found["data"] else []:
                    assert identifier.keys() <= {"type", "id", "meta"}
                    assert isinstance(identifier["id"], str)
            else:
                assert many
    for one in document["data"]:
        own = (await api.get(one["links"]["self"].partition("/api/")[2]))["data"]
        assert (own["type"], own["id"]) == (type_, one["id"])


@pytest.mark.rule("RO-10", "RO-11", "RI-05")
@pytest.mark.parametrize(
    ("members", "status", "pointer"),
    [
        ({"attributes": []}, 400, "/data/attributes"),
        ({"relationships": []}, 400, "/data/relationships"),
        ({"attributes": {"name": "a", "id": "x"}}, 400, "/data/attributes/id"),
        ({"attributes": {"name": "a", "type": "x"}}, 400, "/data/attributes/type"),
        ({"id": 7}, 400, "/data/id"),
        ({"lid": 7}, 400, "/data/lid"),
        ({"type": 7}, 400, "/data/type"),
    ],
)
async def test_members_of_another_form(api: Api, members: dict[str, Any], status: int, pointer: str) -> None:
    """Refused with a pointer, and nothing is made."""
    document = {"data": {"type": "tags", "attributes": {"name": "a"}} | members}
    answer = await api.send("POST", "tags", document)
    assert (answer.status_code, pointers(answer)) == (status, [pointer])
    assert (await api.get("tags"))["data"] == []


@pytest.mark.rule("RI-02")
async def test_a_local_id(api: Api) -> None:
    """The service makes the id, and the local one is not shown."""
    made = await api.create("tags", {"name": "a"}, lid="mine")
    assert made["id"] != "mine"
    assert "lid" not in made


@pytest.mark.rule("RI-03", "RI-04", "RI-05", "RI-06")
@pytest.mark.parametrize(
    "identifier",
    [
        {"type": "tags", "lid": "nope"}, {"type": "tags", "lid": "own"}, {"type": "tags"}, {"type": "tags", "id": 7},
        {"id": "x"}, "x", None,
    ],
)  # fmt: skip
async def test_identifiers_that_identify_nothing(api: Api, identifier: Any) -> None:
    """An unknown local id, one of another type, no id, or one that is no text: 400 at the identifier."""
    linkage = {"tags": {"data": [identifier]}}
    document = resource("customers", {"email": "a@b.example"}, linkage, lid="own")
    answer = await api.send("POST", "customers", document)
    assert (answer.status_code, pointers(answer)) == (400, ["/data/relationships/tags/data/0"])
    assert (await api.get("customers"))["data"] == []


async def test_too_many_identifiers(api: Api) -> None:
    """Linkage has a documented limit."""
    document = resource("customers", {"email": "a@b.example"}, {"tags": to_all("tags", *["x"] * 1001)})
    answer = await api.send("POST", "customers", document)
    assert (answer.status_code, pointers(answer)) == (400, ["/data/relationships/tags/data"])


@pytest.mark.rule("RO-08")
@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("type_", RESOURCES)
async def test_times_and_the_types_of_values(api: Api, type_: str) -> None:
    """Times are ISO 8601 in UTC with milliseconds, money and counts whole numbers, running numbers always text."""
    declared = RESOURCES[type_].resource.attributes
    for one in (await api.get(type_))["data"]:
        for name, value in one["attributes"].items():
            if value is None:
                continue
            if isinstance(declared[name], Timestamp):
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value), name
            if isinstance(declared[name], Integer):
                assert type(value) is (str if isinstance(declared[name], Number) else int), name
