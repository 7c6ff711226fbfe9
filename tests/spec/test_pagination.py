"""Pagination: https://jsonapi.org/format/1.1/#fetching-pagination, checklist chapter PG; by number and by offset."""

from __future__ import annotations

import math
from urllib.parse import parse_qsl, urlsplit

import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.spec.reading import Reader, flat

COUNT = 11


@pytest.fixture
async def customers(connection: Connection, store: Store) -> list[str]:
    """Customers, some of whom sort alike by reference."""
    return [
        await factories.customer(connection, store, reference=None if i % 4 == 0 else f"r{i % 3}") for i in range(COUNT)
    ]


FORMS = {
    "size": "page[size]={}",
    "offset": "page[limit]={}&page[offset]=0",
    "number": "page[number]=1&page[size]={}",
}


@pytest.mark.rule("PG-02", "PG-03", "PG-04", "PG-06")
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
@pytest.mark.parametrize("size", [1, 3, 10, 11, 12, 100])
@pytest.mark.parametrize("sort", ["id", "-id", "reference", "-reference,created_at"])
async def test_following_next_yields_everything_once(
    reader: Reader, customers: list[str], form: str, size: int, sort: str
) -> None:
    """In the order of the sort, and back by `prev`."""
    whole = await reader.ids(f"/api/customers?page[size]=100&sort={sort}")
    assert sorted(whole) == sorted(customers)
    first = f"/api/customers?sort={sort}&{form.format(size)}"
    pages = await reader.walk(first)
    assert flat(pages) == whole
    assert len(pages) == math.ceil(COUNT / size)
    document = await reader.document(first)
    assert "prev" not in document["links"]
    back = await reader.walk(document["links"]["last"], "prev")
    assert flat(back[::-1]) == whole


@pytest.mark.rule("PG-01", "PG-05")
async def test_links_and_counts(reader: Reader, customers: list[str]) -> None:
    """Links keep every other parameter, and go under their four names only."""
    asked = {
        "include": "tags", "fields[customers]": "email,tags", "filter[status]": "acquired", "sort": "-id",
        "page[number]": "2", "page[size]": "3",
    }  # fmt: skip
    document = await reader.document("/api/customers", **asked)
    assert document["meta"] == {"record_count": COUNT, "page_count": 4, "total": COUNT, "page": {"total": COUNT}}
    assert document["links"].keys() == {"self", "describedby", "first", "last", "prev", "next"}
    for name, number in {"self": "2", "first": "1", "last": "4", "prev": "1", "next": "3"}.items():
        assert dict(parse_qsl(urlsplit(document["links"][name]).query)) == asked | {"page[number]": number}, name
    document = await reader.document("/api/customers?page[offset]=5&page[limit]=4&sort=id")
    assert [one["id"] for one in document["data"]] == customers[5:9]
    assert document["meta"]["page_count"] == 3
    for name, offset in {"self": "5", "first": "0", "last": "8", "prev": "1", "next": "9"}.items():
        assert dict(parse_qsl(urlsplit(document["links"][name]).query))["page[offset]"] == offset
    assert (await reader.document("/api/customers?page[limit]=7"))["links"]["next"].endswith("page%5Blimit%5D=7")


@pytest.mark.rule("PG-09")
async def test_past_the_end(reader: Reader, customers: list[str]) -> None:
    """An empty page, whose `prev` is the last one."""
    for query in ("page[number]=9", "page[number]=9999999999&page[size]=100", "page[offset]=9999999999"):
        document = await reader.document(f"/api/customers?{query}")
        assert document["data"] == []
        assert "next" not in document["links"]
        assert (await reader.ids(document["links"]["prev"]))[-1] == customers[-1]
    assert (await reader.document("/api/tags"))["links"].keys() == {"self", "describedby", "first", "last"}


@pytest.mark.rule("PG-08")
@pytest.mark.parametrize("key", ["size", "number", "limit", "offset"])
@pytest.mark.parametrize(
    "value", ["-1", "abc", "", "1.5", "+1", " 1", "1 ", "1e1", "\u0661", "0x1", "9" * 5000, "1" * 11]
)
async def test_what_is_no_number_is_refused(reader: Reader, key: str, value: str) -> None:
    error = await reader.refused("/api/customers", f"page[{key}]", {f"page[{key}]": value})
    assert error["code"] == "INVALID_PAGE_VALUE"


@pytest.mark.rule("PG-08")
async def test_zero_and_leading_zeros(reader: Reader, customers: list[str]) -> None:
    for key in ("size", "number", "limit"):
        for zero in ("0", "000"):
            await reader.refused("/api/customers", f"page[{key}]", {f"page[{key}]": zero})
    assert await reader.ids("/api/customers?page[size]=007&page[number]=0001") == customers[:7]
    assert await reader.ids("/api/customers?page[limit]=0000000000000003&page[offset]=0") == customers[:3]


@pytest.mark.rule("PG-09")
@pytest.mark.parametrize("value", ["101", "1000", "99999999999999999999", "0101"])
async def test_above_the_maximum(reader: Reader, value: str) -> None:
    for key in ("size", "limit"):
        error = await reader.refused("/api/customers", f"page[{key}]", {f"page[{key}]": value})
        assert error["meta"] == {"page": {"maxSize": 100}}
    assert len(await reader.ids("/api/customers?page[size]=100")) == 0


@pytest.mark.rule("PG-07", "PG-10")
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("page[nope]=1", "page[nope]"), ("page=2", "page"), ("page[]=1", "page[]"),
        ("page[size][x]=1", "page[size][x]"),
        ("page[Size]=1", "page[Size]"), ("page[number]=1&page[after]=start", "page[after]"),
        ("page[after]=start&page[number]=1", "page[number]"), ("page[number]=1&page[offset]=1", "page[offset]"),
        ("page[offset]=1&page[before]=end", "page[before]"), ("page[offset]=1&page[size]=1", "page[size]"),
        ("page[limit]=1&page[number]=1", "page[number]"), ("page[total]=true&page[number]=1", "page[number]"),
        ("page[size]=1&page[size]=2", "page[size]"), ("limit=3", "limit"), ("offset=1", "offset"),
    ],
)  # fmt: skip
async def test_one_way_to_page_at_a_time(reader: Reader, query: str, parameter: str) -> None:
    await reader.refused(f"/api/customers?{query}", parameter)


@pytest.mark.rule("PG-11", "PG-12")
async def test_relationships_are_paged_in_their_own_document(
    reader: Reader, connection: Connection, store: Store
) -> None:
    sku = await factories.sku(connection, store)
    order = await factories.order(connection, store, [factories.Line(sku, n) for n in range(1, 6)])
    for url in (f"/api/orders/{order}/relationships/line_items", f"/api/orders/{order}/line_items"):
        for query in ("page[size]=2", "page[limit]=2"):
            pages = await reader.walk(f"{url}?{query}&sort=quantity")
            assert [len(page) for page in pages] == [2, 2, 1]
            assert len(set(flat(pages))) == 5
        document = await reader.document(f"{url}?page[size]=2")
        assert document["links"]["next"].startswith(f"http://127.0.0.1{url}?")
        assert document["meta"]["record_count"] == 5
    for url in (f"/api/orders/{order}", f"/api/orders/{order}/customer", f"/api/orders/{order}/relationships/customer"):
        for key in ("number", "size", "offset", "limit", "after", "before"):
            await reader.refused(f"{url}?page[{key}]=1", f"page[{key}]")


@pytest.mark.rule("PG-07", "PG-08", "PG-09", "PG-10")
async def test_related_urls_refuse_what_collections_do(reader: Reader, connection: Connection, store: Store) -> None:
    order = await factories.order(connection, store, [factories.Line(await factories.sku(connection, store))])
    for url in (f"/api/orders/{order}/line_items", f"/api/orders/{order}/relationships/line_items"):
        for key, values in {"size": ("0", "-1", "x", "", "101"), "number": ("0", "1.5"), "offset": ("-1",)}.items():
            for value in values:
                await reader.refused(url, f"page[{key}]", {f"page[{key}]": value})
        for query, parameter in (
            ("page[limit]=101", "page[limit]"), ("page[nope]=1", "page[nope]"), ("page=2", "page"),
            ("page[number]=1&page[after]=start", "page[after]"), ("page[offset]=1&page[size]=1", "page[size]"),
        ):  # fmt: skip
            await reader.refused(f"{url}?{query}", parameter)
        assert (await reader.document(f"{url}?page[number]=9"))["data"] == []
