"""Errors and query parameters (JSON:API 1.1, "Errors", "Query Parameters")."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import orjson
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.spec.samples import COPIES, copies, copy_document, order
from tests.spec.writing import Api, resource, to_all
from tests.support import Access


def errors(answer: httpx2.Response) -> list[dict[str, Any]]:
    """The errors of an answer."""
    found: list[dict[str, Any]] = answer.json()["errors"]
    return found


@pytest.mark.rule("ER-01", "ER-02", "ER-04", "ER-05", "ER-07", "ER-08")
@pytest.mark.parametrize(
    ("url", "headers", "code", "source"),
    [
        ("/api/orders?nope=1", {}, "PARAM_NOT_ALLOWED", {"parameter": "nope"}),
        ("/api/orders?sort=nope", {}, "INVALID_SORT_CRITERIA", {"parameter": "sort"}),
        ("/api/orders?include=nope", {}, "INVALID_INCLUDE", {"parameter": "include"}),
        ("/api/orders?fields[orders]=nope", {}, "INVALID_FIELD", {"parameter": "fields[orders]"}),
        ("/api/orders?filter[nope]=1", {}, "FILTER_NOT_ALLOWED", {"parameter": "filter[nope]"}),
        ("/api/orders?page[size]=0", {}, "INVALID_PAGE_VALUE", {"parameter": "page[size]"}),
        ("/api/orders", {"Accept": "text/html"}, "NOT_ACCEPTABLE", {"header": "Accept"}),
        ("/api/orders", {"Authorization": "Bearer nope"}, "INVALID_TOKEN", {"header": "Authorization"}),
        ("/api/orders/nope", {}, "RECORD_NOT_FOUND", None),
    ],
)
async def test_an_error_says_what_and_where_and_leads_to_its_explanation(  # noqa: PLR0917 -- fixtures
    client: httpx2.AsyncClient,
    integration: Access,
    url: str,
    headers: dict[str, str],
    code: str,
    source: dict[str, str] | None,
) -> None:
    (error,) = errors(await client.get(url, headers=integration.headers | headers))
    assert error["code"] == code
    assert error.get("source") == source
    for link in error["links"].values():
        page = await client.get(link, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert f'id="{httpx2.URL(link).fragment}"' in page.text
        assert code in page.text


@pytest.mark.rule("ER-08")
async def test_a_page_of_the_reference_is_readable_and_its_links_work(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs/errors")
    assert page.headers["content-type"].startswith("text/html")
    hrefs = set(re.findall(r'href="([^"#:]+)', page.text))
    assert len(hrefs) > 20
    for href in hrefs:
        assert (await client.get(page.url.join(href))).status_code == 200, href
    assert (await client.get("/docs/nope")).status_code == 404
    assert (await client.get("/docs/..%2f..%2fREADME")).status_code == 404


@pytest.mark.rule("ER-08")
async def test_links_to_the_reference_never_name_a_foreign_host(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/orders", headers={"Host": "evil.example"})
    assert answer.json()["errors"][0]["links"]["type"].startswith("/docs/errors#")


@pytest.mark.rule("ER-03", "ER-06", "ER-09")
async def test_all_problems_at_once_with_pointers_that_resolve(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    document = await copy_document(connection, store, reference=7, status="completed", metadata=[], **{"a/b~c": 1})
    del document["data"]["relationships"]["source_order"]
    answer = await client.post(COPIES, content=orjson.dumps(document), headers=integration.headers)
    found = errors(answer)
    assert answer.status_code == 400, "403 and 422 together"
    assert {error["status"] for error in found} == {"403", "422"}
    assert len(found) == 5
    assert "/data/attributes/a~1b~0c" in [error["source"]["pointer"] for error in found]
    assert await copies(connection, store) == 0


@pytest.mark.rule("ER-10")
async def test_an_accident_tells_nothing(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    await order(connection, store)
    await connection.execute("update stores set locale = 'xx_NOPE' where store_id = $1", store.id)
    answer = await client.get("/api/orders", headers=integration.headers)
    (error,) = errors(answer)
    assert answer.status_code == 500
    assert error["id"] in error["detail"]
    for secret in ("Traceback", "select", "xx_NOPE", "/service/", ".py"):
        assert secret not in answer.text


@pytest.mark.rule("ER-05", "ER-11")
@pytest.mark.parametrize(
    ("language", "chosen"),
    [("nl", "nl"), ("nl-BE, en;q=0.5", "nl"), ("de", "en"), ("de, nl;q=0.2, en;q=0.1", "nl"), ("en", "en"), ("", "en")],
)
async def test_errors_speak_the_readers_language(
    client: httpx2.AsyncClient, integration: Access, language: str, chosen: str
) -> None:
    answer = await client.get("/api/orders/nope", headers=integration.headers | {"Accept-Language": language})
    (error,) = errors(answer)
    assert answer.headers["content-language"] == chosen
    assert "Accept-Language" in answer.headers["vary"]
    assert error["code"] == "RECORD_NOT_FOUND"
    told = {
        "en": ("Record not found", "No resource of the type orders has this id."),
        "nl": ("Niet gevonden", "Er is niets van het type orders met dit id."),
    }
    assert (error["title"], error["detail"]) == told[chosen]


@pytest.mark.rule("QP-01", "QP-05", "QP-06", "QP-14", "ER-07")
@pytest.mark.parametrize(
    "parameter", ["foo", "fooBar", "Filter[x]", "sort[items]", "include[]", "page", "fields", "f[a"]
)
async def test_unknown_parameters_are_refused_everywhere(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, parameter: str
) -> None:
    document = await copy_document(connection, store)
    order_id = document["data"]["relationships"]["source_order"]["data"]["id"]
    params = {parameter: "1"}
    one = f"/api/orders/{order_id}"
    for url in (
        "/api", "/api/orders", one, f"{one}/line_items", f"{one}/customer", f"{one}/relationships/line_items",
        f"{one}/relationships/customer",
    ):  # fmt: skip
        (error,) = errors(await client.get(url, params=params, headers=integration.headers))
        assert (error["status"], error["source"]) == ("400", {"parameter": parameter})
    (error,) = errors(await client.post(COPIES, params=params, json=document, headers=integration.headers))
    assert (error["status"], error["source"]) == ("400", {"parameter": parameter})
    assert await copies(connection, store) == 0


@pytest.mark.rule("QP-07", "QP-12", "QP-13")
async def test_encoded_parameters_are_read(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    id_ = await order(connection, store)
    await factories.insert(connection, "customer_groups", store, name="a b")
    await factories.insert(connection, "customer_groups", store, name="a+b")

    async def names(query: str) -> list[str]:
        found = (await client.get(f"/api/customer_groups?{query}", headers=integration.headers)).json()["data"]
        return [one["attributes"]["name"] for one in found]

    assert await names("filter[name]=a+b") == await names("filter%5Bname%5D=a%20b") == ["a b"]
    assert await names("filter[name]=a%2Bb") == ["a+b"]
    plain = await client.get(f"/api/orders/{id_}?include=customer,line_items", headers=integration.headers)
    encoded = await client.get(f"/api/orders/{id_}?include=customer%2Cline_items", headers=integration.headers)
    assert plain.json()["included"] == encoded.json()["included"]
    for name in ("sort", "include", "fields[orders]", "page[size]", "filter[id]"):
        (error,) = errors(await client.get(f"/api/orders?{name}=id&{name}=id", headers=integration.headers))
        assert (error["status"], error["source"]) == ("400", {"parameter": name})


@pytest.mark.rule("QP-08")
@pytest.mark.parametrize("query", ["sort=%", "sort=%zz", "sort=%ff", "sort=%00", "%00=1", "%=1", "filter[id]=%c3%28"])
async def test_queries_that_can_not_be_decoded_are_400(
    client: httpx2.AsyncClient, integration: Access, query: str
) -> None:
    answer = await client.get(f"http://127.0.0.1/api/orders?{query}", headers=integration.headers)
    assert answer.status_code == 400, answer.text


@pytest.mark.rule("QP-01", "QP-05", "QP-06", "IN-07", "IN-10", "SF-07", "SO-07", "PG-12", "FI-10")
@pytest.mark.parametrize("parameter", ["foo", "fooBar", "Filter[x]", "sort", "filter[id]", "page[size]"])
async def test_no_change_is_made_with_a_parameter_that_is_not_known(api: Api, parameter: str) -> None:
    """Also `include` and `fields` where the answer has no document, or where what they name isn't there."""
    tag = await api.create("tags", {"name": "vip"})
    sam = await api.create("customers", {"email": "sam@example.com"}, {"tags": to_all("tags", tag["id"])})
    before = await api.get("customers?include=tags")
    url = f"customers/{sam['id']}"
    relationship = f"{url}/relationships/tags"
    bodiless, shaped = [parameter, "include", "fields[customers]"], [parameter]
    for method, place, document, parameters in (
        ("POST", "customers", resource("customers", {"email": "new@example.com"}), shaped),
        ("PATCH", url, resource("customers", {"reference": "new"}, id=sam["id"]), shaped),
        ("DELETE", url, None, bodiless),
        ("PATCH", relationship, to_all("tags"), bodiless),
        ("POST", relationship, to_all("tags", tag["id"]), bodiless),
        ("DELETE", relationship, to_all("tags", tag["id"]), bodiless),
    ):
        for name in parameters:
            (error,) = errors(await api.send(method, f"{place}?{name}=email", document))
            assert (error["status"], error["source"]) == ("400", {"parameter": name}), (method, place)
        if document and parameters == shaped:
            for query in ("include=nope", "include=tags.nope", "fields[customers]=nope", "fields[nope]=id"):
                (error,) = errors(await api.send(method, f"{place}?{query}", document))
                assert error["source"] == {"parameter": query.partition("=")[0]}
    assert await api.get("customers?include=tags") == before
