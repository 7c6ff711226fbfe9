"""What Postgres writes of a row, and what is worked out beside it, equals its oracle: the Schema's own dump."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.graph import graph
from schemas.kinds import INT64, CurrencyCode, Enum, Kind, Picture
from schemas.relationships import ToOne
from schemas.rendering import Rendering
from schemas.resource import Resource
from service.http.repeat_urls import RepeatUrls
from service.jsonapi.attributes import attributes_of
from service.jsonapi.document import Object
from service.jsonapi.layout import rows_of
from service.jsonapi.query import Selection
from service.jsonapi.renderers import renderer
from service.principal import Viewer
from service.rules.repeat_links import LinkKeys
from service.store.compile import Statement, in_utf8
from service.store.pool import Connection

IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD", "CLF", "XAU", "ZZZ"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INT64[0], 2**64 - 1)
    | st.floats(-(2.0**53), 2.0**53)  # jsonb keeps greater ones as whole numbers, which are others than the floats
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
    "timestamptz": st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC)).map(  # noqa: DTZ001
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
    elif isinstance(field, Picture):
        possible = TEXTS | TEXTS.map("/{}".format)
    return st.none() | possible if field.nullable else possible


def stored(resource: type[Resource]) -> st.SearchStrategy[dict[str, Any]]:
    """Rows of a type as mappings of columns."""
    columns = dict.fromkeys(resource.internal, TEXTS) | {c: values(field) for c, field in resource.columns().items()}
    return st.fixed_dictionaries({"id": IDS, "version": st.integers(1, INT64[1]), **columns})


async def rendered(
    connection: Connection, selection: Selection, mapping: Mapping[str, Any], rendering: Rendering
) -> Object:
    """The resource object of one row, as a client reads it; the row stands in the place of its table."""
    resource, statement = selection.resource, Statement(Viewer(0))
    kinds = resource.columns() | {"store_id": INTEGER, "version": INTEGER}
    values = [
        f"{statement.bind(value.decode() if isinstance(value, bytes) else value)}::{sql_type(kinds.get(column))}"
        f' as "{column}"'
        for column, value in mapping.items()
    ]
    table = f"with one as (select $1::bigint as store_id, {', '.join(values)})"
    row, beside = statement.row(selection, "t")
    alone = await connection.fetchval(f"{table} select {in_utf8(row)} from one t{beside}", *statement.binds)
    row = statement.rows(selection, "t")
    text = await connection.fetchval(f"{table} select {in_utf8(row)} from one t", *statement.binds)
    assert text == alone, "a row that comes alone, and one of many"
    rows = rows_of([text], selection)
    read: Object = orjson.loads(renderer(selection)(rows, rendering, {})[0])
    return read


INTEGER = graph["orders"].attributes["total_amount_cents"]


def sql_type(field: Kind | ToOne | None) -> str:
    """The type of a field's column; what clients never see is text."""
    return field.sql_type if isinstance(field, Kind) else "text"


Render = Callable[[Selection, Mapping[str, Any], Rendering], Object]


@pytest.fixture
async def render(connection: Connection) -> Render:
    """`rendered` for a thread of its own, as Hypothesis needs one."""
    loop = asyncio.get_running_loop()

    def wait(selection: Selection, mapping: Mapping[str, Any], rendering: Rendering) -> Object:
        return asyncio.run_coroutine_threadsafe(rendered(connection, selection, mapping, rendering), loop).result(60)

    return wait


def given_data(amount: int) -> Callable[[Callable[[st.DataObject], None]], Callable[[], None]]:
    """Try an example with so many drawings."""
    options = settings(max_examples=amount, deadline=None, suppress_health_check=list(HealthCheck))
    return lambda example: options(given(st.data())(example))


@pytest.mark.parametrize("type_", graph)
async def test_a_row_equals_the_schemas_own_dump(render: Render, type_: str) -> None:
    resource = graph[type_]

    @given_data(25)
    def example(data: st.DataObject) -> None:
        mapping, rendering = data.draw(stored(resource)), data.draw(RENDERINGS)
        dumped = resource(rendering=rendering).dump(mapping)["data"]
        assert render(Selection(resource), mapping, rendering) == dumped
        assert attributes_of(resource, [*resource.attributes], mapping, rendering) == dumped["attributes"]

    await asyncio.to_thread(example)


@pytest.mark.parametrize("type_", graph)
async def test_a_row_of_nulls_equals_the_schemas_own_dump(connection: Connection, type_: str) -> None:
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
    dumped = resource(rendering=rendering).dump(mapping)["data"]
    assert await rendered(connection, Selection(resource), mapping, rendering) == dumped


@pytest.mark.parametrize("type_", graph)
async def test_a_fieldset_keeps_exactly_the_fields_it_names(render: Render, type_: str) -> None:
    resource = graph[type_]

    @given_data(15)
    def example(data: st.DataObject) -> None:
        mapping, rendering = data.draw(stored(resource)), data.draw(RENDERINGS)
        asked = data.draw(st.frozensets(st.sampled_from([*resource.attributes, *resource.relationships]), max_size=8))
        whole = render(Selection(resource), mapping, rendering)
        for kind in ("attributes", "relationships"):
            kept = {name: value for name, value in whole.pop(kind, {}).items() if name in asked}
            if kept:
                whole[kind] = kept
        assert render(Selection(resource, asked), mapping, rendering) == whole

    await asyncio.to_thread(example)


async def test_an_amount_comes_in_minor_units_as_a_float_and_as_text(connection: Connection) -> None:
    mapping = dict.fromkeys(graph["carts"].columns()) | {"id": "1", "version": 1, "currency_code": "EUR"}
    mapping["total_amount_cents"] = -1234567
    rendering = Rendering("/api", "test", "nl_NL")
    amount = ("total_amount_cents", "total_amount_float", "formatted_total_amount")
    whole = (await rendered(connection, Selection(graph["carts"], frozenset(amount)), mapping, rendering))["attributes"]
    assert whole["total_amount_cents"] == -1234567
    assert whole["total_amount_float"] == -12345.67
    assert whole["formatted_total_amount"] == "€\N{NO-BREAK SPACE}-12.345,67"


async def test_only_a_picture_is_below_the_url_of_the_service(connection: Connection) -> None:
    like_one = '"image_url":"/a"'
    mapping = dict.fromkeys(graph["line_items"].columns()) | {"id": "1", "version": 1, "image_url": "/pictures/1"}
    mapping |= {"name": like_one, "reference": like_one[1:], "metadata": b'{"image_url":"/b"}'}
    names = ("image_url", "name", "reference", "metadata")
    selection, rendering = Selection(graph["line_items"], frozenset(names)), Rendering("https://shop.example/api")
    shown = (await rendered(connection, selection, mapping, rendering))["attributes"]
    assert shown["image_url"] == "https://shop.example/pictures/1"
    assert (shown["name"], shown["reference"]) == (like_one, like_one[1:])
    assert shown["metadata"] == {"image_url": "/b"}
