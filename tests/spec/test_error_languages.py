"""Errors in the reader's language (JSON:API 1.1, "Error Objects": what is localized; RFC 9110, "Content-Language")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from schemas.fields import Write
from service import errors
from service.errors import ApiError
from service.http.hearing import MOST_OF_A_URL, MOST_OF_HEADERS
from service.principal import Store
from service.resources import RESOURCES
from service.settings import Settings
from service.store.pool import Connection
from tests import factories
from tests.spec.writing import resource, to, to_all
from tests.support import Access, Grant

ENGLISH = re.compile(r"\b(the|must|can't|cannot|not|there|this|has|been|be|and|or|with|by|to|are|already)\b")

ELSEWHERE = {
    "INTERNAL_SERVER_ERROR": "no request brings it about",
    "LINK_GONE": "a page says it",
    "NOT_IMPLEMENTED": "a transfer coding that no client of the tests sends",
    "PREVIEW_STALE": "needs a preview and a change after it",
    "QUOTA_EXCEEDED": "needs a customer who has hundreds of something; tests/api/test_quotas.py asks in Dutch",
    "REORDER_DISABLED": "needs a store that has switched reordering off",
    "REQUEST_IN_PROGRESS": "needs another request at the same time",
    "RESOURCES_CONTENDED": "needs others that change the same resources all the while",
    "SERVICE_UNAVAILABLE": "needs a database that is away",
    "TOO_MANY_REQUESTS": "only WeMasy's route is limited, in its own texts",
}

Told = list[dict[str, Any]]


class Bilingual:
    """Asks everything twice, in English and in Dutch, and holds the two answers against each other."""

    def __init__(self, client: httpx2.AsyncClient, access: Access) -> None:
        self._client = client
        self._access = access

    async def refused(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **sent: Any) -> Told:
        """The errors in Dutch."""
        answers = {}
        for language in ("en", "nl"):
            asked = self._access.headers | {"Accept-Language": language} | dict(headers or {})
            asked = {name: value for name, value in asked.items() if value}
            answer = await self._client.request(method, url, headers=asked, **sent)
            assert answer.status_code >= 400, (method, url, answer.text)
            assert answer.headers["content-language"] == language
            assert "Accept-Language" in answer.headers["vary"]
            answers[language] = answer.json()["errors"]
        for english, dutch in zip(answers["en"], answers["nl"], strict=True):
            same = ("status", "code", "source", "meta")
            assert [english.get(member) for member in same] == [dutch.get(member) for member in same]
            assert dutch["title"] != english["title"]
            assert dutch["detail"] != english["detail"]
            assert not ENGLISH.search(dutch["title"] + " " + dutch["detail"]), dutch
        told: Told = answers["nl"]
        return told


@pytest.fixture
def bilingual(client: httpx2.AsyncClient, integration: Access) -> Bilingual:
    return Bilingual(client, integration)


TAG = resource("tags", {"name": "vip"})
LONG = "x" * MOST_OF_A_URL

REFUSED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("INVALID_DATA_FORMAT", "POST", "/api/tags", {"content": "{"}),
    ("INVALID_DATA_FORMAT", "POST", "/api/tags", {"json": []}),
    ("INVALID_DATA_FORMAT", "POST", "/api/tags", {"json": {"data": []}}),
    ("INVALID_DATA_FORMAT", "POST", "/api/tags", {"json": {"data": {}}}),
    ("INVALID_DATA_FORMAT", "POST", "/api/tags", {"json": {"data": {"type": 1}}}),
    ("INVALID_DATA_FORMAT", "POST", "/api/tags", {"json": {"data": {"type": "tags", "attributes": []}}}),
    ("INVALID_DATA_FORMAT", "POST", "/api/tags", {"json": {"data": {"type": "tags", "id": 1}}}),
    ("INVALID_DATA_FORMAT", "POST", "/api/tags", {"json": resource("tags", {"name": "a", "type": "b"})}),
    ("INVALID_DATA_FORMAT", "POST", "/api/skus", {"json": resource("skus", {"code": "a", "name": "b"}, {"tags": 1})}),
    ("INVALID_DATA_FORMAT", "PATCH", "/api/skus/{sku}/relationships/tags", {"json": {"data": {}}}),
    ("INVALID_DATA_FORMAT", "PATCH", "/api/skus/{sku}/relationships/tags", {"json": {"data": [1]}}),
    ("INVALID_DATA_FORMAT", "PATCH", "/api/skus/{sku}/relationships/tags", {"json": {"data": [{"type": "tags"}]}}),
    (
        "INVALID_DATA_FORMAT",
        "PATCH",
        "/api/skus/{sku}/relationships/tags",
        {"json": {"data": [{"type": "tags", "lid": "a"}]}},
    ),
    ("PARAM_NOT_ALLOWED", "GET", "/api/orders?nope=1", {}),
    ("PARAM_NOT_ALLOWED", "GET", "/api/orders?sort=id&sort=id", {}),
    ("PARAM_NOT_ALLOWED", "GET", "/api/orders/x?page[size]=1", {}),
    ("INVALID_INCLUDE", "GET", "/api/orders?include=nope", {}),
    ("INVALID_INCLUDE", "GET", "/api/customers?include=orders", {}),
    ("INVALID_INCLUDE", "GET", "/api/orders?include=a.b.c.d.e", {}),
    ("INVALID_FIELD", "GET", "/api/orders?fields[orders]=nope", {}),
    ("INVALID_FIELD", "GET", "/api/orders?fields[nope]=nope", {}),
    ("INVALID_SORT_CRITERIA", "GET", "/api/orders?sort=nope", {}),
    ("FILTER_NOT_ALLOWED", "GET", "/api/orders?filter[nope]=1", {}),
    ("FILTER_NOT_ALLOWED", "GET", "/api/orders?filter[status][nope]=1", {}),
    ("FILTER_NOT_ALLOWED", "GET", "/api/orders?filter[q][status]=1", {}),
    ("FILTER_NOT_ALLOWED", "GET", "/api/orders?filter[metadata][eq]=1", {}),
    ("INVALID_FILTER_VALUE", "GET", "/api/orders?filter[status]=nope", {}),
    ("INVALID_FILTER_VALUE", "GET", "/api/orders?filter[placed_at][gt]=nope", {}),
    ("INVALID_FILTER_VALUE", "GET", "/api/orders?filter[number][matches]=%5C", {}),
    ("INVALID_FILTER_VALUE", "GET", "/api/orders?filter[metadata][jcont]=%7B", {}),
    ("INVALID_FILTER_VALUE", "GET", "/api/orders?filter[id][eq][]=1&filter[id][eq][]=2", {}),
    ("INVALID_PAGE_VALUE", "GET", "/api/orders?page[size]=0", {}),
    ("INVALID_PAGE_VALUE", "GET", "/api/orders?page[size]=101", {}),
    ("INVALID_PAGE_VALUE", "GET", "/api/orders?page[nope]=1", {}),
    ("INVALID_PAGE_VALUE", "GET", "/api/orders?page[number]=1&page[offset]=0", {}),
    ("INVALID_PAGE_VALUE", "GET", "/api/orders?page[after]=nope", {}),
    ("QUERY_TOO_COSTLY", "GET", "/api/orders?filter[id]=" + ",".join("a" * 501), {}),
    ("QUERY_TOO_COSTLY", "GET", "/api/orders?filter[id][eq_any]=" + ",".join("a" * 51), {}),
    ("INVALID_HEADER", "POST", "/api/tags", {"json": TAG, "headers": {"Idempotency-Key": "a b"}}),
    ("INVALID_HEADER", "POST", "/api/tags", {"json": TAG, "headers": {"X-HTTP-Method-Override": "TRACE"}}),
    ("INVALID_HOST", "GET", "/api", {"headers": {"Host": "evil.example"}}),
    ("UNAUTHORIZED", "GET", "/api/orders", {"headers": {"Authorization": ""}}),
    ("INVALID_TOKEN", "GET", "/api/orders", {"headers": {"Authorization": "Bearer nope"}}),
    ("FORBIDDEN", "PATCH", "/api/event_stores/x", {"json": resource("event_stores", id="x")}),
    ("FORBIDDEN", "PATCH", "/api/orders/x/relationships/line_items", {"json": to_all("line_items")}),
    ("READ_ONLY", "POST", "/api/tags", {"json": resource("tags", {"name": "a", "created_at": None})}),
    ("RECORD_NOT_FOUND", "GET", "/api/orders/nope", {}),
    ("RECORD_NOT_FOUND", "GET", "/api/orders/nope/nope", {}),
    ("RECORD_NOT_FOUND", "GET", "/api/nope", {}),
    ("RECORD_NOT_FOUND", "GET", "/api/nope/nope/nope/nope/nope", {}),
    ("METHOD_NOT_ALLOWED", "PUT", "/api/orders", {}),
    ("NOT_ACCEPTABLE", "GET", "/api/orders", {"headers": {"Accept": "text/html"}}),
    ("RECORD_NOT_UNIQUE", "POST", "/api/tags", {"json": TAG}),
    ("RECORD_NOT_UNIQUE", "POST", "/api/tags", {"json": resource("tags", {"name": "b"}, id="{tag}")}),
    ("TYPE_MISMATCH", "POST", "/api/tags", {"json": resource("skus")}),
    ("TYPE_MISMATCH", "PATCH", "/api/skus/{sku}/relationships/tags", {"json": to_all("skus", "a")}),
    ("TYPE_MISMATCH", "PATCH", "/api/tags/{tag}", {"json": resource("tags", id="x")}),
    ("INVALID_STATE", "DELETE", "/api/orders/{order}", {}),
    (
        "INVALID_STATE",
        "PATCH",
        "/api/orders/{order}",
        {"json": resource("orders", {"language_code": "nl"}, id="{order}")},
    ),
    ("INVALID_STATE", "DELETE", "/api/skus/{sku}", {}),
    ("PRECONDITION_FAILED", "DELETE", "/api/tags/{tag}", {"headers": {"If-Match": '"9-x"'}}),
    ("PAYLOAD_TOO_LARGE", "POST", "/api/tags", {"content": "{large}"}),
    ("URI_TOO_LONG", "GET", f"/api/orders?{LONG}", {}),
    ("HEADERS_TOO_LARGE", "GET", "/api/orders", {"headers": {"X-Long": "x" * MOST_OF_HEADERS}}),
    ("UNSUPPORTED_MEDIA_TYPE", "POST", "/api/tags", {"content": "{}", "headers": {"Content-Type": "text/plain"}}),
    ("VALIDATION_ERROR", "POST", "/api/customers", {"json": resource("customers", {"email": "nope"})}),
    (
        "VALIDATION_ERROR",
        "POST",
        "/api/tags",
        {"json": resource("tags", {"name": "a", "nope": 1}, {"no": to("a", "b")})},
    ),
    ("VALIDATION_ERROR", "POST", "/api/addresses", {"json": resource("addresses", {"line_1": "a", "city": "b"})}),
    ("VALIDATION_ERROR", "POST", "/api/skus", {"json": resource("skus", {"code": "c", "name": "n", "options": [1]})}),
    (
        "VALIDATION_ERROR",
        "POST",
        "/api/skus",
        {"json": resource("skus", {"code": "c", "name": "n", "min_quantity": 5, "max_quantity": 4})},
    ),
    ("VALIDATION_ERROR", "POST", "/api/skus", {"json": resource("skus", {"_add_tags": ",".join("a" * 11)})}),
    (
        "VALIDATION_ERROR",
        "POST",
        "/api/subscription_models",
        {"json": resource("subscription_models", {"name": "a", "frequencies": []})},
    ),
    (
        "VALIDATION_ERROR",
        "POST",
        "/api/cart_items",
        {"json": resource("cart_items", {"sku_code": "nope", "quantity": 1}, {"cart": to("carts", "{cart}")})},
    ),
    (
        "VALIDATION_ERROR",
        "POST",
        "/api/cart_items",
        {"json": resource("cart_items", {"sku_code": "{code}", "quantity": 9}, {"cart": to("carts", "{cart}")})},
    ),
]


@pytest.mark.rule("ER-05", "ER-11")
async def test_each_kind_of_mistake_is_told_in_dutch(
    bilingual: Bilingual, connection: Connection, store: Store, settings: Settings
) -> None:
    sku = await factories.sku(connection, store, max_quantity=3)
    ids = {
        "sku": sku.id,
        "code": sku.code,
        "tag": await factories.insert(connection, "tags", store, name="vip"),
        "order": await factories.order(connection, store, [factories.Line(sku)]),
        "cart": await factories.cart(connection, store),
        "large": "x" * (settings.max_body_bytes + 1),
    }
    for code, method, url, sent in REFUSED:
        told = await bilingual.refused(method, _filled(url, ids), **_filled(sent, ids))
        assert {error["code"] for error in told} == {code}, (method, url, told)


def _filled(value: Any, ids: Mapping[str, str]) -> Any:
    """A request with the ids of what there is in place of their names in braces."""
    if isinstance(value, dict):
        return {name: _filled(inner, ids) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, ids) for inner in value]
    if isinstance(value, str) and value[:1] + value[-1:] == "{}" and value[1:-1] in ids:
        return ids[value[1:-1]]
    if isinstance(value, str) and value.startswith("/"):
        return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], value)
    return value


@pytest.mark.rule("ER-11")
async def test_mistakes_that_need_a_state_are_told_in_dutch(
    bilingual: Bilingual, connection: Connection, store: Store, client: httpx2.AsyncClient, integration: Access
) -> None:
    key = {"Idempotency-Key": "k"}
    made = await client.post("/api/tags", json=TAG, headers=integration.headers | key)
    assert made.status_code == 201
    (error,) = await bilingual.refused("POST", "/api/tags", json=resource("tags", {"name": "other"}), headers=key)
    assert error["code"] == "IDEMPOTENCY_KEY_REUSED"
    order_id = await factories.full_order(
        connection,
        store,
        [factories.Line(await factories.sku(connection, store))],
        status="pending",
        payment_status="unpaid",
        payment_method_id=await factories.payment_method(connection, store, gateway="test"),
    )
    place = resource("orders", {"_place": True, "_payment_source_token": "tok_decline"}, id=order_id)
    (error,) = await bilingual.refused("PATCH", f"/api/orders/{order_id}", json=place)
    assert error["code"] == "PAYMENT_NOT_APPROVED_FOR_EXECUTION"
    policies = "update stores set policies = '{\"require_if_match\": true}' where store_id = $1"
    await connection.execute(policies, store.id)
    (error,) = await bilingual.refused("DELETE", f"/api/tags/{made.json()['data']['id']}")
    assert error["code"] == "PRECONDITION_REQUIRED"


def test_every_code_is_told_in_dutch_here_or_can_not_be() -> None:
    codes = {found.code for found in vars(errors).values() if isinstance(found, type) and issubclass(found, ApiError)}
    of_a_state = {"IDEMPOTENCY_KEY_REUSED", "PAYMENT_NOT_APPROVED_FOR_EXECUTION", "PRECONDITION_REQUIRED"}
    here = {code for code, *_ in REFUSED} | of_a_state
    assert here | ELSEWHERE.keys() == codes
    assert not here & ELSEWHERE.keys()


@pytest.mark.rule("ER-11")
@pytest.mark.parametrize("value", [None, "", "\x00", "x" * 10_001, -1, 1e300, 10**30, True, [], {}, ["\x00"]], ids=repr)
async def test_every_value_that_is_refused_is_refused_in_dutch(bilingual: Bilingual, value: Any) -> None:
    """All attributes of a type wrong at once, for every type that can be made."""
    for type_, entry in RESOURCES.items():
        fields = {**entry.resource.attributes, **entry.resource.triggers}
        sent = [name for name, field in fields.items() if field.write & Write.CREATE]
        if entry.create is None or not sent or type_ == "reorders":
            continue
        document = resource(type_, dict.fromkeys(sent, value) | {"nope": 1})
        told = await bilingual.refused("POST", f"/api/{type_}", json=document)
        assert len(told) > 1


@pytest.mark.rule("ER-11")
async def test_what_customers_may_not_do_is_told_in_dutch(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    shopper = Bilingual(client, await grant(customer_id=customer_id))
    order_id = await factories.order(connection, store, customer_id=customer_id)
    for method, url, document in (
        ("GET", "/api/promotions", None),
        ("GET", "/api/stores", None),
        ("POST", "/api/tags", resource("tags", {"name": "a"})),
        ("POST", "/api/customers", resource("customers", {"email": "a@example.com"})),
        ("PATCH", f"/api/orders/{order_id}/relationships/tags", to_all("tags")),
        ("GET", f"/api/orders/{order_id}?include=events", None),
    ):
        await shopper.refused(method, url, json=document)
