"""One outcome for every line, whatever the catalogue, the cart and the policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules.outcome_texts import detail
from service.rules.outcomes import CatalogueItem, Outcome, Policy, Price, SourceLine, decide, options_digest
from service.texts import LANGUAGES

ENFORCE = Policy(stock="partial")
OPEN = Policy(stock="ignore", limits=False)


def line(id_: str = "L1", quantity: int = 1, **fields: Any) -> SourceLine:
    values: dict[str, Any] = {
        "id": id_, "item_type": "skus", "sku_id": "S1", "sku_code": "MUG", "name": "Mug", "options": {},
        "quantity": quantity, "currency_code": "EUR", "unit_amount_cents": 500,
    }  # fmt: skip
    return SourceLine(**values | fields)


def item(**fields: Any) -> CatalogueItem:
    values: dict[str, Any] = {
        "sku_id": "S1", "number": 1, "code": "MUG", "name": "Mug", "currency_code": "EUR", "prices": [Price(1, 500)],
    }  # fmt: skip
    return CatalogueItem(**values | fields)


def one(
    line: SourceLine,
    item: CatalogueItem | None,
    policy: Policy = OPEN,
    held: Mapping[tuple[str, str], int] | None = None,
) -> Outcome:
    catalogue = {} if item is None else {item.sku_id: item}
    (outcome,) = decide([line], catalogue, held or {}, policy)
    return outcome


SIZES = [{"name": "size", "required": True, "values": ["S", "M"]}, {"name": "text", "required": False, "values": []}]


@pytest.mark.parametrize(
    ("source", "sku", "code"),
    [
        (line(item_type="percentage_discount_promotions", sku_id=None), None, "not_reorderable"),
        (line(item_type="gift_cards"), item(), "not_reorderable"),
        (line(sku_id=None), None, "product_deleted"),
        (line(sku_id="S2"), item(), "product_deleted"),
        (line(), item(deleted=True), "product_deleted"),
        (line(), item(disabled=True), "product_disabled"),
        (line(), item(published=False), "not_published"),
        (line(), item(reorderable=False), "not_reorderable"),
        (line(options={"size": "S", "colour": "red"}), item(options=SIZES), "option_invalid"),
        (line(options={"size": "XL"}), item(options=SIZES), "option_invalid"),
        (line(options={"text": "Hi"}), item(options=SIZES), "option_required"),
        (line(options={"size": "S"}), item(), "option_invalid"),
        (line(), item(prices=[]), "no_price"),
        (line(), item(prices=[], priced_elsewhere=True), "currency_mismatch"),
        (line(), item(prices=[Price(10, 100)]), "no_price"),
    ],
)
def test_a_line_that_cannot_be_had_is_skipped_with_its_reason(
    source: SourceLine, sku: CatalogueItem | None, code: str
) -> None:
    outcome = one(source, sku)
    assert (outcome.status, outcome.code, outcome.resulting_quantity) == ("skipped", code, 0)


def test_the_first_reason_in_the_fixed_order_is_given() -> None:
    wrong = {"deleted": True, "disabled": True, "published": False, "options": SIZES, "prices": [], "stock": 0}
    reasons = []
    for name, right in [
        ("deleted", False), ("disabled", False), ("published", True), ("options", []), ("prices", [Price(1, 1)]),
        ("stock", 9),
    ]:  # fmt: skip
        reasons.append(one(line(), item(**wrong), ENFORCE).code)
        wrong[name] = right
    assert reasons == [
        "product_deleted", "product_disabled", "not_published", "option_required", "no_price", "out_of_stock",
    ]  # fmt: skip
    assert one(line(), item(**wrong), ENFORCE).status == "added"


def test_accepted_options_are_added() -> None:
    outcome = one(line(options={"size": "M", "text": "anything"}), item(options=SIZES))
    assert (outcome.status, outcome.code) == ("added", None)


def test_variants_and_texts_stay_apart_and_equal_lines_merge() -> None:
    options = [{"name": "size", "required": True, "values": ["S", "M", "L"]}]
    lines = [line("a", options={"size": "S"}), line("b", options={"size": "M"}), line("c", options={"size": "S"})]
    held = {("S1", options_digest({"size": "M"})): 1}
    outcomes = decide(lines, {"S1": item(options=options)}, held, OPEN)
    assert [o.code for o in outcomes] == [None, "merged_into_existing_line", "merged_into_existing_line"]
    apart = decide(lines, {"S1": item(options=options)}, held, replace(OPEN, merge=False))
    assert [o.status for o in apart] == ["added"] * 3


def test_two_products_of_one_name_are_two_products() -> None:
    skus = {"S1": item(), "S2": item(sku_id="S2", number=2, disabled=True)}
    first, second = decide([line("a"), line("b", sku_id="S2")], skus, {}, OPEN)
    assert (first.status, second.code) == ("added", "product_disabled")


@pytest.mark.parametrize(
    ("quantity", "held", "limits", "resulting", "code"),
    [
        (6, 0, {"max_quantity": 10}, 6, None),
        (12, 0, {"max_quantity": 10}, 10, "quantity_reduced_max"),
        (6, 6, {"max_quantity": 10}, 4, "quantity_reduced_max"),
        (1, 1, {"max_quantity": 1}, 0, "quantity_below_min"),
        (1, 5, {"max_quantity": 3}, 0, "quantity_below_min"),
        (2, 0, {"min_quantity": 5}, 5, "quantity_raised_min"),
        (2, 3, {"min_quantity": 5}, 2, None),
        (4, 0, {"step_quantity": 3}, 6, "quantity_rounded_step"),
        (4, 2, {"step_quantity": 3}, 4, None),
        (4, 0, {"step_quantity": 6, "max_quantity": 5}, 0, "quantity_below_min"),
        (5, 0, {"step_quantity": 3, "max_quantity": 5}, 3, "quantity_reduced_max"),
        (1, 0, {"step_quantity": 4, "min_quantity": 6}, 8, "quantity_raised_min"),
    ],
)
def test_limits_look_at_the_sum_in_the_cart(
    quantity: int, held: int, limits: dict[str, int], resulting: int, code: str | None
) -> None:
    in_cart = {("S1", "other options"): held} if held else {}
    outcome = one(line(quantity=quantity), item(**limits), Policy(), in_cart)
    assert (outcome.resulting_quantity, outcome.code) == (resulting, code)
    assert one(line(quantity=quantity), item(**limits), OPEN, in_cart).resulting_quantity == quantity


def test_two_lines_of_six_share_a_limit_of_ten() -> None:
    options = [{"name": "colour", "required": True, "values": ["red", "blue"]}]
    lines = [line("a", 6, options={"colour": "red"}), line("b", 6, options={"colour": "blue"})]
    outcomes = decide(lines, {"S1": item(options=options, max_quantity=10)}, {}, Policy())
    assert [(o.resulting_quantity, o.code) for o in outcomes] == [(6, None), (4, "quantity_reduced_max")]


@pytest.mark.parametrize(
    ("policy", "quantity", "held", "stock", "expected"),
    [
        ("ignore", 5, 0, 3, (5, None, ("low_stock",))),
        ("ignore", 2, 2, 3, (2, None, ("low_stock",))),
        ("ignore", 3, 0, 3, (3, None, ())),
        ("ignore", 3, 0, None, (3, None, ())),
        ("partial", 5, 0, 3, (3, "quantity_reduced_stock", ())),
        ("partial", 5, 1, 3, (2, "quantity_reduced_stock", ())),
        ("partial", 5, 3, 3, (0, "out_of_stock", ())),
        ("partial", 5, 0, 0, (0, "out_of_stock", ())),
        ("skip", 5, 0, 3, (0, "out_of_stock", ())),
        ("skip", 3, 0, 3, (3, None, ())),
    ],
)
def test_stock_by_policy(
    policy: Any,
    quantity: int,
    held: int,
    stock: int | None,
    expected: tuple[int, str | None, tuple[str, ...]],
) -> None:
    in_cart = {("S1", "other options"): held} if held else {}
    outcome = one(line(quantity=quantity), item(stock=stock), Policy(stock=policy), in_cart)
    assert (outcome.resulting_quantity, outcome.code, outcome.notices) == expected


def test_what_stock_leaves_must_still_suit_the_limits() -> None:
    assert one(line(quantity=6), item(stock=5, step_quantity=3), ENFORCE).resulting_quantity == 3
    assert one(line(quantity=6), item(stock=5, min_quantity=6), ENFORCE).code == "quantity_below_min"


def test_the_price_is_the_lowest_for_the_sum() -> None:
    sku = item(prices=[Price(1, 600), Price(5, 400), Price(5, 450)])
    assert one(line(quantity=4), sku).current_unit_amount_cents == 600
    assert one(line(quantity=4), sku, held={("S1", ""): 1}).current_unit_amount_cents == 400


def test_notices_tell_what_changed_since() -> None:
    assert one(line(unit_amount_cents=400), item()).notices == ("price_increased",)
    assert one(line(unit_amount_cents=600), item()).notices == ("price_decreased",)
    assert one(line(name="Cup", with_coupon=True), item()).notices == ("name_changed", "coupon_dropped")
    assert one(line(unit_amount_cents=400, currency_code="USD"), item()).notices == ()


def test_the_digest_of_options_knows_no_order() -> None:
    assert options_digest({"a": "1", "b": "2"}) == options_digest({"b": "2", "a": "1"}) != options_digest({"a": "1"})
    assert options_digest({}) == ""


Case = tuple[list[SourceLine], dict[str, CatalogueItem], dict[tuple[str, str], int], Policy]

quantities = st.integers(1, 40)
offered = st.sampled_from([[], [{"name": "size", "required": True, "values": ["S", "M"]}]])
chosen = st.sampled_from([{}, {"size": "S"}, {"size": "M"}, {"size": "XL"}])


@st.composite
def items(draw: st.DrawFn, sku_id: str) -> CatalogueItem:
    minimum = draw(st.integers(1, 6))
    maximum = draw(st.none() | st.integers(minimum, 30))
    tiers = st.builds(Price, st.integers(1, 10), st.integers(0, 1000))
    return item(
        sku_id=sku_id,
        options=draw(offered),
        min_quantity=minimum,
        max_quantity=maximum,
        step_quantity=draw(st.integers(1, 6)),
        deleted=draw(st.booleans()) and draw(st.booleans()),
        disabled=draw(st.booleans()) and draw(st.booleans()),
        prices=draw(st.just([Price(1, 500)]) | st.lists(tiers, max_size=3)),
        stock=draw(st.none() | st.integers(0, 40)),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    skus = {sku_id: draw(items(sku_id)) for sku_id in draw(st.sets(st.sampled_from("ABC")))}
    lines = [
        line(
            str(index), draw(quantities), sku_id=draw(st.sampled_from(["A", "B", "C", None])), options=draw(chosen),
            item_type=draw(st.sampled_from(["skus", "skus", "skus", "shipments"])),
        )
        for index in range(draw(st.integers(0, 8)))
    ]  # fmt: skip
    keys = st.tuples(st.sampled_from("ABC"), chosen.map(options_digest))
    held = draw(st.dictionaries(keys, quantities, max_size=4))
    policy = Policy(draw(st.sampled_from(["ignore", "partial", "skip"])), draw(st.booleans()), draw(st.booleans()))
    return lines, skus, held, policy


@given(cases())
def test_each_line_has_exactly_one_sound_outcome(case: Case) -> None:
    lines, skus, held, policy = case
    outcomes = decide(lines, skus, held, policy)
    assert [o.line for o in outcomes] == lines
    for o in outcomes:
        assert (o.code is None) == (o.status == "added")
        assert (o.resulting_quantity == 0) == o.skipped
        if not o.skipped:
            assert o.item is not None
            assert o.price in o.item.prices
            assert not o.item.deleted
            assert not o.item.disabled
        if o.status == "added":
            assert o.resulting_quantity == o.requested_quantity
        for language in LANGUAGES:
            assert (detail(o, language) is None) == (o.code is None)


@given(cases())
def test_the_sum_in_the_cart_keeps_within_limits_and_stock(case: Case) -> None:
    lines, skus, held, policy = case
    outcomes = decide(lines, skus, held, policy)
    before: Counter[str] = Counter()
    for (sku_id, _), quantity in held.items():
        before[sku_id] += quantity
    added: Counter[str] = Counter()
    for o in outcomes:
        if o.item is not None:
            added[o.item.sku_id] += o.resulting_quantity
    for sku_id in (sku_id for sku_id, quantity in added.items() if quantity):
        sku, total = skus[sku_id], before[sku_id] + added[sku_id]
        if policy.stock != "ignore" and sku.stock is not None:
            assert total <= sku.stock
        if policy.limits:
            assert total >= sku.min_quantity
            assert total % sku.step_quantity == 0
            assert sku.max_quantity is None or total <= sku.max_quantity


@given(cases())
def test_without_stock_and_limits_nothing_is_changed(case: Case) -> None:
    lines, skus, held, _ = case
    for o in decide(lines, skus, held, OPEN):
        assert o.resulting_quantity in (0, o.requested_quantity)
        assert o.code in {
            None, "merged_into_existing_line", "not_reorderable", "product_deleted", "product_disabled",
            "option_invalid", "option_required", "no_price",
        }  # fmt: skip


@given(cases())
def test_equal_lines_are_marked_as_merged_exactly_when_the_cart_has_one(case: Case) -> None:
    lines, skus, held, policy = case
    present = set(held)
    for o in decide(lines, skus, held, replace(policy, merge=True)):
        key = (str(o.line.sku_id), options_digest(o.line.options))
        if o.status == "added":
            assert key not in present
        if o.code == "merged_into_existing_line":
            assert key in present
        if not o.skipped:
            present.add(key)
