"""Every statement of sql/queries is pinned to one store, but for those that read all of them."""

from __future__ import annotations

import pytest

import sql
from sql import Statement
from tests.pins import Table, faults, our_schema, schema, unpinned

STATEMENTS = [statement for topic in sql.topics() for statement in sql.statements(topic).values()]

TO_ALL_ALIKE = {"runtime/cleaning.delete_past_limits", "runtime/counts.forget"}
"""What is done to all stores alike, as docs/explanation/stores.md says; reads of all stores say so themselves."""

TABLES = {
    "orders": Table(["store_id", "id", "customer_id"], "store_id"),
    "line_items": Table(["store_id", "id", "order_id"], "store_id"),
    "store_facts": Table(["id", "name"], "id"),
    "workers": Table(["id"], None),
}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.path)
def test_a_statement_is_about_one_store(statement: Statement) -> None:
    alike = statement.prose.endswith("A global read.") or statement.path in TO_ALL_ALIKE
    assert alike or unpinned(statement.text) == ()


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.path)
def test_a_statement_without_its_store_is_noticed(statement: Statement) -> None:
    """Every table with a store counts: with another parameter in the place of the store, each is found."""
    tables = {name for name, table in our_schema().items() if table.store is not None}
    words = set(statement.text.replace("(", " ").split())
    assert bool(faults(statement.text, our_schema(), store=None)) == bool(tables & words), statement.text


@pytest.mark.parametrize(
    "text",
    [
        "select id from orders where store_id = $1",
        "select id from orders where orders.store_id = $1::bigint and id = $2",
        "select id from orders where (store_id, id) = ($1, $2)",
        "select from workers",
        "select from orders o join line_items l on l.store_id = o.store_id and l.order_id = o.id where o.store_id = $1",
        "select from orders o join line_items l on l.store_id = o.store_id where l.store_id = $1",
        "select from orders o left join line_items l on l.store_id = o.store_id where o.store_id = $1",
        "select from line_items l right join orders o on l.store_id = o.store_id where o.store_id = $1",
        "select from orders, line_items where orders.store_id = $1 and line_items.store_id = orders.store_id",
        "select from (values ($1::bigint, 1)) as given (store, n) join orders on orders.store_id = given.store",
        "select from unnest($2::text[]) as given (id) join orders on orders.store_id = $1 and orders.id = given.id",
        "select from orders where store_id = $1 and exists (select from line_items l where l.store_id = $1)",
        "select (select count(*) from line_items l where l.store_id = o.store_id) from orders o where o.store_id = $1",
        "select from store_facts where id = $1",
        "select from orders join store_facts on orders.store_id = store_facts.id where orders.store_id = $1",
        (
            "with o as (select store_id, id from orders where store_id = $1) select from o join line_items l"
            " on l.store_id = o.store_id"
        ),
        (
            "with o as (select orders.* from orders where store_id = $1) select from o join line_items l"
            " on l.store_id = o.store_id"
        ),
        (
            "with o (s) as (update orders set id = 'a' where store_id = $1 returning store_id)"
            " delete from line_items l using o where l.store_id = o.s"
        ),
        (
            "select from (select store_id from orders where store_id = $1 union all select $1::bigint) as o"
            " join line_items l on l.store_id = o.store_id"
        ),
        (
            "select from orders o cross join lateral (select from line_items l where l.store_id = o.store_id) as found"
            " where o.store_id = $1"
        ),
        "insert into orders (id, store_id) values ($2, $1), ($3, $1)",
        (
            "insert into orders (store_id, id) select l.store_id, $2 from line_items l where l.store_id = $1"
            " on conflict (store_id, id) do update set id = excluded.id"
        ),
        "insert into orders (store_id, id) values ($1, $2) on conflict do nothing",
        "update orders set id = $2 from line_items l where orders.store_id = $1 and l.store_id = orders.store_id",
    ],
)
def test_what_is_pinned(text: str) -> None:
    assert faults(text, TABLES, store=1) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("select id from orders", "orders is of any store"),
        ("select id from orders where id = $1", "orders is of any store"),
        ("select id from orders where store_id = $2", "orders is of any store"),
        ("select id from orders where store_id > $1", "orders is of any store"),
        ("select id from orders where store_id = $1 or id = $2", "orders is of any store"),
        ("select id from orders where not store_id = $1", "orders is of any store"),
        ("select id from orders where store_id = any($1)", "orders is of any store"),
        ("select id from orders where store_id = store_id", "orders is of any store"),
        ("select from orders o join line_items l on l.order_id = o.id where o.store_id = $1", "l is of any store"),
        ("select from orders o left join line_items l on o.store_id = $1 and l.store_id = $1", "o is of any store"),
        ("select from orders o left join line_items l on l.store_id = $1 where o.store_id = l.id", "o is of any store"),
        (
            "select from orders o full join line_items l on l.store_id = o.store_id where o.store_id = $1",
            "l is of any store",
        ),
        ("select from orders, line_items where orders.store_id = line_items.store_id", "line_items is of any store"),
        (
            "select from orders where store_id = $1 and exists (select from line_items l where l.id = orders.id)",
            "l is of any store",
        ),
        ("select (select count(*) from line_items) from orders where store_id = $1", "line_items is of any store"),
        ("select case when exists (select from orders) then 1 end", "orders is of any store"),
        ("select from workers order by (select min(id) from orders)", "orders is of any store"),
        ("select from workers where id in (select id from orders)", "orders is of any store"),
        ("select from store_facts", "store_facts is of any store"),
        ("select from orders join store_facts on true where orders.store_id = $1", "store_facts is of any store"),
        (
            "with o as (select store_id from orders) select from o where store_id = $1",
            "orders is of any store",
        ),
        (
            (
                "with o as (select id, customer_id as store_id from orders where store_id = $1) select from o"
                " join line_items l on l.store_id = o.store_id"
            ),
            "l is of any store",
        ),
        (
            (
                "select from (select store_id from orders where store_id = $1 union all select $2::bigint) as o"
                " join line_items l on l.store_id = o.store_id"
            ),
            "l is of any store",
        ),
        (
            "select from orders o cross join lateral (select from line_items l) x where o.store_id = $1",
            "l is of any",
        ),
        ("insert into orders (store_id, id) values ($2, $1)", "orders gets rows of any store"),
        ("insert into orders (store_id, id) values ($1, $2), ($2, $1)", "orders gets rows of any store"),
        ("insert into orders (id) values ($1)", "orders gets rows of any store"),
        ("insert into orders (store_id, id) select store_id, id from line_items", "line_items is of any store"),
        (
            "insert into orders (store_id, id) values ($1, $2) on conflict (id) do update set id = 'a'",
            "orders changes a row of any store",
        ),
        ("update orders set id = $2 where id = $1", "orders is of any store"),
        ("update orders set store_id = $2 where store_id = $1", "orders gets another store"),
        ("update orders set id = (select id from line_items) where store_id = $1", "line_items is of any store"),
        ("delete from orders", "orders is of any store"),
        ("delete from orders where store_id = $1 returning (select id from line_items)", "line_items is of any store"),
        ("delete from orders using line_items l where l.store_id = $1", "orders is of any store"),
    ],
)
def test_what_is_not_pinned(text: str, fault: str) -> None:
    assert [found for found in faults(text, TABLES, store=1) if found.startswith(fault)], faults(text, TABLES, store=1)


def test_a_view_is_pinned_by_the_column_that_pins_its_tables() -> None:
    tables = "create table a (store_id int, id int); create table b (id int); alter table b add column store_id int;"
    joined = tables + "create view v as select a.id, a.store_id as s from a left join b on a.store_id = b.store_id"
    assert schema([joined])["v"] == Table(["id", "s"], "s")
    assert schema([tables])["b"].columns == ["id", "store_id"]
    with pytest.raises(NotImplementedError):
        schema([tables + "create view v as select a.store_id from a left join b on a.id = b.id"])


@pytest.mark.parametrize(
    "text",
    [
        "select from orders join line_items using (store_id)",
        "with recursive o as (select 1) select from o",
        "merge into orders using workers on true when matched then do nothing",
    ],
)
def test_what_the_check_cannot_read_is_no_statement_of_ours(text: str) -> None:
    with pytest.raises(NotImplementedError):
        faults(text, TABLES, store=1)
