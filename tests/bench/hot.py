"""The operations that are done all the time, each on something of its own, the same in stores of every size."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx2

from schemas.orders import Order
from service import clock
from service.app import create_app
from service.jobs.copy import CopyJob
from service.jobs.sweep import sweep_store
from service.jsonapi import pagination
from service.jsonapi.sorting import SortKey
from service.operations.access import tokens
from service.operations.tenant import tenants
from service.principal import CUSTOMER_SCOPES, SCOPES, Store
from service.settings import Settings
from service.store import counts
from service.store.pool import Connection, Database, connect
from tests import factories
from tests.bench.cases import BY_CURSOR, PLAIN, add_to_cart, copy, reorder
from tests.bench.load import Request
from tests.bench.world import KEYS, STORE
from tests.checkout.conftest import ready
from tests.factories import Line

TURNS = 12
"""How often each operation is done: statements get their lasting plans with the sixth time."""

BATCH = 25
"""How many subscriptions are due at a time."""

Work = Callable[[int], Awaitable[object]]


@dataclass(frozen=True)
class Subjects:
    """What is read and written, by turn.

    `owner` is a customer with a fifth of the store's orders, `owners` the token of that.
    """

    store: Store
    token: str
    owner: str
    owners: str
    customer: str
    orders: Sequence[str]
    carts: Sequence[str]
    sku: str
    subscriptions: Sequence[tuple[str, str]]
    by_hand: Sequence[str]
    by_card: Sequence[str]


@dataclass
class Hot:
    """The operations on a database."""

    database: Database
    client: httpx2.AsyncClient
    subjects: Subjects
    deep: str

    @property
    def operations(self) -> Mapping[str, Work]:
        """What is done in a turn, by the name of the operation."""
        whole, sizes = "include=line_items,customer,billing_address,shipping_address", "page[size]=25"
        orders, customer = self.subjects.orders, self.subjects.customer
        return {
            "read one order": lambda n: self._get(f"/api/orders/{orders[n]}"),
            "read it with lines, customer, addresses": lambda n: self._get(f"/api/orders/{orders[n]}?{whole}"),
            "first page of orders by cursor": lambda _: self._get(f"/api/orders?sort=id&{sizes}", BY_CURSOR),
            "page near the end by cursor": lambda _: self._get(
                f"/api/orders?sort=id&{sizes}&page[after]={self.deep}", BY_CURSOR
            ),
            "counted page of orders": lambda _: self._get(f"/api/orders?sort=id&{sizes}"),
            "a customer's orders with their lines": lambda _: self._get(
                f"/api/orders?filter[customer]={customer}&sort=id&include=line_items&{sizes}", BY_CURSOR
            ),
            "a large owner's orders by cursor": lambda _: self._get(
                f"/api/orders?sort=id&{sizes}", BY_CURSOR, self.subjects.owners
            ),
            "a large owner's orders, counted": lambda _: self._get(
                f"/api/orders?sort=id&{sizes}", token=self.subjects.owners
            ),
            "a large owner's orders with their lines": lambda _: self._get(
                f"/api/orders?filter[customer]={self.subjects.owner}&sort=id&include=line_items&{sizes}", BY_CURSOR
            ),
            "page of events": lambda _: self._get(f"/api/events?{sizes}", BY_CURSOR),
            "reorder": lambda n: self.send(reorder(orders[n])),
            "add to cart": lambda n: self.send(add_to_cart(self.subjects.carts[n], self.subjects.sku)),
            "place an order, paid by hand": lambda n: self._place(self.subjects.by_hand[n]),
            "place an order, one payment attempt": lambda n: self._place(self.subjects.by_card[n]),
            "create a recurring order copy": lambda n: self.send(copy(*self.subjects.subscriptions[n])),
            f"sweep of {BATCH} due subscriptions": self._sweep,
            f"their {BATCH} copies": self._copy,
        }

    @property
    def filtered(self) -> Mapping[str, Work]:
        """Lists under conditions, in a very large store."""
        sizes = "page[size]=25"
        return {
            "orders of a status, by cursor": lambda _: self._get(
                f"/api/orders?filter[status]=placed&sort=id&{sizes}", BY_CURSOR
            ),
            "orders since a day, the latest first": lambda _: self._get(
                f"/api/orders?filter[q][created_at_gteq]=2026-01-01T00:00:00Z&sort=-created_at&{sizes}", BY_CURSOR
            ),
            "orders by a customer's email": lambda n: self._get(
                f"/api/orders?filter[customer_email]=c{n}@example.com&sort=id&{sizes}", BY_CURSOR
            ),
            "active subscriptions, counted": lambda _: self._get(f"/api/order_subscriptions?sort=id&{sizes}"),
            "lines of an order": lambda n: self._get(
                f"/api/orders/{self.subjects.orders[n]}/line_items?sort=id&{sizes}", BY_CURSOR
            ),
        }

    async def prepare(self, name: str, turn: int) -> None:
        """What has to be there before an operation's turn, and isn't counted."""
        if name.startswith("sweep"):
            async with self.database.connection() as connection:
                await connection.execute(_DUE, STORE, turn * BATCH, BATCH, clock.now() - timedelta(minutes=1))

    async def _get(self, path: str, media: str = PLAIN, token: str = "") -> None:
        await self.send(Request("GET", path), media, token)

    async def send(self, request: Request, media: str = PLAIN, token: str = "") -> None:
        """Send a request with a token, that of all scopes without. Raises AssertionError for any answer but 2xx."""
        token = token or self.subjects.token
        headers = {"Authorization": f"Bearer {token}", "Accept": media, "Content-Type": PLAIN}
        answer = await self.client.request(request.method, request.path, content=request.body, headers=headers)
        assert answer.is_success, answer.text[:2000]

    async def _place(self, order: str) -> None:
        attributes = {"_place": True, "_payment_source_token": "tok_approve"}
        document = {"data": {"type": "orders", "id": order, "attributes": attributes}}
        await self.send(Request("PATCH", f"/api/orders/{order}", json.dumps(document)))

    async def _sweep(self, _: int) -> None:
        assert await sweep_store(self.database, STORE) == BATCH

    async def _copy(self, turn: int) -> None:
        async with self.database.connection() as connection:
            rows = await connection.fetch(_PENDING, STORE, turn * BATCH, BATCH)
        assert len(rows) == BATCH
        assert await CopyJob(self.database).make(STORE, [row[0] for row in rows]) is None


_OWN_MANY = """
    with template as (
        select orders.*
        from orders
        where store_id = $1 and id = $2
    ),

    numbers as (
        select generate_series(1, count(*) / 4) as n
        from orders
        where store_id = $1
    ),

    made as (
        insert into orders
        select made.*
        from template
        cross join numbers
        cross join lateral jsonb_populate_record(
            template::orders,
            jsonb_build_object('id', 'many-' || n, 'number', 1000000000 + n, 'code', 'MANY' || n, 'reference', null)
        ) as made
        returning orders.id, orders.customer_id
    ),

    lines as (
        insert into line_items
        select lines.*
        from made
        cross join (select * from line_items where store_id = $1 and order_id = $2) as line
        cross join lateral jsonb_populate_record(
            line::line_items, jsonb_build_object('id', made.id || '-line', 'order_id', made.id)
        ) as lines
        returning line_items.id, (select customer_id from template)
    )

    insert into collection_changes (store_id, collection, delta, customers)
    select $1, 'orders', count(*), array_agg(customer_id) from made
    union all
    select $1, 'line_items', count(*), array_agg(customer_id) from lines
"""
"""A quarter as many orders as the store has by now, each like this one with one line."""

_DUE = """
    update order_subscriptions set next_run_at = $4
    where store_id = $1 and id in (select 'due-' || n from generate_series($2::int, $2::int + $3::int - 1) as n)
"""
_PENDING = """
    select id from order_factories
    where
        store_id = $1 and status = 'pending' and occurrence_id is not null
        and order_subscription_id in (select 'due-' || n from generate_series($2::int, $2::int + $3::int - 1) as n)
"""


async def make_subjects(url: str) -> Subjects:
    """Put into a store what the operations need, beside what there is."""
    async with connect(url, [KEYS]) as connection:
        store = await tenants.find(connection, STORE)
        assert store is not None
        async with connection.transaction():
            return await _make_subjects(connection, store)


async def _make_subjects(connection: Connection, store: Store) -> Subjects:
    factories.count_from(900_000_000)
    skus = [await factories.sku(connection, store, stock=1_000_000) for _ in range(4)]
    lines = [Line(sku) for sku in skus[:3]]
    buyers = [await factories.customer(connection, store) for _ in range(TURNS)]
    orders = [await factories.full_order(connection, store, lines, customer_id=buyer) for buyer in buyers]
    for buyer in buyers:
        await factories.cart(connection, store, customer_id=buyer)
    many = await factories.customer(connection, store)
    for _ in range(10):
        await factories.full_order(connection, store, lines, customer_id=many)
    subscriptions = [await factories.subscription(connection, store, order) for order in orders]
    owner = await factories.customer(connection, store)
    await connection.execute("set local statement_timeout = 0")
    await connection.execute(
        _OWN_MANY, STORE, await factories.full_order(connection, store, lines[:1], customer_id=owner)
    )
    await counts.sum_up(connection, STORE)
    source = await factories.full_order(connection, store, lines)
    await _subscribe(connection, store, source, skus)
    token, owners = [
        (
            await tokens.issue(
                connection, STORE, customer_id=id_, scopes=scopes, name=None, expires_at=None, at=clock.now()
            )
        )[1]
        for id_, scopes in ((None, SCOPES), (owner, CUSTOMER_SCOPES))
    ]
    return Subjects(
        store,
        token,
        owner,
        owners,
        many,
        orders,
        [await factories.cart(connection, store) for _ in range(TURNS)],
        skus[3].code,
        list(zip(subscriptions, orders, strict=True)),
        [(await ready(connection, store, gateway="manual", stock=1000)).id for _ in range(TURNS)],
        [(await ready(connection, store, gateway="test", stock=1000)).id for _ in range(TURNS)],
    )


async def _subscribe(connection: Connection, store: Store, source: str, skus: Sequence[factories.Sku]) -> None:
    """Weekly subscriptions enough for every turn, of one sku each; none of them is due yet."""
    at = clock.now()
    last = await factories.subscription(connection, store, source)
    number = await connection.fetchval("select max(number) from order_subscriptions where store_id = $1", store.id)
    await connection.execute(
        """
        insert into order_subscriptions (
            store_id, id, number, status, frequency, timezone, source_order_id, customer_id, customer_email, anchor_at,
            starts_at, next_run_at, catchup_policy, created_at, updated_at
        )
        select
            $1, 'due-' || n, $3 + n + 1, 'active', 'weekly', 'UTC', source_order_id, customer_id, customer_email, $4,
            $4, $5, 'run_all', $6, $6
        from order_subscriptions cross join generate_series(0, $7 - 1) as n
        where store_id = $1 and id = $2
        """,
        *(store.id, last, number, at - timedelta(weeks=1, minutes=1), at + timedelta(days=300), at, TURNS * BATCH),
    )
    await connection.execute(
        """
        insert into order_subscription_items (
            store_id, id, order_subscription_id, sku_id, sku_code, name, quantity, currency_code, unit_amount_cents,
            total_amount_cents, created_at, updated_at
        )
        select $1, 'due-item-' || n, 'due-' || n, $2, $3, 'One', 1, 'EUR', 1000, 1000, $4, $4
        from generate_series(0, $5 - 1) as n
        """,
        *(store.id, skus[0].id, skus[0].code, at, TURNS * BATCH),
    )


@asynccontextmanager
async def ready_on(url: str, subjects: Subjects) -> AsyncIterator[Hot]:
    """The operations on a database, through the real application on a pool of two connections."""
    settings = Settings(
        database_url=url, secret_keys=KEYS, pool_size=2, rate_limit=1_000_000, log_level="warning", command_timeout=120
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        database: Database = app.state.service.database
        async with database.connection() as connection:
            last = await connection.fetchval(
                "select id from orders where store_id = $1 order by id desc offset 30 limit 1", STORE
            )
        deep = pagination.Cursors(Order, (SortKey(("id",), descending=False),)).at((last or "0",))
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Hot(database, client, await _ordered(database, client, subjects), deep)


async def _ordered(database: Database, client: httpx2.AsyncClient, subjects: Subjects) -> Subjects:
    """The same subjects, with their carts ordered but not placed."""
    hot = Hot(database, client, subjects, "")
    for cart in (*subjects.by_hand, *subjects.by_card):
        linked = {"cart": {"data": {"type": "carts", "id": cart}}}
        document = {"data": {"type": "orders", "relationships": linked}}
        await hot.send(Request("POST", "/api/orders", json.dumps(document)))
    async with database.connection() as connection:
        made = {
            row[0]: row[1]
            for row in await connection.fetch("select cart_id, id from orders where store_id = $1", STORE)
            if row[0] is not None
        }
    return replace(
        subjects,
        by_hand=[made[cart] for cart in subjects.by_hand],
        by_card=[made[cart] for cart in subjects.by_card],
    )
