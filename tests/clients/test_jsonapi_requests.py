"""PyPI's jsonapi-requests, unmodified: documents by URL, and its ORM, which sends whole resources back."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from jsonapi_requests import Api, JsonApiObject, orm
from jsonapi_requests.orm import AttributeField, RelationField
from jsonapi_requests.request_factory import ApiClientError

from tests.clients.conftest import MANY, Shop


def options(shop: Shop) -> dict[str, Any]:
    """With a slash behind every URL, as it has by default. Its second of patience is short for a busy machine."""

    def bearer(request: Any) -> Any:
        request.headers.update(shop.headers)
        return request

    return {"API_ROOT": shop.url, "AUTH": bearer, "TIMEOUT": 30}


@pytest.fixture
def api(shop: Shop) -> Api:
    return Api.config(options(shop))


@pytest.fixture
def models(shop: Shop) -> SimpleNamespace:
    """Models of customers, groups, tags and orders, as its documentation declares them."""
    orm_api = orm.OrmApi.config(options(shop))

    class Group(orm.ApiModel):
        class Meta:
            type = "customer_groups"
            api = orm_api

        name = AttributeField("name")
        code = AttributeField("code")

    class Tag(orm.ApiModel):
        class Meta:
            type = "tags"
            api = orm_api

        name = AttributeField("name")

    class Customer(orm.ApiModel):
        class Meta:
            type = "customers"
            api = orm_api

        email = AttributeField("email")
        reference = AttributeField("reference")
        add_tags = AttributeField("_add_tags")
        group = RelationField("customer_group")
        tags = RelationField("tags")

    class Order(orm.ApiModel):
        class Meta:
            type = "orders"
            api = orm_api

        status = AttributeField("status")
        customer = RelationField("customer")

    return SimpleNamespace(Customer=Customer, Group=Group, Order=Order, Tag=Tag)


def test_list_with_counts_and_links(api: Api) -> None:
    page = api.endpoint("customers").get(params={"page[number]": 2, "page[size]": 5, "sort": "email"}).content
    assert page.data[0].attributes["email"] == "page-05@example.com"
    assert page.meta["record_count"] == MANY + 1
    assert page.links["next"]


def test_page_through_by_the_links(api: Api) -> None:
    page = api.endpoint("customers").get(params={"page[size]": 10}).content
    found = [customer.id for customer in page.data]
    number = 1
    while "next" in page.links:
        number += 1
        page = api.endpoint("customers").get(params={"page[size]": 10, "page[number]": number}).content
        found += [customer.id for customer in page.data]
    assert len(found) == len(set(found)) == MANY + 1


def test_retrieve_with_nested_include(api: Api, shop: Shop) -> None:
    order = api.endpoint(f"orders/{shop.known['order']}").get(params={"include": "line_items.sku,customer.tags"})
    types = sorted(one.type for one in order.content.included)
    assert types == ["customers", "line_items", "line_items", "skus", "skus", "tags"]
    assert {line.type for line in order.data.relationships["line_items"].data} == {"line_items"}


def test_related_resources_and_relationships(api: Api, shop: Shop) -> None:
    order = f"orders/{shop.known['order']}"
    assert api.endpoint(f"{order}/customer").get().data.attributes["email"] == "ada@example.com"
    lines = api.endpoint(f"{order}/line_items").get(params={"sort": "-quantity", "fields[line_items]": "quantity"})
    assert [dict(line.attributes) for line in lines.data] == [{"quantity": 2}, {"quantity": 1}]
    assert api.endpoint(f"{order}/relationships/customer").get().data.id == shop.known["customer"]
    assert not api.endpoint(f"{order}/order_subscription").get().data


@pytest.mark.parametrize(
    ("name", "value", "emails"),
    [
        ("filter[email]", "ada@example.com", ["ada@example.com"]),
        ("filter[email][lt]", "page-02", ["ada@example.com", "page-01@example.com"]),
        ("filter[email][]", ["ada@example.com", "nobody@example.com"], ["ada@example.com"]),
        ("filter[tags.name]", "vip", ["ada@example.com"]),
        ("filter[q][email_or_reference_cont]", "page-27", ["page-27@example.com"]),
    ],
)
def test_filter(api: Api, name: str, value: Any, emails: list[str]) -> None:
    page = api.endpoint("customers").get(params={name: value, "sort": "email"})
    assert [customer.attributes["email"] for customer in page.data] == emails


def test_an_order_with_its_lines(api: Api, shop: Shop) -> None:
    order = api.endpoint("orders").post(object=JsonApiObject(type="orders")).data
    assert order.attributes["status"] == "draft"
    line = JsonApiObject.from_data(
        {
            "type": "line_items",
            "attributes": {"sku_code": shop.known["mug"]["code"], "quantity": 3},
            "relationships": {"order": {"data": {"type": "orders", "id": order.id}}},
        }
    )
    assert api.endpoint("line_items").post(object=line).data.attributes["total_amount_cents"] == 3750
    url = api.endpoint(f"orders/{order.id}/relationships/tags")
    url.post(json={"data": [{"type": "tags", "id": shop.known["tag"]}]})
    assert [tag.id for tag in url.get().data] == [shop.known["tag"]]
    url.delete(json={"data": [{"type": "tags", "id": shop.known["tag"]}]})
    assert not url.get().data
    api.endpoint(f"orders/{order.id}").delete()


def test_models_are_listed_with_what_is_included(models: SimpleNamespace) -> None:
    (order,) = models.Order.get_list(params={"filter[status]": "placed", "include": "customer.tags"})
    assert order.customer.email == "ada@example.com"
    assert [tag.name for tag in order.customer.tags] == ["vip"]


def test_models_are_created_changed_and_deleted(models: SimpleNamespace) -> None:
    group = models.Group()
    group.name, group.code = "Requests", "requests"
    group.save()
    made = models.Customer()
    made.email, made.group = "requests@example.com", group
    made.save()

    customer = models.Customer.from_id(made.id)
    assert customer.email == "requests@example.com"
    assert customer.group.name == "Requests"
    customer.reference = "Q-1"
    customer.add_tags = "owl"
    customer.save()  # all that was read goes back with it
    again = models.Customer.from_id(made.id)
    again.refresh()
    assert (again.reference, again.group.id) == ("Q-1", group.id)

    tag = models.Tag()
    tag.name = "lynx"
    tag.save()
    again.tags = [tag]
    again.save()
    (found,) = models.Customer.get_list(params={"filter[id]": made.id, "include": "tags"})
    assert [one.name for one in found.tags] == ["lynx"]
    found.delete()
    assert not models.Customer.exists(made.id)


def test_errors_say_what_and_where(api: Api) -> None:
    with pytest.raises(ApiClientError) as refused:
        api.endpoint("customers").post(object=JsonApiObject(type="customers", attributes={"email": "no"}))
    (error,) = json.loads(refused.value.content)["errors"]
    assert refused.value.status_code == 422
    assert (error["code"], error["source"]) == ("VALIDATION_ERROR", {"pointer": "/data/attributes/email"})
    with pytest.raises(ApiClientError) as refused:
        api.endpoint("customers").get(params={"filter[nope]": 1})
    assert json.loads(refused.value.content)["errors"][0]["source"] == {"parameter": "filter[nope]"}
