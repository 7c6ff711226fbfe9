"""Documents: their top level, links, `jsonapi` and names (JSON:API 1.1, "Document Structure", "Member Names")."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson
import pytest

from schemas.base import graph
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.spec.samples import COPIES, MEDIA_TYPE, UNKNOWN, copies, copy_document, links, order
from tests.support import Access

TOP = {"data", "errors", "meta", "jsonapi", "links", "included"}
LINKS = {"self", "related", "describedby", "first", "last", "prev", "next"}


@pytest.mark.rule("DS-01", "DS-02", "DS-03", "DS-04", "DS-05", "DS-08", "JA-01", "LK-01", "LK-02", "ME-01")
async def test_the_top_level_of_every_kind_of_document(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    id_ = await order(connection, store)
    urls = [
        "/api", "/api/orders", f"/api/orders/{id_}?include=line_items,customer", f"/api/orders/{id_}/customer",
        f"/api/orders/{id_}/relationships/customer", f"/api/orders/{id_}/relationships/line_items?include=line_items",
        "/api/orders?page[size]=1&page[number]=9", "/api/orders/nope", "/api/orders?x=1", "/api/carts?include=",
    ]  # fmt: skip
    for url in urls:
        answer = await client.get(url, headers=integration.headers)
        assert answer.content.startswith(b"{"), "no BOM"
        document: dict[str, Any] = orjson.loads(answer.content)
        assert document.keys() <= TOP
        assert document.keys() & {"data", "errors", "meta"}
        assert not {"data", "errors"} <= document.keys()
        assert "included" not in document or "data" in document
        assert document.get("links", {}).keys() <= LINKS
        assert document["jsonapi"] == {"version": "1.1"}
        assert isinstance(document.get("meta", {}), dict)
        for link in links(document):
            assert link is None or isinstance(link, str) or (isinstance(link, dict) and isinstance(link["href"], str))


@pytest.mark.rule("DS-06", "DS-07")
async def test_primary_data_has_the_form_of_its_url(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    empty = await factories.order(connection, store)

    async def data(url: str) -> Any:
        return (await client.get(url, headers=integration.headers)).json()["data"]

    assert [one["id"] for one in await data("/api/orders")] == [empty]
    assert await data("/api/orders?filter[id]=nope") == []
    assert (await data(f"/api/orders/{empty}"))["id"] == empty
    assert await data(f"/api/orders/{empty}/customer") is None
    assert await data(f"/api/orders/{empty}/relationships/customer") is None
    assert await data(f"/api/orders/{empty}/line_items") == []


@pytest.mark.rule("DS-09")
async def test_the_self_link_keeps_every_parameter(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    for _ in range(3):
        await factories.order(connection, store)
    url = "/api/orders?page[size]=2&sort=-created_at,id&fields[orders]=status&include="
    first = await client.get(url, headers=integration.headers)
    document = first.json()
    own = urlsplit(document["links"]["self"])
    assert httpx2.QueryParams(own.query).multi_items() == httpx2.URL(f"http://x{url}").params.multi_items()
    again = await client.get(f"{own.path}?{own.query}", headers=integration.headers)
    assert again.json() == document


@pytest.mark.rule("DS-11", "AT-01", "MN-03")
async def test_members_that_nobody_knows_are_ignored(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    document = await copy_document(connection, store, **{"@type": "x"})
    document |= {"@context": {}, "extra": 1}
    document["data"] |= {"nope": 1, "@id": "x"}
    source = document["data"]["relationships"]["source_order"]
    source["nope"] = source["data"]["nope"] = 1
    assert (await client.post(COPIES, json=document, headers=integration.headers)).status_code == 201
    document["data"]["attributes"] = {"Reference": "x"}
    answer = await client.post(COPIES, json=document, headers=integration.headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["source"] == {"pointer": "/data/attributes/Reference"}
    assert (await client.get("/api/orders?sort=Number", headers=integration.headers)).status_code == 400


@pytest.mark.rule("DS-12", "DS-13", "DS-14", "ER-01")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[]", 400), (b'"x"', 400), (b"null", 400), (b"1", 400), (b"{}", 400), (b"{", 400), (b"\xff", 400),
        (b'{"data": NaN}', 400), (b"[" * 10_000, 400), (b'{"a":' * 10_000, 400), (b" " * 10_000_000, 413),
    ],
)  # fmt: skip
async def test_what_is_no_document_is_refused(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, *, body: bytes, status: int
) -> None:
    answer = await client.post(COPIES, content=body, headers=integration.headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["errors"]
    assert await copies(connection, store) == 0


@pytest.mark.rule("LK-03", "LK-04", "ER-08")
async def test_every_link_leads_somewhere(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    """A crawl from the entry point; one resource of a type is enough, and pages are followed."""
    for _ in range(12):
        id_ = await order(connection, store)
    await factories.subscription(connection, store, id_)
    todo: list[Any] = [{"href": "http://127.0.0.1/api", "type": MEDIA_TYPE}]
    seen: set[str] = set()
    shapes: set[str] = set()
    while todo:
        link = todo.pop()
        url, media_type = (link["href"], link.get("type", MEDIA_TYPE)) if isinstance(link, dict) else (link, MEDIA_TYPE)
        shape = re.sub(r"[0-9A-Z]{26}", "{id}", url)
        if url in seen or shape in shapes:
            continue
        seen.add(url)
        shapes.add(shape)
        answer = await client.get(url, headers=integration.headers | {"Accept": media_type})
        assert answer.status_code == 200, url
        assert answer.headers["content-type"].partition(";")[0] == media_type.partition(";")[0]
        if media_type == MEDIA_TYPE:
            document = answer.json()
            todo += [one for one in links(document) if one is not None]
            todo += list(document.get("meta", {}).get("types", {}).values())
    assert len(seen) > 100
    assert any(url.endswith("/openapi.yaml") for url in seen)


@pytest.mark.rule("MN-01", "MN-02")
def test_names_begin_and_end_with_a_letter() -> None:
    """Snake case, as Commerce Layer has it; the recommendation to use camel case is not followed."""
    for type_, resource in graph.items():
        for name in (type_, *resource.attributes, *resource.relationships):
            assert re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name), f"{type_}.{name}"


@pytest.mark.rule("CN-27", "JA-01")
async def test_what_a_body_says_of_itself_negotiates_nothing(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    document = await copy_document(connection, store) | {"jsonapi": {"ext": [UNKNOWN], "profile": [UNKNOWN]}}
    answer = await client.post(COPIES, json=document, headers=integration.headers)
    assert answer.status_code == 201
    assert answer.json()["jsonapi"] == {"version": "1.1"}
