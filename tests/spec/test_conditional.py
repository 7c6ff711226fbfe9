"""Conditional requests (RFC 9110, section 13)."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest
from starlette.requests import Request

from service import clock
from service.errors import PreconditionFailed, PreconditionRequired
from service.http.api import conditions
from service.http.exchange import exchange_of
from service.operations.access import tokens
from service.principal import Principal, Store
from service.store.pool import Connection
from tests import factories
from tests.spec.reading import MEDIA_TYPE
from tests.spec.samples import order
from tests.spec.writing import Api, resource, to_all
from tests.support import Access, Grant


@pytest.fixture
async def url(connection: Connection, store: Store) -> str:
    return f"/api/orders/{await order(connection, store)}"


@pytest.mark.rule("HT-05", "HT-04", "CN-26")
async def test_an_unchanged_resource_is_304(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, url: str, store: Store
) -> None:
    client.headers["Accept-Encoding"] = "identity"
    first = await client.get(url, headers=integration.headers)
    tag = first.headers["etag"]
    assert re.fullmatch(r'"1-[0-9a-f]{24}"', tag)
    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        again = await client.get(url, headers=integration.headers | {"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b""), known
        assert again.headers["etag"] == tag
        assert again.headers["cache-control"] == first.headers["cache-control"]
        assert again.headers["vary"] == first.headers["vary"]
        assert "content-type" not in again.headers
        assert (await client.head(url, headers=integration.headers | {"If-None-Match": known})).status_code == 304
    for other in ('"x"', f'"{tag}"', tag.replace("-", "-0"), ""):
        again = await client.get(url, headers=integration.headers | {"If-None-Match": other})
        assert again.status_code == 200, other
    await connection.execute("update orders set version = version + 1 where store_id = $1", store.id)
    again = await client.get(url, headers=integration.headers | {"If-None-Match": tag})
    assert again.status_code == 200
    assert again.headers["etag"].startswith('"2-')


@pytest.mark.rule("HT-05")
async def test_every_representation_has_its_own_tag(client: httpx2.AsyncClient, integration: Access, url: str) -> None:
    queries = ("", "?include=line_items", "?fields[orders]=status", "?include=")
    tags = [(await client.get(f"{url}{query}", headers=integration.headers)).headers["etag"] for query in queries]
    assert len(set(tags)) == len(queries)
    assert {tag.partition("-")[0] for tag in tags} == {'"1'}, "of the same version"


@pytest.mark.rule("HT-05")
async def test_what_is_no_single_resource_has_no_tag(client: httpx2.AsyncClient, integration: Access, url: str) -> None:
    for other in ("/api/orders", f"{url}/relationships/customer", "/api/orders/nope"):
        answer = await client.get(other, headers=integration.headers | {"If-None-Match": "*"})
        assert answer.status_code != 304
        assert "etag" not in answer.headers


@pytest.mark.rule("HT-05")
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_a_content_coding_has_a_tag_of_its_own(
    client: httpx2.AsyncClient, integration: Access, url: str, coding: str
) -> None:
    plain = await client.get(url, headers=integration.headers | {"Accept-Encoding": "identity"})
    headers = integration.headers | {"Accept-Encoding": coding}
    client.event_hooks = {}  # the body is looked at as it is sent, coded
    async with client.stream("GET", url, headers=headers) as coded:
        raw = b"".join([part async for part in coded.aiter_raw()])
    assert coded.headers["content-encoding"] == coding
    assert coded.headers["content-type"] == MEDIA_TYPE
    assert len(raw) < len(plain.content)
    assert coded.headers["etag"] == f'{plain.headers["etag"][:-1]}--{coding}"'
    for answer in (plain, coded):
        assert "Accept-Encoding" in answer.headers["vary"]
    again = await client.get(url, headers=headers | {"If-None-Match": coded.headers["etag"]})
    assert (again.status_code, again.headers["etag"]) == (304, coded.headers["etag"])


def request(if_match: str | None, principal: Principal | None = None) -> Request:
    headers = [] if if_match is None else [(b"if-match", if_match.encode())]
    scope = {"type": "http", "method": "PATCH", "path": "/", "headers": headers}
    made = Request(scope)
    exchange_of(made).principal = principal
    return made


@pytest.mark.rule("HT-06")
@pytest.mark.parametrize("if_match", [None, "*", '"7-abc"', '"7-anything--gzip"', '"6-abc", "7-abc"', '  "7-"  '])
def test_a_change_to_the_version_that_was_read_is_let_through(if_match: str | None) -> None:
    conditions.check_conditions(request(if_match), 7)


@pytest.mark.rule("HT-06")
@pytest.mark.parametrize(
    "if_match", ['"6-abc"', 'W/"7-abc"', '"77-abc"', '"7"', '"abc"', "7-abc", "", '"07-x', '"' + "9" * 5000 + '-a"']
)
def test_a_change_to_another_version_is_412(if_match: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        conditions.check_conditions(request(if_match), 7)
    assert caught.value.source == {"header": "If-Match"}
    assert caught.value.status == 412


@pytest.mark.rule("HT-06")
async def test_a_store_may_demand_the_version(grant: Grant, connection: Connection, store: Store) -> None:
    access = await grant()

    async def principal() -> Principal:
        found = await tokens.find(connection, access.token, clock.now())
        assert found is not None
        return found

    conditions.check_conditions(request(None, await principal()), 7)
    for policies, demanded in (('{"require_if_match": true}', True), ('{"require_if_match": "yes"}', False)):
        await connection.execute("update stores set policies = $2 where store_id = $1", store.id, policies)
        asking = await principal()
        assert asking.demands_if_match is demanded
        conditions.check_conditions(request('"7-a"', asking), 7)
        if demanded:
            with pytest.raises(PreconditionRequired) as caught:
                conditions.check_conditions(request(None, asking), 7)
            assert caught.value.status == 428


@pytest.mark.rule("HT-05")
async def test_a_new_resource_tells_its_tag(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    customer = await factories.customer(connection, store)
    linkage = {"customer": {"data": {"type": "customers", "id": customer}}}
    answer = await client.post(
        "/api/tokens", json={"data": {"type": "tokens", "relationships": linkage}}, headers=integration.headers
    )
    assert answer.status_code == 201
    assert answer.headers["etag"].startswith('"1-')


@pytest.mark.rule("HT-06")
async def test_a_store_may_demand_if_match_of_every_change(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    policies = "update stores set policies = '{\"require_if_match\": true}' where store_id = $1"
    await connection.execute(policies, store.id)
    url = f"/api/customers/{await factories.customer(connection, store)}"
    change = {"data": {"type": "customers", "id": url.rsplit("/", 1)[1], "attributes": {"reference": "A-1"}}}
    refused = await client.patch(url, json=change, headers=integration.headers)
    assert refused.status_code == 428
    assert (await client.delete(url, headers=integration.headers)).status_code == 428
    tag = (await client.get(url, headers=integration.headers)).headers["etag"]
    made = await client.patch(url, json=change, headers=integration.headers | {"If-Match": tag})
    assert made.status_code == 200
    stale = await client.patch(url, json=change, headers=integration.headers | {"If-Match": tag})
    assert stale.status_code == 412


@pytest.mark.rule("HT-06")
async def test_every_kind_of_change_may_be_made_on_condition(api: Api) -> None:
    """Stale and weak tags change nothing; with the current one the change is made and the tag is another."""
    tag = await api.create("tags", {"name": "vip"})
    sam = await api.create("customers", {"email": "sam@example.com"})
    url = f"customers/{sam['id']}"
    first = (await api.send("GET", url)).headers["etag"]
    linked = f"{url}/relationships/tags"
    for method, place, document in (
        ("PATCH", url, resource("customers", {"_add_tags": "new"}, id=sam["id"])),
        ("PATCH", linked, to_all("tags")),
        ("POST", linked, to_all("tags", tag["id"])),
        ("DELETE", linked, to_all("tags", tag["id"])),
        ("PATCH", url, resource("customers", {"reference": "new"}, id=sam["id"])),
        ("DELETE", url, None),
    ):
        before = await api.send("GET", url)
        for stale in ('"0-x"', f"W/{before.headers['etag']}", *([first] if method == "DELETE" else [])):
            refused = await api.send(method, place, document, **{"If-Match": stale})
            assert (refused.status_code, refused.json()["errors"][0]["source"]) == (412, {"header": "If-Match"})
        assert (await api.send("GET", url)).content == before.content
        made = await api.send(method, place, document, **{"If-Match": before.headers["etag"]})
        assert made.status_code in (200, 204), (method, place)
        after = await api.send("GET", url)
        assert after.headers.get("etag") != before.headers["etag"]
        assert "etag" not in made.headers or made.headers["etag"] == after.headers["etag"]
    for method, document in (("PATCH", resource("customers", {}, id=sam["id"])), ("DELETE", None)):
        assert (await api.send(method, url, document, **{"If-Match": "*"})).status_code == 404, "there is nothing"


@pytest.mark.rule("HT-06")
async def test_of_two_who_change_the_same_version_at_once_one_does(api: Api) -> None:
    sam = await api.create("customers", {"email": "sam@example.com"})
    url = f"customers/{sam['id']}"
    tag = (await api.send("GET", url)).headers["etag"]
    writers = (
        api.send("PATCH", url, resource("customers", {"reference": name}, id=sam["id"]), **{"If-Match": tag})
        for name in "ab"
    )
    assert sorted(answer.status_code for answer in await asyncio.gather(*writers)) == [200, 412]
