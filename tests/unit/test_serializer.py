"""Compound documents are those of JSON:API 1.1: what the paths reach, each resource once, fully linked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.graph import graph
from schemas.relationships import ToMany, ToOne
from schemas.rendering import Rendering
from service.jsonapi.document import Object, collect
from service.jsonapi.layout import PRIMARY, Level, layout
from service.jsonapi.query import Selection, parse

World = dict[str, dict[str, dict[str, str | None]]]
"""type -> id -> the columns that hold its to-one relationships."""
Key = tuple[str, str]

INHABITED = (
    "customers",
    "orders",
    "line_items",
    "skus",
    "order_subscriptions",
    "order_subscription_items",
    "occurrences",
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to three resources of each inhabited type, related at random: to themselves, in circles, to nothing."""
    ids = {type_: draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1)) for type_ in INHABITED}
    return {
        type_: {
            id_: {
                relationship.column: draw(st.none() | st.sampled_from(ids[relationship.type_]))
                for relationship in graph[type_].relationships.values()
                if isinstance(relationship, ToOne) and relationship.type_ in INHABITED
            }
            for id_ in ids[type_]
        }
        for type_ in INHABITED
    }


@st.composite
def paths(draw: st.DrawFn, type_: str) -> str:
    """An include path of one to four relationships between inhabited types."""
    steps: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        steps.append(draw(st.sampled_from(inhabited_relationships(type_))))
        type_ = graph[type_].relationships[steps[-1]].type_
        if not inhabited_relationships(type_):
            break
    return ".".join(steps)


def inhabited_relationships(type_: str) -> list[str]:
    """What can be included with a type and leads to an inhabited type."""
    return [n for n, r in graph[type_].relationships.items() if r.includable and r.type_ in INHABITED]


def related(world: World, type_: str, id_: str, name: str) -> list[str]:
    """The ids of what a relationship of a resource holds."""
    relationship = graph[type_].relationships[name]
    if isinstance(relationship, ToMany):
        return [other for other, columns in world[relationship.type_].items() if columns.get(relationship.via) == id_]
    held = world[type_][id_].get(relationship.column)
    return [] if held is None else [held]


def written(world: World, selection: Selection, id_: str, level: Level = PRIMARY) -> bytes:
    """The row of a resource with what its selection includes, as the SQL compiler's statements give it."""
    resource, fields = selection.resource, layout(selection)
    assert not fields.written
    assert not fields.derived
    columns = world[resource.type_][id_]
    parts = [id_.encode(), b"1", b""]
    parts += [(columns.get(resource.column_of(name)) or "").encode() for name in fields.ends]
    for name, sub in selection.include:
        rows = [written(world, sub, other, level.below) for other in related(world, resource.type_, id_, name)]
        parts.append(level.below.row.join(rows))
    return level.field.join(parts)


def compound(world: World, type_: str, ids: Iterable[str], include: str) -> tuple[list[Object], list[Object]]:
    """Primary and included resource objects with all relationships, and without attributes."""
    fieldsets = [(f"fields[{name}]", ",".join(graph[name].relationships)) for name in INHABITED]
    selection = parse(graph[type_], [("include", include), *fieldsets], shape="single").selection
    rows = [written(world, selection, id_).split(PRIMARY.field) for id_ in ids]
    primary, included = collect(rows, selection, Rendering("/api"))
    return [orjson.loads(one) for one in primary], [orjson.loads(one) for one in included]


def walk(world: World, starts: Iterable[Key], include: str) -> tuple[set[Key], dict[tuple[Key, str], set[Key]]]:
    """What the paths reach from the starts, and what each relationship on the way holds."""
    reached: set[Key] = set()
    linkage: dict[tuple[Key, str], set[Key]] = {}
    for path in include.split(","):
        here = set(starts)
        for name in path.split("."):
            there: set[Key] = set()
            for type_, id_ in here:
                target = graph[type_].relationships[name].type_
                linkage[(type_, id_), name] = {(target, other) for other in related(world, type_, id_, name)}
                there |= linkage[(type_, id_), name]
            reached |= there
            here = there
    return reached, linkage


def identified(data: Any) -> set[Key]:
    """The keys in a relationship's `data`, or in a list of resource objects."""
    return {(each["type"], each["id"]) for each in (data if isinstance(data, list) else [data] if data else [])}


@pytest.mark.rule("CD-02", "CD-04", "CD-05", "CD-06")
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_compound_documents_hold_what_the_paths_reach_once_and_fully_linked(data: st.DataObject) -> None:
    world, type_ = data.draw(worlds()), data.draw(st.sampled_from(["orders", "order_subscriptions", "line_items"]))
    starts = data.draw(st.lists(st.sampled_from(sorted(world[type_])), unique=True))
    include = ",".join(data.draw(st.lists(paths(type_), min_size=1, max_size=3)))
    primary, included = compound(world, type_, starts, include)
    reached, linkage = walk(world, [(type_, id_) for id_ in starts], include)

    assert [each["id"] for each in primary] == starts
    objects = {(each["type"], each["id"]): each for each in primary + included}
    assert len(objects) == len(primary) + len(included), "a resource comes twice"
    assert objects.keys() == identified(primary) | reached, "everything on the way comes along, nothing else"
    for key, each in objects.items():
        for name, relationship in graph[key[0]].relationships.items():
            shown = each["relationships"][name]
            if (key, name) in linkage:
                assert identified(shown["data"]) == linkage[key, name], "linkage of every path"
            else:
                assert ("data" in shown) == isinstance(relationship, ToOne), "to-many linkage only along the paths"


def world(**types: dict[str, dict[str, str | None]]) -> World:
    """A world with these resources only."""
    return {type_: {} for type_ in INHABITED} | types


def test_a_path_that_leads_back_gives_the_primary_resource_once() -> None:
    there = world(orders={"a": {}}, line_items={"x": {"order_id": "a"}, "y": {"order_id": "a"}})
    primary, included = compound(there, "orders", ["a"], "line_items.order")
    assert identified(primary) == {("orders", "a")}
    assert identified(included) == {("line_items", "x"), ("line_items", "y")}


def test_a_resource_reached_by_two_paths_shows_the_linkage_of_both() -> None:
    there = world(
        orders={"a": {"source_order_id": "b", "root_order_id": "b"}, "b": {}},
        line_items={"x": {"order_id": "b"}},
        order_subscriptions={"s": {"source_order_id": "b"}},
    )
    for include in ("source_order.line_items,root_order.order_subscriptions", "root_order,source_order.line_items"):
        _, included = compound(there, "orders", ["a"], include)
        (order,) = (each for each in included if each["type"] == "orders")
        assert identified(order["relationships"]["line_items"]["data"]) == {("line_items", "x")}
        assert ("data" in order["relationships"]["order_subscriptions"]) == ("order_subscriptions" in include)


def test_a_primary_resource_that_a_path_reaches_shows_the_linkage_of_that_path() -> None:
    there = world(orders={"a": {"source_order_id": "b"}, "b": {}}, line_items={"x": {"order_id": "b"}})
    (first, second), included = compound(there, "orders", ["a", "b"], "source_order.line_items")
    assert "data" not in first["relationships"]["line_items"]
    assert identified(second["relationships"]["line_items"]["data"]) == {("line_items", "x")}
    assert identified(included) == {("line_items", "x")}


def test_circles_end_with_the_path() -> None:
    there = world(orders={"a": {"source_order_id": "b"}, "b": {"source_order_id": "a"}})
    primary, included = compound(there, "orders", ["a"], "source_order.source_order.source_order.source_order")
    assert identified(primary) == {("orders", "a")}
    assert identified(included) == {("orders", "b")}


def test_what_is_not_there_includes_nothing() -> None:
    primary, included = compound(world(orders={"a": {}}), "orders", ["a"], "source_order.line_items,line_items")
    assert included == []
    assert primary[0]["relationships"]["source_order"]["data"] is None
    assert primary[0]["relationships"]["line_items"]["data"] == []
