"""What operations look like, and what is said of those that look otherwise (https://jsonapi.org/ext/atomic)."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.spec.operating import ATOMIC, GOOD, MEDIA_TYPE, URL, Batches, add, local, names, one, relate, remove, update
from tests.spec.writing import Api, pointers, to
from tests.support import Access

UNKNOWN = "https://x.example/unknown"
X = one("tags", "x")


@pytest.mark.rule("AO-02", "CN-05", "CN-06", "CN-30")
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Content-Type", "application/vnd.api+json", 415),
        ("Content-Type", "application/json", 415),
        ("Content-Type", f"{MEDIA_TYPE}; charset=utf-8", 415),
        ("Content-Type", f'application/vnd.api+json; ext="{ATOMIC} {UNKNOWN}"', 415),
        ("Content-Type", f'application/vnd.api+json; ext="{UNKNOWN}"', 415),
        ("Content-Type", f'application/vnd.api+json;profile="{UNKNOWN}";ext="{ATOMIC}"', 200),
        ("Content-Type", f"Application/VND.api+json; EXT={ATOMIC.replace('/', '')}", 415),
        ("Accept", "application/vnd.api+json", 406),
        ("Accept", "application/vnd.api+json, */*", 406),
        ("Accept", f'application/vnd.api+json; ext="{UNKNOWN}"', 406),
        ("Accept", "text/html", 406),
        ("Accept", "*/*", 200),
        ("Accept", f"application/vnd.api+json, {MEDIA_TYPE};q=0.5", 200),
        ("Accept", f'{MEDIA_TYPE}; profile="{UNKNOWN}"', 200),
    ],
)
async def test_the_extension_is_named(batches: Batches, api: Api, header: str, *, value: str, status: int) -> None:
    answer = await batches.run(add("tags", {"name": "a"}), **{header: value})
    assert answer.status_code == status, answer.text
    assert await names(api) == (["a"] if status == 200 else [])
    if status != 200:
        assert answer.json()["errors"][0]["source"] == {"header": header}
    if status == 415:
        assert answer.headers["accept-post"] == MEDIA_TYPE


@pytest.mark.rule("CN-29")
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_extension_is_refused_elsewhere(api: Api, method: str) -> None:
    assert (await api.send(method, "tags", {}, **{"Content-Type": MEDIA_TYPE})).status_code == 415
    assert (await api.send("GET", "tags", Accept=MEDIA_TYPE)).status_code == 406


@pytest.mark.rule("AO-03", "HT-02")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "PUT", "DELETE", "OPTIONS"])
async def test_only_post(client: httpx2.AsyncClient, integration: Access, method: str) -> None:
    answer = await client.request(method, URL, headers=integration.headers | {"Accept": MEDIA_TYPE})
    assert answer.status_code == (204 if method == "OPTIONS" else 405)
    assert answer.headers["allow"] == "OPTIONS, POST"
    assert answer.headers["accept-post"] == MEDIA_TYPE


@pytest.mark.rule("IN-10", "QP-01")
@pytest.mark.parametrize("parameter", ["include", "fields[tags]", "page[size]", "nonsense"])
async def test_no_parameters(client: httpx2.AsyncClient, integration: Access, api: Api, parameter: str) -> None:
    headers = integration.headers | {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
    document = {"atomic:operations": [add("tags", {"name": "a"})]}
    answer = await client.post(URL, params={parameter: "x"}, json=document, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["source"] == {"parameter": parameter}
    assert await names(api) == []


@pytest.mark.rule("AO-04", "DS-12", "DS-13")
@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (b"{", None),
        (b"", None),
        ([], ""),
        (None, ""),
        ({}, ""),
        ({"data": []}, ""),
        ({"atomic:results": []}, ""),
        ({"atomic:operations": None}, "/atomic:operations"),
        ({"atomic:operations": GOOD}, "/atomic:operations"),
        ({"atomic:operations": []}, "/atomic:operations"),
        ({"atomic:operations": [GOOD], "data": []}, "/data"),
        ({"atomic:operations": [GOOD], "included": []}, "/included"),
        ({"atomic:operations": [GOOD], "errors": []}, "/errors"),
        ({"atomic:operations": [GOOD], "atomic:results": [{}]}, "/atomic:results"),
    ],
)
async def test_what_is_no_document_of_operations(
    batches: Batches, api: Api, document: Any, pointer: str | None
) -> None:
    answer = await batches.send(document)
    assert (answer.status_code, pointers(answer)) == (400, [pointer])
    assert await names(api) == []


@pytest.mark.rule("AO-06", "AO-07", "AO-09", "AO-10", "AO-12", "AO-18", "AO-21")
@pytest.mark.parametrize(
    ("operation", "status", "pointer"),
    [
        (None, 400, ""),
        ("add", 400, ""),
        ([], 400, ""),
        ({}, 400, ""),
        ({"data": GOOD["data"]}, 400, ""),
        (GOOD | {"op": "create"}, 400, "/op"),
        (GOOD | {"op": None}, 400, "/op"),
        (GOOD | {"op": ["add"]}, 400, "/op"),
        ({"op": "remove", "ref": X, "href": "tags/x"}, 400, ""),
        ({"op": "remove"}, 400, ""),
        ({"op": "remove", "data": X}, 400, ""),
        ({"op": "remove", "ref": "x"}, 400, "/ref"),
        ({"op": "remove", "ref": {"id": "x"}}, 400, "/ref"),
        ({"op": "remove", "ref": {"type": 1, "id": "x"}}, 400, "/ref"),
        ({"op": "remove", "ref": {"type": "tags"}}, 400, "/ref"),
        ({"op": "remove", "ref": {"type": "tags", "id": 1}}, 400, "/ref"),
        ({"op": "remove", "ref": X | {"lid": "x"}}, 400, "/ref"),
        ({"op": "remove", "ref": {"type": "tags", "lid": "x"}}, 400, "/ref/lid"),
        ({"op": "remove", "ref": {"type": "nope", "id": "x"}}, 404, "/ref/type"),
        ({"op": "remove", "ref": {"type": "tags", "id": "'--"}}, 404, "/ref/id"),
        ({"op": "remove", "ref": X | {"relationship": None}}, 400, "/ref/relationship"),
        ({"op": "remove", "ref": X | {"relationship": "nope"}, "data": []}, 404, "/ref/relationship"),
        ({"op": "remove", "href": 7}, 400, "/href"),
        ({"op": "remove", "href": ""}, 404, "/href"),
        ({"op": "remove", "href": "nope/x"}, 404, "/href"),
        ({"op": "remove", "href": "tags/x?include=orders"}, 400, "/href"),
        ({"op": "remove", "href": "tags/x#y"}, 400, "/href"),
        ({"op": "remove", "href": "tags"}, 400, "/href"),
        ({"op": "remove", "href": "tags/%00"}, 404, "/href"),
        ({"op": "remove", "href": "/tags/x"}, 404, "/href"),
        ({"op": "remove", "href": "https://evil.example/api/tags/x"}, 404, "/href"),
        ({"op": "remove", "href": "http://[/api/tags/x"}, 404, "/href"),
        ({"op": "add", "href": "customers/x/tags", "data": []}, 404, "/href"),
        ({"op": "add", "href": "customers/x/relationships/nope", "data": []}, 404, "/href"),
        ({"op": "add"}, 400, ""),
        ({"op": "add", "data": None}, 400, "/data"),
        ({"op": "add", "data": [GOOD["data"]]}, 400, "/data"),
        ({"op": "add", "data": {"attributes": {"name": "a"}}}, 400, "/data"),
        ({"op": "add", "data": {"type": "nope"}}, 404, "/data/type"),
        ({"op": "add", "data": {"type": "tags", "attributes": []}}, 400, "/data/attributes"),
        ({"op": "add", "data": {"type": "tags", "lid": 1, "attributes": {"name": "a"}}}, 400, "/data/lid"),
        (GOOD | {"href": "tags/x"}, 400, "/href"),
        (GOOD | {"ref": X}, 400, "/ref"),
        (GOOD | {"href": "customers"}, 409, "/data/type"),
        (GOOD | {"meta": "x"}, 400, "/meta"),
        ({"op": "update"}, 400, ""),
        ({"op": "update", "ref": X}, 400, ""),
        ({"op": "update", "ref": X, "data": None}, 400, "/data"),
        ({"op": "update", "data": {"type": "tags"}}, 400, "/data"),
        ({"op": "update", "data": local("tags", "x")}, 400, "/data/lid"),
        ({"op": "update", "ref": X, "data": {"type": "tags"}}, 400, "/data"),
        ({"op": "update", "ref": X, "data": local("tags", "x")}, 400, "/data/lid"),
        ({"op": "update", "ref": X, "data": one("tags", "y")}, 409, "/data/id"),
        ({"op": "update", "ref": X, "data": one("customers", "x")}, 409, "/data/type"),
        ({"op": "update", "href": "tags", "data": X}, 400, "/href"),
        ({"op": "update", "data": X, "meta": {"version": "1"}}, 400, "/meta/version"),
        (relate("add", "customers", "x", "tags", None), 400, "/data"),
        (relate("add", "customers", "x", "tags", [one("skus", "y")]), 409, "/data/0/type"),
        (relate("add", "customers", "x", "tags", [local("tags", "y")]), 400, "/data/0"),
        (relate("update", "customers", "x", "customer_group", []), 400, "/data"),
        ({"op": "add", "ref": one("customers", "x") | {"relationship": "tags"}}, 400, ""),
        (add("tags", {"name": "a", "nonsense": 1}), 422, "/data/attributes/nonsense"),
        (add("tags", {}), 422, "/data/attributes"),
        (add("tags"), 422, "/data"),
        (add("tags", {"name": "a", "created_at": "2026-01-01T00:00:00Z"}), 403, "/data/attributes/created_at"),
        (add("cart_items", {"sku_code": "a", "quantity": 1}, {"cart": to("carts", "x")}), 404,
         "/data/relationships/cart/data"),
        (add("markets", {}), 403, ""),
        (remove("stores", "x"), 403, ""),
        (remove("tags", "x"), 404, ""),
        (update("tags", {"name": "a"}, id="x"), 404, ""),
        (relate("add", "customers", "x", "tags", []), 404, ""),
        (relate("add", "customers", "x", "customer_group", []), 400, "/data"),
        (relate("remove", "customers", "x", "customer_group", None), 403, ""),
        (relate("update", "customers", "x", "orders", []), 403, ""),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_an_operation(
    batches: Batches, api: Api, operation: Any, *, status: int, pointer: str
) -> None:
    """Alone, and after a good one, of which nothing is left then."""
    for before in ((), (GOOD,)):
        answer = await batches.run(*before, operation)
        assert (answer.status_code, pointers(answer)) == (status, [f"/atomic:operations/{len(before)}{pointer}"])
        assert await names(api) == []


@pytest.mark.rule("AO-15", "AO-21", "ER-06")
async def test_what_is_wrong_is_told_of_all_operations(batches: Batches, api: Api) -> None:
    answer = await batches.run(
        add("tags", {"name": 7}), GOOD, add("customers", {"email": "x", "nope": 1}), {"op": "nope"}
    )
    assert answer.status_code == 400
    assert sorted(filter(None, pointers(answer))) == [
        "/atomic:operations/0/data/attributes/name",
        "/atomic:operations/2/data/attributes/email",
        "/atomic:operations/2/data/attributes/nope",
        "/atomic:operations/3/op",
    ]
    assert await names(api) == []
