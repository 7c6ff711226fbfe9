"""Bad input gets a clear 4xx error document and writes nothing: malformed bodies, wrong media types, hostile values."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest

from service.http.routes import loggable
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.spec.invariants import resolves
from tests.support import Access

MEDIA_TYPE = "application/vnd.api+json"
URL = "/api/recurring_order_copies"


@pytest.fixture
async def valid(connection: Connection, store: Store) -> dict[str, Any]:
    """A document that makes a copy, to be spoilt."""
    sku = await factories.sku(connection, store)
    order = await factories.full_order(connection, store, [factories.Line(sku)])
    subscription = await factories.subscription(connection, store, order)
    return {
        "data": {
            "type": "recurring_order_copies",
            "attributes": {},
            "relationships": {
                "source_order": {"data": {"type": "orders", "id": order}},
                "order_subscription": {"data": {"type": "order_subscriptions", "id": subscription}},
            },
        }
    }


async def copies(connection: Connection, store: Store) -> int:
    """How many copies the store has."""
    found: int = await connection.fetchval("select count(*) from order_factories where store_id = $1", store.id)
    return found


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[", b"nonsense", b"NaN", b'{"data": NaN}', b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 10_000,
        b'{"a":' * 10_000, b'"\\ud800"', b'{"data": {"type": "\\ud800"}}', b'{"data": 1e400}',
        b"[]", b'"x"', b"null", b"1", b"{}", b'{"data": null}', b'{"data": []}', b'{"data": "x"}', b'{"data": [{}]}',
        b'{"data": {}}', b'{"data": {"type": null}}', b'{"data": {"type": 7}}',
    ],
)  # fmt: skip
async def test_what_is_no_document_is_400(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, body: bytes
) -> None:
    answer = await client.post(URL, content=body, headers=integration.headers)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    error = answer.json()["errors"][0]
    assert error["code"] == "INVALID_DATA_FORMAT"
    assert await copies(connection, store) == 0


def spoil(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with the member at a dotted path replaced, made, or (Ellipsis) removed."""
    spoilt: dict[str, Any] = orjson.loads(orjson.dumps(document))
    *parents, last = path.split(".")
    inner: Any = spoilt
    for key in parents:
        inner = inner.setdefault(key, {})
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return spoilt


SOURCE = "data.relationships.source_order"


@pytest.mark.parametrize(
    ("path", "value", "status", "pointer"),
    [
        ("data.type", ..., 400, "/data"),
        ("data.type", "orders", 409, "/data/type"),
        ("data.attributes", [], 400, "/data/attributes"),
        ("data.relationships", [], 400, "/data/relationships"),
        ("data.id", 7, 400, "/data/id"),
        ("data.lid", 7, 400, "/data/lid"),
        ("data.id", "abc'--", 422, "/data/id"),
        ("data.id", "x" * 65, 422, "/data/id"),
        ("data.id", "a\x00b", 422, "/data/id"),
        ("data.attributes.id", "x", 400, "/data/attributes/id"),
        ("data.attributes.nope", 1, 422, "/data/attributes/nope"),
        ("data.attributes.a/b~c", 1, 422, "/data/attributes/a~1b~0c"),
        ("data.attributes.status", "completed", 403, "/data/attributes/status"),
        ("data.attributes.place_target_order", "yes", 422, "/data/attributes/place_target_order"),
        ("data.attributes.place_target_order", None, 422, "/data/attributes/place_target_order"),
        ("data.attributes.reference", "a\x00b", 422, "/data/attributes/reference"),
        ("data.attributes.reference", 7, 422, "/data/attributes/reference"),
        ("data.attributes.metadata", [], 422, "/data/attributes/metadata"),
        ("data.attributes.metadata", {"a": "\x00"}, 422, "/data/attributes/metadata"),
        ("data.relationships.nope", {"data": None}, 422, "/data/relationships/nope"),
        ("data.relationships.target_order", {"data": None}, 403, "/data/relationships/target_order"),
        (SOURCE, ..., 422, "/data/relationships"),
        (SOURCE, {}, 400, "/data/relationships/source_order"),
        (SOURCE, {"data": []}, 400, "/data/relationships/source_order/data"),
        (SOURCE, {"data": None}, 422, "/data/relationships/source_order/data"),
        (SOURCE, {"data": {"type": "orders"}}, 400, "/data/relationships/source_order/data"),
        (SOURCE, {"data": {"type": "orders", "id": 7}}, 400, "/data/relationships/source_order/data"),
        (SOURCE, {"data": {"type": "carts", "id": "x"}}, 409, "/data/relationships/source_order/data/type"),
        (SOURCE, {"data": {"type": "orders", "id": "x"}}, 404, "/data/relationships/source_order/data"),
        (SOURCE, {"data": {"type": "orders", "id": "\x00"}}, 404, "/data/relationships/source_order/data"),
    ],
)
async def test_a_spoilt_document_is_refused_with_a_pointer_that_resolves(
    client: httpx2.AsyncClient,
    integration: Access,
    connection: Connection,
    store: Store,
    *,
    valid: dict[str, Any],
    path: str,
    value: Any,
    status: int,
    pointer: str,
) -> None:
    document = spoil(valid, path, value)
    answer = await client.post(URL, content=orjson.dumps(document), headers=integration.headers)
    assert answer.status_code == status, answer.text
    error = answer.json()["errors"][0]
    assert error["source"] == {"pointer": pointer}
    assert resolves(document, pointer)
    assert await copies(connection, store) == 0


async def test_all_problems_of_the_values_are_told_at_once(
    client: httpx2.AsyncClient, integration: Access, valid: dict[str, Any]
) -> None:
    document = spoil(spoil(valid, "data.attributes.reference", 7), "data.attributes.metadata", 7)
    answer = await client.post(URL, json=document, headers=integration.headers)
    assert answer.status_code == 422
    assert [error["source"]["pointer"] for error in answer.json()["errors"]] == [
        "/data/attributes/reference",
        "/data/attributes/metadata",
    ]


async def test_unknown_members_outside_of_attributes_are_ignored(
    client: httpx2.AsyncClient, integration: Access, valid: dict[str, Any]
) -> None:
    document: Any = valid | {"@context": {}, "extra": 1, "jsonapi": {"ext": ["https://x.example/e"]}}
    document["data"] |= {"nope": 1, "@id": "x", "lid": "a"}
    document["data"]["attributes"]["@type"] = "x"
    document["data"]["relationships"]["source_order"]["nope"] = 1
    answer = await client.post(URL, json=document, headers=integration.headers)
    assert answer.status_code == 201, answer.text
    assert "lid" not in answer.json()["data"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json", "text/plain", "", "nonsense", f"{MEDIA_TYPE}; charset=utf-8", f"{MEDIA_TYPE};version=1",
        f'{MEDIA_TYPE}; ext="https://x.example/e"', f'{MEDIA_TYPE}; profile="https://x.example/p"; charset=utf-8',
    ],
)  # fmt: skip
async def test_another_media_type_is_415(
    client: httpx2.AsyncClient, integration: Access, valid: dict[str, Any], content_type: str
) -> None:
    headers = integration.headers | {"Content-Type": content_type}
    answer = await client.post(URL, content=orjson.dumps(valid), headers=headers)
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["source"] == {"header": "Content-Type"}


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (MEDIA_TYPE, 200), ("*/*", 200), ("application/*", 200), (f"text/html, {MEDIA_TYPE};q=0.5", 200),
        (f"{MEDIA_TYPE}; charset=utf-8", 406), (f"{MEDIA_TYPE}; charset=utf-8, {MEDIA_TYPE}", 200),
        (f"{MEDIA_TYPE}; charset=utf-8, */*", 406), (f'{MEDIA_TYPE}; ext="https://x.example/e"', 406),
        (f'{MEDIA_TYPE}; ext="https://x.example/e", {MEDIA_TYPE}', 200),
        (f'{MEDIA_TYPE}; profile="https://x.example/p"', 200), (f"{MEDIA_TYPE};q=0.3", 200), (f"{MEDIA_TYPE};q=0", 406),
        ("text/html", 406), ("Application/VND.Api+Json", 200), (f'{MEDIA_TYPE} ; PROFILE="a,b;c"', 200),
    ],
)  # fmt: skip
async def test_accept(client: httpx2.AsyncClient, integration: Access, accept: str, status: int) -> None:
    answer = await client.get("/api/orders", headers=integration.headers | {"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert "Accept" in answer.headers["vary"]


async def test_a_body_of_10_megabytes_is_413(client: httpx2.AsyncClient, integration: Access) -> None:
    answer = await client.post(URL, content=b" " * 10_000_000, headers=integration.headers)
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["code"] == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/api/nope", 404),
        ("GET", "/api/orders/1/2/3/4/5", 404),
        ("GET", "/api/v3/1003/nope", 404),
        ("PUT", "/api/orders", 405),
        ("POST", "/api/events", 405),
        ("DELETE", "/api/events/x", 405),
        ("PATCH", "/api/orders/x/customer", 405),
        ("POST", "/api", 405),
    ],
)
async def test_what_is_not_there_is_an_error_document(
    client: httpx2.AsyncClient, integration: Access, method: str, url: str, status: int
) -> None:
    answer = await client.request(method, url, headers=integration.headers)
    assert answer.status_code == status, answer.text
    if status == 405:
        assert "GET" in answer.headers["allow"]
    if "/v3/" not in url:
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.json()["errors"][0]["status"] == str(status)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/portal/secret", "/portal/..."),
        ("/actions/secret/more", "/actions/..."),
        ("/calendars/secret.ics", "/calendars/..."),
        ("/exports/secret", "/exports/..."),
        ("//portal/secret", "//portal/..."),
        ("/Portal/secret", "/Portal/..."),
        ("/shop/nl/portal/secret\nmore", "/shop/nl/portal/..."),
        ("/api/exports/an-id", "/api/exports/an-id"),
        ("/api/exports/an-id/file", "/api/exports/an-id/file"),
        ("/docs/how-to", "/docs/how-to"),
    ],
)
def test_no_log_line_has_a_token_however_its_link_was_mangled(path: str, told: str) -> None:
    assert loggable(path) == told


async def test_a_foreign_host_gets_no_links(client: httpx2.AsyncClient, integration: Access) -> None:
    answer = await client.get("/api/orders", headers=integration.headers | {"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "INVALID_HOST"
    assert "evil.example" not in answer.text


async def test_an_accident_tells_its_id_and_nothing_else(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    """A row that no rule of ours allows (a locale that Babel doesn't know) breaks the rendering, not the shape."""
    await connection.execute("update stores set locale = 'xx_NOPE' where store_id = $1", store.id)
    sku = await factories.sku(connection, store)
    await factories.full_order(connection, store, [factories.Line(sku)])
    answer = await client.get("/api/orders", headers=integration.headers)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == MEDIA_TYPE
    error = answer.json()["errors"][0]
    assert error["code"] == "INTERNAL_SERVER_ERROR"
    assert error["id"] in error["detail"]
    assert "Traceback" not in answer.text
    assert "Locale" not in answer.text


async def test_trailing_slashes_are_served(client: httpx2.AsyncClient, integration: Access) -> None:
    assert (await client.get("/api/orders/", headers=integration.headers)).status_code == 200


async def test_the_entry_point_lists_the_types(client: httpx2.AsyncClient) -> None:
    types = (await client.get("/api")).json()["meta"]["types"]
    assert types["orders"] == "http://127.0.0.1/api/orders"
    assert (await client.get("/api?x=1")).status_code == 400
