"""Atomic Operations as a whole: who may, at which version, at what cost, beside others, and whatever is sent."""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.relationships import ToMany
from service import clock
from service.jsonapi import atomic
from service.operations.access import tokens
from service.operations.generic import phases
from service.operations.generic.batches import Step, run
from service.principal import Store
from service.resources import RESOURCES
from service.store.constraints import catalogue
from service.store.pool import Connection, Database
from tests import factories
from tests.spec.operating import Batches, add, local, one, relate, remove, update
from tests.spec.test_writing_anything import HOSTILE, TYPES, bodies, offending
from tests.spec.writing import Api, ids, offenders, pointers, to
from tests.support import Access, Grant

FIRST = "/atomic:operations/0"


# --- Who may do what ---


@pytest.mark.rule("AO-15")
async def test_each_operation_asks_for_its_scope(
    client: httpx2.AsyncClient, grant: Grant, api: Api, integration: Access
) -> None:
    batches = Batches(client, await grant(scopes=["update_customers", "read_customers"]))
    operations = [
        add("customers", {"email": "sam@example.com"}),
        add("tags", {"name": "a"}),
        update("stores", {"name": "Mine"}, id="x"),
    ]
    answer = await batches.run(*operations)
    assert (answer.status_code, pointers(answer)) == (403, ["/atomic:operations/1", "/atomic:operations/2"])
    assert (await api.get("customers"))["data"] == []
    assert (await batches.run(operations[0])).status_code == 200
    answer = await client.post("/api/operations", headers=integration.headers | {"Authorization": ""}, content=b"{")
    assert answer.status_code in (401, 415)


async def test_customers_change_what_is_theirs(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, api: Api
) -> None:
    own, other = [await factories.customer(connection, store) for _ in range(2)]
    theirs = await factories.address(connection, store, customer_id=other)
    sku = await factories.sku(connection, store, price=700)
    mine = Batches(client, await grant(customer_id=own))
    home = {"line_1": "Kerkstraat 2", "city": "Utrecht", "country_code": "NL", "first_name": "A", "last_name": "B"}
    results = await mine.results(
        add("addresses", home, lid="home"),
        add("carts", None, {"shipping_address": {"data": local("addresses", "home")}}, lid="cart"),
        add("cart_items", {"sku_code": sku.code, "quantity": 2}, {"cart": {"data": local("carts", "cart")}}),
        update("customers", {"reference": "me"}, id=own),
    )
    assert results[0]["relationships"]["customer"]["data"]["id"] == own
    assert results[1]["relationships"]["customer"]["data"]["id"] == own
    assert results[1]["attributes"]["total_amount_cents"] == 1400
    good = update("customers", {"reference": "again"}, id=own)
    for failing, status, pointer in (
        (update("addresses", {"city": "Here"}, id=theirs), 404, ""),
        (remove("addresses", theirs), 404, ""),
        (update("customers", {"reference": "x"}, id=other), 404, ""),
        (add("tags", {"name": "a"}), 403, ""),
        (relate("add", "customers", own, "tags", []), 403, ""),
        (relate("update", "customers", own, "customer_group", None), 403, ""),
        (update("carts", None, {"shipping_address": to("addresses", theirs)}, id=results[1]["id"]), 404,
         "/data/relationships/shipping_address/data"),
        (add("addresses", home, {"customer": to("customers", other)}), 403, "/data/relationships/customer"),
    ):  # fmt: skip
        answer = await mine.run(good, failing)
        assert (answer.status_code, pointers(answer)) == (status, [f"/atomic:operations/1{pointer}"]), answer.text
        assert (await api.get(f"customers/{own}"))["data"]["attributes"]["reference"] == "me"


# --- Versions ---


@pytest.mark.rule("HT-06", "AO-27")
async def test_a_change_to_the_version_that_was_read(batches: Batches, api: Api) -> None:
    id_ = (await api.create("customers", {"email": "sam@example.com"}))["id"]
    operations = [
        update("customers", {"reference": "a"}, id=id_, meta=None) | {"meta": {"version": 1}},
        relate("update", "customers", id_, "tags", [], meta={"version": 1}),
        update("customers", {"reference": "b"}, id=id_) | {"meta": {"version": 1}},
    ]
    assert (await batches.run(*operations)).status_code == 200
    for late in operations[:2]:
        answer = await batches.run(add("tags", {"name": "a"}), late)
        assert (answer.status_code, pointers(answer)) == (412, ["/atomic:operations/1/meta/version"])
    answer = await batches.run(remove("customers", id_, meta={"version": 2}))
    assert answer.status_code == 412
    assert (await api.get("tags"))["data"] == []
    assert (await batches.run(remove("customers", id_, meta={"version": 3}))).status_code == 204


@pytest.mark.rule("HT-06")
async def test_if_match_is_of_one_resource(batches: Batches, api: Api) -> None:
    answer = await batches.run(add("tags", {"name": "a"}), **{"If-Match": '"1-x"'})
    assert (answer.status_code, answer.json()["errors"][0]["source"]) == (412, {"header": "If-Match"})
    assert (await api.get("tags"))["data"] == []


@pytest.mark.rule("HT-06")
async def test_a_store_may_demand_versions(batches: Batches, connection: Connection, store: Store, api: Api) -> None:
    policies = "update stores set policies = '{\"require_if_match\": true}' where store_id = $1"
    await connection.execute(policies, store.id)
    id_ = (await api.create("customers", {"email": "sam@example.com"}))["id"]
    for operation in (
        update("customers", {"reference": "a"}, id=id_),
        relate("update", "customers", id_, "tags", []),
        remove("customers", id_),
    ):
        answer = await batches.run(operation)
        assert (answer.status_code, pointers(answer)) == (428, [FIRST])
    kim = local("customers", "kim")
    answer = await batches.run(
        add("customers", {"email": "kim@example.com"}, lid="kim"),
        update("customers", {"reference": "made here"}, lid="kim"),
        {"op": "remove", "ref": kim},
        update("customers", {"reference": "a"}, id=id_) | {"meta": {"version": 1}},
        relate("update", "customers", id_, "tags", []),
    )
    assert answer.status_code == 200, answer.text


# --- Totals, and what it costs ---


@pytest.mark.parametrize(
    ("whole", "part", "name"), [("carts", "cart_items", "cart"), ("orders", "line_items", "order")]
)
async def test_amounts_are_right(  # noqa: PLR0917 -- fixtures
    batches: Batches, api: Api, connection: Connection, store: Store, whole: str, part: str, name: str
) -> None:
    """However lines are added, changed and removed, of two wholes in turns; results show what it came to."""
    skus = [await factories.sku(connection, store, price=100 + n) for n in range(6)]
    ships = await factories.shipping_method(connection, store)

    def line(sku: int, lid: str, of: str) -> Any:
        values = {"sku_code": skus[sku].code, "quantity": 2}
        return add(part, values, {name: {"data": local(whole, of)}}, lid=lid)

    results = await batches.results(
        add(whole, lid="a"), line(0, "1", "a"), line(1, "2", "a"),
        add(whole, lid="b"), line(2, "3", "b"), line(3, "4", "a"), line(4, "5", "b"),
        update(part, {"quantity": 5}, lid="1"),
        {"op": "remove", "ref": local(part, "2")},
        update(whole, None, {"shipping_method": to("shipping_methods", ships)}, lid="a"),
        line(5, "6", "a"),
    )  # fmt: skip
    first, second = 5 * 100 + 2 * 103 + 2 * 105 + 495, 2 * 102 + 2 * 104
    assert results[9]["attributes"]["total_amount_cents"] == first
    assert results[3]["attributes"]["total_amount_cents"] == second
    for position, total in ((9, first), (3, second)):
        shown = (await api.get(f"{whole}/{results[position]['id']}"))["data"]
        assert shown == results[position]
        assert shown["attributes"]["total_amount_cents"] == total
    assert results[2]["attributes"]["quantity"] == 2
    assert await offenders(connection, store) == []


@pytest.mark.rule("AO-15")
async def test_a_total_that_can_not_be_is_told_of_the_line(
    batches: Batches, connection: Connection, store: Store, api: Api
) -> None:
    """Also when it is worked out for many lines at once, and of a line that goes."""
    sku = await factories.sku(connection, store, price=500)
    order = {"order": {"data": local("orders", "o")}}
    discount = {"item_type": "adjustments", "name": "Gift", "unit_amount_cents": -900, "quantity": 1}
    sold, given = (
        add("line_items", {"sku_code": sku.code, "quantity": 1}, order, lid="l"),
        add("line_items", discount, order),
    )
    answer = await batches.run(add("orders", lid="o"), sold, given, add("tags", {"name": "a"}))
    assert (answer.status_code, pointers(answer)) == (422, ["/atomic:operations/2"])
    more = update("line_items", {"quantity": 3}, lid="l")
    answer = await batches.run(
        add("orders", lid="o"), sold, more, given, {"op": "remove", "ref": local("line_items", "l")}
    )
    assert (answer.status_code, pointers(answer)) == (422, ["/atomic:operations/4"])
    assert (await api.get("orders"))["data"] == (await api.get("tags"))["data"] == []


async def test_a_replaced_cart_item_is_still_shown(
    batches: Batches, connection: Connection, store: Store, api: Api
) -> None:
    """A reorder may take lines out of the cart that an earlier operation put in."""
    customer = await factories.customer(connection, store)
    old, new = [await factories.sku(connection, store) for _ in range(2)]
    order = await factories.order(connection, store, [factories.Line(old)], customer_id=customer)
    cart = {"data": local("carts", "c")}
    results = await batches.results(
        add("carts", None, {"customer": to("customers", customer)}, lid="c"),
        add("cart_items", {"sku_code": new.code, "quantity": 1}, {"cart": cart}),
        add("reorders", {"strategy": "replace"}, {"source_order": to("orders", order), "cart": cart}),
    )
    assert results[1]["attributes"]["sku_code"] == new.code
    assert [one_["attributes"]["sku_code"] for one_ in (await api.get("cart_items"))["data"]] == [old.code]


async def statements(database: Database, access: Access, document: Any) -> int:
    """How many statements operations take."""
    seen: list[Any] = []
    async with database.transaction() as connection:
        principal = await tokens.find(connection, access.token, clock.now())
        assert principal is not None
        steps = [
            Step(operation, RESOURCES[operation.resource.type_].maker())
            for operation in atomic.parse(document, "http://127.0.0.1/api")
        ]
        await catalogue(connection)  # a pool reads it once
        raw = getattr(connection, "_con", connection)
        with raw.query_logger(seen.append):
            await run(connection, principal, steps)
            await asyncio.sleep(0)  # loggers are called when the loop is free
    return len(seen)


@pytest.mark.rule("AO-28")
async def test_what_an_operation_costs(
    database: Database, connection: Connection, store: Store, integration: Access
) -> None:
    """What is made is written, results are read, and orders are worked out, once and not for each operation."""
    sku = await factories.sku(connection, store)
    order = await factories.order(connection, store, status="draft")
    line = add("line_items", {"sku_code": sku.code, "quantity": 1}, {"order": to("orders", order)})
    for sent, each in (([add("tags", {"name": f"t{n}"}) for n in range(35)], 0), ([line] * 35, 6)):
        # The first ones make the statements known: they are prepared from then on.
        _, few, many = [
            await statements(database, integration, {"atomic:operations": part})
            for part in (sent[:5], sent[5:10], sent[10:])
        ]
        assert many - few == 20 * each


# --- Beside others ---


@pytest.fixture
async def tags(api: Api) -> list[str]:
    """The ids of twelve tags."""
    return [(await api.create("tags", {"name": f"tag{n:02}"}))["id"] for n in range(12)]


@pytest.mark.rule("AO-14", "AO-15")
async def test_batches_on_the_same_rows(batches: Batches, api: Api, tags: list[str]) -> None:
    """In whichever order they take them: each of them happens whole or is told that it was in the way."""

    async def rename(number: int) -> int:
        order = random.Random(number).sample(tags, len(tags))
        answer = await batches.run(*(update("tags", {"reference": f"by {number}"}, id=id_) for id_ in order))
        if answer.status_code != 200:
            assert answer.status_code == 409, answer.text
            assert answer.json()["errors"][0]["code"] == "RESOURCES_CONTENDED"
        return answer.status_code

    statuses = await asyncio.gather(*(rename(number) for number in range(4)))
    assert 200 in statuses
    found = (await api.get("tags?page[size]=100"))["data"]
    assert len({tag["attributes"]["reference"] for tag in found}) == 1
    assert {tag["meta"]["version"] for tag in found} == {1 + statuses.count(200)}


@pytest.fixture
async def stumbling(connection: Connection) -> AsyncIterator[Connection]:
    """New tags meet a deadlock as long as the sequence `stumbles` is below zero."""
    await connection.execute("""
        create sequence stumbles minvalue -100;
        create function stumble() returns trigger language plpgsql security definer as $$
        begin
            if nextval('stumbles') <= 0 then raise exception 'deadlock detected' using errcode = '40P01'; end if;
            return new;
        end $$;
        create trigger stumble before insert on tags for each row execute function stumble();
    """)
    yield connection
    await connection.execute("drop trigger stumble on tags; drop function stumble; drop sequence stumbles")


@pytest.mark.parametrize(("times", "status"), [(phases.ATTEMPTS - 1, 200), (phases.ATTEMPTS, 409)])
async def test_what_had_to_give_way_begins_anew(
    batches: Batches, api: Api, stumbling: Connection, times: int, status: int
) -> None:
    """Several times, and then says so; nothing is done twice."""
    await stumbling.execute(f"select setval('stumbles', {1 - times}, false)")
    customer, key = add("customers", {"email": "sam@example.com"}), {"Idempotency-Key": "k"}
    answer = await batches.run(customer, add("tags", {"name": "new"}), **key)
    assert answer.status_code == status, answer.text
    if status == 409:
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["errors"][0]["code"] == "RESOURCES_CONTENDED"
        assert (await api.get("customers"))["data"] == []
    again = await batches.run(customer, add("tags", {"name": "new"}), **key)
    assert again.status_code == 200
    assert ("idempotency-replayed" in again.headers) == (status == 200)


# --- Whatever is sent ---


@st.composite
def operations(draw: st.DrawFn, world: dict[str, str], codes: list[str], *, tame: bool) -> Any:
    """An operation on what is there or was made before, of any type and sort; a tame one is mostly good."""
    types = [type_ for type_ in TYPES if RESOURCES[type_].resource.relationships and type_ != "stores"]
    type_ = draw(st.sampled_from(types))
    found, lid = RESOURCES[type_].resource, draw(st.sampled_from("ab"))
    named = draw(st.sampled_from([one(type_, world[type_])] * 8 + [one(type_, "nope"), local(type_, lid)]))
    sort = draw(st.sampled_from(["add tag", "reference"] if tame else ["add", "add tag", "update", "remove", "relate"]))
    match sort:
        case "add":
            operation = {"op": "add", "data": draw(bodies(found, world, codes)) | {"lid": lid}}
        case "add tag":
            operation = add("tags", {"name": draw(st.text(string.ascii_letters, min_size=9, max_size=9))})
        case "update":
            operation = {"op": "update", "data": draw(bodies(found, world, codes)) | named}
        case "reference":
            operation = {"op": "update", "data": {**named, "attributes": {"reference": draw(st.text("abc"))}}}
        case "remove":
            operation = {"op": "remove", "ref": named}
        case _:
            name = draw(st.sampled_from(sorted(found.relationships)))
            target = found.relationships[name].type_
            ends = st.sampled_from([one(target, world.get(target, "nope")), local(target, lid)])
            many = isinstance(found.relationships[name], ToMany)
            data = draw(st.one_of(st.lists(ends, max_size=2) if many else ends, HOSTILE))
            code = draw(st.sampled_from(["add", "update", "remove"]))
            operation = {"op": code, "ref": named | {"relationship": name}, "data": data}
    if not tame and draw(st.integers(0, 9)) == 0:
        operation[draw(st.sampled_from(["op", "ref", "href", "data", "meta"]))] = draw(HOSTILE)
    return operation


async def dump(connection: Connection, store: Store) -> dict[str, str]:
    """All that is kept of a store, but for its running numbers, in which gaps are allowed, and requests counted.

    When a token was last used is written by itself every few seconds.
    """
    tables = await connection.fetch(
        "select distinct table_name from information_schema.columns join information_schema.tables"
        " using (table_schema, table_name) where table_schema = current_schema() and table_type = 'BASE TABLE'"
        " and column_name = 'store_id' and table_name not in ('number_blocks', 'rate_limits')"
    )
    row = "(to_jsonb(t) - 'last_used_at')::text"
    rows = f"select coalesce(md5(string_agg({row}, '' order by {row})), '') from {{}} t where store_id = $1"
    return {name: await connection.fetchval(rows.format(name), store.id) for (name,) in tables}


@pytest.mark.rule("AO-15", "AO-21", "ER-06")
async def test_no_operations_break_the_service(
    batches: Batches, connection: Connection, store: Store, world: dict[str, str]
) -> None:
    """2xx, or a 4xx whose pointers resolve and lie in an operation, and then nothing at all has changed."""
    skus = [await factories.sku(connection, store, price=price) for price in (1000, 333, None)]
    codes = [sku.code for sku in skus]
    tame, wild = [st.lists(operations(world, codes, tame=one_), min_size=1, max_size=4) for one_ in (True, False)]
    seen: list[Sequence[Any]] = []

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(tame, wild, wild))
    def generate(document: Sequence[Any]) -> None:
        seen.append(document)

    generate()
    wrong, done, failed = await offending(connection, store), 0, 0
    before = await dump(connection, store)
    for sent in seen:
        answer = await batches.run(*sent)
        if answer.status_code >= 400:
            failed += 1
            assert all(pointer.startswith("/atomic:operations/") for pointer in pointers(answer) if pointer), sent
            assert None not in pointers(answer)
            assert await dump(connection, store) == before, sent
        else:
            done += 1
            before = await dump(connection, store)
    assert done >= 10
    assert failed >= 20
    assert await offending(connection, store) <= wrong


async def test_concurrent_lines_in_batches_all_count(
    batches: Batches, api: Api, connection: Connection, store: Store
) -> None:
    """Batches that add lines to the same wholes wait for each other: none is left out of a total."""
    skus = [await factories.sku(connection, store, price=100 + n) for n in range(4)]
    order, cart = (await api.create("orders"))["id"], (await api.create("carts"))["id"]

    def lines(sku: factories.Sku) -> list[Any]:
        values = {"sku_code": sku.code, "quantity": 2}
        return [
            add("line_items", values, {"order": to("orders", order)}),
            add("cart_items", values, {"cart": to("carts", cart)}),
        ]

    answers = await asyncio.gather(*(batches.run(*lines(sku)[:: 1 - n % 2 * 2]) for n, sku in enumerate(skus)))
    assert [answer.status_code for answer in answers] == [200] * 4
    for whole, id_ in (("orders", order), ("carts", cart)):
        assert (await api.get(f"{whole}/{id_}"))["data"]["attributes"]["total_amount_cents"] == 2 * (400 + 6)
    assert len(ids(await api.get(f"orders/{order}/line_items"))) == 4
    assert await offenders(connection, store) == []
