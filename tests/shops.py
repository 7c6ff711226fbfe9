"""Shops to generate, as `tests.calculator` knows them."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.calculator import Offer, Price, Product, Shop

_windows = st.sampled_from(["open", "running", "over", "ahead"])
_amounts = st.integers(0, 1500)

_prices = st.builds(
    Price, amount=_amounts, min_quantity=st.sampled_from([1, 1, 3, 5]), group=st.booleans(), window=_windows
)
_products = st.builds(
    lambda regular, others, tax_rate, ships: Product([Price(regular), *others], tax_rate, ships),
    _amounts,
    st.lists(_prices, max_size=3),
    st.sampled_from(["0.21", "0.09", "0", "0.333333", "1"]),
    st.booleans(),
)
_conditions = {
    "minimum": st.none() | st.integers(1, 6000),
    "products": st.lists(st.integers(0, 3), unique=True, max_size=2),
    "group": st.booleans(),
    "window": _windows,
}
_percentages = st.sampled_from(["0.01", "3.33", "10", "12.5", "50", "99.99", "100"])
_offers = st.builds(Offer, percentage=_percentages, **_conditions) | st.builds(
    Offer, amount=st.integers(1, 4000), **_conditions
)

shops = st.builds(
    Shop,
    products=st.lists(_products, min_size=4, max_size=4),
    lines=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=4, unique_by=lambda line: line[0]),
    offers=st.lists(_offers, max_size=4),
    coupon=st.none() | _offers,
    member=st.booleans(),
    tax_included=st.booleans(),
    shipping=st.sampled_from([0, 495]),
    paying=st.sampled_from([0, 30]),
)
"""A shop of four products with a cart of up to four of them."""
