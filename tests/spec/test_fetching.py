"""Resources and relationships by their URLs: https://jsonapi.org/format/1.1/#fetching, chapters FR and FL."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.relationships import ToMany
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection
from tests import counted
from tests.spec.reading import Reader
from tests.spec.samples import order

NO_IDS = ("abc'--", "-1", "9" * 40, "%00", "%F0%9F%A6%86", "a%2Fb", "x" * 65, "%ff", "a b", "null")
"""What no id can be, or can but is nobody's."""


@pytest.mark.rule("FR-01", "FR-02", "FL-01", "FL-06", "RL-03", "RL-04", "RL-05", "RL-06", "RL-09")
@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_relationship_says_the_same_at_each_of_its_urls(
    reader: Reader, world: dict[str, str], type_: str
) -> None:
    """The linkage in the resource, the relationship's own URL, and the ids of the related resources."""
    declared = RESOURCES[type_].resource.relationships
    listed = await reader.document(f"/api/{type_}")
    id_ = world.get(type_) or listed["data"][0]["id"]
    assert id_ in [one["id"] for one in listed["data"]]
    including = ",".join(name for name, found in declared.items() if found.includable)
    shown = (await reader.document(f"/api/{type_}/{id_}?include={including}"))["data"]
    assert (shown["type"], shown["id"]) == (type_, id_)
    for name, found in declared.items():
        links = shown["relationships"][name]["links"]
        linkage = (await reader.document(links["self"]))["data"]
        related = (await reader.document(links["related"]))["data"]
        if isinstance(found, ToMany):
            assert [(one["type"], one["id"]) for one in linkage] == [(one["type"], one["id"]) for one in related]
        else:
            assert (linkage is None) == (related is None)
            assert linkage is None or linkage == {"type": related["type"], "id": related["id"]}
        if found.includable:
            assert shown["relationships"][name]["data"] == linkage


@pytest.mark.rule("FR-03")
async def test_a_filter_that_nothing_matches(reader: Reader) -> None:
    for query in ("filter[id]=nope", "filter[status]=placed&page[after]=start"):
        assert (await reader.document(f"/api/orders?{query}"))["data"] == []


@pytest.mark.rule("FR-04", "RL-03", "RL-06")
async def test_a_related_resource_that_is_not_there_is_null(
    reader: Reader, connection: Connection, store: Store
) -> None:
    id_ = await order(connection, store)
    await connection.execute("update orders set customer_id = null where store_id = $1", store.id)
    await counted.anew(connection, store)
    assert (await reader.document(f"/api/orders/{id_}/customer"))["data"] is None
    assert (await reader.document(f"/api/orders/{id_}/relationships/customer"))["data"] is None


@pytest.mark.rule("FR-09", "FR-10", "FR-11", "FR-13", "FL-03")
@pytest.mark.parametrize("type_", RESOURCES)
async def test_what_is_not_there(reader: Reader, type_: str) -> None:
    """No resource, no parent, no relationship of the name, and ids that can't be any; all are 404."""
    resource = RESOURCES[type_].resource
    for id_ in NO_IDS:
        await reader.get(f"/api/{type_}/{id_}", 404)
    for name in (*resource.relationships, "nosuch", "type", "id", *list(resource.attributes)[:2]):
        for url in (f"/api/{type_}/nope/{name}", f"/api/{type_}/nope/relationships/{name}"):
            await reader.get(url, 404)


@pytest.mark.rule("FR-11", "FL-03")
async def test_a_relationship_or_type_that_there_is_not(reader: Reader, connection: Connection, store: Store) -> None:
    id_ = await order(connection, store)
    for url in (
        f"/api/orders/{id_}/nosuch", f"/api/orders/{id_}/status", f"/api/orders/{id_}/relationships/nosuch",
        f"/api/orders/{id_}/relationships/status", f"/api/orders/{id_}/relationships", f"/api/orders/{id_}/customer/x",
        "/api/nosuch", "/api/nosuch/x", "/api/nosuch/x/y", "/api/Orders", "/api/order", "/api/orders/x/y/z/w",
    ):  # fmt: skip
        await reader.get(url, 404)


@pytest.mark.rule("FL-02", "RL-07", "PG-11")
async def test_pages_of_a_relationship_are_its_own(reader: Reader, connection: Connection, store: Store) -> None:
    """Its links page identifiers at its own URL; in a resource there are no page links, and the linkage is whole."""
    url = f"/api/orders/{await order(connection, store)}"
    for query in ("page[size]=1", "page[limit]=1", "page[size]=1&page[after]=start"):
        pages: list[Any] = []
        following: str | None = f"{url}/relationships/line_items?{query}"
        while following:
            assert f"{url}/relationships/line_items?" in following
            document = await reader.document(following)
            own = document["links"]["related"]
            assert own.endswith(f"{url}/line_items")
            pages += document["data"]
            following = document["links"].get("next")
        assert len(pages) == 2
        shown = (await reader.document(f"{url}?include=line_items"))["data"]["relationships"]["line_items"]
        assert [one["id"] for one in shown["data"]] == [one["id"] for one in pages]
        assert shown["links"].keys() == {"self", "related"}
