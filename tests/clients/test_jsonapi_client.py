"""PyPI's jsonapi-client, unmodified. It spells names with hyphens unless they are given as keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonapi_client import Filter, Inclusion, Modifier, ResourceTuple, Session
from jsonapi_client.exceptions import DocumentError

from tests.clients.conftest import MANY, Shop

CUSTOMERS = {
    "customers": {
        "properties": {
            "email": {"type": "string"},
            "reference": {"type": ["null", "string"]},
            "customer_group": {"relation": "to-one", "resource": ["customer_groups"]},
            "tags": {"relation": "to-many", "resource": ["tags"]},
        }
    },
    "customer_groups": {"properties": {"name": {"type": "string"}, "code": {"type": "string"}}},
}


def options(shop: Shop) -> dict[str, Any]:
    """What every request is sent with; of a deletion it wants a document, since it reads one from each answer."""
    return {"headers": {**shop.headers, "Prefer": "return=representation"}}


@pytest.fixture
def session(shop: Shop) -> Iterator[Session]:
    with Session(shop.url, request_kwargs=options(shop)) as opened:
        yield opened


def test_list_with_counts_and_links(session: Session) -> None:
    page = session.get("customers", Modifier("page[number]=2&page[size]=5&sort=email"))
    assert page.resources[0]["email"] == "page-05@example.com"
    assert len(page.resources) == 5
    assert page.meta["record_count"] == MANY + 1
    after = page.links.next.fetch()
    assert after.resources[0]["email"] == "page-10@example.com"


@pytest.mark.parametrize("paging", ["page[size]=10", "page[after]=start&page[size]=10"])
def test_page_through(session: Session, paging: str) -> None:
    found = [customer.id for customer in session.iterate("customers", Modifier(paging))]
    assert found == sorted(set(found))
    assert len(found) == MANY + 1


def test_retrieve_with_nested_include(session: Session, shop: Shop) -> None:
    url = f"orders/{shop.known['order']}"
    order = session.get(url, Inclusion("line_items.sku", "customer.tags", "billing_address")).resource
    assert {line["sku"]["code"] for line in order["line_items"]} == {
        shop.known["mug"]["code"],
        shop.known["shirt"]["code"],
    }
    assert [tag.name for tag in order.customer.tags] == ["vip"]
    assert order["billing_address"].city == "Utrecht"


def test_related_resources_come_by_their_links(session: Session, shop: Shop) -> None:
    order = session.get("orders", shop.known["order"]).resource
    assert order.customer.email == "ada@example.com"
    assert len(order["line_items"]) == 2
    lines = order.relationships["line_items"].filter(Modifier("sort=-quantity&page[size]=1"))
    assert [line.quantity for line in lines.resources] == [2]
    assert order["order_subscription"] is None


@pytest.mark.parametrize(
    ("modifier", "emails"),
    [
        (Filter(email="ada@example.com"), ["ada@example.com"]),
        (Filter(tags__name="vip"), ["ada@example.com"]),
        (Filter("filter[customer_group]=nobody"), []),
        (Filter("filter[email][lt]=page-02"), ["ada@example.com", "page-01@example.com"]),
        (Filter(email="ada@example.com") + Modifier("fields[customers]=email"), ["ada@example.com"]),
        (Modifier("filter[q][email_or_reference_cont]=page-27"), ["page-27@example.com"]),
    ],
)
def test_filter(session: Session, modifier: Modifier, emails: list[str]) -> None:
    page = session.get("customers", modifier + Modifier("sort=email"))
    assert [customer.email for customer in page.resources] == emails


def test_create_update_relationships_triggers_delete(shop: Shop) -> None:
    with Session(shop.url, schema=CUSTOMERS, request_kwargs=options(shop)) as session:
        group = session.create_and_commit("customer_groups", {"name": "Client", "code": "client"})
        customer = session.create_and_commit(
            "customers", {"email": "client@example.com", "customer_group": group, "tags": [shop.known["tag"]]}
        )
        assert customer["customer_group"].name == "Client"
        url = customer.url
    with Session(shop.url, request_kwargs=options(shop)) as session:
        customer = session.fetch_document_by_url(url).resource
        assert [tag.name for tag in customer.tags] == ["vip"]
        customer["reference"] = "C-1"
        customer["_add_tags"] = "bear"
        customer.relationships["customer_group"] = None
        customer.commit()
        assert customer.reference == "C-1"
        assert customer["customer_group"] is None
        tags = session.fetch_document_by_url(f"{url}/tags?sort=name")
        assert [tag.name for tag in tags.resources] == ["bear", "vip"]

        customer.relationships["tags"] = [ResourceTuple(shop.known["tag"], "tags")]
        customer.commit()
    with Session(shop.url, request_kwargs=options(shop)) as session:
        customer = session.fetch_document_by_url(url).resource
        assert [tag.name for tag in customer.tags] == ["vip"]
        customer.delete()
        customer.commit()
        session.invalidate()
        with pytest.raises(DocumentError, match="404"):
            session.fetch_document_by_url(url)


async def test_without_blocking(shop: Shop) -> None:
    """Its asynchronous half reads a 204 by itself."""
    async with Session(shop.url, enable_async=True, request_kwargs={"headers": shop.headers}) as session:
        found = [one.id async for one in session.iterate("customers", Modifier("page[size]=10"))]
        assert len(found) == MANY + 1
        order = (await session.get("orders", shop.known["order"])).resource
        (customer,) = await order.relationships["customer"].fetch()
        customer["reference"] = "async"
        await customer.commit()
        assert customer.reference == "async"
        customer["reference"] = None
        await customer.commit()


async def test_deleting_without_blocking(shop: Shop) -> None:
    schema = {"tags": {"properties": {"name": {"type": "string"}}}}
    kwargs = {"headers": shop.headers}
    async with Session(shop.url, enable_async=True, schema=schema, request_kwargs=kwargs) as session:
        tag = await session.create_and_commit("tags", {"name": "brief"})
        tag.delete()
        await tag.commit()
        session.invalidate()  # what it has fetched, it does not fetch again
        with pytest.raises(DocumentError, match="404"):
            await session.get("tags", tag.id)


def test_errors_say_what_and_where(session: Session, shop: Shop) -> None:
    with pytest.raises(DocumentError) as refused:
        session.get("customers", Filter(nope="1"))
    assert refused.value.errors == {"status_code": 400}
    assert refused.value.response.json()["errors"][0]["source"] == {"parameter": "filter[nope]"}
    order = session.get("orders", shop.known["order"]).resource
    order["language_code"] = "no such language"
    with pytest.raises(DocumentError) as refused:
        order.commit()
    (error,) = refused.value.response.json()["errors"]
    assert (error["code"], error["source"]) == ("VALIDATION_ERROR", {"pointer": "/data/attributes/language_code"})
    session.invalidate()
