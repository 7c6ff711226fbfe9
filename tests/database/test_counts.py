"""Counts of collections: whatever comes and goes is counted, exactly, in every transaction, at a cost that stays."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import httpx2
import orjson
import pytest
from pglast import ast, parse_sql

import sql
from schemas.graph import graph
from service import clock
from service.errors import ApiError
from service.jsonapi.body import Draft
from service.jsonapi.pagination import Page
from service.jsonapi.query import Query, Selection
from service.operations.orders.order_copies import _CREATE as CREATE_COPY
from service.principal import Owner, Store, Viewer
from service.store import checks, counts, people, read, write
from service.store.pool import Connection, Database
from service.store.statements import Part
from sql import Statement
from tests import counted, factories
from tests.database.declared import declared
from tests.factories import Line
from tests.processes import ROOT
from tests.spec.test_query_cost import leaves
from tests.spec.writing import Api
from tests.support import Grant

STATEMENTS = [statement for topic in sql.topics() for statement in sql.statements(topic).values()]
TABLES = {resource.table for resource in counted.COUNTED}
OWNERS = {
    (resource.table, resource.owner_path()[0].column) for resource in counted.COUNTED if counts.is_owned(resource)
}
LEFT_TO_OTHERS = "Who includes it counts them."


def nodes(tree: object) -> Iterator[Any]:
    """Every node of a tree of pglast."""
    if isinstance(tree, tuple | list):
        for part in tree:
            yield from nodes(part)
    elif isinstance(tree, ast.Node):
        yield tree
        for name in tree:
            yield from nodes(getattr(tree, name))


def faults(text: str) -> list[str]:
    """What comes or goes by a statement and isn't counted, and what becomes somebody else's."""
    found = list(nodes([raw.stmt for raw in parse_sql(text)]))
    changing = [node for node in found if isinstance(node, ast.InsertStmt | ast.DeleteStmt)]
    touched = {node.relation.relname for node in changing}
    told = {node.sval for node in found if isinstance(node, ast.String)} if "collection_changes" in touched else set()
    kinds = {
        one.table: {other.type_ for other in counted.COUNTED if other.table == one.table} for one in counted.COUNTED
    }
    wrong = [f"{table} aren't counted" for table in sorted(touched & TABLES) if not told & kinds[table]]
    updates = [node for node in found if isinstance(node, ast.UpdateStmt)]
    sets = {(node.relation.relname, target.name) for node in updates for target in node.targetList}
    return wrong + [f"{table}.{column} changes whose they are" for table, column in sorted(sets & OWNERS)]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.path)
def test_a_statement_counts_what_comes_and_goes(statement: Statement) -> None:
    if statement.prose.endswith(LEFT_TO_OTHERS):
        assert faults(statement.text)
        assert statement.path not in {one.statement.path for one in declared().values() if not isinstance(one, Part)}
    else:
        assert faults(statement.text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("insert into orders (store_id) values ($1)", "orders aren't counted"),
        ("with a as (delete from carts where store_id = $1) select 1", "carts aren't counted"),
        (
            "with a as (insert into tags (store_id) values ($1)) insert into collection_changes select $1, 'skus', 1",
            "tags aren't counted",
        ),
        ("update orders set customer_id = $2 where store_id = $1", "orders.customer_id changes whose they are"),
        ("update line_items set order_id = $2 where store_id = $1", "line_items.order_id changes whose they are"),
    ],
)
def test_a_statement_that_forgets_to_is_noticed(text: str, fault: str) -> None:
    assert faults(text) == [fault]


def test_no_other_place_writes_rows() -> None:
    """But for demo data, of which nobody can have counted anything: its store is made in the same transaction.

    Erasing deletes rows of tables that aren't counted.
    """
    texts = {path: path.read_text() for folder in ("service", "schemas") for path in (ROOT / folder).rglob("*.py")}
    written = re.compile(rf"(insert into|delete from) ({'|'.join(TABLES)}|{{)|copy_records_to_table|copy_to_table")
    found = sorted(path.relative_to(ROOT).as_posix() for path, text in texts.items() if written.search(text))
    writers = ("service/demo/load.py", "service/store/bulk.py", "service/store/people.py", "service/store/write.py")
    assert found == [*writers]
    assert not people.DELETED.keys() & TABLES


async def test_rows_that_go_with_others_are_known(connection: Connection) -> None:
    """What the database deletes by itself, it deletes with a whole that says so."""
    cascades = await connection.fetch(
        "select confrelid::regclass::text, conrelid::regclass::text from pg_constraint where confdeltype = 'c'"
    )
    known = {(graph[whole].table, graph[part].table) for whole, parts in counts.WHOLES.items() for part in parts}
    assert {(whole, part) for whole, part in cascades if part in TABLES} == known


def test_each_row_is_counted_once() -> None:
    assert counts.collections(graph["order_factories"]) == ("order_copies", "recurring_order_copies")
    assert counts.collections(graph["tokens"]) == counts.collections(graph["access_tokens"]) == ("access_tokens",)
    assert counts.collections(graph["stores"]) == ()
    assert all(counts.collections(one) for type_, one in graph.items() if type_ not in ("stores", "markets"))


MANY = counts.WORTH + 7


@pytest.fixture
async def large(connection: Connection, store: Store) -> AsyncIterator[tuple[str, str]]:
    """A customer with many orders of a line each, and somebody else with one; nothing is kept of them yet."""
    await connection.execute("delete from collection_counts where store_id = $1", store.id)
    sku = await factories.sku(connection, store)
    many, one = [await factories.customer(connection, store) for _ in range(2)]
    async with connection.transaction():
        for customer in [many] * MANY + [one]:
            await factories.full_order(connection, store, [Line(sku)], customer_id=customer)
    yield many, one
    await counted.anew(connection, store)


@pytest.fixture
async def buyer(client: httpx2.AsyncClient, grant: Grant, large: tuple[str, str]) -> Api:
    """What speaks JSON:API with the token of the customer who has many."""
    return Api(client, await grant(customer_id=large[0]))


async def total(api: Api, url: str) -> int:
    """How many resources a counted page says there are."""
    return int((await api.get(f"{url}{'&' if '?' in url else '?'}page[size]=1"))["meta"]["record_count"])


async def kept(connection: Connection, store: Store) -> set[tuple[str, str]]:
    """Of what a count is kept."""
    rows = await connection.fetch("select collection, customer_id from collection_counts where store_id = $1", store.id)
    return {(row[0], row[1]) for row in rows}


async def test_what_is_large_and_asked_for_is_kept(
    api: Api, buyer: Api, connection: Connection, store: Store, large: tuple[str, str]
) -> None:
    many, one = large
    for _ in range(2):
        assert await total(api, "orders") == MANY + 1
        assert await total(api, f"orders?filter[customer]={many}") == MANY
        assert ("orders", many) in await kept(connection, store)
        assert await total(api, f"customers/{many}/orders") == MANY
        assert await total(api, f"orders?filter[customer]={one}") == 1
        assert await total(api, "customers") == 2
        assert await total(buyer, "orders") == MANY
        assert await total(buyer, "line_items") == MANY
        assert await total(api, "orders?filter[status]=cancelled") == 0
    assert await kept(connection, store) == {("orders", ""), ("orders", many), ("line_items", many)}
    # From here on changes are added.
    made = await api.create("orders", relationships={"customer": {"data": {"type": "customers", "id": many}}})
    assert [await total(api, "orders"), await total(buyer, "orders")] == [MANY + 2, MANY + 1]
    await api.update("orders", made["id"], relationships={"customer": {"data": {"type": "customers", "id": one}}})
    assert [await total(api, "orders"), await total(buyer, "orders")] == [MANY + 2, MANY]
    assert await total(api, f"customers/{one}/orders") == 2
    await counts.sum_up(connection, store.id)
    assert not await connection.fetchval("select count(*) from collection_changes where store_id = $1", store.id)
    assert [await total(api, "orders"), await total(buyer, "orders")] == [MANY + 2, MANY]
    await api.send("DELETE", f"orders/{made['id']}")
    assert [await total(api, "orders"), await total(buyer, "orders")] == [MANY + 1, MANY]
    assert [one for one in await checks.violations(connection) if one.store_id == store.id] == []


async def test_a_kept_count_is_not_counted_again(connection: Connection, store: Store, large: tuple[str, str]) -> None:
    many, _ = large
    for viewer in (Viewer(store.id), Viewer(store.id, Owner("customers", many))):
        looked = []
        for _ in range(3):
            asked: list[Any] = []
            with connection.query_logger(asked.append):
                await read.page(connection, viewer, Query(Selection(graph["orders"]), page=Page(0, 1)))
                await asyncio.sleep(0)
            count = next(one for one in asked if "collection_counts" in one.query)
            plan = await connection.fetchval(f"explain (analyze, format json) {count.query}", *count.args)
            looked.append(leaves(orjson.loads(plan)[0]["Plan"]))
            await counts.sum_up(connection, store.id)
        assert looked[0] >= MANY > 10 >= looked[-1], looked


@pytest.mark.usefixtures("large")
async def test_who_has_to_add_many_changes_sums_them_up(
    connection: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MANY", 5)
    query = Query(Selection(graph["orders"]), page=Page(0, 1))
    await read.page(connection, Viewer(store.id), query)
    assert await connection.fetchval("select count(*) from collection_changes where store_id = $1", store.id) > MANY
    assert (await read.page(connection, Viewer(store.id), query)).total == MANY + 1
    assert await connection.fetchval("select count(*) from collection_changes where store_id = $1", store.id) == 0
    assert (await read.page(connection, Viewer(store.id), query)).total == MANY + 1


async def test_a_wrong_count_is_found_and_forgotten(
    connection: Connection, store: Store, large: tuple[str, str]
) -> None:
    many, _ = large
    query = Query(Selection(graph["orders"]), page=Page(0, 1))
    for viewer in (Viewer(store.id), Viewer(store.id, Owner("customers", many))):
        await read.page(connection, viewer, query)
    await connection.execute("update collection_counts set number = number + 1 where store_id = $1", store.id)
    found = [one for one in await checks.violations(connection) if one.store_id == store.id]
    assert sorted((one.check, one.id, one.detail) for one in found) == [
        ("collections_are_counted", "orders", f"counted as {MANY + 2}, there are {MANY + 1}"),
        ("collections_are_counted", f"orders/{many}", f"counted as {MANY + 1}, there are {MANY}"),
    ]
    await connection.execute("update collection_counts set number = number - 1 where store_id = $1", store.id)
    assert [one for one in await checks.violations(connection) if one.store_id == store.id] == []


class Crowd:
    """Writers of one store, who sometimes give up; whoever sums up and keeps counts; and readers who compare."""

    def __init__(self, database: Database, store: Store, customers: list[str], skus: list[factories.Sku]) -> None:
        self.database = database
        self.store = store
        self.customers = customers
        self.skus = skus
        self.orders: list[str] = []
        self.compared = 0
        self.wrong: list[str] = []
        self.chance = random.Random(20)

    async def write(self) -> None:
        """Do some things in one transaction, slowly at times, and in the end maybe not at all."""
        try:
            async with self.database.transaction() as connection:
                for _ in range(self.chance.randint(1, 4)):
                    async with connection.transaction():
                        await self.chance.choice([self._order, self._order, self._copy, self._move, self._delete])(
                            connection
                        )
                    if self.chance.random() < 0.3:
                        await asyncio.sleep(self.chance.random() * 0.05)
                self._think_better()
        except (Abandoned, ApiError, asyncpg.ForeignKeyViolationError):
            pass

    def _think_better(self) -> None:
        if self.chance.random() < 0.3:
            raise Abandoned

    async def _order(self, connection: Connection) -> None:
        lines = [Line(sku) for sku in self.skus[: self.chance.randint(0, 3)]]
        customer = self.chance.choice([*self.customers, None])
        self.orders.append(
            await factories.full_order(connection, self.store, lines, customer_id=customer, status="draft")
        )

    async def _copy(self, connection: Connection) -> None:
        source = self.chance.choice(self.orders)
        if await read.exists(connection, Viewer(self.store.id), graph["orders"], source):
            await CREATE_COPY(
                connection, store=self.store.id, id=clock.new_id(), source_order=source, place=False, reuse_wallet=True,
                cancel_source=False, apply_promotions=False, skip_errors=False, ignore_invalid_coupon=False,
                reference=None, reference_origin=None, metadata="{}", at=clock.now(),
            )  # fmt: skip

    async def _move(self, connection: Connection) -> None:
        order, customer = self.chance.choice(self.orders), self.chance.choice([*self.customers, None])
        if await write.lock(connection, Viewer(self.store.id), graph["orders"], order) is not None:
            draft = Draft(graph["orders"], order)
            await write.update(connection, self.store.id, draft, {"customer_id": customer}, {}, at=clock.now())

    async def _delete(self, connection: Connection) -> None:
        order = self.chance.choice(self.orders)
        if await write.lock(connection, Viewer(self.store.id), graph["orders"], order) is not None:
            await write.delete(connection, self.store.id, graph["orders"], order)

    async def tend(self) -> None:
        """Sum up, keep a count, or forget one."""
        async with self.database.connection() as connection:
            match self.chance.randint(0, 4):
                case 0 | 1 | 2:
                    await counts.sum_up(connection, self.store.id)
                case 3:
                    type_ = self.chance.choice(COMPARED)
                    await counts.keep(
                        connection, self.store.id, graph[type_], self.chance.choice([*self.customers, ""])
                    )
                case _:
                    name = self.chance.choice(COMPARED)
                    await connection.execute(
                        "delete from collection_counts where store_id = $1 and collection = $2", self.store.id, name
                    )

    async def compare(self) -> None:
        """Look at all collections in one snapshot, as each of those who can see them."""
        viewers = [None, *(Owner("customers", one) for one in self.customers)]
        async with (
            self.database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            there = await counted.rows_of(connection, self.store.id)
            for type_ in COMPARED:
                names = counts.collections(graph[type_])
                for owner in viewers:
                    query = Query(Selection(graph[type_]), page=Page(0, 1))
                    said = (await read.page(connection, Viewer(self.store.id, owner), query)).total
                    really = sum(
                        number
                        for (name, customer), number in there.items()
                        if name in names and (owner is None or customer == owner.id)
                    )
                    self.compared += 1
                    if said != really:
                        self.wrong.append(f"{type_} of {owner}: {said}, there are {really}")


COMPARED = ("orders", "line_items", "order_copies", "order_factories")


class Abandoned(Exception):
    """A transaction that is rolled back."""


async def test_every_reader_counts_what_is_there(database: Database, connection: Connection, store: Store) -> None:
    """While others write, give up, take their time, change whose an order is, delete, sum up, and keep counts."""
    customers = [await factories.customer(connection, store) for _ in range(3)]
    skus = [await factories.sku(connection, store) for _ in range(3)]
    crowd = Crowd(database, store, customers, skus)
    crowd.orders.append(await factories.full_order(connection, store, [Line(skus[0])], status="draft"))
    for type_ in COMPARED:
        for customer in ("", *customers):
            await counts.keep(connection, store.id, graph[type_], customer)

    async def again(work: Callable[[], Awaitable[None]], times: int) -> None:
        for _ in range(times):
            await work()

    writers = [again(crowd.write, 25) for _ in range(6)]
    await asyncio.gather(*writers, again(crowd.tend, 60), again(crowd.compare, 25), again(crowd.compare, 25))
    await crowd.compare()
    assert crowd.wrong == []
    assert crowd.compared > 500
    assert [one for one in await checks.violations(connection) if one.store_id == store.id] == []
    await counted.anew(connection, store)
