"""Filtering: https://jsonapi.org/format/1.1/#fetching-filtering, chapter FI, and Commerce Layer's matchers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from schemas.graph import graph
from schemas.relationships import ToOne
from service.jsonapi.filters import MATCHERS, MAX_TERMS, MAX_VALUES, AllOf, AnyOf, Condition, Filters, filterable
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from tests import factories
from tests.spec.reading import Reader
from tests.support import Grant, make_store

STRANGE = "100% a_b\\c, 'x' \"y\" ;--"
"""A text of everything that is syntax somewhere."""


@dataclass(frozen=True)
class World:
    """Three customers, and orders by their place: two of Anna's, one of Bob's, and a draft of nobody's."""

    anna: str
    bob: str
    strange: str
    orders: tuple[str, str, str, str]
    mug: factories.Sku
    tag: str


@pytest.fixture
async def world(connection: Connection, store: Store) -> World:
    """A small store to filter."""
    anna = await factories.customer(connection, store, email="anna@example.com", reference="A-1")
    bob = await factories.customer(connection, store, email="bob@example.com", metadata={"vip": True, "tier": 2})
    strange = await factories.customer(connection, store, email="s@example.org", reference=STRANGE)
    mug = await factories.sku(connection, store, price=900, code="MUG", name="Cotton Mug")
    shirt = await factories.sku(connection, store, price=2500, code="SHIRT", name="Blue T-Shirt")
    line = factories.Line
    orders = (
        await factories.order(connection, store, [line(mug)], customer_id=anna, reference="first"),
        await factories.order(connection, store, [line(mug, 2), line(shirt)], customer_id=anna, reference="100 %"),
        await factories.order(connection, store, [line(shirt, 3)], customer_id=bob, customer_email="bob@example.com"),
        await factories.order(connection, store, [], status="draft", payment_status="unpaid"),
    )
    tag = await factories.insert(connection, "tags", store, name="gift")
    await connection.execute(
        "insert into order_tags (store_id, order_id, tag_id) values ($1, $2, $3)", store.id, orders[2], tag
    )
    return World(anna, bob, strange, orders, mug, tag)


@pytest.mark.rule("FI-01")
@pytest.mark.usefixtures("world")
async def test_only_the_filter_family_filters(reader: Reader) -> None:
    await reader.refused("/api/orders?status=placed", "status")
    await reader.refused("/api/orders?q[status_eq]=placed", "q[status_eq]")
    assert len(await reader.ids("/api/orders?filter[status]=placed")) == 3


@pytest.mark.rule("FI-02", "FI-09")
@pytest.mark.parametrize(
    "name",
    [
        "filter[nope]", "filter[nope][eq]", "filter[_]", "filter[]", "filter[a][b][c]", "filter[Status]",
        "filter[][eq]", "filter[guest]", "filter[customer.nope]",
        "filter[nope.email]", "filter[customer..email]", "filter[q]",
        "filter[q][nope_eq]", "filter[q][status]", "filter[q][eq]", "filter[q][_eq]", "filter[q][status_or_nope_eq]",
        "filter[q][customer_nope_eq]", "filter[q][line_items_order_nope_eq]", "filter[status.x]",
        "filter[metadata]", "filter[events_id]", "filter[q][total_amount_float_eq]", "filter[q][status_eqq]",
        "filter[line_items.order.line_items.order.line_items.quantity]",
    ],
)  # fmt: skip
async def test_what_is_unknown_is_named(reader: Reader, name: str) -> None:
    """An unknown name, and `_`, which is no member name."""
    error = await reader.refused("/api/orders", name, {name: "1"})
    assert error["code"] == "FILTER_NOT_ALLOWED"


@pytest.mark.rule("FI-03")
@pytest.mark.parametrize(
    "name",
    [
        "filter[total_amount_cents][foo]", "filter[total_amount_cents][EQ]", "filter[total_amount_cents][cont]",
        "filter[total_amount_cents][true]", "filter[total_amount_cents][jcont]", "filter[placed_at][start]",
        "filter[metadata][eq]", "filter[metadata][cont]", "filter[status][jcont]", "filter[q][placed_at_cont]",
    ],
)  # fmt: skip
async def test_an_unknown_or_unfit_matcher_is_refused(reader: Reader, name: str) -> None:
    error = await reader.refused("/api/orders", name, {name: "1"})
    assert error["code"] == "FILTER_NOT_ALLOWED"


@pytest.mark.rule("FI-04")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filter[total_amount_cents]", "x"), ("filter[total_amount_cents]", ""), ("filter[total_amount_cents]", "1,"),
        ("filter[total_amount_cents]", "9223372036854775808"), ("filter[total_amount_cents]", "1.0"),
        ("filter[total_amount_cents]", "9" * 5000), ("filter[total_amount_cents]", "\u0661"),
        ("filter[total_amount_cents][gteq]", "1,2"), ("filter[status]", "nope"), ("filter[placed_at][gteq]", "soon"),
        ("filter[placed_at][lt]", "0001-01-01T00:00:00+14:00"), ("filter[placed_at]", "2026-02-30"),
        ("filter[q][placed_at_null]", "yes"), ("filter[q][placed_at_null]", ""), ("filter[q][code_matches]", "a\\"),
        ("filter[q][metadata_jcont]", "{"), ("filter[q][metadata_jcont]", "[" * 2_000),
        ("filter[q][metadata_jcont]", '"\\u0000"'), ("filter[q][metadata_jcont]", "1e999"),
        ("filter[q][metadata_jcont]", "NaN"), ("filter[q][number_in]", "1,x"), ("filter[customer.status]", "x"),
    ],
)  # fmt: skip
async def test_a_value_that_can_not_be_read_is_refused(reader: Reader, name: str, value: str) -> None:
    error = await reader.refused("/api/orders", name, {name: value})
    assert error["code"] == "INVALID_FILTER_VALUE"
    assert len(error["detail"]) < 400


@pytest.mark.rule("FI-05")
async def test_sets_of_ids_and_values(reader: Reader, world: World) -> None:
    """One parameter with commas and a repeated one mean the same."""
    first, second, third, draft = world.orders
    assert await reader.ids(f"/api/orders?filter[id]={second},{first},none") == [first, second]
    assert await reader.ids(f"/api/orders?filter[id][]={first}&filter[id][]={second}") == [first, second]
    assert await reader.ids(f"/api/orders?filter%5Bid%5D%5B%5D={third}") == [third]
    assert await reader.ids("/api/orders?filter[status]=draft,cancelled") == [draft]
    assert await reader.ids("/api/orders?filter[status][]=draft&filter[status][]=placed") == list(world.orders)
    assert await reader.ids(f"/api/orders?filter[id][in][]={first}&filter[id][in][]={draft}") == [first, draft]
    assert await reader.ids("/api/customers", {"filter[reference][]": STRANGE}) == [world.strange]
    await reader.refused(f"/api/orders?filter[id]={first}&filter[id]={second}", "filter[id]")


@pytest.mark.rule("FI-06")
async def test_filters_are_anded(reader: Reader, world: World) -> None:
    first, second, third, _ = world.orders
    assert await reader.ids("/api/orders?filter[status]=placed&filter[q][total_amount_cents_gteq]=2000") == [
        second,
        third,
    ]
    both = f"filter[customer]={world.anna}&filter[q][total_amount_cents_lt]=1000"
    assert await reader.ids(f"/api/orders?{both}") == [first]
    assert await reader.ids(f"/api/orders?{both}&filter[status]=draft") == []


@pytest.mark.rule("FI-07", "FI-08")
async def test_relationships(reader: Reader, world: World) -> None:
    """By the related id, and by an attribute of what is related."""
    first, second, third, draft = world.orders
    for form in ("filter[customer]", "filter[customer.id]", "filter[q][customer_id_eq]", "filter[customer][eq]"):
        assert await reader.ids("/api/orders", {form: world.anna}) == [first, second]
    assert await reader.ids("/api/orders?filter[customer.email]=bob@example.com") == [third]
    assert await reader.ids("/api/orders?filter[customer.email][cont]=example") == [first, second, third]
    assert await reader.ids("/api/orders?filter[q][customer_reference_eq]=A-1") == [first, second]
    assert await reader.ids("/api/line_items?filter[order.customer.email]=bob@example.com&fields[line_items]=")
    assert await reader.ids("/api/orders?filter[q][line_items_sku_code_eq]=SHIRT") == [second, third]
    assert await reader.ids("/api/orders?filter[q][line_items_sku_name_start]=Cotton") == [first, second]
    assert await reader.ids(f"/api/orders?filter[q][tags_id_in]={world.tag},x") == [third]
    assert await reader.ids(f"/api/orders?filter[tags]={world.tag}") == [third]
    assert await reader.ids("/api/orders?filter[q][tags_name_eq]=gift") == [third]
    assert await reader.ids("/api/orders?filter[q][tags_id_null]=true") == [first, second, draft]
    assert await reader.ids("/api/orders?filter[q][tags_id_present]=true") == [third]
    assert await reader.ids("/api/orders?filter[q][customer_id_null]=true") == [draft]
    assert await reader.ids("/api/orders?filter[q][customer_id_not_eq_or_null]=" + world.anna) == [third, draft]
    assert await reader.ids("/api/orders?filter[q][customer_id_not_eq]=" + world.anna) == [third]
    assert await reader.ids("/api/skus?filter[q][prices_amount_cents_lteq]=900") == [world.mug.id]
    assert await reader.ids("/api/customers?filter[q][orders_line_items_sku_code_eq]=MUG") == [world.anna]
    assert await reader.ids("/api/orders?filter[q][customer_email_eq]=anna@example.com") == [], (
        "the order's own attribute comes first"
    )
    conditions = "filter[line_items.sku_code]=MUG&filter[line_items.quantity]=1"
    assert await reader.ids(f"/api/orders?{conditions}") == [first, second], "each filter finds a line of its own"


@pytest.mark.rule("FI-10")
async def test_single_resources_take_no_filter(reader: Reader, world: World) -> None:
    for url in (f"/api/orders/{world.orders[0]}", f"/api/orders/{world.orders[0]}/customer"):
        await reader.refused(f"{url}?filter[id]=x", "filter[id]")
    await reader.refused(f"/api/orders/{world.orders[0]}/relationships/customer?filter[id]=x", "filter[id]")


@pytest.mark.rule("FI-11")
@pytest.mark.parametrize("matcher", ["eq", "in", "cont", "i_cont", "start", "end", "not_eq", "not_cont", "cont_all"])
async def test_syntax_of_other_languages_is_data(reader: Reader, world: World, matcher: str) -> None:
    listed = "[]" if MATCHERS[matcher].takes == "list" or MATCHERS[matcher].each else ""
    found = await reader.ids("/api/customers", {f"filter[q][reference_{matcher}]{listed}": STRANGE})
    assert found == ([world.anna] if matcher.startswith("not_") else [world.strange])
    for text in ("%", "_", "\\", "' or 1=1 --", "%%", "a_b\\c,"):
        escaped = await reader.ids("/api/customers", {f"filter[q][reference_{matcher}]{listed}": text})
        wanted = {"cont", "i_cont", "cont_all"} & {matcher} and text in STRANGE
        if not matcher.startswith("not_"):
            assert escaped == ([world.strange] if wanted else []), text


@pytest.mark.rule("FI-01")
async def test_related_collections_can_be_filtered_too(reader: Reader, world: World) -> None:
    """On related and relationship URLs."""
    order = world.orders[1]
    for url in (f"/api/orders/{order}/line_items", f"/api/orders/{order}/relationships/line_items"):
        assert len(await reader.ids(f"{url}?filter[sku_code]=MUG")) == 1
        assert len(await reader.ids(f"{url}?filter[q][quantity_gteq]=1")) == 2
    assert await reader.ids(f"/api/customers/{world.anna}/orders?filter[q][line_items_sku_code_eq]=SHIRT") == [order]


# --- matchers ---------------------------------------------------------------------------------------------------

CODES = {"a": "alpha", "b": "Beta", "c": "gamma", "n": None, "e": ""}
"""The references of the customers that matchers are tried on, by the reference_origin that tells them apart."""

BY_TEXT = {
    "eq": ("alpha", "a"), "eq_any": ("alpha,gamma", "ac"), "eq_all": ("alpha,gamma", ""), "eq_or_null": ("alpha", "an"),
    "not_eq": ("alpha", "bce"), "not_eq_any": ("alpha,gamma", "abce"), "not_eq_all": ("alpha,gamma", "be"),
    "not_eq_or_null": ("alpha", "bcen"), "in": ("alpha,gamma", "ac"), "in_or_null": ("alpha", "an"),
    "not_in": ("alpha,gamma", "be"), "not_in_or_null": ("alpha,gamma", "ben"),
    "lt": ("alpha", "be"), "lt_any": ("alpha,gamma", "abe"), "lt_all": ("alpha,gamma", "be"), "lteq": ("alpha", "abe"),
    "lteq_any": ("alpha,gamma", "abce"), "lteq_all": ("alpha,gamma", "abe"), "gt": ("alpha", "c"),
    "gt_any": ("alpha,gamma", "c"), "gt_all": ("alpha,gamma", ""), "gteq": ("alpha", "ac"),
    "gteq_any": ("alpha,gamma", "ac"), "gteq_all": ("alpha,gamma", "c"),
    "matches": ("%a", "abc"), "matches_any": ("alp%,_eta", "ab"), "matches_all": ("a%,%a", "a"),
    "does_not_match": ("a%", "bce"), "does_not_match_any": ("a%,%a", "bce"), "does_not_match_all": ("a%,g%", "be"),
    "start": ("al", "a"), "start_any": ("al,ga", "ac"), "start_all": ("a,al", "a"), "not_start": ("al", "bce"),
    "not_start_any": ("a,g", "abce"), "not_start_all": ("a,g", "be"), "end": ("a", "abc"), "end_any": ("pha,mma", "ac"),
    "end_all": ("a,ma", "c"), "not_end": ("ta", "ace"), "not_end_any": ("a,ta", "ace"), "not_end_all": ("ta,ma", "ae"),
    "cont": ("et", "b"), "cont_any": ("et,mm", "bc"), "cont_all": ("m,a", "c"), "not_cont": ("m", "abe"),
    "not_cont_any": ("m,l", "abce"), "not_cont_all": ("m,l", "be"), "i_cont": ("BET", "b"),
    "i_cont_any": ("BET,MM", "bc"), "i_cont_all": ("M,A", "c"), "not_i_cont": ("BET", "ace"),
    "not_i_cont_any": ("BET,AL", "abce"),
    "not_i_cont_all": ("BET,AL", "ce"), "null": ("true", "n"), "not_null": ("true", "abce"), "blank": ("true", "en"),
    "present": ("true", "abc"),
}  # fmt: skip
"""Matcher -> a value, and the customers that it finds; worked out by hand. Capitals sort before small letters."""


@pytest.mark.rule("FI-03")
@pytest.mark.parametrize("matcher", BY_TEXT)
async def test_every_matcher(reader: Reader, connection: Connection, store: Store, matcher: str) -> None:
    """Every matcher does what its row in the reference says, in both forms."""
    for name, reference in CODES.items():
        await factories.customer(connection, store, reference=reference, reference_origin=name)
    value, wanted = BY_TEXT[matcher]
    for form in (f"filter[q][reference_{matcher}]", f"filter[reference][{matcher}]"):
        document = await reader.document("/api/customers", **{form: value})
        assert {one["attributes"]["reference_origin"] for one in document["data"]} == set(wanted), form
    if matcher in ("null", "not_null", "blank", "present"):
        others = await reader.document("/api/customers", **{f"filter[q][reference_{matcher}]": "false"})
        assert {one["attributes"]["reference_origin"] for one in others["data"]} == set("abcen") - set(wanted)


def test_the_matchers_that_are_not_for_text_are_tried_below() -> None:
    assert MATCHERS.keys() - BY_TEXT.keys() == {"true", "false", "jcont"}


@pytest.mark.rule("FI-03")
async def test_json_contains(reader: Reader, world: World) -> None:
    """`jcont`."""
    for value, found in (
        ('{"vip":true}', [world.bob]), ('{"vip": true, "tier": 2}', [world.bob]), ('{"vip":false}', []),
        ('{"tier":"2"}', []), ("{}", [world.anna, world.bob, world.strange]), ("[]", []), ('"vip"', []),
    ):  # fmt: skip
        assert await reader.ids("/api/customers", {"filter[q][metadata_jcont]": value}) == found, value
        assert await reader.ids("/api/customers", {"filter[metadata][jcont]": value}) == found, value


@pytest.mark.rule("FI-03")
def test_booleans_have_their_own_matchers() -> None:
    """No attribute of the graph that can be filtered by is boolean yet; the tree is what counts."""
    orders = graph["orders"]
    guest = orders.attributes["guest"]
    guest.filter = True
    try:
        for name, value, wanted in (("true", "true", True), ("true", "false", False), ("false", "true", False)):
            filters = Filters(orders)
            filters.add("p", ["q", f"guest_{name}"], [value])
            assert filters.tree() == AllOf((Condition(("guest",), "eq", (wanted,)),))
    finally:
        guest.filter = False


@pytest.mark.rule("FI-05", "FI-07", "FI-08")
def test_all_forms_become_one_tree() -> None:
    """What the forms mean is decided before any SQL."""

    def tree(*parts: tuple[list[str], list[str]]) -> AllOf:
        filters = Filters(graph["orders"])
        for keys, values in parts:
            filters.add("parameter", keys, values)
        return filters.tree()

    assert tree() == AllOf()
    same = AllOf((Condition(("customer", "id"), "in", ("A", "B")),))
    assert tree((["customer"], ["A,B"])) == tree((["customer", ""], ["A", "B"])) == tree((["customer", "in"], ["A,B"]))
    assert tree((["q", "customer_id_in"], ["A,B"])) == tree((["customer.id"], ["A,B"])) == same
    either = tree((["q", "number_or_customer_email_cont"], ["1%"]))
    like = ("%1\\%%",)
    terms = (Condition(("number",), "like", like), Condition(("customer_email",), "like", like))
    assert either == AllOf((AnyOf(terms),))
    assert tree((["q", "total_amount_cents_not_eq"], ["5"])) == AllOf(
        (Condition(("total_amount_cents",), "not_eq", (5,)),)
    )


@pytest.mark.rule("FI-03")
async def test_numbers_of_orders_can_be_searched_as_text(
    reader: Reader, connection: Connection, store: Store, world: World
) -> None:
    """`number_or_email_cont`, which Commerce Layer's own pages send most."""
    number = await connection.fetchval(
        "select number from orders where store_id = $1 and id = $2", store.id, world.orders[2]
    )
    assert world.orders[2] in await reader.ids(f"/api/orders?filter[q][number_or_customer_email_cont]={number}")
    assert await reader.ids("/api/orders?filter[q][number_or_customer_email_cont]=bob@") == [world.orders[2]]
    assert await reader.ids(f"/api/orders?filter[q][number_eq]={number}") == [world.orders[2]]
    assert world.orders[2] in await reader.ids(f"/api/orders?filter[q][number_gteq]={number}")


@pytest.mark.rule("FI-03")
@pytest.mark.parametrize("type_", RESOURCES)
async def test_everything_that_can_be_filtered_can_be_with_every_matcher_that_suits(reader: Reader, type_: str) -> None:
    """SQL that Postgres accepts, for every attribute of every type."""
    resource = graph[type_]
    for name in filterable(resource):
        for matcher in ("eq", "not_in_or_null", "gteq_any", "cont", "blank", "null"):
            attribute = resource.attributes.get(name)
            if name in resource.relationships and not isinstance(resource.relationships[name], ToOne):
                continue
            value = {"cont": "1", "blank": "true", "null": "false"}.get(matcher) or example(attribute)
            answer = await reader.client.get(
                f"/api/{type_}", params={f"filter[{name}][{matcher}]": value}, headers=reader.access.headers
            )
            assert answer.status_code in (200, 400), (name, matcher, answer.text)
            if answer.status_code == 400:
                assert "can't be filtered with" in answer.text, (name, matcher, answer.text)


def example(attribute: object) -> str:
    """A value that an attribute can be compared with."""
    choices = getattr(attribute, "choices", None)
    if choices:
        return str(choices[0])
    sql_type = getattr(attribute, "sql_type", "text")
    return {"timestamptz": "2026-01-31", "boolean": "true", "text": "x"}.get(sql_type, "1")


# --- whose rows -------------------------------------------------------------------------------------------------


async def test_a_filter_tells_nothing_of_what_the_token_may_not_read(
    reader: Reader, grant: Grant, connection: Connection, store: Store, world: World
) -> None:
    """Neither of another customer's rows, nor of types that are not for customers, nor beyond a scope."""
    customer = Reader(reader.client, await grant(customer_id=world.anna))
    assert await customer.ids("/api/orders?filter[q][line_items_sku_code_eq]=SHIRT") == [world.orders[1]]
    assert await customer.ids(f"/api/orders?filter[customer]={world.bob}") == []
    await customer.refused("/api/orders?filter[q][tags_name_eq]=gift", "filter[q][tags_name_eq]")
    await customer.refused("/api/orders?filter[tags.name]=gift", "filter[tags.name]")
    group = await factories.insert(connection, "customer_groups", store, name="Resellers")
    await factories.insert(
        connection, "prices", store, sku_id=world.mug.id, currency_code="EUR", amount_cents=1, customer_group_id=group
    )
    assert await reader.ids("/api/skus?filter[prices.amount_cents]=1") == [world.mug.id]
    assert await customer.ids("/api/skus?filter[prices.amount_cents]=1") == [], "a price of a group is not for all"
    narrow = Reader(reader.client, await grant(scopes=["read_orders"]))
    await narrow.refused("/api/orders?filter[q][customer_status_eq]=prospect", "filter[q][customer_status_eq]")
    await narrow.refused("/api/orders?sort=customer.email", "sort")


async def test_a_filter_never_leaves_the_store(
    reader: Reader, database: Database, grant: Grant, connection: Connection, world: World
) -> None:
    other = await make_store(database)
    theirs = await factories.customer(connection, other, email="anna@example.com")
    stranger = Reader(reader.client, await grant(store=other))
    for url in (
        "/api/customers?filter[q][email_or_reference_eq]=anna@example.com",
        f"/api/customers?filter[id]={theirs},{world.anna}",
        "/api/customers?filter[q][id_not_null]=true",
    ):
        assert await stranger.ids(url) == [theirs]
        assert theirs not in await reader.ids(url)


# --- what it may cost -------------------------------------------------------------------------------------------


async def test_filters_have_limits(reader: Reader) -> None:
    values = ",".join(["x"] * (MAX_VALUES + 1))
    error = await reader.refused("/api/orders", "filter[id]", {"filter[id]": values})
    assert (error["code"], error["meta"]) == ("QUERY_TOO_COSTLY", {"limit": MAX_VALUES, "value": MAX_VALUES + 1})
    assert str(MAX_VALUES) in error["detail"]
    assert await reader.ids("/api/orders", {"filter[id]": values[2:]}) == []
    name = "filter[q][code_cont_any]"
    error = await reader.refused("/api/orders", name, {name: ",".join(["x"] * (MAX_TERMS + 1))})
    assert (error["code"], error["meta"]) == ("QUERY_TOO_COSTLY", {"limit": MAX_TERMS, "value": MAX_TERMS + 1})
    assert await reader.ids("/api/orders", {name: ",".join(["x"] * MAX_TERMS)}) == []
