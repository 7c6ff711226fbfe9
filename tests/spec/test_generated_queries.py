"""Whatever is asked of any collection: never a 5xx, never a row of another store or customer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.base import graph
from service.jsonapi.filters import MATCHERS
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from tests import factories
from tests.spec.reading import Reader
from tests.support import Grant, make_store

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "-id", "-created_at", "%", "_", "\\", "'", '"', "1", "-1", "0", "true", "false", "null",
         "2026-01-31", "placed", "EUR", "a,b",
         "9223372036854775807", "9223372036854775808", "1e5", "NaN", "{}", '{"a":1}', "[]", "start", "end", "\ufffd",
         "x" * 3_000, "WyJvcmRlcnMiLCJpZCIsIngiXQ", "0001-01-01", "9999-12-31T23:59:59.999Z", ","]
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
def queries(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """A collection and what is asked of it."""
    type_ = draw(st.sampled_from(list(RESOURCES)))
    pairs = draw(st.lists(filters(type_), max_size=3))
    if draw(st.booleans()):
        pairs.append(("sort", draw(st.sampled_from(["", "-"])) + draw(st.one_of(TEXTS, names(type_, ".")))))
    key = draw(st.sampled_from(["", "number", "size", "offset", "limit", "after", "before", "total", "nope"]))
    if key:
        pairs.append((f"page[{key}]", draw(TEXTS)))
    if draw(st.booleans()):
        pairs.append(("include", draw(names(type_, "."))))
    return type_, pairs


@dataclass(frozen=True)
class Askers:
    """A token of each kind, the ids of another store, and those that are not the customer's."""

    integration: Reader
    customer: Reader
    foreign: frozenset[str]
    others: frozenset[str]


@pytest.fixture
async def askers(reader: Reader, grant: Grant, connection: Connection, database: Database, store: Store) -> Askers:
    """Two stores with alike rows, two customers in the first."""
    other = await make_store(database)
    me = [await shop(connection, store) for _ in range(2)][1]
    await shop(connection, other)
    customer = Reader(reader.client, await grant(customer_id=me))
    foreign = await ids(connection, "store_id = $1", other.id)
    others = await ids(connection, "store_id = $1 and customer_id is distinct from $2", store.id, me)
    return Askers(reader, customer, foreign, others)


async def shop(connection: Connection, store: Store) -> str:
    """A customer with an order, a subscription, a cart and a tag; gives the customer's id."""
    customer = await factories.customer(connection, store, reference="100%", metadata={"a": 1})
    sku = await factories.sku(connection, store, stock=3)
    order = await factories.full_order(connection, store, [factories.Line(sku, 2)], customer_id=customer)
    await factories.subscription(connection, store, order)
    await factories.cart(connection, store, customer_id=customer)
    tag = await factories.insert(connection, "tags", store, name=f"gift-{sku.code}")
    await connection.execute(
        "insert into order_tags (store_id, order_id, tag_id) values ($1, $2, $3)", store.id, order, tag
    )
    return customer


async def ids(connection: Connection, condition: str, *binds: object) -> frozenset[str]:
    """The ids of the orders, carts and subscriptions that a condition holds for."""
    tables = ("orders", "carts", "order_subscriptions")
    statement = " union all ".join(f"select id from {table} where {condition}" for table in tables)
    return frozenset(row[0] for row in await connection.fetch(statement, *binds))


def shown(document: dict[str, object]) -> Iterator[str]:
    """The ids of everything in a document."""
    for member in ("data", "included"):
        resources = document.get(member) or []
        assert isinstance(resources, list)
        yield from (resource["id"] for resource in resources)


async def test_no_query_breaks_anything_or_tells_anything(askers: Askers) -> None:
    """FI, SO, PG, IN: 200 or an error document that names a parameter of the request."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(query=queries(), as_customer=st.booleans())
    def ask(query: tuple[str, list[tuple[str, str]]], *, as_customer: bool) -> None:
        type_, pairs = query
        who = askers.customer if as_customer else askers.integration
        params = httpx2.QueryParams([*pairs])
        request = who.client.get(f"/api/{type_}", params=params, headers=who.access.headers)
        answer = asyncio.run_coroutine_threadsafe(request, loop).result(60)
        assert answer.status_code in ((200, 400, 403) if as_customer else (200, 400)), (query, answer.text[:500])
        if answer.status_code == 200:
            hidden = askers.foreign | (askers.others if as_customer else frozenset())
            assert hidden.isdisjoint(shown(answer.json())), query
        elif answer.status_code == 400:
            named = answer.json()["errors"][0]["source"]["parameter"]
            assert named in [name.replace("\0", "") for name, _ in pairs], query

    await asyncio.to_thread(ask)
