"""Sparse fieldsets: https://jsonapi.org/format/1.1/#fetching-sparse-fieldsets, checklist chapter SF."""

from __future__ import annotations

import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.spec.reading import Reader

ALWAYS = {"type", "id", "links", "meta"}


@pytest.fixture
async def url(connection: Connection, store: Store) -> str:
    """The URL of a placed order."""
    sku = await factories.sku(connection, store)
    return f"/api/orders/{await factories.full_order(connection, store, [factories.Line(sku)])}"


@pytest.mark.rule("SF-01", "SF-03", "SF-04")
async def test_only_the_fields_asked_for(reader: Reader, url: str) -> None:
    order = (await reader.document(f"{url}?fields[orders]=status"))["data"]
    assert order.keys() == ALWAYS | {"attributes"}
    assert order["attributes"] == {"status": "placed"}
    assert (await reader.document(f"{url}?fields[orders]="))["data"].keys() == ALWAYS
    order = (await reader.document(f"{url}?fields[orders]=customer"))["data"]
    assert order.keys() == ALWAYS | {"relationships"}
    assert order["relationships"].keys() == {"customer"}


@pytest.mark.rule("SF-02", "SF-05", "CD-03")
async def test_included_resources_have_their_own(reader: Reader, url: str) -> None:
    """A fieldset may take the linkage away, not what is included."""
    document = await reader.document(f"{url}?include=customer&fields[customers]=email&fields[orders]=status")
    assert [one["attributes"].keys() for one in document["included"]] == [{"email"}]
    assert "relationships" not in document["data"]


@pytest.mark.rule("SF-06")
async def test_everywhere(reader: Reader, url: str) -> None:
    """On collections, related resources and relationships."""
    for place in ("/api/orders", f"{url}/line_items", f"{url}/customer"):
        data = (await reader.document(f"{place}?fields[orders]=&fields[line_items]=name&fields[customers]="))["data"]
        for one in data if isinstance(data, list) else [data]:
            assert one.keys() <= ALWAYS | {"attributes"}
    document = await reader.document(f"{url}/relationships/line_items?include=line_items&fields[line_items]=quantity")
    assert [one["attributes"] for one in document["included"]] == [{"quantity": 1}]
    paged = await reader.document("/api/orders?fields[orders]=status&sort=-placed_at&page[after]=start")
    assert paged["data"][0]["attributes"] == {"status": "placed"}, "sorting by a field doesn't show it"


@pytest.mark.rule("SF-07", "SF-08")
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("fields[orders]=nope", "fields[orders]"), ("fields[orders]=status,nope", "fields[orders]"),
        ("fields[orders]=status,", "fields[orders]"), ("fields[orders]=Status", "fields[orders]"),
        ("fields[orders]=id", "fields[orders]"), ("fields[nope]=id", "fields[nope]"), ("fields=status", "fields"),
        ("fields[]=status", "fields[]"), ("fields[orders][x]=status", "fields[orders][x]"),
        ("fields[orders]=status&fields[orders]=code", "fields[orders]"), ("fields[orders]=session", "fields[orders]"),
    ],
)  # fmt: skip
async def test_what_is_unknown_is_refused(reader: Reader, url: str, query: str, parameter: str) -> None:
    for place in ("/api/orders", url):
        await reader.refused(f"{place}?{query}", parameter)


@pytest.mark.rule("SF-09")
async def test_brackets_may_be_encoded(reader: Reader, url: str) -> None:
    plain = await reader.document(f"{url}?fields[orders]=status,customer")
    encoded = await reader.document(f"{url}?fields%5Borders%5D=status%2Ccustomer")
    assert plain["data"] == encoded["data"]
