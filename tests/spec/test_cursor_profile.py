"""Cursor pagination: https://jsonapi.org/profiles/ethanresnick/cursor-pagination, checklist chapter CP."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from schemas.graph import graph
from service.jsonapi.pagination import Cursors
from service.jsonapi.sorting import parse
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection
from tests import counted, factories
from tests.spec.reading import MEDIA_TYPE, PROFILE, Reader, flat
from tests.support import Access, Grant

ASKED = f'{MEDIA_TYPE};profile="{PROFILE}"'
APPLIED = f'{MEDIA_TYPE}; profile="{PROFILE}"'
COUNT = 23
PAGED = ("/api/line_items", "/api/orders/{}/line_items", "/api/orders/{}/relationships/line_items")
"""A collection, related resources and a relationship."""


@pytest.fixture
async def orders(connection: Connection, store: Store) -> list[str]:
    """Orders with equal and missing values in every sort key, a third of them without a customer."""
    customers = [await factories.customer(connection, store, email=f"{name}@example.com") for name in "zay"]
    sku = await factories.sku(connection, store, price=100)
    return [
        await factories.order(
            connection,
            store,
            [factories.Line(sku, i % 3 + 1)],
            customer_id=customers[i % 3] if i % 4 else None,
            reference=None if i % 5 == 0 else f"r{i % 2}",
            status="draft" if i % 7 == 0 else "placed",
        )
        for i in range(COUNT)
    ]


SORTS = (
    "id", "-id", "total_amount_cents", "-total_amount_cents", "reference", "-reference",
    "reference,-total_amount_cents", "-reference,total_amount_cents", "status,-reference,total_amount_cents,-id",
    "customer.email", "-customer.email",
    "customer.email,-reference,total_amount_cents", "-placed_at,reference", "placed_at,-reference",
)  # fmt: skip
"""Partial orders, mixed directions, nulls in each place, and through a relationship."""


@pytest.mark.rule("CP-06", "CP-08", "CP-14", "CP-16")
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("size", [1, 4, 22, 23, 24])
async def test_a_walk_has_no_gap_and_no_duplicate(reader: Reader, orders: list[str], sort: str, size: int) -> None:
    """Forwards and backwards, in the order of numbered pages."""
    whole = await reader.ids("/api/orders", {"sort": sort, "page[size]": "100"})
    assert sorted(whole) == sorted(orders)
    url = f"/api/orders?sort={sort}&fields[orders]=&page[size]={size}"
    forwards = await reader.walk(f"{url}&page[after]=start")
    assert flat(forwards) == whole
    assert {len(page) for page in forwards[:-1]} <= {size}
    assert forwards[-1], "the last page is known to be the last"
    backwards = await reader.walk(f"{url}&page[before]=end", "prev")
    assert flat(backwards[::-1]) == whole
    assert len(backwards) == len(forwards)


@pytest.mark.rule("CP-06", "CP-08", "CP-11", "CP-19")
@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("sort", SORTS)
async def test_each_item_cursor_works_in_both_directions(reader: Reader, sort: str) -> None:
    """Exactly what lies after, before and between."""
    document = await reader.document(
        "/api/orders", **{"sort": sort, "page[size]": "100", "page[after]": "start", "fields[orders]": ""}
    )
    ids = [one["id"] for one in document["data"]]
    cursors = [one["meta"]["page"]["cursor"] for one in document["data"]]

    async def between(size: int = 100, **bounds: str) -> list[str]:
        found = {f"page[{name}]": bound for name, bound in bounds.items()}
        return await reader.ids("/api/orders", {"sort": sort, "page[size]": str(size)} | found)

    for place in range(0, COUNT, 4):
        assert await between(after=cursors[place]) == ids[place + 1 :]
        assert await between(before=cursors[place]) == ids[:place]
        assert await between(3, after=cursors[place]) == ids[place + 1 : place + 4]
        assert await between(3, before=cursors[place]) == ids[max(0, place - 3) : place]
        for other in range(0, COUNT, 5):
            assert await between(after=cursors[place], before=cursors[other]) == ids[place + 1 : other]


@pytest.mark.rule("CP-01", "CP-02", "CP-05")
async def test_sizes(reader: Reader, orders: list[str]) -> None:
    url = "/api/orders?page[after]=start"
    assert len(await reader.ids(url)) == 10
    assert len(await reader.ids(f"{url}&page[size]=007")) == 7
    assert await reader.ids(f"{url}&page[size]=100") == orders
    for size in ("0", "-1", "abc", "", "1.5", "1 ", "\u0661"):
        await reader.refused(url, "page[size]", {"page[after]": "start", "page[size]": size})


@pytest.mark.rule("CP-04")
@pytest.mark.parametrize("size", ["101", "000101", "9" * 30])
async def test_a_size_above_the_maximum(reader: Reader, size: str) -> None:
    error = await reader.refused("/api/orders", "page[size]", {"page[after]": "start", "page[size]": size})
    assert error["meta"] == {"page": {"maxSize": 100}}
    assert error["links"]["type"] == f"{PROFILE}/max-size-exceeded"


@pytest.mark.rule("CP-10", "CP-16", "CP-21")
async def test_without_a_cursor_a_page_begins_at_the_start(reader: Reader, orders: list[str]) -> None:
    """The profile is applied because the Accept header asks for it."""
    document = (await reader.get("/api/orders", accept=ASKED)).json()
    assert [one["id"] for one in document["data"]] == orders[:10]
    assert document["links"]["prev"] is None
    following = (await reader.get(document["links"]["next"])).json()
    assert [one["id"] for one in following["data"]] == orders[10:20]
    assert await reader.ids(document["links"]["first"]) == orders[:10]
    assert await reader.ids(document["links"]["last"]) == orders[-10:]


@pytest.mark.rule("CP-16", "CP-17", "CP-18")
async def test_prev_and_next_are_always_there(reader: Reader, orders: list[str]) -> None:
    small = await reader.document("/api/tags?page[after]=start")
    assert (small["data"], small["links"]["prev"], small["links"]["next"]) == ([], None, None)
    assert small["links"].keys() == {"self", "describedby", "first", "last", "prev", "next"}
    whole = await reader.document("/api/orders?page[after]=start&page[size]=23")
    assert (whole["links"]["prev"], whole["links"]["next"]) == (None, None)
    last = whole["data"][-1]["meta"]["page"]["cursor"]
    beyond = await reader.document(f"/api/orders?page[after]={last}&page[size]=5")
    assert (beyond["data"], beyond["links"]["next"]) == ([], None)
    assert await reader.ids(beyond["links"]["prev"]) == orders[-5:]
    first = whole["data"][0]["meta"]["page"]["cursor"]
    before = await reader.document(f"/api/orders?page[before]={first}&page[size]=5")
    assert (before["data"], before["links"]["prev"]) == ([], None)
    assert await reader.ids(before["links"]["next"]) == orders[:5]
    assert (await reader.document("/api/orders?page[after]=end"))["data"] == []
    assert (await reader.document("/api/orders?page[before]=start"))["data"] == []


@pytest.mark.rule("PG-05", "CP-16")
@pytest.mark.usefixtures("orders")
async def test_links_keep_the_other_parameters(reader: Reader) -> None:
    query = "include=customer&fields[orders]=customer&filter[status]=placed&sort=-reference"
    query += "&page[total]=true&page[size]=2"
    document = await reader.document(f"/api/orders?page[after]=start&{query}")
    for name in ("first", "last", "next"):
        found = await reader.document(document["links"][name])
        assert found["included"]
        assert found["meta"]["page"]["total"] == document["meta"]["page"]["total"] == 19
        assert len(found["data"]) == 2
        assert all(one["relationships"].keys() == {"customer"} for one in found["data"])


@pytest.mark.rule("CP-11", "CP-12", "CP-13")
async def test_ranges(reader: Reader, orders: list[str]) -> None:
    whole = await reader.document("/api/orders?page[after]=start&page[size]=100")
    cursors = [one["meta"]["page"]["cursor"] for one in whole["data"]]
    url = f"/api/orders?page[after]={cursors[1]}&page[before]={cursors[20]}"
    document = await reader.document(url)
    assert [one["id"] for one in document["data"]] == orders[2:20], "the default is the maximum"
    assert "meta" not in document
    assert (await reader.ids(document["links"]["prev"]))[-1] == orders[1]
    assert (await reader.ids(document["links"]["next"]))[0] == orders[20]
    truncated = await reader.document(f"{url}&page[size]=3")
    assert [one["id"] for one in truncated["data"]] == orders[2:5]
    assert truncated["meta"] == {"page": {"rangeTruncated": True}}
    assert "meta" not in await reader.document(f"{url}&page[size]=18")
    swapped = f"/api/orders?page[after]={cursors[20]}&page[before]={cursors[1]}"
    assert (await reader.document(swapped))["data"] == []


def spoilt(good: str) -> list[str]:
    """What a good cursor can be made into, and what never was one."""
    whose, id_, written = good.split(".")
    type_, sort = orjson.loads(base64.urlsafe_b64decode(whose + "=" * (-len(whose) % 4)))
    values: list[Any] = orjson.loads(bytes.fromhex(written))

    def cursor(of: Any, id_: str, compared: Any) -> str:
        begin = base64.urlsafe_b64encode(orjson.dumps(of)).decode().rstrip("=")
        return f"{begin}.{id_}.{json.dumps(compared).encode().hex()}"

    assert cursor([type_, sort], id_, values) == good
    types: Sequence[Any] = (["customers", sort], [type_, "id"], [type_], [type_, sort, "x"], {}, 7)
    ids = ("", "a b", "x" * 65, "a.b", f"{id_}.", "é")
    lists: Sequence[Any] = (
        [],
        [*values, "x"],
        ["x"],
        [7],
        [[]],
        [{}],
        [True],
        ["9" * 30],
        {},
        {"a": "b"},
        None,
        "1",
        7,
    )
    others = [
        *(cursor(other, id_, values) for other in types),
        *(cursor([type_, sort], other, values) for other in ids),
        *(cursor([type_, sort], id_, other) for other in lists),
    ]
    spaced = json.dumps(values).encode() + b" "
    plain = [f"{whose}.{id_}.{text.hex()}" for text in (b"", b"\xff", b"[[[", b"[ ]", spaced)]
    return [
        *others, *plain, good[:-1], good[:-2], good[1:], good[:10], f"{good}A",
        f"{good}=", f" {good}", f"{good}\n", "", whose, f"{whose}.", f"{whose}.{id_}", f"{whose}.{id_}.",
        f".{id_}.{written}", f"{whose}..{written}", "..", "garbage", "!!!", "Start", "null", "undefined", "%", "é",
        "' or 1=1", "A" * 9_999, good.swapcase(), good.upper(),
    ]  # fmt: skip


@pytest.mark.rule("CP-09")
@pytest.mark.usefixtures("orders")
async def test_invalid_cursors(reader: Reader) -> None:
    """Garbage, truncated, of another type, of another sort."""
    sort = "total_amount_cents"
    document = await reader.document(f"/api/orders?sort={sort}&page[after]=start")
    good = document["data"][3]["meta"]["page"]["cursor"]
    await reader.ids("/api/orders", {"sort": sort, "page[after]": good})
    for bad in spoilt(good):
        for key in ("after", "before"):
            error = await reader.refused("/api/orders", f"page[{key}]", {"sort": sort, f"page[{key}]": bad})
            assert error["code"] == "INVALID_PAGE_VALUE"
    for other in ("-total_amount_cents", "total_amount_cents,code", "id", "code"):
        await reader.refused("/api/orders", "page[after]", {"sort": other, "page[after]": good})
    await reader.refused("/api/orders", "page[after]", {"page[after]": good})
    await reader.refused("/api/carts", "page[after]", {"sort": sort, "page[after]": good})
    await reader.ids("/api/orders", {"sort": f"{sort},id,code", "page[after]": good})


@pytest.mark.rule("CP-15")
@pytest.mark.parametrize("sort", ["nope", "customer.nope", "line_items.quantity", ""])
async def test_an_unsupported_sort(reader: Reader, sort: str) -> None:
    error = await reader.refused("/api/orders", "sort", {"sort": sort, "page[after]": "start"})
    assert error["links"]["type"] == f"{PROFILE}/unsupported-sort"
    plain = await reader.refused("/api/orders", "sort", {"sort": sort})
    assert plain["links"]["type"] == plain["links"]["about"]


@pytest.mark.rule("CP-20")
@pytest.mark.usefixtures("orders")
async def test_totals_only_on_request(reader: Reader) -> None:
    assert "meta" not in await reader.document("/api/orders?page[after]=start")
    counted = await reader.document("/api/orders?page[total]=true&filter[status]=draft&page[size]=3")
    assert counted["meta"]["page"] == {"total": 4}
    assert counted["meta"]["record_count"] == 4
    assert "meta" not in await reader.document("/api/orders?page[total]=false")
    await reader.refused("/api/orders?page[total]=yes", "page[total]")


@pytest.mark.rule("CP-21", "CN-21", "CN-23", "CN-28")
@pytest.mark.parametrize(
    ("accept", "applied"),
    [
        (ASKED, True), (f'{MEDIA_TYPE};profile="https://x.example/p {PROFILE}"', True), (MEDIA_TYPE, False),
        (f'{MEDIA_TYPE};profile="https://x.example/p"', False), (f"{ASKED};q=0.5, {MEDIA_TYPE}", False),
        (f"{ASKED}, {MEDIA_TYPE};q=0.9", True), (f'{ASKED}; ext="https://x.example/e", {MEDIA_TYPE}', False),
        (f"*/*, {ASKED}", True), ("*/*", False),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("orders")
async def test_the_profile_is_negotiated(reader: Reader, *, accept: str, applied: bool) -> None:
    """The header and the document always say the same."""
    answer = await reader.get("/api/orders", accept=accept)
    assert answer.headers["content-type"] == (APPLIED if applied else MEDIA_TYPE)
    assert answer.json()["jsonapi"] == {"version": "1.1"} | ({"profile": [PROFILE]} if applied else {})
    assert ("cursor" in answer.text) == applied
    assert "Accept" in answer.headers["vary"]


@pytest.mark.rule("CP-21")
async def test_where_the_profile_is_applied(reader: Reader, connection: Connection, store: Store) -> None:
    """On collections, related resources and relationships, where a cursor is used or asked for; nowhere else."""
    sku = await factories.sku(connection, store)
    order = await factories.full_order(connection, store, [factories.Line(sku, n) for n in range(1, 8)])
    for url in ("/api/line_items", f"/api/orders/{order}/line_items", f"/api/orders/{order}/relationships/line_items"):
        pages = await reader.walk(f"{url}?sort=-quantity&page[size]=3&page[after]=start")
        assert [len(page) for page in pages] == [3, 3, 1]
        for query in ("page[after]=start", "page[before]=end", "page[total]=true"):
            assert (await reader.get(f"{url}?{query}")).headers["content-type"] == APPLIED
        answer = await reader.get(f"{url}?sort=quantity&page[size]=2", accept=ASKED)
        assert answer.headers["content-type"] == APPLIED
        cursors = [one["meta"]["page"]["cursor"] for one in answer.json()["data"]]
        assert len(await reader.ids(f"{url}?sort=quantity&page[after]={cursors[1]}")) == 5
        for query in ("page[number]=1", "page[offset]=0"):
            assert (await reader.get(f"{url}?{query}", accept=ASKED)).headers["content-type"] == MEDIA_TYPE
    identifiers = await reader.document(f"/api/orders/{order}/relationships/line_items?page[after]=start")
    assert all(one.keys() == {"type", "id", "meta"} for one in identifiers["data"])
    for url in (f"/api/orders/{order}", f"/api/orders/{order}/customer", f"/api/orders/{order}/relationships/customer"):
        assert (await reader.get(url, accept=ASKED)).headers["content-type"] == MEDIA_TYPE
    for url in ("/api/orders/none/line_items", "/api/orders/none/relationships/line_items"):
        await reader.get(f"{url}?page[after]=start", 404)


@pytest.mark.rule("CP-24", "CP-25")
async def test_what_is_deleted_or_added_meanwhile_shifts_nothing(
    reader: Reader, connection: Connection, store: Store
) -> None:
    """Even the resource under the cursor may go."""
    customers = [await factories.customer(connection, store, reference=f"r{i:02}") for i in range(9)]
    page = await reader.document("/api/customers?sort=reference&page[size]=3&page[after]=start")
    for gone in (customers[0], customers[2]):
        await connection.execute("delete from customers where store_id = $1 and id = $2", store.id, gone)
    await counted.anew(connection, store)
    await factories.customer(connection, store, reference="r00a")
    rest = await reader.walk(page["links"]["next"])
    assert flat(rest) == customers[3:]


async def test_a_customer_pages_through_its_own(
    reader: Reader, grant: Grant, connection: Connection, store: Store, orders: list[str]
) -> None:
    me = await factories.customer(connection, store)
    sku = await factories.sku(connection, store)
    mine = [await factories.order(connection, store, [factories.Line(sku)], customer_id=me) for _ in range(4)]
    access: Access = await grant(customer_id=me)
    customer = Reader(reader.client, access)
    assert flat(await customer.walk("/api/orders?sort=customer.email&page[size]=3&page[after]=start")) == mine
    theirs = (await reader.document("/api/orders?page[after]=start"))["data"][0]["meta"]["page"]["cursor"]
    assert await customer.ids(f"/api/orders?page[after]={theirs}") == mine
    await customer.get(f"/api/orders/{orders[0]}/line_items?page[after]=start", 404)


@pytest.mark.rule("CP-14", "CP-15")
@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_type_pages_by_cursor_with_every_sort(reader: Reader, type_: str) -> None:
    """A cursor with and without values, beyond which the database is really asked."""
    resource = graph[type_]
    for name in [name for name, attribute in resource.attributes.items() if attribute.sort]:
        attribute = resource.attributes[name]
        for sort in (name, f"-{name}"):
            keys = parse(resource, sort)
            sample = {"timestamptz": "2026-01-31T00:00:00.000Z", "bigint": 7, "boolean": True, "numeric": 1}
            value: Any = getattr(attribute, "choices", [sample.get(attribute.sql_type, "x")])[0]
            values = [value, *([None] if attribute.nullable else [])]
            for one in values:
                text = Cursors(resource, keys).at([one, "x"])
                assert isinstance(await reader.ids(f"/api/{type_}?sort={sort}&page[after]={text}"), list)
                assert isinstance(await reader.ids(f"/api/{type_}?sort={sort}&page[before]={text}"), list)


@pytest.mark.rule(
    "CP-01", "CP-02", "CP-04", "CP-05", "CP-06", "CP-08", "CP-09", "CP-10", "CP-11", "CP-12", "CP-13", "CP-14", "CP-15",
    "CP-16", "CP-19", "CP-20", "CP-21",
)  # fmt: skip
@pytest.mark.parametrize("url", PAGED)
async def test_the_whole_profile_at_every_kind_of_url(
    reader: Reader, connection: Connection, store: Store, url: str
) -> None:
    sku = await factories.sku(connection, store)
    lines = [factories.Line(sku, n % 3 + 1) for n in range(13)]
    url = url.format(await factories.full_order(connection, store, lines))

    async def page(query: str) -> tuple[list[str], Any]:
        answer = await reader.get(f"{url}?sort=-quantity&{query}", accept=ASKED)
        assert answer.headers["content-type"] == APPLIED
        return [one["id"] for one in answer.json()["data"]], answer.json()

    whole, document = await page("page[size]=100&page[total]=true")
    assert (len(whole), document["meta"]["page"]) == (13, {"total": 13})
    assert (document["links"]["prev"], document["links"]["next"]) == (None, None)
    cursors = [one["meta"]["page"]["cursor"] for one in document["data"]]
    first, document = await page("")
    assert first == whole[:10]
    assert document["links"]["prev"] is None
    assert (await reader.ids(document["links"]["next"])) == whole[10:]
    assert (await page("page[size]=007"))[0] == whole[:7]
    assert (await page(f"page[after]={cursors[3]}&page[size]=2"))[0] == whole[4:6]
    assert (await page(f"page[before]={cursors[3]}&page[size]=2"))[0] == whole[1:3]
    assert (await page(f"page[after]={cursors[12]}"))[0] == (await page(f"page[before]={cursors[0]}"))[0] == []
    assert (await page(f"page[after]={cursors[0]}&page[before]={cursors[12]}"))[0] == whole[1:12]
    truncated, document = await page(f"page[after]={cursors[0]}&page[before]={cursors[12]}&page[size]=3")
    assert (truncated, document["meta"]) == (whole[1:4], {"page": {"rangeTruncated": True}})
    assert flat(await reader.walk(f"{url}?sort=-quantity&page[size]=4&page[after]=start")) == whole


@pytest.mark.rule("CP-02", "CP-04", "CP-09", "CP-15", "CP-21", "CN-23", "CN-28")
@pytest.mark.parametrize(
    ("query", "type_"),
    [
        ("page[size]=0", None), ("page[size]=101", "max-size-exceeded"), ("page[after]=x", None),
        ("page[before]=x", None), ("sort=nope", "unsupported-sort"), ("page[total]=x", None),
    ],
)  # fmt: skip
async def test_errors_apply_the_profile_too(
    reader: Reader, connection: Connection, store: Store, query: str, type_: str | None
) -> None:
    """An error that the profile describes names it, whether Accept asked for it or the parameters did."""
    order = await factories.order(connection, store)
    for url in [one.format(order) for one in PAGED]:
        for more, accept in (("", ASKED), ("&page[after]=start" if "after" not in query else "", MEDIA_TYPE)):
            answer = await reader.get(f"{url}?{query}{more}", 400, accept=accept)
            (error,) = answer.json()["errors"]
            assert error["source"] == {"parameter": query.partition("=")[0]}
            assert answer.headers["content-type"] == APPLIED
            assert type_ is None or error["links"]["type"] == f"{PROFILE}/{type_}"
        numbered = await reader.get(f"{url}?page[number]=0", 400, accept=ASKED)
        assert numbered.headers["content-type"] == MEDIA_TYPE, "paged by number, the profile isn't applied"
