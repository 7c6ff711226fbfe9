"""Parts of a statement: what would differ if they were run one after another, and that nothing of ours does."""

from __future__ import annotations

import re

import pytest

import sql
from sql import Statement
from tests.parts import blind, faults

STATEMENTS = [statement for topic in sql.topics() for statement in sql.statements(topic).values()]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.path)
def test_no_part_reads_what_an_earlier_one_writes(statement: Statement) -> None:
    assert faults(statement.text) == []


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.path)
def test_no_insert_looks_up_what_it_returns(statement: Statement) -> None:
    assert blind(statement.text) == []


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.path)
def test_nothing_that_may_be_null_decides_whether_anything_is_written(statement: Statement) -> None:
    """Nothing equals null: Citus knows that of a statement by one of its parts, and then writes nothing of it."""
    if re.search(r"\b(insert into|update|delete from)\b", statement.source):
        null = re.findall(r":(\w+) \(null", statement.prose)
        assert [name for name in null if re.search(rf"[^<>!]= :{name}\b", statement.source)] == []


def test_what_an_insert_looks_up_is_found() -> None:
    made = "insert into orders (id) values ('a') returning id, (select name from stores) as name"
    found = ["what is returned by an insert into orders is looked up in stores"]
    assert blind(made) == blind(f"with made as ({made}) select name from made") == found
    assert blind("with made as (insert into orders (id) values ('a') returning id) select name from stores") == []


STOCK = "update line_items set stock_taken = 0 where store_id = $1 and order_id = $2 returning id"
RETURNED = "update stock_items set quantity = 1 from line_items where line_items.stock_taken > 0"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"with forgotten as ({STOCK}) {RETURNED}", ["the last part reads line_items.stock_taken of forgotten"]),
        (f"with returned as ({RETURNED}) {STOCK}", []),
        # What a part returns can be read.
        (f"with forgotten as ({STOCK}) select id from forgotten", []),
        # A query that is used once is read where it is used, and else in its place.
        (
            f"with taken as (select stock_taken from line_items), forgotten as ({STOCK}) select * from taken",
            ["taken reads line_items.stock_taken of forgotten"],
        ),
        (f"with taken as materialized (select stock_taken from line_items), f as ({STOCK}) select * from taken", []),
        (f"with taken as (select stock_taken from line_items), f as ({STOCK}) select from taken, taken as other", []),
        # What goes with a deleted row is written, too.
        (
            "with gone as (delete from carts) select quantity from cart_items",
            ["the last part reads cart_items.quantity of gone"],
        ),
        # A deleted or a new row is another in all of its columns; one that is set, in that one.
        ("with gone as (delete from skus) select code from skus", ["the last part reads skus.code of gone"]),
        (
            "with made as (insert into skus (id) values ('a')) select s.* from skus s",
            ["the last part reads skus.* of made"],
        ),
        ("with named as (update skus set name = 'a') select code from skus", []),
        ("with named as (update skus set name = 'a') select version from skus", []),
    ],
)
def test_what_a_part_reads(text: str, found: list[str]) -> None:
    assert faults(text) == found
