"""HTTP and JSON:API to the letter, as gateways, browsers and stock clients use them."""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import orjson
import pytest

from service.gateways.outbound import Limits, NotSent, post
from service.principal import Store
from tests.spec.writing import Api
from tests.support import Access

pytestmark = pytest.mark.usefixtures("connection")


async def _sku(client: httpx2.AsyncClient, access: Access, **attributes: Any) -> httpx2.Response:
    document = {"data": {"type": "skus", "attributes": {"code": "MUG", "name": "Mug", **attributes}}}
    answer = await client.post("/api/skus", json=document, headers=access.headers)
    assert answer.status_code == 201, answer.text
    return answer


def _change(id_: str, **attributes: Any) -> bytes:
    return orjson.dumps({"data": {"type": "skus", "id": id_, "attributes": attributes}})


@pytest.mark.rule("FM-133")
async def test_several_lines_of_a_header_are_one_list(client: httpx2.AsyncClient, integration: Access) -> None:
    made = await _sku(client, integration)
    url, tag = f"/api/skus/{made.json()['data']['id']}", made.headers["etag"]
    authorization = ("Authorization", f"Bearer {integration.token}")

    async def got(*headers: tuple[str, str]) -> int:
        return (await client.get(url, headers=[authorization, *headers])).status_code

    read = await client.get(url, headers=integration.headers)
    assert await got(("If-None-Match", '"other"'), ("If-None-Match", read.headers["etag"])) == 304
    assert await got(("Accept", "text/html"), ("Accept", "application/vnd.api+json")) == 200
    assert await got(("Accept", "text/html"), ("Accept", "text/plain")) == 406
    changed = await client.patch(
        url,
        content=_change(made.json()["data"]["id"], name="Cup"),
        headers=[
            authorization,
            ("Content-Type", "application/vnd.api+json"),
            ("If-Match", '"99-other"'),
            ("If-Match", tag),
        ],
    )
    assert changed.status_code == 200, changed.text


@pytest.mark.rule("FM-134")
async def test_if_none_match_keeps_a_write_from_what_exists(client: httpx2.AsyncClient, integration: Access) -> None:
    made = await _sku(client, integration)
    id_ = made.json()["data"]["id"]
    url = f"/api/skus/{id_}"
    for condition in ("*", made.headers["etag"], f'"other", W/{made.headers["etag"]}'):
        headers = integration.headers | {"If-None-Match": condition}
        changed = await client.patch(url, content=_change(id_, name="Cup"), headers=headers)
        assert changed.status_code == 412, condition
        assert changed.json()["errors"][0]["source"] == {"header": "If-None-Match"}
        assert (await client.delete(url, headers=headers)).status_code == 412
    headers = integration.headers | {"If-None-Match": '"99-other"'}
    assert (await client.patch(url, content=_change(id_, name="Cup"), headers=headers)).status_code == 200


@pytest.mark.rule("FM-135")
async def test_a_coded_body_is_refused_whatever_it_holds(client: httpx2.AsyncClient, integration: Access) -> None:
    made = (await _sku(client, integration)).json()["data"]["id"]
    for coding, status in (("gzip", 415), ("br, gzip", 415), ("identity", 200)):
        headers = integration.headers | {"Content-Encoding": coding}
        answer = await client.patch(f"/api/skus/{made}", content=_change(made, name="Cup"), headers=headers)
        assert answer.status_code == status
        if status == 415:
            assert answer.headers["accept-encoding"] == "identity"
            assert answer.json()["errors"][0]["source"] == {"header": "Content-Encoding"}


@pytest.mark.rule("FM-138")
async def test_without_a_body_any_media_type_may_be_named(client: httpx2.AsyncClient, integration: Access) -> None:
    id_ = (await _sku(client, integration)).json()["data"]["id"]
    for media_type in ("application/json", "text/plain; charset=utf-8", "application/x-www-form-urlencoded", ""):
        headers = integration.headers | {"Content-Type": media_type}
        assert (await client.get(f"/api/skus/{id_}", headers=headers)).status_code == 200, media_type
    foreign = integration.headers | {"Content-Type": "application/vnd.api+json; charset=utf-8"}
    assert (await client.get(f"/api/skus/{id_}", headers=foreign)).status_code == 415
    deleted = await client.delete(
        f"/api/skus/{id_}", headers=integration.headers | {"Content-Type": "application/json"}
    )
    assert deleted.status_code == 204


@pytest.mark.rule("FM-139")
@pytest.mark.parametrize(
    "number",
    ["18446744073709551616", "-9223372036854775809", "1e400", "0.12345678901234567890123", "123456789012345678901.5"],
)
async def test_a_number_that_would_change_is_none(client: httpx2.AsyncClient, integration: Access, number: str) -> None:
    body = f'{{"data":{{"type":"skus","attributes":{{"code":"A","name":"A","metadata":{{"a":[1,{number}]}}}}}}}}'
    answer = await client.post("/api/skus", content=body, headers=integration.headers)
    assert answer.status_code in (400, 422), answer.text
    if answer.status_code == 422:
        assert answer.json()["errors"][0]["source"]["pointer"].startswith("/data/attributes/metadata")


@pytest.mark.rule("FM-139")
@pytest.mark.parametrize(
    "number", ["18446744073709551615", "-9223372036854775808", "9007199254740993", "0.1234567890123456", "1e22", "-0.5"]
)
async def test_a_number_that_is_kept_comes_back(client: httpx2.AsyncClient, integration: Access, number: str) -> None:
    body = f'{{"data":{{"type":"skus","attributes":{{"code":"A","name":"A","metadata":{{"a":{number}}}}}}}}}'
    answer = await client.post("/api/skus", content=body, headers=integration.headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["attributes"]["metadata"]["a"] == orjson.loads(number)


@pytest.mark.rule("FM-140")
async def test_a_stock_model_can_be_saved_twice(client: httpx2.AsyncClient, integration: Access) -> None:
    read = (await _sku(client, integration)).json()["data"]
    id_ = read["id"]
    whole = {"data": {"type": "skus", "id": id_, "attributes": {**read["attributes"], "name": "First"}}}
    first = await client.patch(f"/api/skus/{id_}", json=whole, headers=integration.headers)
    assert first.status_code == 200, first.text
    whole["data"]["attributes"]["name"] = "Second"
    second = await client.patch(f"/api/skus/{id_}", json=whole, headers=integration.headers)
    assert (second.status_code, second.json()["data"]["attributes"]["name"]) == (200, "Second")
    for attributes in ({"created_at": "2001-01-01T00:00:00Z"}, {"updated_at": "nonsense"}):
        answer = await client.patch(f"/api/skus/{id_}", content=_change(id_, **attributes), headers=integration.headers)
        assert answer.status_code == 403, "without another `updated_at` a changed field is one"


@pytest.mark.rule("FM-142")
async def test_pages_of_other_origins_send_traces_and_read_what_they_are_told(client: httpx2.AsyncClient) -> None:
    answer = await client.options(
        "/api/orders",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization, baggage, traceparent, tracestate",
        },
    )
    assert answer.status_code == 200, answer.text
    got = await client.get("/api/orders", headers={"Origin": "https://shop.example"})
    exposed = {name.strip() for name in got.headers["access-control-expose-headers"].split(",")}
    assert {"Accept-Post", "Accept-Patch", "Vary"} <= exposed


@pytest.mark.rule("FM-144")
@pytest.mark.parametrize(
    ("query", "suggestion"),
    [
        ("page=2", "page[number]=2"),
        ("pag[number]=2", "page"),
        ("page[numbr]=2", "page[number]"),
        ("include=line_item", "line_items"),
        ("sort=-create_at", "created_at"),
        ("filter[statsu]=placed", "status"),
        ("filter[status][qe]=placed", None),
        ("filter[created_at][gteqq]=2026-01-01", "gteq"),
        ("fields[orders]=staus", "status"),
        ("fields[order]=status", "orders"),
        ("sort=zzzzzzzz", None),
    ],
)
async def test_a_typo_is_answered_with_the_name_that_was_meant(api: Api, query: str, suggestion: str | None) -> None:
    answer = await api.send("GET", f"orders?{query}")
    (error,) = answer.json()["errors"]
    assert answer.status_code == 400
    assert error.get("meta", {}).get("suggestion") == suggestion, error
    assert (f"Did you mean {suggestion}?" in error["detail"]) is (suggestion is not None)


@pytest.mark.rule("FM-144")
async def test_a_typo_in_a_type_or_field_is_answered_likewise(client: httpx2.AsyncClient, integration: Access) -> None:
    for url, suggestion in (("/api/order", "orders"), ("/api/skus/x/price", "prices")):
        (error,) = (await client.get(url, headers=integration.headers)).json()["errors"]
        assert error["meta"]["suggestion"] == suggestion
    document = {"data": {"type": "skus", "attributes": {"code": "A", "nmae": "Mug"}, "relationships": {"tag": {}}}}
    errors = (await client.post("/api/skus", json=document, headers=integration.headers)).json()["errors"]
    suggested = {error["source"]["pointer"]: error.get("meta", {}).get("suggestion") for error in errors}
    assert suggested["/data/attributes/nmae"] == "name"
    assert suggested["/data/relationships/tag"] == "tags"


@pytest.mark.rule("FM-129")
async def test_a_cursor_of_other_values_is_no_cursor(api: Api) -> None:
    whose = base64.urlsafe_b64encode(orjson.dumps(["orders", "created_at,id"])).decode().rstrip("=")

    def cursor(value: Any, id_: str) -> str:
        return f"{whose}.{id_}.{orjson.dumps([value]).hex()}"

    profile = 'application/vnd.api+json; profile="https://jsonapi.org/profiles/ethanresnick/cursor-pagination"'
    for values in (([1], "a"), ({"a": 1}, "a"), (1, "a"), (True, "a"), ("2026-01-01T00:00:00.000Z", "a.b")):
        url = f"orders?sort=created_at&page[after]={cursor(*values)}"
        answer = await api.send("GET", url, Accept=profile)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "INVALID_PAGE_VALUE"), values


@pytest.mark.rule("FM-126")
async def test_long_page_links_stay_in_the_body(client: httpx2.AsyncClient, integration: Access) -> None:
    for code in ("A", "B"):
        await _sku(client, integration, code=code)
    short = await client.get("/api/skus?page[size]=1", headers=integration.headers)
    assert 'rel="next"' in short.headers["link"]
    names = ",".join(["A", "B", *(f"code-{number}" for number in range(200))])
    long = await client.get(f"/api/skus?page[size]=1&filter[code]={names}", headers=integration.headers)
    assert long.status_code == 200
    assert "link" not in long.headers
    assert names.split(",")[-1] in long.json()["links"]["next"]


@pytest.mark.rule("FM-130")
@pytest.mark.parametrize(
    "url", ["https://0177.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://999.1.1.1/", "https://1.2.3/"]
)
async def test_a_gateway_has_no_address_in_disguise(api: Api, store: Store, url: str) -> None:
    answer = await api.update("stores", str(store.id), {"gateway_url": url})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["source"] == {"pointer": "/data/attributes/gateway_url"}


@pytest.mark.rule("FM-130")
async def test_a_url_that_cannot_be_read_is_never_an_accident() -> None:
    with pytest.raises(NotSent):
        await post("https://0177.0.0.1/", b"{}", {}, Limits())
