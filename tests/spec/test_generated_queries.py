"""Whatever is asked of any URL that is read: never a 5xx, never a row of another store or customer, few statements.

Each of those statements is pinned to the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.graph import graph
from service.jsonapi.filters import MATCHERS
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from tests import factories
from tests.contract.conftest import inhabit
from tests.pins import unpinned
from tests.spec.reading import Reader
from tests.support import Grant, make_store

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "-id", "-created_at", "%", "_", "\\", "'", '"', "1", "-1", "0", "true", "false", "null",
         "2026-01-31", "placed", "EUR", "a,b",
         "9223372036854775807", "9223372036854775808", "1e5", "NaN", "{}", '{"a":1}', "[]", "start", "end", "\ufffd",
         "x" * 3_000, "WyJvcmRlcnMiLCJpZCJd.x.5b5d", "0001-01-01", "9999-12-31T23:59:59.999Z", ","]
    ),
)  # fmt: skip
"""Values: any text, and what lies at the edges of the kinds."""


@st.composite
def names(draw: st.DrawFn, type_: str, joint: str) -> str:
    """An attribute, often a real one, often beyond relationships, sometimes nonsense."""
    steps, resource = [], graph[type_]
    for _ in range(draw(st.integers(0, 3))):
        step = draw(st.sampled_from([*resource.relationships, "nope"]))
        steps.append(step)
        if step not in resource.relationships:
            break
        resource = graph[resource.relationships[step].type_]
    last = draw(st.one_of(st.sampled_from(["id", *resource.attributes, *resource.relationships]), TEXTS))
    return joint.join([*steps, last])


@st.composite
def filters(draw: st.DrawFn, type_: str) -> tuple[str, str]:
    """One filter in one of its forms."""
    matcher = draw(st.one_of(st.sampled_from(list(MATCHERS)), st.just("nope")))
    listed = draw(st.sampled_from(["", "[]"]))
    form = draw(st.sampled_from(["plain", "matcher", "q", "q or"]))
    if form == "plain":
        name = f"filter[{draw(names(type_, '.'))}]"
    elif form == "matcher":
        name = f"filter[{draw(names(type_, '.'))}][{matcher}]"
    elif form == "q":
        name = f"filter[q][{draw(names(type_, '_'))}_{matcher}]"
    else:
        name = f"filter[q][{draw(names(type_, '_'))}_or_{draw(names(type_, '_'))}_{matcher}]"
    return name + listed, draw(TEXTS)


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]]]:
    """A type, what of it is asked below its collection, and the query."""
    type_ = draw(st.sampled_from(list(RESOURCES)))
    named = list(graph[type_].relationships)
    place, target = "", type_
    if draw(st.booleans()):
        place = "/{id}"
        if draw(st.booleans()) and named:
            name = draw(st.sampled_from(named))
            place += draw(st.sampled_from(["/", "/relationships/"])) + name
            target = graph[type_].relationships[name].type_
    filtered: bool = place.count("/") != 1 or draw(st.booleans())
    pairs = draw(st.lists(filters(target), max_size=3 if filtered else 0))
    if draw(st.booleans()):
        pairs.append(("sort", draw(st.sampled_from(["", "-"])) + draw(st.one_of(TEXTS, names(target, ".")))))
    key = draw(st.sampled_from(["", "", "number", "size", "offset", "limit", "after", "before", "total", "nope"]))
    if key:
        pairs.append((f"page[{key}]", draw(TEXTS)))
    if draw(st.booleans()):
        pairs.append(("include", draw(names(type_ if "/relationships/" in place else target, "."))))
    if draw(st.booleans()):
        pairs.append((f"fields[{draw(st.sampled_from([target, 'nope']))}]", draw(names(target, "."))))
    return type_, place, pairs


@dataclass(frozen=True)
class Askers:
    """A token of each kind, an id of each type, the ids of another store, and those that are not the customer's."""

    integration: Reader
    customer: Reader
    known: dict[str, str]
    foreign: frozenset[str]
    others: frozenset[str]


@pytest.fixture
async def askers(  # noqa: PLR0917 -- fixtures
    reader: Reader, grant: Grant, connection: Connection, database: Database, store: Store, world: dict[str, str]
) -> Askers:
    """Two stores with a row of every type, two customers in the first."""
    another = await factories.customer(connection, store, reference="100%", metadata={"a": 1})
    sku = await factories.sku(connection, store, stock=3)
    order = await factories.full_order(connection, store, [factories.Line(sku, 2)], customer_id=another)
    await factories.subscription(connection, store, order)
    await factories.cart(connection, store, customer_id=another)
    other = await make_store(database)
    await inhabit(connection, other)
    customer = Reader(reader.client, await grant(customer_id=world["customers"]))
    foreign = frozenset([row for table in TABLES for row in await ids(connection, table, "store_id = $1", other.id)])
    others = frozenset([
        row
        for table in ("orders", "carts", "order_subscriptions")
        for row in await ids(
            connection, table, "store_id = $1 and customer_id is distinct from $2", store.id, world["customers"]
        )
    ])  # fmt: skip
    return Askers(reader, customer, world, foreign, others)


TABLES = sorted({entry.resource.table for entry in RESOURCES.values()})


async def ids(connection: Connection, table: str, condition: str, *binds: object) -> list[str]:
    """The ids of the rows of a table that a condition holds for."""
    return [row[0] for row in await connection.fetch(f"select id from {table} where {condition}", *binds)]


def shown(document: dict[str, Any]) -> Iterator[str]:
    """The ids of everything in a document, linkage included."""
    for member in ("data", "included"):
        found = document.get(member) or []
        for one in found if isinstance(found, list) else [found]:
            yield one["id"]
            for relationship in one.get("relationships", {}).values():
                data = relationship.get("data") or []
                yield from (each["id"] for each in (data if isinstance(data, list) else [data]))


@pytest.mark.rule("FI-11", "FR-13", "QP-08", "ER-10")
async def test_no_query_breaks_anything_or_tells_anything(askers: Askers, statements: list[str]) -> None:
    """200, or an error document; at most one statement, one per level of includes, and one that counts."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(query=queries(), as_customer=st.booleans())
    def ask(query: tuple[str, str, list[tuple[str, str]]], *, as_customer: bool) -> None:
        type_, place, pairs = query
        who = askers.customer if as_customer else askers.integration
        params = httpx2.QueryParams([*pairs])
        url = f"/api/{type_}{place.format(id=askers.known.get(type_, 'nope'))}"
        statements.clear()
        request = who.client.get(url, params=params, headers=who.access.headers)
        answer = asyncio.run_coroutine_threadsafe(request, loop).result(60)
        allowed = (200, 400, *([404] if place else []), *([403] if as_customer else []))
        assert answer.status_code in allowed, (query, answer.text[:500])
        levels = max([0, *(value.count(".") + 1 for name, value in pairs if name == "include" and value)])
        assert len(statements) <= 2 + levels, (query, statements)
        assert not [(text, unpinned(text)) for text in statements if unpinned(text)], query
        if answer.status_code == 200:
            hidden = askers.foreign | (askers.others if as_customer else frozenset())
            assert hidden.isdisjoint(shown(answer.json())), query
        elif answer.status_code == 400:
            named = answer.json()["errors"][0]["source"]["parameter"]
            assert named in [name.replace("\0", "") for name, _ in pairs], query

    await asyncio.to_thread(ask)
