"""Nobody sorts, filters or searches by what they don't see: for every type, every viewer and every field.

What is seen is read out of the documents that each gets, not out of the marks: a value that never shows must not order
rows, decide which are found, or stand in a cursor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.fields import HARMLESS
from schemas.graph import graph
from schemas.kinds import JsonObject
from schemas.relationships import ToOne
from service.errors import InvalidParameter
from service.jsonapi.filters import MATCHERS, filterable
from service.jsonapi.pagination import PROFILE
from service.jsonapi.query import parse
from service.jsonapi.sight import EVERYTHING, Sight
from service.jsonapi.sorting import sortable
from service.principal import CUSTOMER_SCOPES, GUEST_SCOPES, SCOPES, Principal, Store
from service.resources import RESOURCES, visible_to
from service.store.pool import Connection
from tests.checkout.conftest import Holder, ordered, ready
from tests.contract.conftest import inhabit
from tests.marking import marked
from tests.spec.writing import Api
from tests.support import Grant

STORE = Store(1, "Shop", "shop", "test", "EUR", "en", "UTC")
VIEWERS = {
    "guest": Principal(STORE, "", None, GUEST_SCOPES, cart_id="c"),
    "customer": Principal(STORE, "t", "c", CUSTOMER_SCOPES),
    "integration": Principal(STORE, "t", None, frozenset(SCOPES)),
}
HIDDEN = {
    "guest": {
        "carts": {"customer_email", "customer"},
        "orders": {"customer_email", "customer"},
    },
    "customer": {},
    "integration": {},
}  # fmt: skip
"""What each doesn't see of what they read, written down once more."""
CURSORS = f'application/vnd.api+json; profile="{PROFILE}"'


def hidden_paths(viewer: str, type_: str, sight: Sight, steps: int = 1) -> Iterator[str]:
    """The paths that lead to something hidden, or through it, from a type on."""
    resource = graph[type_]
    hidden = HIDDEN[viewer].get(type_, set())
    yield from hidden & {*filterable(resource)}
    for name, relationship in resource.relationships.items():
        target = graph[relationship.type_]
        if target.type_ not in sight or name in hidden:
            yield from (f"{name}.{field}" for field in filterable(target) if field != "id")
        elif steps:
            yield from (f"{name}.{path}" for path in hidden_paths(viewer, target.type_, sight, steps - 1))


@pytest.mark.rule("FM-145")
@pytest.mark.parametrize("viewer", VIEWERS)
def test_what_is_hidden_is_written_down(viewer: str) -> None:
    sight = visible_to(VIEWERS[viewer])
    found = {
        type_: {name for name in (*entry.attributes, *entry.relationships) if not sight.shows(entry, name)}
        for type_, entry in graph.items()
        if type_ in sight
    }
    assert {type_: names for type_, names in found.items() if names} == HIDDEN[viewer]


@pytest.mark.rule("FM-145")
@pytest.mark.parametrize("type_", RESOURCES)
@pytest.mark.parametrize("viewer", VIEWERS)
def test_what_can_be_sorted_and_filtered_by_is_what_is_seen(viewer: str, type_: str) -> None:
    sight, resource = visible_to(VIEWERS[viewer]), graph[type_]
    if type_ not in sight:
        return
    hidden = HIDDEN[viewer].get(type_, set())
    keys = sortable(resource, sight)
    own = [name for name in sortable(resource, EVERYTHING) if "." not in name]
    assert [name for name in keys if "." not in name] == [name for name in own if name not in hidden]
    for key in keys:
        name, _, beyond = key.partition(".")
        if beyond:
            target = resource.relationships[name].type_
            assert name not in hidden
            assert target in sight
            assert beyond not in HIDDEN[viewer].get(target, set())


@pytest.fixture
async def guest(client: httpx2.AsyncClient, connection: Connection, store: Store) -> Api:
    """A guest whose cart and order are a signed-in customer's."""
    world = await inhabit(connection, store)
    await connection.execute("update carts set status = 'abandoned' where store_id = $1", store.id)
    cart = await ready(connection, store, customer_id=world["customers"], customer_email="zoe@example.com")
    guest = Api(client, Holder(store, cart.session))
    await ordered(guest, cart)
    await marked(connection, store, "carts", "orders", "customers", "addresses")
    return guest


def ways(path: str, number: int) -> Iterator[str]:
    """Ways to filter by a path, with other matchers for each number, so that all come up in the end."""
    some = [*MATCHERS][number % 12 :: 12]
    yield from (f"filter[{path}]", f"filter[{path}][]")
    yield from (f"filter[{path}][{matcher}]" for matcher in some)
    # An own attribute may be called as a path is, with underscores: then that is meant.
    if not path.endswith("sku.code"):
        joined = path.replace(".", "_")
        yield from (f"filter[q][{joined}_{matcher}]" for matcher in some)
        yield f"filter[q][id_or_{joined}_{some[0]}]"


@pytest.mark.rule("FM-145")
@pytest.mark.parametrize("viewer", VIEWERS)
def test_what_is_hidden_is_refused_with_the_parameter_in_every_form(viewer: str) -> None:
    sight, asked = visible_to(VIEWERS[viewer]), 0
    for type_ in RESOURCES:
        for number, path in enumerate(sorted({*hidden_paths(viewer, type_, sight)}) if type_ in sight else ()):
            sent = [("sort", path), ("sort", f"id,-{path}"), *((way, "true") for way in ways(path, number))]
            assert [name for name, value in sent if refusal(type_, name, value, sight) != {"parameter": name}] == []
            asked += len(sent)
    assert asked > {"guest": 1_000, "customer": 1_000, "integration": -1}[viewer]


def refusal(type_: str, name: str, value: str, sight: Sight) -> object:
    """Where a query string is wrong; None where it isn't."""
    try:
        parse(graph[type_], [(name, value)], shape="many", visible=sight, cursors=name == "sort")
    except InvalidParameter as error:
        return error.source
    return None


@pytest.mark.rule("FM-145")
async def test_a_guest_is_refused_over_http(guest: Api) -> None:
    for type_, path in (("carts", "customer_email"), ("orders", "customer_email"), ("orders", "customer.email")):
        sort = await guest.send("GET", f"{type_}?sort={path}")
        by_cursor = await guest.send("GET", f"{type_}?sort=-{path}&page[size]=1", Accept=CURSORS)
        for answer in (sort, by_cursor):
            assert (answer.status_code, parameter(answer)) == (400, "sort"), path
        for way in (f"filter[{path}]", f"filter[{path}][cont]", f"filter[q][{path.replace('.', '_')}_start]"):
            answer = await guest.send("GET", f"{type_}?{way}=z")
            assert (answer.status_code, parameter(answer)) == (400, way), answer.text


def parameter(answer: httpx2.Response) -> str | None:
    found: str | None = answer.json()["errors"][0]["source"].get("parameter")
    return found


@pytest.mark.rule("FM-145")
@pytest.mark.parametrize("viewer", ["guest", "customer", "integration"])
async def test_a_cursor_holds_nothing_that_the_document_does_not_show(
    *, client: httpx2.AsyncClient, connection: Connection, store: Store, guest: Api, grant: Grant, viewer: str
) -> None:
    customer_id = await connection.fetchval(
        "select customer_id from orders where store_id = $1 and cart_id is not null", store.id
    )
    asking = {
        "guest": guest,
        "customer": Api(client, await grant(customer_id=customer_id)),
        "integration": Api(client, await grant(scopes=SCOPES)),
    }[viewer]
    sight, decoded = visible_to(VIEWERS[viewer]), 0
    for type_ in RESOURCES:
        if type_ not in sight or type_ == "tokens":
            continue
        for key in sortable(graph[type_], sight):
            name, _, beyond = key.partition(".")
            include = f"&include={name}" if beyond else ""
            answer = await asking.send("GET", f"{type_}?sort={key}&page[size]=100{include}", Accept=CURSORS)
            assert answer.status_code == 200, answer.text
            shown = answer.json()
            for one in shown["data"]:
                cursor = one["meta"]["page"]["cursor"]
                values = orjson.loads(bytes.fromhex(cursor.rpartition(".")[2]))
                text = seen_by_reader(type_, key, one, shown)
                assert all(value is None or value in text for value in values), (key, values)
                decoded += 1
    assert decoded > 20


def seen_by_reader(type_: str, key: str, one: dict[str, Any], shown: dict[str, Any]) -> str:
    """All that a document shows of a resource, or of what it leads to; a status as it is stored, too."""
    if key == "status" and graph[type_].shown:
        return " ".join(graph[type_].attributes["status"].choices)
    plain = {
        name: str(value).lower() if isinstance(value, bool) else value for name, value in one["attributes"].items()
    }
    rest = shown.get("included", ()) if "." in key else ()
    return orjson.dumps([plain, one["id"], one.get("relationships"), *rest]).decode()


_types = st.sampled_from([type_ for type_ in RESOURCES if type_ != "tokens"])


@st.composite
def filters(draw: st.DrawFn) -> tuple[str, str]:
    """A type, and a filter of any shape by any field of it or of what it leads to."""
    type_ = start = draw(_types)
    names: list[str] = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*graph[start].relationships])) if graph[start].relationships else None
        if name is None:
            break
        names.append(name)
        start = graph[start].relationships[name].type_
    field = draw(st.sampled_from(["id", *graph[start].attributes, *graph[start].relationships]))
    matcher = draw(st.sampled_from([*MATCHERS]))
    path = ".".join([*names, field])
    return type_, draw(
        st.sampled_from(
            [f"filter[{path}]", f"filter[{path}][{matcher}]", f"filter[q][{path.replace('.', '_')}_{matcher}]"]
        )
    )


@pytest.mark.rule("FM-145")
async def test_no_filter_finds_a_guest_by_what_is_hidden(guest: Api, connection: Connection, store: Store) -> None:
    """Whatever is asked: an answer of 200 is the same whatever stands in the hidden columns."""
    asked: list[tuple[str, str]] = []

    @settings(max_examples=500, database=None, suppress_health_check=list(HealthCheck))
    @given(filters())
    def collect(one: tuple[str, str]) -> None:
        asked.append(one)

    collect()
    sight = visible_to(VIEWERS["guest"])
    asked = [(type_, way) for type_, way in dict.fromkeys(asked) if type_ in sight]
    before = [await told(guest, type_, way) for type_, way in asked]
    await connection.execute("update orders set customer_email = null where store_id = $1", store.id)
    await connection.execute("update carts set customer_email = 'other@example.com' where store_id = $1", store.id)
    after = [await told(guest, type_, way) for type_, way in asked]
    assert [way for way, one, other in zip(asked, before, after, strict=True) if one != other] == []
    assert len([status for status, _ in before if status == 200]) > 3


async def told(guest: Api, type_: str, way: str) -> tuple[int, object]:
    answer = await guest.send("GET", f"{type_}?{way}=true")
    if answer.status_code != 200:
        return answer.status_code, parameter(answer)
    return 200, [one["id"] for one in answer.json()["data"]]


def test_only_personal_columns_are_hidden() -> None:
    for type_, resource in graph.items():
        for name, field in resource.attributes.items():
            if isinstance(field, JsonObject) or not resource.masks(resource.column_of(name), "carts"):
                continue
            assert field.mark != HARMLESS, f"{type_}.{name}"
    assert any(isinstance(one, ToOne) for one in graph["orders"].relationships.values())
