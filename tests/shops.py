"""Shops as `tests.calculator` knows them: to generate, and to open in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import counted, factories
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
    lines=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=4),
    offers=st.lists(_offers, max_size=4),
    coupon=st.none() | _offers,
    member=st.booleans(),
    tax_included=st.booleans(),
    shipping=st.sampled_from([0, 495]),
    paying=st.sampled_from([0, 30]),
)
"""A shop of four products with a cart of up to four of them."""


@dataclass(frozen=True)
class Opened:
    """A shop that is in the database, its customer a member of the group if the shop says so."""

    shop: Shop
    store: Store
    skus: Sequence[factories.Sku]
    group_id: str
    customer_id: str
    shipping_method_id: str
    payment_method_id: str


async def open_shop(connection: Connection, store: Store, shop: Shop) -> Opened:
    """Put a generated shop into a store, all but its cart; a line's `options` may name the line."""
    await connection.execute(
        "update stores set prices_include_tax = $2 where store_id = $1", store.id, shop.tax_included
    )
    group_id = await factories.insert(connection, "customer_groups", store, name="Members")
    skus = [await _sku(connection, store, product, group_id) for product in shop.products]
    for number, offer in enumerate(shop.offers):
        await _promote(connection, store, offer, skus, group_id, id=f"p{number}")
    if shop.coupon is not None:
        await _promote(connection, store, shop.coupon, skus, group_id, coupon_code="CODE")
    return Opened(
        shop,
        store,
        skus,
        group_id,
        await factories.customer(connection, store, customer_group_id=group_id if shop.member else None),
        await factories.shipping_method(connection, store, price_amount_cents=shop.shipping),
        await factories.payment_method(connection, store, price_amount_cents=shop.paying),
    )


async def _sku(connection: Connection, store: Store, product: Product, group_id: str) -> factories.Sku:
    sku = await factories.sku(
        connection,
        store,
        price=None,
        tax_rate=Decimal(product.tax_rate),
        do_not_ship=not product.ships,
        options=[{"name": "line"}],
    )
    await _price(connection, store, sku, product, group_id)
    return sku


async def _price(connection: Connection, store: Store, sku: factories.Sku, product: Product, group_id: str) -> None:
    for price in product.prices:
        columns = {
            "sku_id": sku.id,
            "currency_code": store.currency_code,
            "amount_cents": price.amount,
            "min_quantity": price.min_quantity,
            "customer_group_id": group_id if price.group else None,
        }
        await factories.insert(connection, "prices", store, **columns | _window(price.window))


async def change_shop(connection: Connection, opened: Opened, shop: Shop) -> None:
    """Bring an open shop to the prices, tax rates, automatic promotions and costs of another generated one."""
    store = opened.store
    for statement in (
        "delete from prices where store_id = $1",
        "delete from promotions where store_id = $1 and coupon_code is null",
    ):
        await connection.execute(statement, store.id)
    await counted.anew(connection, store)
    for sku, product in zip(opened.skus, shop.products, strict=True):
        await connection.execute(
            "update skus set tax_rate = $3, do_not_ship = $4 where store_id = $1 and id = $2",
            store.id, sku.id, Decimal(product.tax_rate), not product.ships,
        )  # fmt: skip
        await _price(connection, store, sku, product, opened.group_id)
    for number, offer in enumerate(shop.offers):
        await _promote(connection, store, offer, opened.skus, opened.group_id, id=f"p{number}")
    for table, price in (("shipping_methods", shop.shipping), ("payment_methods", shop.paying)):
        await connection.execute(f"update {table} set price_amount_cents = $2 where store_id = $1", store.id, price)


async def _promote(
    connection: Connection, store: Store, offer: Offer, skus: Sequence[factories.Sku], group_id: str, **columns: Any
) -> None:
    values = {
        "name": "Offer",
        "kind": "fixed" if offer.percentage is None else "percent",
        "percentage": None if offer.percentage is None else Decimal(offer.percentage),
        "amount_cents": offer.amount,
        "currency_code": None if offer.amount is None and offer.minimum is None else store.currency_code,
        "minimum_subtotal_cents": offer.minimum,
        "sku_codes": [skus[product].code for product in offer.products],
        "customer_group_id": group_id if offer.group else None,
    }
    await factories.insert(connection, "promotions", store, **values | _window(offer.window) | columns)


def _window(name: str) -> dict[str, Any]:
    """The columns of something that is valid then."""
    at, day = clock.now(), timedelta(days=1)
    return {
        "open": {},
        "running": {"starts_at": at - day, "expires_at": at + day},
        "over": {"expires_at": at - day},
        "ahead": {"starts_at": at + day},
    }[name]
