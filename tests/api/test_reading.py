"""The generic read side: every type, every kind of URL, through the real application and a real Postgres."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx2
import orjson
import pytest

from schemas.graph import graph
from schemas.relationships import ToMany
from schemas.rendering import Rendering
from service import clock
from service.jsonapi.document import collect
from service.jsonapi.query import parse
from service.jsonapi.sorting import sortable
from service.principal import Store, Viewer
from service.resources import RESOURCES
from service.store import read
from service.store.pool import Connection, Database, fetch, fetchrow, open_database
from tests import factories
from tests.support import Access, Grant, make_store

MEDIA_TYPE = "application/vnd.api+json"


@pytest.fixture
async def order_id(connection: Connection, store: Store) -> str:
    """A placed order of two lines with everything that belongs to it."""
    shirt = await factories.sku(connection, store, price=1999, name="Blue T-Shirt")
    mug = await factories.sku(connection, store, price=900, name="Cotton Mug")
    return await factories.full_order(connection, store, [factories.Line(shirt, 2), factories.Line(mug)])


@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_type_has_a_collection(client: httpx2.AsyncClient, integration: Access, type_: str) -> None:
    answer = await client.get(f"/api/{type_}?page[size]=2", headers=integration.headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = answer.json()
    assert isinstance(document["data"], list)
    assert document["meta"]["record_count"] >= len(document["data"])
    assert all(resource["type"] == type_ for resource in document["data"])
    missing = await client.get(f"/api/{type_}/nothing", headers=integration.headers)
    assert missing.status_code == 404
    assert missing.json()["errors"][0]["code"] == "RECORD_NOT_FOUND"


@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_type_can_be_included_sorted_and_filtered(
    client: httpx2.AsyncClient, integration: Access, type_: str
) -> None:
    resource = graph[type_]
    includable = ",".join(name for name, field in resource.relationships.items() if field.includable)
    answer = await client.get(
        f"/api/{type_}", params={"include": includable, "sort": "-id"}, headers=integration.headers
    )
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json()["included"], list)
    for name in sortable(resource):
        answer = await client.get(f"/api/{type_}?sort={name},-id", headers=integration.headers)
        assert answer.status_code == 200, answer.text
    for name, field in resource.relationships.items():
        if field.filter:
            answer = await client.get(f"/api/{type_}", params={f"filter[{name}]": "a,b"}, headers=integration.headers)
            assert answer.status_code == 200, answer.text
            assert answer.json()["data"] == []


async def test_a_resource_has_links_linkage_and_meta(
    client: httpx2.AsyncClient, integration: Access, order_id: str
) -> None:
    answer = await client.get(f"/api/orders/{order_id}", headers=integration.headers)
    order = answer.json()["data"]
    assert order["links"]["self"] == f"http://127.0.0.1/api/orders/{order_id}"
    assert order["meta"] == {"mode": "test", "version": 1}
    assert order["attributes"]["total_amount_cents"] == 2 * 1999 + 900 + 495
    assert order["attributes"]["total_amount_float"] == 53.93
    assert order["attributes"]["formatted_total_amount"] == "€53.93"
    customer = order["relationships"]["customer"]
    assert customer["links"] == {
        "self": f"http://127.0.0.1/api/orders/{order_id}/relationships/customer",
        "related": f"http://127.0.0.1/api/orders/{order_id}/customer",
    }
    assert customer["data"]["type"] == "customers"
    assert "data" not in order["relationships"]["line_items"]


async def test_every_link_of_an_order_resolves(client: httpx2.AsyncClient, integration: Access, order_id: str) -> None:
    order = (await client.get(f"/api/orders/{order_id}", headers=integration.headers)).json()["data"]
    for name, relationship in order["relationships"].items():
        many = isinstance(graph["orders"].relationships[name], ToMany)
        for link in relationship["links"].values():
            answer = await client.get(link, headers=integration.headers)
            assert answer.status_code == 200, (link, answer.text)
            document = answer.json()
            assert isinstance(document["data"], list) == many
            assert (await client.get(document["links"]["self"], headers=integration.headers)).json() == document


async def test_includes_bring_each_resource_once_with_full_linkage(
    client: httpx2.AsyncClient, integration: Access, order_id: str
) -> None:
    answer = await client.get(
        "/api/orders?include=customer,line_items.sku,line_items.order,billing_address", headers=integration.headers
    )
    document = answer.json()
    assert answer.status_code == 200
    keys = [(r["type"], r["id"]) for r in [*document["data"], *document["included"]]]
    assert len(keys) == len(set(keys))
    assert {type_ for type_, _ in keys} == {"orders", "customers", "line_items", "skus", "addresses"}
    linked = {(i["type"], i["id"]) for r in [*document["data"], *document["included"]] for i in linkage(r)}
    assert {(r["type"], r["id"]) for r in document["included"]} <= linked
    order = document["data"][0]
    assert order["id"] == order_id
    assert len(order["relationships"]["line_items"]["data"]) == 2


def linkage(resource: dict[str, dict[str, dict[str, object]]]) -> list[dict[str, str]]:
    """All identifiers that a resource object's relationships hold."""
    found: list[dict[str, str]] = []
    for relationship in resource.get("relationships", {}).values():
        data = relationship.get("data")
        found += data if isinstance(data, list) else [data] if isinstance(data, dict) else []
    return found


async def test_one_statement_for_a_resource_and_two_for_a_page(
    client: httpx2.AsyncClient, integration: Access, order_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However deep the include tree: one statement brings it, a page needs one more for the count (design: 1 + 1)."""
    statements: list[str] = []

    def counted(run: Callable[..., object]) -> Callable[..., object]:
        def run_counted(connection: Connection, text: str, *binds: object) -> object:
            statements.append(text)
            return run(connection, text, *binds)

        return run_counted

    monkeypatch.setattr(read, "fetch", counted(fetch))
    monkeypatch.setattr(read, "fetchrow", counted(fetchrow))
    tree = "customer.tags,line_items.sku.prices,billing_address,shipping_address.customer"
    assert (await client.get(f"/api/orders/{order_id}?include={tree}", headers=integration.headers)).status_code == 200
    assert len(statements) == 1
    statements.clear()
    assert (await client.get(f"/api/orders?include={tree}", headers=integration.headers)).status_code == 200
    assert len(statements) == 2


async def test_fieldsets(client: httpx2.AsyncClient, integration: Access, order_id: str) -> None:
    url = f"/api/orders/{order_id}"
    answer = await client.get(f"{url}?fields[orders]=status", headers=integration.headers)
    assert answer.json()["data"].keys() == {"type", "id", "links", "attributes", "meta"}
    assert answer.json()["data"]["attributes"] == {"status": "placed"}
    answer = await client.get(f"{url}?fields[orders]=", headers=integration.headers)
    assert answer.json()["data"].keys() == {"type", "id", "links", "meta"}
    answer = await client.get(f"{url}?fields[orders]=customer", headers=integration.headers)
    assert answer.json()["data"]["relationships"].keys() == {"customer"}
    answer = await client.get(
        f"{url}?include=customer&fields[orders]=status&fields[customers]=email", headers=integration.headers
    )
    assert answer.json()["included"][0]["attributes"].keys() == {"email"}


async def test_pages_have_exact_counts_and_links(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    ids = [await factories.customer(connection, store) for _ in range(7)]
    url, seen = "/api/customers?page[size]=3&sort=id&fields[customers]=email", []
    while url:
        document = (await client.get(url, headers=integration.headers)).json()
        assert document["meta"] == {"record_count": 7, "page_count": 3, "total": 7, "page": {"total": 7}}
        seen += [resource["id"] for resource in document["data"]]
        assert document["links"]["last"].endswith("page%5Bnumber%5D=3&page%5Bsize%5D=3")
        assert ("prev" in document["links"]) == (len(seen) > 3)
        url = document["links"].get("next", "")
        assert "fields%5Bcustomers%5D=email" in url or not url
    assert seen == ids
    past = (await client.get("/api/customers?page[number]=9", headers=integration.headers)).json()
    assert past["data"] == []
    assert past["meta"]["record_count"] == 7


async def test_sort_and_filter(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    sku = await factories.sku(connection, store)
    cheap = await factories.order(connection, store, [factories.Line(sku)], customer_id=customer_id)
    dear = await factories.order(connection, store, [factories.Line(sku, 5)], customer_id=customer_id)
    draft = await factories.order(connection, store, [], status="draft", payment_status="unpaid")

    async def ids(query: str) -> list[str]:
        answer = await client.get(f"/api/orders?{query}", headers=integration.headers)
        assert answer.status_code == 200, answer.text
        return [resource["id"] for resource in answer.json()["data"]]

    assert await ids("sort=-total_amount_cents") == [dear, cheap, draft]
    assert await ids("filter[status]=draft,cancelled") == [draft]
    assert await ids(f"filter[customer]={customer_id}&sort=total_amount_cents") == [cheap, dear]
    assert await ids(f"filter[id][]={cheap}&filter[id][]={cheap}") == [cheap]
    assert await ids("filter[total_amount_cents]=5000&filter[status]=placed") == [dear]
    assert await ids("filter[status]=placed&filter[customer]=nobody") == []


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("foo=1", "foo", "PARAM_NOT_ALLOWED"),
        ("fooBar=1", "fooBar", "PARAM_NOT_ALLOWED"),
        ("Filter[status]=placed", "Filter[status]", "PARAM_NOT_ALLOWED"),
        ("include[]=customer", "include[]", "PARAM_NOT_ALLOWED"),
        ("include=nope", "include", "INVALID_INCLUDE"),
        ("include=customer..orders", "include", "INVALID_INCLUDE"),
        ("include=status", "include", "INVALID_INCLUDE"),
        ("include=events", "include", "INVALID_INCLUDE"),
        ("include=line_items.order.line_items.order.customer", "include", "INVALID_INCLUDE"),
        ("fields[orders]=nope", "fields[orders]", "INVALID_FIELD"),
        ("fields[nope]=id", "fields[nope]", "INVALID_FIELD"),
        ("fields=status", "fields", "PARAM_NOT_ALLOWED"),
        ("sort=nope", "sort", "INVALID_SORT_CRITERIA"),
        ("sort=status,", "sort", "INVALID_SORT_CRITERIA"),
        ("sort=--status", "sort", "INVALID_SORT_CRITERIA"),
        ("sort=Status", "sort", "INVALID_SORT_CRITERIA"),
        ("sort=a&sort=b", "sort", "PARAM_NOT_ALLOWED"),
        ("sort=status&sort=id", "sort", "PARAM_NOT_ALLOWED"),
        ("filter[nope]=1", "filter[nope]", "FILTER_NOT_ALLOWED"),
        ("filter[_]=1", "filter[_]", "FILTER_NOT_ALLOWED"),
        ("filter=1", "filter", "FILTER_NOT_ALLOWED"),
        ("filter[status]=nope", "filter[status]", "INVALID_FILTER_VALUE"),
        ("filter[total_amount_cents]=x", "filter[total_amount_cents]", "INVALID_FILTER_VALUE"),
        ("filter[total_amount_cents]=9223372036854775808", "filter[total_amount_cents]", "INVALID_FILTER_VALUE"),
        ("filter[placed_at]=yesterday", "filter[placed_at]", "INVALID_FILTER_VALUE"),
        ("page[size]=0", "page[size]", "INVALID_PAGE_VALUE"),
        ("page[size]=101", "page[size]", "INVALID_PAGE_VALUE"),
        ("page[size]=1.5", "page[size]", "INVALID_PAGE_VALUE"),
        ("page[size]=", "page[size]", "INVALID_PAGE_VALUE"),
        ("page[number]=-1", "page[number]", "INVALID_PAGE_VALUE"),
        ("page[nope]=1", "page[nope]", "INVALID_PAGE_VALUE"),
        ("page=2", "page", "PARAM_NOT_ALLOWED"),
        ("include=%zz", "include", "PARAM_NOT_ALLOWED"),
        ("include=%ff", "include", "PARAM_NOT_ALLOWED"),
        ("include=%00", "include", "PARAM_NOT_ALLOWED"),
    ],
)
async def test_a_mistaken_parameter_is_named(
    client: httpx2.AsyncClient, integration: Access, query: str, parameter: str, code: str
) -> None:
    answer = await client.get(f"/api/orders?{query}", headers=integration.headers)
    assert answer.status_code == 400, answer.text
    error = answer.json()["errors"][0]
    assert error["source"] == {"parameter": parameter}
    assert error["code"] == code
    assert error["status"] == "400"
    assert error["id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("query", ["sort=status", "filter[status]=placed", "page[size]=1"])
async def test_collection_parameters_are_not_for_single_resources(
    client: httpx2.AsyncClient, integration: Access, order_id: str, query: str
) -> None:
    for url in (f"/api/orders/{order_id}", f"/api/orders/{order_id}/customer"):
        assert (await client.get(f"{url}?{query}", headers=integration.headers)).status_code == 400


@pytest.mark.parametrize(
    "id_", ["abc'--", "-1", "9" * 40, "%00", "%F0%9F%98%80", "a b", "..%2f", "nothing", "%ff", "'; drop table orders"]
)
async def test_strange_ids_are_not_found(client: httpx2.AsyncClient, integration: Access, id_: str) -> None:
    for url in (f"/api/orders/{id_}", f"/api/orders/{id_}/line_items", f"/api/orders/{id_}/relationships/customer"):
        answer = await client.get(url, headers=integration.headers)
        assert answer.status_code == 404, (url, answer.text)
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.json()["errors"][0]["code"] == "RECORD_NOT_FOUND"


async def test_linkage_documents(client: httpx2.AsyncClient, integration: Access, order_id: str) -> None:
    base = f"/api/orders/{order_id}/relationships"
    lines = (await client.get(f"{base}/line_items", headers=integration.headers)).json()
    assert [item.keys() for item in lines["data"]] == [{"type", "id"}] * 2
    assert lines["links"]["related"].endswith(f"/api/orders/{order_id}/line_items")
    with_skus = await client.get(f"{base}/line_items?include=line_items.sku", headers=integration.headers)
    assert {r["type"] for r in with_skus.json()["included"]} == {"line_items", "skus"}
    assert (await client.get(f"{base}/line_items?include=customer", headers=integration.headers)).status_code == 400
    assert (await client.get(f"{base}/market", headers=integration.headers)).json()["data"] is None
    assert (await client.get(f"/api/orders/{order_id}/market", headers=integration.headers)).json()["data"] is None
    assert (await client.get(f"{base}/nope", headers=integration.headers)).status_code == 404


async def test_another_store_is_out_of_sight(
    client: httpx2.AsyncClient, database: Database, grant: Grant, order_id: str
) -> None:
    other = await grant(store=await make_store(database))
    assert (await client.get("/api/orders", headers=other.headers)).json()["meta"]["record_count"] == 0
    for url in (f"/api/orders/{order_id}", f"/api/orders/{order_id}/line_items", f"/api/orders/{order_id}/customer"):
        assert (await client.get(url, headers=other.headers)).status_code == 404


async def test_a_customer_sees_only_its_own(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, order_id: str
) -> None:
    sku = await factories.sku(connection, store)
    me = await factories.customer(connection, store)
    mine = await factories.full_order(connection, store, [factories.Line(sku)], customer_id=me)
    access = await grant(customer_id=me)

    async def ids(url: str) -> list[str]:
        answer = await client.get(url, headers=access.headers)
        assert answer.status_code == 200, answer.text
        return [resource["id"] for resource in answer.json()["data"]]

    assert await ids("/api/orders") == [mine]
    assert await ids("/api/customers") == [me]
    assert len(await ids("/api/line_items")) == 1
    assert len(await ids("/api/skus")) == 3, "the catalogue is for everybody"
    for url in (f"/api/orders/{order_id}", f"/api/orders/{order_id}/line_items", f"/api/orders/{order_id}/customer"):
        assert (await client.get(url, headers=access.headers)).status_code == 404
    found = await client.get(
        f"/api/orders?filter[id]={order_id},{mine}&include=line_items,customer", headers=access.headers
    )
    assert [resource["id"] for resource in found.json()["data"]] == [mine]
    assert (await client.get("/api/events", headers=access.headers)).status_code == 403
    assert (await client.get("/api/orders?include=tags", headers=access.headers)).status_code == 400
    assert (await client.get(f"/api/orders/{mine}/tags", headers=access.headers)).status_code == 403


async def test_who_asks(client: httpx2.AsyncClient, grant: Grant) -> None:
    headers = {"Accept": MEDIA_TYPE}
    answer = await client.get("/api/orders", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "UNAUTHORIZED")
    for token in (
        "nonsense",
        "secret_1_nonsense",
        "secret_x_y",
        "customer_1_" + "x" * 40,
        "secret_99999999999999999999_x",
    ):
        answer = await client.get("/api/orders", headers=headers | {"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "INVALID_TOKEN")
    narrow = await grant(scopes=["read_catalog"])
    assert (await client.get("/api/skus", headers=narrow.headers)).status_code == 200
    answer = await client.get("/api/orders", headers=narrow.headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "FORBIDDEN")
    assert "read_orders" in answer.json()["errors"][0]["detail"]


async def test_a_customer_sees_no_prices_of_groups(
    client: httpx2.AsyncClient, grant: Grant, integration: Access, connection: Connection, store: Store
) -> None:
    sku = await factories.sku(connection, store)
    group = await factories.insert(connection, "customer_groups", store, name="Resellers")
    await factories.insert(
        connection, "prices", store, sku_id=sku.id, currency_code="EUR", amount_cents=1, customer_group_id=group
    )
    access = await grant(customer_id=await factories.customer(connection, store))
    for url in ("/api/prices", f"/api/skus/{sku.id}/prices"):
        assert len((await client.get(url, headers=integration.headers)).json()["data"]) == 2
        assert len((await client.get(url, headers=access.headers)).json()["data"]) == 1
    sku_document = (await client.get(f"/api/skus/{sku.id}?include=prices", headers=access.headers)).json()
    assert len(sku_document["included"]) == 1


async def test_a_customer_sees_what_can_be_bought_now(
    client: httpx2.AsyncClient, grant: Grant, integration: Access, connection: Connection, store: Store
) -> None:
    """Neither what is not on sale yet nor its prices, and no price but those of today."""
    now, day = clock.now(), timedelta(days=1)
    announced = await factories.sku(connection, store, published_at=now + day)
    sku = await factories.sku(connection, store, published_at=now - day)
    for amount, starts_at, expires_at in (
        (1, now + day, None),
        (2, None, now - day),
        (3, now - day, now + day),
        (4, now - 2 * day, now - day),
    ):
        await factories.insert(
            connection, "prices", store, sku_id=sku.id, currency_code="EUR",
            amount_cents=amount, starts_at=starts_at, expires_at=expires_at,
        )  # fmt: skip
    shopper = await grant(customer_id=await factories.customer(connection, store))

    async def amounts(url: str, access: Access) -> list[int]:
        document = (await client.get(url, headers=access.headers)).json()
        found = document.get("included") or document["data"]
        return sorted(one["attributes"]["amount_cents"] for one in found if one["type"] == "prices")

    for url in (f"/api/skus/{sku.id}/prices", f"/api/skus/{sku.id}?include=prices"):
        assert await amounts(url, integration) == [1, 2, 3, 4, 1000]
        assert await amounts(url, shopper) == [3, 1000]
    assert await amounts("/api/prices", shopper) == [3, 1000]
    listed = (await client.get("/api/skus", headers=shopper.headers)).json()
    assert [one["id"] for one in listed["data"]] == [sku.id]
    assert listed["meta"]["total"] == 1
    for access, status in ((integration, 200), (shopper, 404)):
        assert (await client.get(f"/api/skus/{announced.id}", headers=access.headers)).status_code == status
    probed = await client.get("/api/skus?filter[prices.amount_cents]=1", headers=shopper.headers)
    assert probed.json()["data"] == []

    # A day later on the store's own clock.
    test_clock = await factories.insert(connection, "test_clocks", store, frozen_at=now + day)
    await connection.execute("update stores set test_clock_id = $2 where store_id = $1", store.id, test_clock)
    assert await amounts(f"/api/skus/{sku.id}/prices", shopper) == [1, 1000]
    assert (await client.get(f"/api/skus/{announced.id}", headers=shopper.headers)).status_code == 200


async def test_a_fresh_connection_reads_lists_inside_of_included_resources(
    database_url: str, store: Store, order_id: str
) -> None:
    """Nothing has to be known of types that only a result has (which once was a 500 on new connections)."""
    query = parse(graph["line_items"], [("include", "order.line_items")], shape="many")
    async with open_database(database_url, max_size=1) as fresh, fresh.connection() as connection:
        rows = await read.page(connection, Viewer(store.id), query)
    _, included = collect(rows.rows, query.selection, Rendering("/api"))
    (order,) = (found for found in map(orjson.loads, included) if found["type"] == "orders")
    assert order["id"] == order_id
    assert len(order["relationships"]["line_items"]["data"]) == 2


async def test_a_customer_can_fetch_whatever_its_order_links_to(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, order_id: str
) -> None:
    """Addresses of an order are copies without a place in the address book; their customer reads them all the same."""
    owner = await connection.fetchval(
        "select customer_id from orders where store_id = $1 and id = $2", store.id, order_id
    )
    access = await grant(customer_id=owner)
    order = (await client.get(f"/api/orders/{order_id}", headers=access.headers)).json()["data"]
    for identifier in linkage(order):
        answer = await client.get(f"/api/{identifier['type']}/{identifier['id']}", headers=access.headers)
        assert answer.status_code == 200, identifier
    included = await client.get(f"/api/orders/{order_id}?include=billing_address", headers=access.headers)
    assert included.json()["included"][0]["attributes"]["city"] == "Utrecht"
    book = await client.get(f"/api/customers/{owner}/addresses", headers=access.headers)
    assert book.json()["data"] == []


async def test_a_native_reorder_needs_the_right_to_read_orders(
    client: httpx2.AsyncClient, grant: Grant, order_id: str
) -> None:
    source = {"source_order": {"data": {"type": "orders", "id": order_id}}}
    document = {"data": {"type": "reorders", "relationships": source}}
    narrow = await grant(scopes=["update_carts"])
    answer = await client.post("/api/reorders", json=document, headers=narrow.headers)
    assert answer.status_code == 403
    assert "read_orders" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("host", ["localhost:99999", "localhost:99999999", "localhost:x", "localhost:-1"])
async def test_a_host_with_no_real_port_gets_no_links(
    client: httpx2.AsyncClient, integration: Access, host: str
) -> None:
    answer = await client.get("/api/orders", headers=integration.headers | {"Host": host})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "INVALID_HOST")
