"""Discounts by example, and against a calculation of their own over generated carts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.graph import graph
from service.rules.discounts import COUPON_PROBLEMS, Discounts, Line, Promotion, discounts
from tests import calculator
from tests.calculator import Offer, Shop
from tests.shops import shops


def promotion(id_: str = "p", **columns: Any) -> Promotion:
    if isinstance(columns.get("percentage"), str):
        columns["percentage"] = Decimal(columns["percentage"])
    return Promotion(id_, **columns)


def taken(totals: Sequence[int], *promotions: Promotion, coupon: str | None = None, group: str | None = None) -> Any:
    """The discounts, positive, and the coupon's status of lines of skus named a, b, c ..."""
    lines = [Line(code, total) for code, total in zip("abcdefgh", totals, strict=False)]
    found = discounts(lines, promotions, currency_code="EUR", customer_group_id=group, coupon_code=coupon)
    return [-cents for cents in found.lines], found.coupon_status


@pytest.mark.parametrize(
    ("totals", "promotions", "expected"),
    [
        ([1000], [], [0]),
        ([1000, 500], [promotion(percentage="10")], [100, 50]),
        ([333, 333, 333], [promotion(percentage="10")], [34, 33, 33]),
        ([5, 5], [promotion(percentage="50")], [3, 2]),
        ([25], [promotion(percentage="10")], [2]),
        ([1000, 500], [promotion(amount_cents=300)], [200, 100]),
        ([1000, 500, 1], [promotion(amount_cents=300, sku_codes=["b", "c"])], [0, 299, 1]),
        ([100, 50], [promotion(amount_cents=300)], [100, 50]),
        ([0, 0], [promotion(amount_cents=300)], [0, 0]),
        ([100], [promotion(percentage="100"), promotion("q", amount_cents=1)], [100]),
        # Percentages before amounts, whatever their ids; each of what is left.
        ([1000], [promotion("a", amount_cents=100), promotion("b", percentage="50")], [600]),
        ([1000], [promotion("a", percentage="50"), promotion("b", percentage="10")], [550]),
        ([1000], [promotion(percentage="10", minimum_subtotal_cents=1000)], [100]),
        ([999], [promotion(percentage="10", minimum_subtotal_cents=1000)], [0]),
        # A minimum is compared with what the cart comes to before discounts, of all its lines.
        ([600, 400], [promotion("a", percentage="90"), promotion("b", amount_cents=10, minimum_subtotal_cents=1000,
                                                                 sku_codes=["b"])], [540, 370]),
        ([1000], [promotion(percentage="10", customer_group_id="staff")], [0]),
        ([1000], [promotion(percentage="10", currency_code="USD")], [0]),
        ([1000], [promotion(percentage="10", currency_code="EUR")], [100]),
        ([1000], [promotion(percentage="10", closed="expired")], [0]),
        ([1000], [promotion(percentage="10", coupon_code="OTHER")], [0]),
        ([2**62, 1], [promotion(percentage="12.5")], [2**59, 0]),
    ],
)  # fmt: skip
def test_by_example(totals: list[int], promotions: list[Promotion], expected: list[int]) -> None:
    assert taken(totals, *promotions) == (expected, None)


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({}, "applied"),
        ({"coupon_code": "OTHER"}, "unknown"),
        ({"closed": "disabled"}, "disabled"),
        ({"closed": "not_started"}, "not_started"),
        ({"closed": "expired"}, "expired"),
        ({"closed": "used_up"}, "used_up"),
        ({"customer_group_id": "staff"}, "not_for_customer"),
        ({"customer_group_id": "members"}, "applied"),
        ({"currency_code": "USD"}, "not_for_currency"),
        ({"minimum_subtotal_cents": 1001}, "minimum_not_reached"),
        ({"sku_codes": ["z"]}, "no_matching_items"),
    ],
)
def test_what_becomes_of_a_coupon(columns: dict[str, Any], status: str) -> None:
    coupon = promotion(**{"coupon_code": "TEN", "percentage": "10"} | columns)
    assert taken([1000], coupon, coupon="TEN", group="members") == ([100 if status == "applied" else 0], status)


def test_a_coupon_comes_last_and_is_taken_off_what_is_left() -> None:
    coupon = promotion("a", coupon_code="TEN", percentage="10")
    assert taken([1000], coupon, promotion("b", amount_cents=500), coupon="TEN") == ([550], "applied")
    everything = promotion("b", percentage="100")
    assert taken([1000], coupon, everything, coupon="TEN") == ([1000], "applied")


def test_an_empty_cart_can_have_a_coupon_without_conditions() -> None:
    assert taken([], promotion(coupon_code="TEN", percentage="10"), coupon="TEN") == ([], "applied")
    limited = promotion(coupon_code="TEN", percentage="10", sku_codes=["a"])
    assert taken([], limited, coupon="TEN") == ([], "no_matching_items")


def test_every_status_is_the_schemas_and_has_its_words() -> None:
    choices = graph["carts"].attributes["coupon_status"].schema()["enum"]
    assert {"applied", *COUPON_PROBLEMS} == {choice for choice in choices if choice is not None}


def of(shop: Shop) -> Discounts:
    """The discounts of a generated shop's cart by the service's own rule."""
    units = calculator.amounts(shop).units
    lines = [
        Line(f"sku{product}", unit * quantity) for unit, (product, quantity) in zip(units, shop.lines, strict=True)
    ]
    offers = [*shop.offers, *([shop.coupon] if shop.coupon else [])]
    return discounts(
        lines,
        [promotion_of(n, offer, coupon=offer is shop.coupon) for n, offer in enumerate(offers)],
        currency_code="EUR",
        customer_group_id="members" if shop.member else None,
        coupon_code="CODE" if shop.coupon else None,
    )


def promotion_of(number: int, offer: Offer, *, coupon: bool) -> Promotion:
    return promotion(
        f"p{number}",
        percentage=offer.percentage,
        amount_cents=offer.amount,
        coupon_code="CODE" if coupon else None,
        minimum_subtotal_cents=offer.minimum,
        sku_codes=[f"sku{product}" for product in offer.products],
        customer_group_id="members" if offer.group else None,
        closed={"over": "expired", "ahead": "not_started"}.get(offer.window),
    )


@given(shops)
def test_discounts_equal_an_independent_calculation(shop: Shop) -> None:
    expected, found = calculator.amounts(shop), of(shop)
    assert found.lines == expected.discounts
    assert (found.coupon_status == "applied") == expected.coupon_applies


amounts = st.integers(0, 2**62)
promotions = st.builds(
    promotion,
    st.uuids().map(str),
    percentage=st.integers(1, 10_000).map(lambda hundredths: Decimal(hundredths).scaleb(-2)),
    sku_codes=st.lists(st.sampled_from("abcd"), max_size=2),
) | st.builds(
    promotion,
    st.uuids().map(str),
    amount_cents=st.integers(1, 2**62),
    sku_codes=st.lists(st.sampled_from("abcd"), max_size=2),
)


@given(st.lists(amounts, max_size=4), st.lists(promotions, max_size=5), st.randoms())
def test_no_line_goes_below_zero_and_the_order_of_promotions_does_not_matter(
    totals: list[int], offers: list[Promotion], random: Any
) -> None:
    found, _ = taken(totals, *offers)
    assert all(0 <= cents <= total for cents, total in zip(found, totals, strict=True))
    shuffled = random.sample(offers, len(offers))
    assert taken(totals, *shuffled)[0] == found


@given(st.lists(amounts, min_size=1, max_size=4), promotions)
def test_the_lines_of_a_discount_add_up_to_it_and_share_it_fairly(totals: list[int], offer: Promotion) -> None:
    found, _ = taken(totals, offer)
    covered = [n for n in range(len(totals)) if not offer.sku_codes or "abcd"[n] in offer.sku_codes]
    base = sum(totals[n] for n in covered)
    if offer.percentage is not None:
        assert sum(found) == round(base * Fraction(offer.percentage) / 100)
    else:
        assert sum(found) == min(offer.amount_cents or 0, base)
    for n in covered:
        assert abs(found[n] * base - sum(found) * totals[n]) < max(base, 1)
