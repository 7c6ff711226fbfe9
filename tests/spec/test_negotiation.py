"""Content negotiation (JSON:API 1.1, "Content Negotiation")."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest

from service.errors import NotAcceptable, UnsupportedMediaType
from service.http.api.answers import Document
from service.jsonapi.negotiation import PLAIN, Media, check_accept, check_content_type
from service.principal import Store
from service.store.pool import Connection
from tests.spec.reading import MEDIA_TYPE
from tests.spec.samples import COPIES, UNKNOWN, copies, copy_document
from tests.spec.writing import Api, resource, to_all
from tests.support import Access

CURSOR = "https://jsonapi.org/profiles/ethanresnick/cursor-pagination"
ATOMIC = "https://jsonapi.org/ext/atomic"


@pytest.fixture
async def document(connection: Connection, store: Store) -> dict[str, Any]:
    return await copy_document(connection, store)


@pytest.mark.rule("CN-01", "CN-02", "CN-26", "HT-02")
@pytest.mark.parametrize(
    ("method", "url", "headers", "status"),
    [
        ("GET", "/api", {}, 200),
        ("GET", "/api/orders", {}, 200),
        ("GET", "/api/orders?nope=1", {}, 400),
        ("GET", "/api/orders", {"Authorization": ""}, 401),
        ("GET", "/api/orders/nope", {}, 404),
        ("GET", "/api/nope", {}, 404),
        ("GET", "/nope", {}, 404),
        ("PUT", "/api/orders", {}, 405),
        ("POST", "/api", {}, 405),
        ("TRACE", "/api/orders/x", {}, 405),
        ("GET", "/api/orders", {"Accept": "text/html"}, 406),
        ("POST", COPIES, {"Content-Type": "text/plain"}, 415),
        ("POST", COPIES, {}, 400),
        ("POST", COPIES, {"X-HTTP-Method-Override": "BREW"}, 400),
        ("GET", "/api/orders", {"X-Long": "x" * 40_000}, 431),
        ("GET", "/api/orders?x=" + "x" * 20_000, {}, 414),
        ("GET", "/api/orders", {"Host": "evil.example"}, 400),
    ],
)
async def test_every_answer_is_of_the_media_type(  # noqa: PLR0917 -- fixtures
    client: httpx2.AsyncClient, integration: Access, method: str, url: str, headers: dict[str, str], status: int
) -> None:
    answer = await client.request(method, url, headers=integration.headers | headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert "Accept" in [name.strip() for name in answer.headers["vary"].split(",")]
    assert answer.headers["x-request-id"]
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.rule("CN-01", "CN-02")
async def test_an_accident_is_answered_in_the_media_type_with_all_headers(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    await copy_document(connection, store)
    await connection.execute("update stores set locale = 'xx_NOPE' where store_id = $1", store.id)
    headers = integration.headers | {"Origin": "https://shop.example", "X-Request-Id": "mine"}
    answer = await client.get("/api/orders", headers=headers)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["x-request-id"] == answer.json()["errors"][0]["id"] == "mine"
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.rule("CN-03", "CN-04", "CN-05", "CN-08", "CN-09", "CN-29", "CN-30")
@pytest.mark.parametrize(
    "content_type",
    [
        f"{MEDIA_TYPE}; charset=utf-8", f"{MEDIA_TYPE};version=1", f'{MEDIA_TYPE}; profile="{UNKNOWN}"; charset=utf-8',
        f'{MEDIA_TYPE}; ext="{UNKNOWN}"', f'{MEDIA_TYPE}; ext="{ATOMIC}"', "application/json", "",
        f"{MEDIA_TYPE}, {MEDIA_TYPE}", "nonsense",
    ],
)  # fmt: skip
async def test_other_content_types_are_415_and_change_nothing(  # noqa: PLR0917 -- fixtures
    client: httpx2.AsyncClient,
    integration: Access,
    connection: Connection,
    store: Store,
    document: dict[str, Any],
    content_type: str,
) -> None:
    answer = await client.post(COPIES, json=document, headers=integration.headers | {"Content-Type": content_type})
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["source"] == {"header": "Content-Type"}
    assert answer.headers["accept-patch"] == answer.headers["accept-post"] == MEDIA_TYPE
    assert await copies(connection, store) == 0


@pytest.mark.rule("CN-07", "CN-10", "CN-27", "CN-28")
@pytest.mark.parametrize(
    "content_type",
    [
        MEDIA_TYPE, f'{MEDIA_TYPE}; profile="{UNKNOWN}"', "Application/VND.Api+Json",
        f'{MEDIA_TYPE} ; PROFILE="{UNKNOWN} https://y.example"', f"{MEDIA_TYPE};",
    ],
)  # fmt: skip
async def test_content_types_that_are_read(
    client: httpx2.AsyncClient, integration: Access, document: dict[str, Any], content_type: str
) -> None:
    document["jsonapi"] = {"ext": [UNKNOWN], "version": "9"}
    answer = await client.post(COPIES, json=document, headers=integration.headers | {"Content-Type": content_type})
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["jsonapi"] == {"version": "1.1"}


@pytest.mark.rule("CN-11", "CN-12")
@pytest.mark.parametrize(("content_type", "status"), [(f"{MEDIA_TYPE}; charset=utf-8", 415), (MEDIA_TYPE, 200)])
async def test_the_content_type_of_a_get_counts_too(
    client: httpx2.AsyncClient, integration: Access, content_type: str, status: int
) -> None:
    for url in ("/api", "/api/orders", "/api/orders?nope=1"):
        answer = await client.get(url, headers=integration.headers | {"Content-Type": content_type})
        assert answer.status_code == (400 if "nope" in url and status == 200 else status)


ACCEPTS = [
    (None, 200), (MEDIA_TYPE, 200), ("*/*", 200), ("application/*", 200), (f"text/html, {MEDIA_TYPE};q=0.5", 200),
    (f"{MEDIA_TYPE}; charset=utf-8", 406), (f"{MEDIA_TYPE}; charset=utf-8, {MEDIA_TYPE}", 200),
    (f"{MEDIA_TYPE}; charset=utf-8, */*", 406), (f'{MEDIA_TYPE}; ext="{UNKNOWN}"', 406),
    (f'{MEDIA_TYPE}; ext="{UNKNOWN}", {MEDIA_TYPE}', 200), (f'{MEDIA_TYPE}; profile="{UNKNOWN}"', 200),
    (f"{MEDIA_TYPE};q=0.3", 200), (f"{MEDIA_TYPE};q=0", 406), ("text/html", 406), ("*/*;q=0", 406),
]  # fmt: skip


@pytest.mark.rule("CN-12", "CN-13", "CN-14", "CN-15", "CN-16", "CN-17", "CN-18", "CN-19", "CN-20", "CN-22", "CN-30")
@pytest.mark.parametrize(("accept", "status"), ACCEPTS)
async def test_accept(client: httpx2.AsyncClient, integration: Access, accept: str | None, status: int) -> None:
    headers = {name: value for name, value in integration.headers.items() if name != "Accept"}
    answer = await client.get("/api/orders", headers=headers | ({} if accept is None else {"Accept": accept}))
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    if status == 406:
        assert answer.json()["errors"][0]["source"] == {"header": "Accept"}
    else:
        assert answer.json()["jsonapi"] == {"version": "1.1"}


@pytest.mark.rule("CN-21", "CN-23")
@pytest.mark.parametrize(
    ("accept", "applied"),
    [
        (f'{MEDIA_TYPE}; profile="{CURSOR}"', Media((), (CURSOR,))),
        (f'{MEDIA_TYPE}; profile="{UNKNOWN} {CURSOR}"', Media((), (CURSOR,))),
        (f'{MEDIA_TYPE}; profile="{CURSOR}";q=0.5, {MEDIA_TYPE};q=0.9', PLAIN),
        (f'{MEDIA_TYPE};q=0.5, {MEDIA_TYPE}; profile="{CURSOR}"', Media((), (CURSOR,))),
        (f'{MEDIA_TYPE}; ext="{UNKNOWN}"; profile="{CURSOR}", {MEDIA_TYPE};q=0.1', PLAIN),
        ("*/*", PLAIN),
        (None, PLAIN),
    ],
)
def test_what_accept_asks_to_be_applied(accept: str | None, applied: Media) -> None:
    assert check_accept(*([] if accept is None else [accept]), profiles=frozenset({CURSOR})) == applied


@pytest.mark.rule("CN-06", "CN-29")
def test_extensions_are_read_where_they_are_spoken() -> None:
    check_content_type(*[f'{MEDIA_TYPE}; ext="{ATOMIC}"'], body=True, extensions=(ATOMIC,))
    for header in (f'{MEDIA_TYPE}; ext="{ATOMIC} {UNKNOWN}"', f'{MEDIA_TYPE}; ext="{UNKNOWN}"', MEDIA_TYPE):
        with pytest.raises(UnsupportedMediaType):
            check_content_type(header, body=True, extensions=(ATOMIC,))
    with pytest.raises(UnsupportedMediaType):
        check_content_type(*[f'{MEDIA_TYPE}; ext="{ATOMIC}"'], body=True)


@pytest.mark.rule("CN-17", "CN-18", "CN-24")
def test_extensions_are_answered_with_where_they_are_spoken() -> None:
    for header, profiles in (
        ("", ()),
        ("*/*", ()),
        (f'{MEDIA_TYPE}; ext="{ATOMIC}"', ()),
        (f'{MEDIA_TYPE}, {MEDIA_TYPE};ext="{ATOMIC}"', ()),
        (f'{MEDIA_TYPE}; ext="{ATOMIC}"; profile="{CURSOR}"', (CURSOR,)),
    ):
        assert check_accept(header, extensions=(ATOMIC,), profiles=frozenset({CURSOR})) == Media((ATOMIC,), profiles)
    with pytest.raises(NotAcceptable):
        check_accept(MEDIA_TYPE, extensions=(ATOMIC,))
    with pytest.raises(NotAcceptable):
        check_accept(f'{MEDIA_TYPE}; ext="{ATOMIC}"')


@pytest.mark.rule("CN-23", "CN-24", "CN-25", "CN-28", "DS-10", "LK-02")
def test_what_is_applied_is_named_three_times() -> None:
    about = {"version": "1.1", "ext": [ATOMIC], "profile": [CURSOR, UNKNOWN]}
    answer = Document({"jsonapi": about, "links": {"self": "/api/orders"}, "data": []})
    assert answer.headers["content-type"] == f'{MEDIA_TYPE}; ext="{ATOMIC}"; profile="{CURSOR} {UNKNOWN}"'
    assert b'"self":{"href":"/api/orders","type":' in bytes(answer.body)


@pytest.fixture
async def changes(api: Api) -> list[tuple[str, str, Any]]:
    """A request of each kind that changes something: method, URL below /api, document."""
    tag = await api.create("tags", {"name": "vip"})
    sam = await api.create("customers", {"email": "sam@example.com"}, {"tags": to_all("tags", tag["id"])})
    url = f"customers/{sam['id']}"
    return [
        ("POST", "customers", resource("customers", {"email": "new@example.com"})),
        ("PATCH", url, resource("customers", {"reference": "new"}, id=sam["id"])),
        ("PATCH", f"{url}/relationships/tags", to_all("tags")),
        ("POST", f"{url}/relationships/tags", to_all("tags", (await api.create("tags", {"name": "new"}))["id"])),
        ("DELETE", f"{url}/relationships/tags", to_all("tags", tag["id"])),
        ("DELETE", url, {}),
    ]


@pytest.mark.rule("CN-03", "CN-04", "CN-05", "CN-08", "CN-09", "CN-14", "CN-16", "CN-17", "CN-22", "CN-30")
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Content-Type", f"{MEDIA_TYPE}; charset=utf-8", 415), ("Content-Type", f"{MEDIA_TYPE};version=1", 415),
        ("Content-Type", f'{MEDIA_TYPE}; profile="{UNKNOWN}"; charset=utf-8', 415),
        ("Content-Type", f'{MEDIA_TYPE}; ext="{UNKNOWN}"', 415), ("Content-Type", "application/json", 415),
        ("Content-Type", None, 415),
        ("Accept", f"{MEDIA_TYPE}; charset=utf-8", 406), ("Accept", f"{MEDIA_TYPE}; charset=utf-8, */*", 406),
        ("Accept", f'{MEDIA_TYPE}; ext="{UNKNOWN}"', 406), ("Accept", "text/html", 406),
    ],
)  # fmt: skip
async def test_no_change_is_made_in_the_wrong_media_type(  # noqa: PLR0917 -- fixtures
    client: httpx2.AsyncClient,
    integration: Access,
    api: Api,
    changes: list[tuple[str, str, Any]],
    header: str,
    value: str | None,
    status: int,
) -> None:
    before = await api.get("customers?include=tags")
    headers = {**integration.headers, header: value}
    sent = {name: one for name, one in headers.items() if one is not None}
    for method, url, document in changes:
        answer = await client.request(method, f"/api/{url}", content=orjson.dumps(document), headers=sent)
        assert answer.status_code == status, (method, url)
        assert answer.json()["errors"][0]["source"] == {"header": header}
        assert status == 406 or answer.headers["accept-patch"] == MEDIA_TYPE
    assert await api.get("customers?include=tags") == before


@pytest.mark.rule("CN-07", "CN-10", "CN-13", "CN-15", "CN-18", "CN-19", "CN-20")
async def test_changes_are_made_in_every_media_type_that_is_read(api: Api, changes: list[tuple[str, str, Any]]) -> None:
    accepted = (f"{MEDIA_TYPE}; charset=utf-8, {MEDIA_TYPE}", "*/*", f'{MEDIA_TYPE}; profile="{UNKNOWN}";q=0.3')
    for number, (method, url, document) in enumerate(changes):
        headers = {"Content-Type": f'Application/VND.Api+Json ; Profile="{UNKNOWN}"', "Accept": accepted[number % 3]}
        answer = await api.send(method, url, document, **headers)
        assert answer.status_code in (200, 201, 204), (method, url, answer.text)
        assert answer.headers.get("content-type", MEDIA_TYPE) == MEDIA_TYPE
