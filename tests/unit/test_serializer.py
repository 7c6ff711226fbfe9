"""The compiled serializer equals its oracle, the Schema's own dump; compound documents are those of JSON:API 1.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.graph import graph
from schemas.kinds import INT64, CurrencyCode, Enum, Kind
from schemas.relationships import ToMany, ToOne
from schemas.rendering import Rendering
from schemas.resource import Resource
from service.http.repeat_urls import RepeatUrls
from service.jsonapi.document import Object, collect, layout, renderer
from service.jsonapi.query import Selection, parse
from service.rules.repeat_links import LinkKeys

IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD", "CLF", "XAU", "ZZZ"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INT64[0], 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "text[]": st.lists(TEXTS, max_size=3),
    "bigint": st.sampled_from([*INT64, -1, 0, 1]) | st.integers(*INT64),
    "boolean": st.booleans(),
    "numeric": st.decimals(Decimal(-(10**12)), Decimal(10**12), places=6),
    "double precision": st.floats(allow_nan=False, allow_infinity=False),
    "timestamptz": st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC)).map(  # noqa: DTZ001
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
    "jsonb": JSON.map(orjson.dumps),
}
"""What the pool hands over for a column, by SQL type: aware UTC datetimes cut to milliseconds, jsonb as bytes."""

URLS = RepeatUrls(LinkKeys(["a key of sixteen"]), 1003, "https://shop.example/again?lang=nl")
RENDERINGS = st.sampled_from(
    [
        Rendering("https://shop.example/api"),
        Rendering("http://127.0.0.1:8000/api", "live", "nl_NL", datetime(2026, 5, 1, tzinfo=UTC), URLS),
        Rendering("https://shop.example/api", "test", "ar-EG"),
    ]
)


def values(field: Kind | ToOne) -> st.SearchStrategy[Any]:
    """What the column of a field may hold."""
    if isinstance(field, ToOne):
        return st.none() | IDS
    possible = VALUES[field.sql_type]
    if isinstance(field, Enum):
        possible = st.sampled_from(field.choices)
    elif isinstance(field, CurrencyCode):
        possible = CURRENCIES
    return st.none() | possible if field.nullable else possible


def stored(resource: type[Resource]) -> st.SearchStrategy[dict[str, Any]]:
    """Rows of a type as mappings of columns."""
    columns = dict.fromkeys(resource.internal, TEXTS) | {c: values(field) for c, field in resource.columns().items()}
    return st.fixed_dictionaries({"id": IDS, "version": st.integers(1, INT64[1]), **columns})


def render(
    selection: Selection, mapping: Mapping[str, Any], rendering: Rendering, *, within_json: bool = False
) -> Object:
    """The resource object of one row, as a client reads it."""
    row = tuple(mapping[column] for column in layout(selection))
    read: Object = orjson.loads(renderer(selection, within_json=within_json)(row, rendering, {}))
    return read


@pytest.mark.parametrize("type_", graph)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_compiled_row_equals_the_schemas_own_dump(type_: str, data: st.DataObject) -> None:
    resource = graph[type_]
    mapping, rendering = data.draw(stored(resource)), data.draw(RENDERINGS)
    dumped = resource(rendering=rendering).dump(mapping)["data"]
    assert render(Selection(resource), mapping, rendering) == dumped
    assert render(Selection(resource), as_json(mapping), rendering, within_json=True) == dumped


def as_json(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A row as Postgres writes it within JSON: instants without a zone and zeros at the end, jsonb as text."""
    written: dict[str, Any] = {}
    for column, value in mapping.items():
        match value:
            case datetime():
                written[column] = value.replace(tzinfo=None).isoformat()
                written[column] = written[column].rstrip("0") if "." in written[column] else written[column]
            case bytes():
                written[column] = value.decode()
            case Decimal():
                written[column] = float(value)
            case _:
                written[column] = value
    return written


@pytest.mark.parametrize("type_", graph)
def test_a_row_of_nulls_equals_the_schemas_own_dump(type_: str) -> None:
    resource, rendering = graph[type_], Rendering("https://shop.example/api")
    nullable = {column for column, field in resource.columns().items() if isinstance(field, ToOne) or field.nullable}
    filled = {
        "bigint": 1,
        "boolean": True,
        "timestamptz": datetime(2026, 1, 31, tzinfo=UTC),
        "jsonb": b"{}",
        "text[]": [],
    }
    mapping = (
        {"id": "1", "version": 1}
        | dict.fromkeys(resource.internal, "1")
        | {
            column: None if column in nullable else filled.get(getattr(field, "sql_type", "text"), "1")
            for column, field in resource.columns().items()
        }
    )
    assert render(Selection(resource), mapping, rendering) == resource(rendering=rendering).dump(mapping)["data"]


@pytest.mark.parametrize("type_", graph)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_fieldset_keeps_exactly_the_fields_it_names(type_: str, data: st.DataObject) -> None:
    resource = graph[type_]
    mapping, rendering = data.draw(stored(resource)), data.draw(RENDERINGS)
    asked = data.draw(st.frozensets(st.sampled_from([*resource.attributes, *resource.relationships]), max_size=8))
    whole = render(Selection(resource), mapping, rendering)
    for kind in ("attributes", "relationships"):
        kept = {name: value for name, value in whole.pop(kind, {}).items() if name in asked}
        if kept:
            whole[kind] = kept
    assert render(Selection(resource, asked), mapping, rendering) == whole


def test_an_amount_comes_in_minor_units_as_a_float_and_as_text() -> None:
    mapping = dict.fromkeys(graph["carts"].columns()) | {"id": "1", "version": 1, "currency_code": "EUR"}
    mapping["total_amount_cents"] = -1234567
    whole = render(Selection(graph["carts"]), mapping, Rendering("/api", "test", "nl_NL"))["attributes"]
    assert whole["total_amount_cents"] == -1234567
    assert whole["total_amount_float"] == -12345.67
    assert whole["formatted_total_amount"] == "€\N{NO-BREAK SPACE}-12.345,67"


# --- compound documents -----------------------------------------------------------------------------------------

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


def fetch(world: World, selection: Selection, id_: str, *, within_json: bool = False) -> list[Any]:
    """The positional row of a resource with what its selection includes, as the SQL compiler's statements give it."""
    type_ = selection.resource.type_
    columns: dict[str, Any] = {"id": id_, "version": 1} | world[type_][id_]
    row = [columns.get(column) for column in layout(selection)]
    for name, sub in selection.include:
        rows = [fetch(world, sub, other, within_json=True) for other in related(world, type_, id_, name)]
        many = isinstance(selection.resource.relationships[name], ToMany)
        held = rows if many else next(iter(rows), None)
        row.append(held if within_json or held is None else orjson.dumps(held).decode())
    return row


def compound(world: World, type_: str, ids: Iterable[str], include: str) -> tuple[list[Object], list[Object]]:
    """Primary and included resource objects with all relationships, and without attributes."""
    fieldsets = [(f"fields[{name}]", ",".join(graph[name].relationships)) for name in INHABITED]
    selection = parse(graph[type_], [("include", include), *fieldsets], shape="single").selection
    primary, included = collect([fetch(world, selection, id_) for id_ in ids], selection, Rendering("/api"))
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
