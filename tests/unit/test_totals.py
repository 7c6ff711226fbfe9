"""Amounts of lines and carts, compared with exact fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Invalid
from service.rules.totals import MAX_CENTS, line_totals, tax, totals

amounts = st.integers(0, MAX_CENTS)
rates = st.integers(0, 10**6).map(lambda millionths: Decimal(millionths).scaleb(-6))


@pytest.mark.parametrize(
    ("amount", "rate", "included", "expected"),
    [
        (121, "0.21", True, 21),
        (100, "0.21", False, 21),
        (1000, "0.21", True, 174),
        (50, "0.05", False, 2),
        (150, "0.05", False, 8),
        (1, "0.5", False, 0),
        (3, "0.5", False, 2),
        (999, "0", True, 0),
        (100, "1", True, 50),
    ],
)
def test_tax_by_example(amount: int, rate: str, included: bool, expected: int) -> None:  # noqa: FBT001
    assert tax(amount, Decimal(rate), included=included) == expected


@given(amounts, rates, st.booleans())
def test_tax_is_the_exact_share_rounded_half_to_even(amount: int, rate: Decimal, included: bool) -> None:  # noqa: FBT001
    share = Fraction(rate) / (1 + Fraction(rate)) if included else Fraction(rate)
    assert tax(amount, rate, included=included) == round(amount * share)


@given(st.integers(1, 10**6), st.integers(0, 10**9), rates, st.booleans(), st.integers(0, 10**6))
def test_a_line_is_quantity_times_price_and_tax_follows_the_discount(
    quantity: int,
    unit: int,
    rate: Decimal,
    included: bool,  # noqa: FBT001
    discount: int,
) -> None:
    line = line_totals(quantity, unit, rate, tax_included=included, discount_cents=-discount)
    assert line.total == quantity * unit
    assert line.tax == tax(max(line.total - discount, 0), rate, included=included)


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 10**6), rates), max_size=20), st.integers(0, 10**4))
def test_a_cart_is_the_sum_of_its_lines_and_costs(lines: list[tuple[int, int, Decimal]], shipping: int) -> None:
    parts = [line_totals(quantity, unit, rate, tax_included=True) for quantity, unit, rate in lines]
    whole = totals(parts, shipping_amount_cents=shipping, payment_method_amount_cents=50)
    assert whole.subtotal == sum(quantity * unit for quantity, unit, _ in lines)
    assert whole.total == whole.subtotal + shipping + 50
    assert whole.tax == sum(part.tax for part in parts)


def test_amounts_beyond_the_database_are_refused() -> None:
    assert line_totals(1, MAX_CENTS, Decimal(0), tax_included=True).total == MAX_CENTS
    with pytest.raises(Invalid):
        line_totals(2, MAX_CENTS, Decimal(0), tax_included=True)
    half = line_totals(1, MAX_CENTS, Decimal(0), tax_included=True)
    with pytest.raises(Invalid):
        totals([half, half])
