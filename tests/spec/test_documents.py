"""Documents: their top level, links, `jsonapi` and names (JSON:API 1.1, "Document Structure", "Member Names")."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from schemas.graph import graph
from service.contract import openapi
from service.jsonapi.query import includable
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection
from tests import factories
from tests.spec import invariants
from tests.spec.reading import MEDIA_TYPE
from tests.spec.samples import COPIES, UNKNOWN, copies, copy_document, links
from tests.support import Access


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


@pytest.mark.rule("LK-03", "LK-04", "FR-01", "RL-06", "RO-09", *invariants.RULES)
@pytest.mark.usefixtures("world")
async def test_every_link_leads_somewhere(client: httpx2.AsyncClient, integration: Access) -> None:
    """A crawl from the entry point, of each kind of URL one; the client holds every answer against the rules.

    Each is also asked as it shouldn't be, so that all its errors are looked at too.
    """
    todo: list[Any] = [{"href": "http://127.0.0.1/api", "type": MEDIA_TYPE}]
    seen: set[str] = set()
    while todo:
        link = todo.pop()
        url, media_type = (link["href"], link.get("type", MEDIA_TYPE)) if isinstance(link, dict) else (link, MEDIA_TYPE)
        shape = re.sub(r"[0-9A-Z]{26}", "{id}", url)
        if shape in seen:
            continue
        seen.add(shape)
        answer = await client.get(url, headers=integration.headers | {"Accept": media_type})
        assert answer.status_code == 200, url
        assert answer.headers["content-type"].partition(";")[0] == media_type.partition(";")[0]
        if media_type != MEDIA_TYPE:
            continue
        document = answer.json()
        if isinstance(document.get("data"), dict) and "/relationships/" not in url and url.count("/") == 5:
            assert document["data"]["links"]["self"] == url.partition("?")[0]
        todo += [one for one in links(document) if one is not None]
        for type_, whole in document.get("meta", {}).get("types", {}).items():
            everything = f"include={','.join(n for n in graph[type_].relationships if includable(graph[type_], n))}"
            todo += [whole, f"{whole}?{everything}", f"{whole}?page[size]=1&{everything}&page[after]=start"]
        await wrongly(client, integration, url)
    assert len(seen) > 500
    assert any(url.endswith("/openapi.yaml") for url in seen)


async def wrongly(client: httpx2.AsyncClient, access: Access, url: str) -> None:
    """Ask a URL in ways that it refuses."""
    extended = {"Accept": f'{MEDIA_TYPE}; ext="{UNKNOWN}"', "Content-Type": f'{MEDIA_TYPE}; ext="{UNKNOWN}"'}
    for method, changes, status in (
        ("GET", {"Accept": extended["Accept"]}, 406),
        ("GET", {"Content-Type": extended["Content-Type"]}, 415),
        ("PUT", {}, 405),
        ("HEAD", {}, 200),
    ):
        answer = await client.request(method, url, headers=access.headers | changes)
        assert answer.status_code == status, (method, url, changes)
    unknown = await client.get(f"{url}{'&' if '?' in url else '?'}nope=1", headers=access.headers)
    assert unknown.status_code == 400


@pytest.mark.rule("MN-01", "MN-02", "RO-03")
def test_names_begin_and_end_with_a_letter() -> None:
    """Snake case, as Commerce Layer has it; only triggers, which no document shows, may begin with an underscore."""
    for type_, resource in graph.items():
        for name in (type_, *resource.attributes, *resource.relationships):
            assert re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name), f"{type_}.{name}"
        for name in resource.triggers:
            assert re.fullmatch(r"_?[a-z]([a-z0-9_]*[a-z0-9])?", name), f"{type_}.{name}"


@pytest.mark.rule("QP-02")
def test_there_are_no_query_parameters_but_those_of_the_specification() -> None:
    described = openapi.build(RESOURCES)
    asked = [
        parameter
        for path, methods in described["paths"].items()
        if re.fullmatch("/api(/(?!v3|services|events/stream).*)?", path)  # other documents decide on these
        for method in methods.keys() - {"parameters"}
        for parameter in methods[method].get("parameters", [])
    ]
    shared = described["components"]["parameters"]
    known = [shared[one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one for one in asked]
    names = [one["name"] for one in known if one["in"] == "query"]
    own = {"include", "sort", "fields", "filter", "page"}
    assert len(names) > 100
    assert {name.partition("[")[0] for name in names} == own


@pytest.mark.rule("CN-27", "JA-01")
async def test_what_a_body_says_of_itself_negotiates_nothing(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    document = await copy_document(connection, store) | {"jsonapi": {"ext": [UNKNOWN], "profile": [UNKNOWN]}}
    answer = await client.post(COPIES, json=document, headers=integration.headers)
    assert answer.status_code == 201
    assert answer.json()["jsonapi"] == {"version": "1.1"}
