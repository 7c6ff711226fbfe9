"""A shop brings its history: what was stays what it was, nothing follows from it, what is wrong is told by line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.history import RECORDS, WHOLES, fields_of
from service.operations.data.importing import Policy
from service.operations.data.records import Place, read
from service.operations.tenant import tenants
from service.principal import Store
from service.store.pool import Connection, Database, open_database
from tests import counted
from tests.history.bringing import ADDRESS, NEXT_RUN, OTHERS, TABLES, bring, rows, shop, sound, told, written
from tests.support import KEYS, make_store


async def test_what_is_different_about_single_runs_comes_along(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    """It is of an occurrence by its index, and of nothing else of another subscription."""
    *others, subscription = shop()
    subscription["order_subscription_items"][0]["id"] = "i1"
    item = {"order_subscription_item_id": "i1", "sku_code": "TEA", "quantity": 5, "unit_amount_cents": 400}
    pot = {"sku_code": "POT", "quantity": 1, "unit_amount_cents": 1250, "draft": True}
    contents = [{"occurrence_index": 3, **item}, {"occurrence_index": 3, **pot}]
    _, refusals = await bring(
        connection, store, written(tmp_path, [*others, subscription | {"occurrence_items": contents}])
    )
    assert told(refusals) == []
    kept = await connection.fetch(
        "select occurrences.occurrence_index, item.order_subscription_item_id, item.name, item.total_amount_cents,"
        " item.draft from occurrence_items as item inner join occurrences on item.store_id = occurrences.store_id"
        " and item.occurrence_id = occurrences.id where item.store_id = $1 order by item.total_amount_cents",
        store.id,
    )
    assert [tuple(row) for row in kept] == [(3, None, "POT", 1250, True), (3, "i1", "TEA", 2000, False)]
    assert await sound(connection, store) == []
    occurrence = await connection.fetchval("select min(id) from occurrences where store_id = $1", store.id)
    wrong = [
        ({"occurrence_index": 40}, "occurrence_items.0.occurrence_index"),
        ({"occurrence_index": 2, "occurrence_id": occurrence}, "occurrence_items.0.occurrence_id"),
        ({"occurrence_index": 2, "order_subscription_item_id": "i1"}, "occurrence_items.0.order_subscription_item_id"),
        ({}, "occurrence_items.0.occurrence_index"),
    ]
    for position, (line, field) in enumerate(wrong):
        other = {key: value for key, value in subscription.items() if key != "order_ids"}
        other |= {"id": f"other{position}", "number": str(50 + position), "occurrence_items": [pot | line]}
        other["order_subscription_items"] = [pot | {"quantity": 2}]
        del other["order_subscription_items"][0]["draft"]
        _, refusals = await bring(connection, store, written(tmp_path, [other]))
        assert {name for _, name, _ in told(refusals)} == {field}, told(refusals)


async def test_everything_keeps_its_id_number_code_date_and_state(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    tally, refusals = await bring(connection, store, written(tmp_path, shop()))
    assert told(refusals) == []
    assert tally.made == len(shop())
    order = await connection.fetchrow("select * from orders where store_id = $1 and id = 'o1'", store.id)
    assert order is not None
    assert (order["number"], order["code"], order["status"]) == (4711, "OLD-4711", "placed")
    assert order["placed_at"] == datetime(2019, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC) == order["created_at"]
    assert (order["subtotal_amount_cents"], order["total_amount_cents"]) == (2450, 2945)
    assert order["billing_address_id"] == order["shipping_address_id"], "one copy of one address"
    lines = await rows(connection, store, "line_items")
    assert sorted((line["sku_code"], line["sku_id"], line["total_amount_cents"]) for line in lines) == [
        ("GONE", None, 1250),
        ("TEA", "tea", 1200),
        ("TEA", "tea", 1200),
    ]
    assert await sound(connection, store) == []


async def test_a_subscription_goes_on_to_the_minute(connection: Connection, store: Store, tmp_path: Path) -> None:
    await bring(connection, store, written(tmp_path, shop()))
    (subscription,) = await rows(connection, store, "order_subscriptions")
    assert subscription["next_run_at"] == datetime.fromisoformat(NEXT_RUN)
    assert subscription["customer_id"] == "ada"
    assert subscription["billing_address_id"] is not None
    occurrences = sorted(await rows(connection, store, "occurrences"), key=lambda row: int(row["occurrence_index"]))
    # Anchored on the 31st, a run in a short month falls on its last day; the moved one keeps its nominal date.
    assert [row["scheduled_at"].isoformat()[:16] for row in occurrences] == [
        "2031-03-28T08:15",
        "2031-03-31T07:15",
        "2031-04-30T07:15",
    ]
    assert occurrences[0]["nominal_at"].isoformat()[:16] == "2031-02-28T08:15"
    second = await connection.fetchval(
        "select order_subscription_id from orders where store_id = $1 and id = 'o2'", store.id
    )
    assert second == "s1"


async def test_an_hour_of_summer_time_makes_no_second_run_of_a_day(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    """Platforms that keep the hour of UTC have a run of winter an hour before the date that it has here."""
    (*others, subscription) = shop()
    began = {"frequency": "weekly", "anchor_at": "2030-09-06T08:15:00Z", "next_run_at": "2030-12-06T08:15:00Z"}
    await bring(connection, store, written(tmp_path, [*others, subscription | began]))
    occurrences = sorted(await rows(connection, store, "occurrences"), key=lambda row: int(row["occurrence_index"]))
    assert [row["scheduled_at"].isoformat()[:16] for row in occurrences][:2] == ["2030-12-06T08:15", "2030-12-13T09:15"]
    assert await sound(connection, store) == []


async def test_nothing_follows_from_history(connection: Connection, store: Store, tmp_path: Path) -> None:
    async def aside() -> list[int]:
        return [await connection.fetchval(f"select count(*) from {t} where store_id = $1", store.id) for t in OTHERS]

    before = dict(zip(OTHERS, await aside(), strict=True))
    await bring(connection, store, written(tmp_path, shop()))
    # Who brought it is told by one event, of the import itself.
    told_ = "select name from events where store_id = $1 order by id offset $2"
    assert [row[0] for row in await connection.fetch(told_, store.id, before["events"])] == ["imports.create"]
    assert dict(zip(OTHERS, await aside(), strict=True)) == before | {"events": before["events"] + 1}
    (stock,) = await rows(connection, store, "stock_items")
    assert stock["quantity"] == 12


async def test_numbers_go_on_above_those_that_came(connection: Connection, store: Store, tmp_path: Path) -> None:
    await bring(connection, store, written(tmp_path, shop()))
    line = {"sku_code": "TEA", "quantity": 1, "unit_amount_cents": 1}
    await bring(
        connection, store, written(tmp_path, [{"type": "orders", "id": "o3", "line_items": [line]}], "b.ndjson")
    )
    number, code = tuple(
        (await connection.fetch("select number, code from orders where store_id = $1 and id = 'o3'", store.id))[0]
    )
    assert number > 4712
    assert code


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "custmers"}, "type", "is no type of a history"),
    ({"id": "x"}, "type", "can't be blank"),
    ({"type": "customers", "id": "a b", "email": "b@example.com"}, "id", "must be 1 to 64"),
    ({"type": "customers", "id": "b", "email": "nowhere"}, "email", "must be an e-mail address"),
    ({"type": "customers", "id": "b"}, "email", "can't be blank"),
    ({"type": "customers", "id": "b", "email": "ada@example.com"}, "email", "has already been taken (one"),
    ({"type": "customers", "id": "b", "emial": "b@example.com"}, "emial", "is no field of customers"),
    ({"type": "addresses", "id": "b", **ADDRESS, "customer_id": "nobody"}, "customer_id", "leads to nothing"),
    (
        {"type": "addresses", "id": "b", **ADDRESS, "first_name": None},
        "business",
        "breaks a rule: addresses name a person or a business",
    ),
    (
        {"type": "prices", "sku": {"code": "NIX"}, "currency_code": "EUR", "amount_cents": 1},
        "sku.code",
        "names nothing",
    ),
    ({"type": "prices", "sku": {"name": "Tea"}, "currency_code": "EUR", "amount_cents": 1}, "sku.name", "is no field"),
    ({"type": "prices", "sku_id": "tea", "currency_code": "EUR", "amount_cents": -1}, "amount_cents", "greater"),
    ({"type": "stock_items", "quantity": 1}, "id", "can't be blank"),
    ({"type": "orders", "id": "x", "status": "placing"}, "status", "is no history"),
    ({"type": "orders", "id": "x"}, "line_items", "can't be blank"),
    (
        {"type": "orders", "id": "x", "line_items": [{"quantity": 1, "unit_amount_cents": 1}]},
        "line_items.0.sku_code",
        "",
    ),
    (
        {
            "type": "orders",
            "id": "x",
            "total_amount_cents": 5,
            "line_items": [{"sku_code": "TEA", "quantity": 2, "unit_amount_cents": 2}],
        },
        "total_amount_cents",
        "is 5, but follows from the rest as 4",
    ),
    (
        {"type": "orders", "id": "x", "status": "cancelled", "line_items": []},
        "cancelled_at",
        "can't be blank: the status is cancelled",
    ),
    (
        {"type": "orders", "id": "x", "status": "draft", "cancelled_at": "2026-01-01T00:00:00Z", "line_items": []},
        "cancelled_at",
        "goes with the status cancelled",
    ),
    (
        {
            "type": "order_subscriptions",
            "id": "x",
            "source_order_id": "o1",
            "frequency": "weekly",
            "status": "cancelled",
            "occurrences": [
                {"occurrence_index": 1, "status": "completed", "nominal_at": NEXT_RUN, "scheduled_at": NEXT_RUN}
            ],
        },
        "occurrences.0.completed_at",
        "can't be blank: the status is completed",
    ),
    (
        {"type": "orders", "id": "x", "status": "draft", "customer_payment_source_id": "visa"},
        "customer_payment_source_id",
        "another customer_id",
    ),
    (
        {"type": "order_subscriptions", "id": "x", "source_order_id": "o1", "frequency": "often"},
        "frequency",
        "must be one",
    ),
    ({"type": "order_subscriptions", "id": "x", "frequency": "weekly"}, "source_order_id", "can't be blank"),
    (
        {
            "type": "order_subscriptions",
            "id": "x",
            "source_order_id": "o1",
            "frequency": "weekly",
            "occurrences": [{"occurrence_index": 1, "status": "due", "nominal_at": NEXT_RUN, "scheduled_at": NEXT_RUN}],
        },
        "occurrences.0.status",
        "is no history",
    ),
    (
        {"type": "order_subscriptions", "id": "x", "source_order_id": "o1", "frequency": "weekly", "order_ids": ["o9"]},
        "order_ids",
        "leads to no order",
    ),
    (
        {
            "type": "customer_payment_sources",
            "id": "x",
            "customer_id": "bo",
            "gateway": "test",
            "payment_source_token": "tok_1",
        },
        "payment_source_token",
        "another customer's wallet",
    ),
]


async def test_each_wrong_record_is_refused_with_line_field_and_reason_and_no_other(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    bo = {"type": "customers", "id": "bo", "email": "bo@example.com"}
    await bring(connection, store, written(tmp_path, [*shop(), bo]))
    good = [{"type": "customers", "id": f"good{n}", "email": f"good{n}@example.com"} for n in range(len(REFUSED))]
    mixed = [one for sent, (wrong, _, _) in zip(good, REFUSED, strict=True) for one in (sent, wrong)]
    tally, refusals = await bring(connection, store, written(tmp_path, mixed, "mixed.ndjson"))
    assert tally.made == len(good)
    by_line = {entry.place.line: problems for entry, problems in refusals}
    assert sorted(by_line) == list(range(2, 2 * len(REFUSED) + 1, 2))
    for line, (wrong, field, words) in zip(sorted(by_line), REFUSED, strict=True):
        found = [(problem.field, str(problem.reason)) for problem in by_line[line]]
        assert any(name == field and words in reason for name, reason in found), (wrong, found)
    assert by_line[2][0].suggestion == "customers"
    assert by_line[14][0].suggestion == "email"
    assert await sound(connection, store) == []


async def test_lines_that_are_no_records(connection: Connection, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "customers.ndjson"
    path.write_bytes(b'\n{"id": "a", "email": "a@example.com"}\n{"id": \n[1]\n\n{"type": "skus", "id": "x"}\n')
    tally, refusals = await bring(connection, store, path)
    assert (tally.made, tally.refused) == (1, 3)
    assert sorted(told(refusals))[:2] == [(3, "", "is no JSON"), (4, "", "must be an object")]


@pytest.mark.parametrize(
    ("policy", "counts"),
    [("refuse", (0, 0, 0, 0, 1)), ("skip", (0, 0, 0, 1, 0)), ("update", (0, 1, 0, 0, 0))],
)
async def test_what_is_there_already(
    connection: Connection, store: Store, tmp_path: Path, policy: Policy, counts: tuple[int, ...]
) -> None:
    await bring(connection, store, written(tmp_path, shop()))
    price = {"type": "prices", "sku": {"code": "TEA"}, "currency_code": "EUR", "amount_cents": 475}
    tally, _ = await bring(connection, store, written(tmp_path, [price], "p.ndjson"), policy=policy)
    assert (tally.made, tally.changed, tally.same, tally.skipped, tally.refused) == counts
    (held,) = await rows(connection, store, "prices")
    assert (held["id"], held["amount_cents"]) == ("p1", 475 if policy == "update" else 450)


async def test_prices_and_stock_are_synchronised_again_and_again(
    connection: Connection, store: Store, tmp_path: Path
) -> None:
    await bring(connection, store, written(tmp_path, shop()))

    async def send(quantity: int) -> tuple[int, int, int]:
        stock = {"type": "stock_items", "sku": {"code": "TEA"}, "quantity": quantity}
        tally, _ = await bring(connection, store, written(tmp_path, [stock], "s.ndjson"), policy="update")
        (held,) = await rows(connection, store, "stock_items")
        return tally.changed, tally.same, held["quantity"]

    assert [await send(quantity) for quantity in (12, 9, 9, 30)] == [(0, 1, 12), (1, 0, 9), (0, 1, 9), (1, 0, 30)]


async def test_the_same_file_again_changes_nothing(connection: Connection, store: Store, tmp_path: Path) -> None:
    path = written(tmp_path, shop())
    await bring(connection, store, path)
    before = {table: await rows(connection, store, table) for table in TABLES}
    tally, refusals = await bring(connection, store, path, policy="update")
    assert told(refusals) == []
    assert tally.same == len(shop())
    assert {table: await rows(connection, store, table) for table in TABLES} == before


async def test_a_record_that_comes_twice_in_one_file(connection: Connection, store: Store, tmp_path: Path) -> None:
    twice = [{"type": "customers", "id": "a", "email": f"{n}@example.com"} for n in (1, 2, 3)]
    _, refusals = await bring(connection, store, written(tmp_path, twice))
    assert [(line, field) for line, field, _ in told(refusals)] == [(2, "id"), (3, "id")]
    tally, _ = await bring(connection, store, written(tmp_path, twice, "again.ndjson"), policy="update")
    assert tally.changed == 2
    assert [row["email"] for row in await rows(connection, store, "customers")] == ["3@example.com"]


async def test_what_comes_and_becomes_anothers_is_counted(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    store = await make_store(database)
    await counted.begin(connection, store)
    bo = {"type": "customers", "id": "bo", "email": "bo@example.com"}
    await bring(connection, store, written(tmp_path, [*shop(), bo]))
    assert await counted.uncounted(connection, store.id) == []
    given_away = {"type": "addresses", "id": "home", "customer_id": "bo"}
    tally, _ = await bring(connection, store, written(tmp_path, [given_away], "away.ndjson"), policy="update")
    assert tally.changed == 1
    assert await counted.uncounted(connection, store.id) == []


async def test_a_change_of_an_order_has_to_add_up(connection: Connection, store: Store, tmp_path: Path) -> None:
    await bring(connection, store, written(tmp_path, shop()))
    line = {"sku_code": "TEA", "quantity": 5, "unit_amount_cents": 400}
    changed = {"type": "orders", "id": "o2", "line_items": [line]}
    tally, refusals = await bring(connection, store, written(tmp_path, [changed], "c.ndjson"), policy="update")
    assert (tally.changed, told(refusals)) == (1, [])
    total = await connection.fetchval(
        "select total_amount_cents from orders where store_id = $1 and id = 'o2'", store.id
    )
    assert total == 2000
    assert await sound(connection, store) == []


async def test_a_rehearsal_looks_at_everything_and_writes_nothing(own_url: str, tmp_path: Path) -> None:
    async with open_database(own_url, keys=KEYS) as database, database.connection() as connection:
        store = await make_store(database)
        held = [
            await connection.fetchval(f"select count(*) from {table}")
            for table in (*TABLES, "imports", "number_blocks")
        ]
        wrong = {"type": "customers", "id": "b", "email": "ada@example.com"}
        path = written(tmp_path, [*shop(), wrong])
        tally, refusals = await bring(connection, store, path, dry=True)
        assert (tally.made, tally.refused) == (len(shop()), 1)
        assert [field for _, field, _ in told(refusals)] == ["email"]
        after = [
            await connection.fetchval(f"select count(*) from {table}")
            for table in (*TABLES, "imports", "number_blocks")
        ]
        assert after == held
        assert (await bring(connection, store, path))[0] == tally


async def test_another_store_is_not_looked_at(database: Database, connection: Connection, tmp_path: Path) -> None:
    one, other = await make_store(database), await make_store(database)
    path = written(tmp_path, shop())
    assert (await bring(connection, one, path))[0] == (await bring(connection, other, path))[0]
    price = {"type": "prices", "sku_id": "only-there", "currency_code": "EUR", "amount_cents": 1, "id": "x"}
    sku = {"type": "skus", "id": "only-there", "code": "X", "name": "X"}
    await bring(connection, one, written(tmp_path, [sku], "a.ndjson"))
    _, refusals = await bring(connection, other, written(tmp_path, [price], "b.ndjson"))
    assert [field for _, field, _ in told(refusals)] == ["sku_id"]
    assert await tenants.market_id(connection, one.id) != await tenants.market_id(connection, other.id)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(type_=st.sampled_from(WHOLES), data=st.data())
def test_any_value_in_any_field_is_taken_or_refused_by_name(type_: str, data: st.DataObject) -> None:
    record = RECORDS[type_]
    names = [*fields_of(type_), *record.parts, "id", "tags", "customer", "sku", "billing_address", "order_ids", ""]
    sent = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=8), JSON, max_size=5))
    entry = read(Place("x", 1), sent | {"type": type_})
    for problem in entry.problems:
        assert any(problem.field == name or problem.field.startswith(f"{name}.") for name in sent)
        assert problem.reason
