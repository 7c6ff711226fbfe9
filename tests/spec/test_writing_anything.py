"""Generated bodies at every type that clients write: never a 5xx, nothing half-written, amounts that add up."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import kinds
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service import clock
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from tests import factories
from tests.contract.conftest import inhabit
from tests.pins import unpinned
from tests.spec.writing import Api, offenders, to
from tests.support import make_store

TYPES = [type_ for type_, entry in RESOURCES.items() if entry.update]
TAKEN = [type_ for type_, entry in RESOURCES.items() if entry.create or entry.update]
FEW = 3
"""The types that take a body at all."""

HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) - 1, 2**64 - 1),
    st.sampled_from([0, 1, 2**63 - 1, -(2**63), 1e308, -0.0]),
    st.sampled_from(["", " ", "\x00", "'; --", "x" * 3000, "%", "é\u202e", "NL", "EUR"]),
    st.text(max_size=8),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(-(2**53), 2**53), max_size=2),
)  # fmt: skip


PLAUSIBLE: dict[type[Any], st.SearchStrategy[Any]] = {
    kinds.Number: st.integers(1, 99),
    kinds.Float: st.one_of(st.floats(0, 1), st.sampled_from([0.21, 12.345, 99999, 1e-300])),
    kinds.Integer: st.one_of(st.integers(0, 50), st.sampled_from([2**62, 2**63 - 1, -1])),
    kinds.Boolean: st.booleans(),
    kinds.Timestamp: st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01", "9999-12-31T23:59:59.999Z", "2027-01-01"]),
    kinds.CurrencyCode: st.sampled_from(["EUR", "USD", "JPY"]),
    kinds.CountryCode: st.sampled_from(["NL", "DE"]),
    kinds.Email: st.integers(0, 5).map("c{}@example.com".format),
    kinds.Url: st.just("https://shop.example/x"),
    kinds.TimeZone: st.just("Europe/Amsterdam"),
    kinds.LocaleCode: st.just("nl_NL"),
    kinds.JsonObject: st.sampled_from([{}, {"size": "L"}, {"a": [1, {"b": None}]}]),
    kinds.JsonList: st.sampled_from([[], [{"name": "size"}], [{"name": "size"}, 7]]),
    kinds.TextList: st.sampled_from([[], ["monthly"], ["a", "b"]]),
    kinds.Text: st.sampled_from(["SKU", "vip", "monthly", "x" * 255]),
}
"""Values of the kinds that attributes are of, and their edges; the first that an attribute is of counts."""


def plausible(field: Any) -> st.SearchStrategy[Any]:
    """Values that an attribute may well take."""
    if isinstance(field, kinds.Enum):
        return st.sampled_from(field.choices)
    return next(values for kind, values in PLAUSIBLE.items() if isinstance(field, kind))


def bodies(
    resource: type[Resource], world: dict[str, str], codes: list[str], foreign: Mapping[str, str] = MappingProxyType({})
) -> st.SearchStrategy[Any]:
    """Documents of a type: mostly plausible fields, a few hostile ones, linkage to what is there or isn't.

    `world` and `foreign` are what there is in the store and in another one.
    """
    fields = {
        name: st.one_of(plausible(f), plausible(f), HOSTILE) for name, f in resource.attributes.items() if f.write
    }
    fields |= {name: st.one_of(st.just("vip,new"), HOSTILE) for name in resource.triggers}
    if "sku_code" in fields:
        fields["sku_code"] = st.one_of(st.sampled_from(codes), HOSTILE)
    needed = {name for name, f in resource.attributes.items() if f.required}

    def linkage(name: str) -> st.SearchStrategy[Any]:
        found = resource.relationships[name]
        there, elsewhere = (each.get(found.type_, "nope") for each in (world, foreign))
        ids = st.sampled_from([there, there, there, elsewhere, "nope"])
        one = ids.map(lambda id_: {"type": found.type_, "id": id_})
        data = st.lists(one, max_size=2) if isinstance(found, ToMany) else one
        return st.one_of(st.fixed_dictionaries({"data": data}), st.fixed_dictionaries({"data": data}), HOSTILE)

    linked = {name: linkage(name) for name, f in resource.relationships.items() if f.write}
    must = {name for name, f in resource.relationships.items() if f.required}
    return st.fixed_dictionaries(
        {
            "type": st.just(resource.type_),
            "attributes": st.fixed_dictionaries(
                {name: fields[name] for name in needed},
                optional={name: value for name, value in fields.items() if name not in needed},
            ),
            "relationships": st.fixed_dictionaries(
                {name: linked[name] for name in must & linked.keys()},
                optional={name: value for name, value in linked.items() if name not in must},
            ),
        }
    )


async def counted(connection: Connection, store: Store) -> dict[str, int]:
    """How many rows a store has in every table that a type is kept in."""
    tables = {entry.resource.table for entry in RESOURCES.values()}
    rows = {t: await connection.fetchval(f"select count(*) from {t} where store_id = $1", store.id) for t in tables}
    return {table: int(number) for table, number in rows.items()}


@pytest.mark.rule("CR-14", "CR-17", "UP-17", "ER-06", "ER-10")
@pytest.mark.parametrize("type_", TAKEN)
async def test_no_body_breaks_the_service(  # noqa: PLR0917 -- fixtures
    api: Api,
    connection: Connection,
    database: Database,
    store: Store,
    world: dict[str, str],
    statements: list[str],
    type_: str,
) -> None:
    """2xx, or a 4xx whose pointers resolve, and then nothing is written; nothing of another store is linked.

    Every statement is pinned to the store.
    """
    skus = [await factories.sku(connection, store, price=price) for price in (1000, 333, None)]
    entry, elsewhere = RESOURCES[type_], await make_store(database)
    foreign = await inhabit(connection, elsewhere)
    untouched = await counted(connection, elsewhere)
    strategy = bodies(entry.resource, world, [sku.code for sku in skus], foreign)
    seen: list[Any] = []
    # Of what takes a single attribute, few made-up bodies are good.
    few = sum(1 for field in entry.resource.attributes.values() if field.write) < FEW

    @settings(max_examples=200 if few else 25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def generate(document: Any) -> None:
        seen.append(document)

    generate()
    wrong = await offending(connection, store)
    done, alone = 0, set()
    for one in seen:
        before = await counted(connection, store)
        answer = await api.send("POST", type_, {"data": one}) if entry.create else None
        if answer is not None and answer.status_code >= 400:
            assert await counted(connection, store) == before, one
        elif answer is not None:
            done += 1
            assert not [id_ for id_ in foreign.values() if f'"{id_}"' in answer.text]
        if entry.update is None:  # with linkage alone, more of them are good
            linked = {
                name: {"data": {"type": found.type_, "id": world[found.type_]}}
                for name, found in entry.resource.relationships.items()
                if found.write and isinstance(found, ToOne) and found.type_ in world
            }
            lesser: list[dict[str, Any]] = [{"attributes": {}}, {"attributes": {}, "relationships": linked}]
            for less in lesser:
                done += (await api.send("POST", type_, {"data": one | less})).status_code == 201
            continue
        shown = await api.get(f"{type_}/{world[type_]}")
        answer = await api.send("PATCH", f"{type_}/{world[type_]}", {"data": one | {"id": world[type_]}})
        assert not [id_ for id_ in foreign.values() if f'"{id_}"' in answer.text]
        if answer.status_code >= 400:
            assert await api.get(f"{type_}/{world[type_]}") == shown
        # Sent alone, more of the attributes are good; each value once.
        for name, value in one["attributes"].items():
            if (name, repr(value)) in alone:
                continue
            alone.add((name, repr(value)))
            document = {"data": {"type": type_, "id": world[type_], "attributes": {name: value}}}
            done += (await api.send("PATCH", f"{type_}/{world[type_]}", document)).status_code == 200
    assert done, seen
    assert await offending(connection, store) <= wrong
    assert await counted(connection, elsewhere) == untouched
    assert not [(text, unpinned(text)) for text in statements if unpinned(text)]


async def offending(connection: Connection, store: Store) -> set[tuple[str, str]]:
    """Which rows break which invariant; the world has some from the start, being made by hand."""
    return {(name, row["id"]) for name, row in await offenders(connection, store)}


def rounded(amount: Fraction) -> int:
    """Half to even."""
    floor = math.floor(amount)
    rest = amount - floor
    return floor + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1))


def tax(total: int, rate: str) -> int:
    """The tax that a total includes."""
    return rounded(total * Fraction(rate) / (1 + Fraction(rate)))


@pytest.mark.parametrize(
    ("whole", "part", "name"), [("carts", "cart_items", "cart"), ("orders", "line_items", "order")]
)
async def test_amounts_are_right_after_every_write(
    api: Api, connection: Connection, store: Store, *, whole: str, part: str, name: str
) -> None:
    """Subtotal, tax, shipping and total, worked out here independently of the service, after each write."""
    prices, rates = [999, 1250, 5], ["0.21", "0.09", "0"]
    skus = [await factories.sku(connection, store, price=p, tax_rate=r) for p, r in zip(prices, rates, strict=True)]
    await factories.insert(
        connection, "prices", store, sku_id=skus[0].id, currency_code="EUR", amount_cents=900, min_quantity=10
    )
    ships = await factories.shipping_method(connection, store)
    pays = await factories.payment_method(connection, store, price_amount_cents=30)
    id_ = (await api.create(whole))["id"]
    lines: dict[str, tuple[int, int]] = {}
    costs = [0, 0]

    async def check() -> None:
        totals = [((900 if sku == 0 and n >= 10 else prices[sku]) * n, rates[sku]) for sku, n in lines.values()]
        shown = (await api.get(f"{whole}/{id_}"))["data"]["attributes"]
        subtotal = sum(total for total, _ in totals)
        shipping = costs[0] if lines else 0
        assert shown["subtotal_amount_cents"] == subtotal
        assert shown["total_tax_amount_cents"] == sum(tax(*total) for total in totals)
        assert (shown["shipping_amount_cents"], shown["payment_method_amount_cents"]) == (shipping, costs[1])
        assert shown["total_amount_cents"] == subtotal + shipping + costs[1]
        assert await offenders(connection, store) == []

    await check()
    for sku, quantity in ((0, 3), (1, 7), (2, 1)):
        line = {"sku_code": skus[sku].code, "quantity": quantity}
        made = await api.create(part, line, {name: to(whole, id_)})
        lines[made["id"]] = (sku, quantity)
        await check()
    first, second, _ = lines
    for quantity in (12, 4):
        assert (await api.update(part, first, {"quantity": quantity})).status_code == 200
        lines[first] = (0, quantity)
        await check()
    assert (await api.update(whole, id_, None, {"shipping_method": to("shipping_methods", ships)})).status_code == 200
    costs[0] = 495
    await check()
    assert (await api.update(whole, id_, None, {"payment_method": to("payment_methods", pays)})).status_code == 200
    costs[1] = 30
    await check()
    assert (await api.send("DELETE", f"{part}/{second}")).status_code == 204
    del lines[second]
    await check()
    for id_of_line in list(lines):
        await api.send("DELETE", f"{part}/{id_of_line}")
    lines.clear()
    await check()


async def test_concurrent_lines_all_count(api: Api, connection: Connection, store: Store) -> None:
    """Lines that are added at once wait for each other at their whole: none is left out of its total."""
    skus = [await factories.sku(connection, store, price=100 + n) for n in range(6)]
    for whole, part, name in (("carts", "cart_items", "cart"), ("orders", "line_items", "order")):
        id_ = (await api.create(whole))["id"]
        link = {name: to(whole, id_)}
        made = await asyncio.gather(*(api.create(part, {"sku_code": s.code, "quantity": 2}, link) for s in skus))
        gone = [api.send("DELETE", f"{part}/{one['id']}") for one in made[:2]]
        more = [api.update(part, one["id"], {"quantity": 5}) for one in made[2:4]]
        answers = await asyncio.gather(*gone, *more)
        assert [answer.status_code for answer in answers] == [204, 204, 200, 200]
        total = (await api.get(f"{whole}/{id_}"))["data"]["attributes"]["total_amount_cents"]
        assert total == 5 * (102 + 103) + 2 * (104 + 105)
    assert await offenders(connection, store) == []


@pytest.mark.rule("CR-14")
@pytest.mark.parametrize(
    ("attributes", "status", "pointer"),
    [
        ({"sku_code": "nope", "quantity": 1}, 422, "/data/attributes/sku_code"),
        ({"quantity": 1}, 422, "/data/attributes"),
        ({"sku_code": "GONE", "quantity": 1}, 422, "/data/attributes/sku_code"),
        ({"sku_code": "UNPRICED", "quantity": 1}, 422, "/data/attributes/sku_code"),
        ({"sku_code": "PACK", "quantity": 4}, 422, "/data/attributes/quantity"),
        ({"sku_code": "PACK", "quantity": 600}, 422, "/data/attributes/quantity"),
        ({"sku_code": "SHIRT", "quantity": 1, "options": {"size": "XXL"}}, 422, "/data/attributes/options"),
        ({"sku_code": "SHIRT", "quantity": 1}, 422, "/data/attributes/sku_code"),
        ({"sku_code": "PLAIN", "quantity": 2**62}, 422, "/data/attributes/quantity"),
        ({"sku_code": "PLAIN", "quantity": 0}, 422, "/data/attributes/quantity"),
    ],
)
async def test_what_a_cart_does_not_take(
    api: Api, connection: Connection, store: Store, *, attributes: Any, status: int, pointer: str
) -> None:
    """A line follows its sku: unknown, unavailable, without a price, wrong options or quantities are 422."""
    await factories.sku(connection, store, code="PLAIN")
    await factories.sku(connection, store, code="GONE", disabled_at=clock.now())
    await factories.sku(connection, store, code="UNPRICED", price=None)
    await factories.sku(connection, store, code="PACK", min_quantity=6, step_quantity=6, max_quantity=60)
    sizes = [{"name": "size", "required": True, "values": ["S", "L"]}]
    await factories.sku(connection, store, code="SHIRT", options=orjson.dumps(sizes).decode())
    cart = (await api.create("carts"))["id"]
    document = {"data": {"type": "cart_items", "attributes": attributes, "relationships": {"cart": to("carts", cart)}}}
    answer = await api.send("POST", "cart_items", document)
    assert (answer.status_code, answer.json()["errors"][0]["source"]["pointer"]) == (status, pointer), answer.text
    assert (await api.get(f"carts/{cart}/cart_items"))["data"] == []


async def test_the_same_line_twice(api: Api, connection: Connection, store: Store) -> None:
    """One line per sku and options: a second one is 409 and names the first; other options are another line."""
    sku = await factories.sku(connection, store, options=orjson.dumps([{"name": "size"}]).decode())
    cart = {"cart": to("carts", (await api.create("carts"))["id"])}
    small = {"sku_code": sku.code, "quantity": 1, "options": {"size": "S"}}
    first = await api.create("cart_items", small, cart)
    document = {"data": {"type": "cart_items", "attributes": small, "relationships": cart}}
    answer = await api.send("POST", "cart_items", document)
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["meta"] == {"cart_item_id": first["id"]}
    await api.create("cart_items", small | {"options": {"size": "L"}}, cart)


async def test_order_numbers_at_once(api: Api, connection: Connection, store: Store) -> None:
    """Concurrent drafts have numbers and codes of their own; the store's prefix leads the code."""
    await connection.execute("update stores set order_prefix = 'SALE-' where store_id = $1", store.id)
    made = await asyncio.gather(*(api.create("orders") for _ in range(12)))
    assert len({one["attributes"]["number"] for one in made}) == 12
    assert len({one["attributes"]["code"] for one in made}) == 12
    assert all(one["attributes"]["code"].startswith("SALE-") for one in made)


async def test_sku_numbers(api: Api, connection: Connection, store: Store) -> None:
    """A number given by hand is not handed out again; the next one follows the greatest."""
    numbers = [
        (await api.create("skus", {"code": code, "name": code} | more))["attributes"]["number"]
        for code, more in (("a", {}), ("b", {"number": 40}), ("c", {}), ("d", {"number": 7}), ("e", {}))
    ]
    assert numbers == [1, 40, 41, 7, 42]
    answer = await api.send(
        "POST", "skus", {"data": {"type": "skus", "attributes": {"code": "f", "name": "f", "number": 40}}}
    )
    assert answer.status_code == 409
    assert await offenders(connection, store) == []


async def test_a_subscription_takes_over_its_order(api: Api, connection: Connection, store: Store) -> None:
    """Customer, addresses and items of the source order; a wallet of somebody else is refused."""
    sku = await factories.sku(connection, store, price=1000)
    order = await factories.full_order(connection, store, [factories.Line(sku, 2)])
    other = await factories.payment_source(connection, store, await factories.customer(connection, store))
    made = await api.create("order_subscriptions", {"frequency": "monthly"}, {"source_order": to("orders", order)})
    source = (await api.get(f"orders/{order}"))["data"]["relationships"]
    for name in ("customer", "billing_address", "shipping_address", "shipping_method"):
        assert made["relationships"][name]["data"] == source[name]["data"]
    items = (await api.get(f"order_subscriptions/{made['id']}/order_subscription_items"))["data"]
    assert [(one["attributes"]["sku_code"], one["attributes"]["total_amount_cents"]) for one in items] == [
        (sku.code, 2000)
    ]
    answer = await api.update("order_subscription_items", items[0]["id"], {"quantity": 3})
    assert answer.json()["data"]["attributes"]["total_amount_cents"] == 3000
    wallet = {"customer_payment_source": to("customer_payment_sources", other)}
    assert (await api.update("order_subscriptions", made["id"], None, wallet)).status_code == 422
    assert await offenders(connection, store) == []
