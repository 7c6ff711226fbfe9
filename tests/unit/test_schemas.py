"""Declarations are checked when they are imported; the family of orders shows what its contracts show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from marshmallow import fields as ma

from schemas import kinds
from schemas.conditions import Condition, Empty, Instead, OneOf, SeenWith, Since, Some, Until
from schemas.fields import SECRET, Mark, Personal, Write
from schemas.graph import PUBLIC, graph
from schemas.kinds import Standard
from schemas.relationships import Through, ToMany, ToOne
from schemas.resource import Resource


@pytest.fixture(autouse=True)
def _only_the_real_types_stay() -> Iterator[None]:
    known = set(graph)
    yield
    for type_ in set(graph) - known:
        graph.remove(type_)


def declare(*, doc: str | None = "A toy.", fields: dict[str, Any] | None = None, **meta: Any) -> type[Resource]:
    """Declare the type `toys` with these fields and `Meta` options, as a class statement would."""
    body = {"__doc__": doc, "Meta": type("Meta", (), {"type_": "toys"} | meta), **(fields or {})}
    return cast("type[Resource]", cast("Any", type(Standard))("Toy", (Standard,), body))


# --- declarations -----------------------------------------------------------------------------------------------


def test_the_graph_holds_together() -> None:
    graph.check()


def test_a_sound_type_is_added_with_its_columns() -> None:
    toy = declare(
        fields={
            "colour": kinds.Text(write=Write.BOTH),
            "price_amount_cents": kinds.Cents(),
            "sku": ToOne("skus"),
            "owner": ToOne("customers", column="customer_id"),
            "tags": ToMany("tags", through=Through("sku_tags", "sku_id", "tag_id")),
        },
        table="shelves",
        where={"kind": "toys"},
        owner="owner",
        internal={"secret": SECRET},
    )
    graph.check()
    assert graph["toys"] is toy
    assert (toy.table, toy.where, tuple(toy.internal)) == ("shelves", {"kind": "toys"}, ("secret",))
    common = ["created_at", "updated_at", "reference", "reference_origin", "metadata"]
    amount = ["price_amount_cents", "price_amount_float", "formatted_price_amount"]
    assert list(toy.attributes) == ["colour", *amount, *common]
    assert set(toy.columns()) == {"colour", "price_amount_cents", "sku_id", "customer_id", *common}
    assert [step.column for step in toy.owner_path()] == ["customer_id"]


@pytest.mark.parametrize("name", ["colour_", "_colour", "-", "kleur!", "größe", "a.b", "a b", "type", "id"])
@pytest.mark.parametrize("field", [kinds.Text, lambda: ToOne("skus")], ids=["attribute", "relationship"])
def test_a_name_that_no_field_may_have_is_refused(name: str, field: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Toy\.{name}: "):
        declare(fields={name: field()})
    assert "toys" not in graph


@pytest.mark.parametrize("type_", ["toys_", "my toys", "docs", "v3", "operations"])
def test_a_type_name_that_no_url_can_have_is_refused(type_: str) -> None:
    with pytest.raises(TypeError, match=rf"^Toy: '{type_}' can't be a type name"):
        declare(type_=type_)


def test_a_second_type_of_the_same_name_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Toy: the type 'orders' is already declared by Order$"):
        declare(type_="orders")
    assert graph["orders"].__name__ == "Order"


@pytest.mark.parametrize("doc", [None, "", "  \n"])
def test_a_type_without_a_docstring_is_refused(doc: str | None) -> None:
    with pytest.raises(TypeError, match=r"^Toy: a resource type needs a docstring"):
        declare(doc=doc)


def test_a_field_that_is_no_kind_of_ours_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Toy\.colour: String is not one of schemas\.kinds"):
        declare(fields={"colour": ma.String()})


def test_an_amount_not_named_in_cents_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^price: "):
        declare(fields={"price": kinds.Cents()})


@pytest.mark.parametrize(
    "ways",
    [{}, {"via": "sku_id", "everywhere": True}, {"via": "sku_id", "through": Through("sku_tags", "sku_id", "tag_id")}],
)
def test_a_to_many_relationship_needs_one_way_to_its_target(ways: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="to-many relationship to 'tags' needs one of"):
        ToMany("tags", **ways)


@pytest.mark.parametrize(
    ("relationship", "complaint"),
    [
        (ToOne("puzzles"), "leads to 'puzzles', which no Schema declares"),
        (ToMany("puzzles", via="toy_id"), "leads to 'puzzles', which no Schema declares"),
        (ToMany("line_items", via="toy_id"), "goes via 'toy_id', which is no to-one relationship of line_items"),
        (ToMany("line_items", via="name"), "goes via 'name', which is no to-one relationship of line_items"),
    ],
)
def test_a_relationship_that_leads_nowhere_is_refused(relationship: ToOne | ToMany, complaint: str) -> None:
    declare(fields={"parts": relationship})
    with pytest.raises(TypeError, match=rf"^Toy\.parts {complaint}$"):
        graph.check()


@pytest.mark.parametrize(
    ("owner", "complaint"),
    [
        ("parent", "is no path of to-one relationships \\('parent' of toys\\)"),
        ("colour", "is no path of to-one relationships \\('colour' of toys\\)"),
        ("line_items.order.customer", "is no path of to-one relationships \\('line_items' of toys\\)"),
        ("order.line_items", "is no path of to-one relationships \\('line_items' of orders\\)"),
        ("order", "leads to orders, not to customers"),
    ],
)
def test_an_owner_that_is_no_customer_is_refused(owner: str, complaint: str) -> None:
    line_items = ToMany("line_items", via="order_id")
    declare(fields={"colour": kinds.Text(), "order": ToOne("orders"), "line_items": line_items}, owner=owner)
    with pytest.raises(TypeError, match=f"^Toy: its owner '{owner}' {complaint}"):
        graph.check()


@pytest.mark.parametrize("name", ["colour", "parent", "line_items"])
def test_what_a_type_is_seen_with_is_a_to_one_relationship(name: str) -> None:
    fields = {"colour": kinds.Text(), "line_items": ToMany("line_items", via="order_id")}
    declare(fields=fields, owner=PUBLIC, visible=(SeenWith(name),))
    with pytest.raises(TypeError, match=f"^Toy: '{name}' is no to-one relationship to be seen with"):
        graph.check()


@pytest.mark.parametrize("name", ["colour", "parent", "absent"])
def test_what_a_column_is_shown_by_is_a_to_many_relationship(name: str) -> None:
    shown = Instead("red", (OneOf("colour", ("blue",)), Some(name, (OneOf("status", ("hot",)),))))
    declare(fields={"colour": kinds.Enum("blue", "red", shown=shown)})
    with pytest.raises(TypeError, match=r"^Toy: 'colour' is shown by no to-many relationship"):
        graph.check()


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        (Empty("absent"), "'absent' is kept in no column"),
        (Empty("line_items"), "'line_items' is kept in no column"),
        (Since("colour"), "'colour' holds no instant"),
        (Until("absent"), "'absent' holds no instant"),
        (OneOf("colour", ("red", "green")), "'colour' is never green"),
        (OneOf("created_at", ("red",)), "'created_at' is never red"),
        (Some("line_items", (OneOf("item_type", ("toys",)),)), "'item_type' is never toys"),
    ],
)
@pytest.mark.parametrize("option", ["visible", "unmasked"])
def test_a_condition_on_what_is_not_there_is_refused(option: str, condition: Condition, complaint: str) -> None:
    fields = {"colour": kinds.Enum("red", "blue"), "line_items": ToMany("line_items", via="order_id")}
    meta: dict[str, Any] = {option: (condition,)}
    toy = declare(fields=fields, **meta)
    with pytest.raises(TypeError, match=f"^Toy: its rows are .*{complaint}$"):
        toy.check_what_is_seen(graph)


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Toy\.Meta: there is no option visable$"):
        declare(visable=(Empty("reference"),))


@pytest.mark.parametrize("guest", ["cart", PUBLIC])
def test_a_type_that_guests_read_says_when_they_see_whose_it_is(guest: str) -> None:
    toy = declare(fields={"cart": ToOne("carts"), "customer": ToOne("customers")}, guest=guest)
    assert toy.masked == {"customer_id"}
    with pytest.raises(TypeError, match=r"^Toy: guests read it, so `unmasked` must say"):
        graph.check()


def test_guests_are_not_shown_what_identifies_a_person_and_words_are_not_masked() -> None:
    toy = declare(
        fields={
            "owner": ToOne("customers"),
            "maker": kinds.Text(personal=Personal.NAME),
            "colour": kinds.Text(harmless=True),
            "engraving": kinds.Text(personal=Personal.WORDS),
            "maker_email": kinds.Email(),
        },
    )
    assert toy.masked == {"owner_id", "maker", "maker_email"}
    assert toy.marks()["engraving"] == Mark(Personal.WORDS)


def test_what_is_disclosed_once_is_no_attribute_and_is_neither_read_nor_sent() -> None:
    toy = declare(fields={"code": kinds.Text(disclosed=Write.CREATE, secret=True, nullable=False, doc="Shown once.")})
    assert list(toy.disclosed) == ["code"]
    assert "code" not in {*toy.attributes, *toy.triggers, *toy.columns()}
    assert toy.disclosed["code"].schema() == {"type": "string", "description": "Shown once."}
    field = toy().fields["code"]
    assert (field.load_only, field.dump_only) == (True, True)


# --- the types of this family -----------------------------------------------------------------------------------


def test_a_recurring_order_copy_shows_what_its_contract_shows() -> None:
    copy = graph["recurring_order_copies"]
    assert list(copy.attributes) == [
        "status",
        "started_at",
        "completed_at",
        "failed_at",
        "errors_log",
        "errors_count",
        "place_target_order",
        "reuse_wallet",
        *("outcomes", "failure_type", "given_up_at"),  # beyond the contract
        "created_at",
        "updated_at",
        "reference",
        "reference_origin",
        "metadata",
    ]
    assert list(copy.relationships) == ["source_order", "target_order", "events", "order_subscription"]
    sent = {name for name, field in {**copy.attributes, **copy.relationships}.items() if Write.CREATE in field.write}
    assert sent == {
        "place_target_order",
        "reuse_wallet",
        "reference",
        "reference_origin",
        "metadata",
        "source_order",
        "order_subscription",
    }
    assert {name for name, field in copy.relationships.items() if field.required} == {
        "source_order",
        "order_subscription",
    }


@pytest.mark.parametrize(
    ("type_", "path"),
    [
        ("carts", ["customer_id"]),
        ("cart_items", ["cart_id", "customer_id"]),
        ("orders", ["customer_id"]),
        ("line_items", ["order_id", "customer_id"]),
        ("order_factories", ["source_order_id", "customer_id"]),
        ("order_copies", ["source_order_id", "customer_id"]),
        ("recurring_order_copies", ["source_order_id", "customer_id"]),
        ("reorders", ["customer_id"]),
        ("reorder_outcomes", ["reorder_id", "customer_id"]),
        ("order_subscriptions", ["customer_id"]),
        ("order_subscription_items", ["order_subscription_id", "customer_id"]),
        ("occurrences", ["order_subscription_id", "customer_id"]),
    ],
)
def test_a_row_leads_to_the_customer_who_may_see_it(type_: str, path: list[str]) -> None:
    assert [step.column for step in graph[type_].owner_path()] == path


def test_links_are_their_orders_customers_events_are_not_for_customers_and_models_are_for_all() -> None:
    assert graph["repeat_links"].owner == "order.customer"
    assert graph["events"].owner is None
    assert graph["subscription_models"].owner == PUBLIC


@pytest.mark.parametrize("type_", graph)
def test_what_is_internal_is_no_field(type_: str) -> None:
    """A field that is worked out of an internal column may bear its name, as may one of another column."""
    resource = graph[type_]
    own = {name for name, field in resource.attributes.items() if not field.column and name not in field.inputs}
    assert not set(resource.internal) & {*resource.columns(), *own}


@pytest.mark.parametrize(
    ("type_", "column"),
    [("carts", "session"), ("carts", "browser"), ("repeat_links", "key_id"), ("repeat_links", "token_version")],
)
def test_what_opens_a_cart_or_makes_a_token_is_never_shown(type_: str, column: str) -> None:
    assert column in graph[type_].internal
