"""The samples of the three contracts' documents: their requests work verbatim on a store that has these rows.

Ecwid's orders JJ5HH, EG4H2, J77J8 and SALE-G01ZG; WeMasy's order 2502, its three products and the session of the
customer's cart; Commerce Layer's order ABCRtyUpBa and subscription BCDRtyUpBa.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from service.demo.rows import Line, Methods, Person, Product, Sheet
from service.demo.subscriptions import add_subscription
from service.rules.totals import line_totals, totals

CUSTOMER_ID = "sam-sample"
"""The customer of all the documents' orders."""

SESSION = "abc123def456ghi789"
"""The session of that customer's active cart."""


@dataclass(frozen=True, slots=True)
class Fittings:
    """What a store needs before it can sell: its methods, and the model of its subscriptions."""

    parcel: Methods
    express: Methods
    card: Methods
    card_id: str
    transfer_id: str
    model_id: str
    wholesale_id: str


def add_fittings(sheet: Sheet) -> Fittings:
    """Add shipping and payment methods, a customer group, promotions, tags and a subscription model."""
    opened = sheet.at - timedelta(days=1000)
    currency = sheet.currency_code

    def shipping(name: str, cents: int) -> str:
        columns = {"name": name, "currency_code": currency, "price_amount_cents": cents}
        return sheet.add("shipping_methods", opened, **columns)

    def payment(name: str, type_: str, gateway: str) -> str:
        columns = {"name": name, "payment_source_type": type_, "gateway": gateway, "currency_code": currency}
        return sheet.add("payment_methods", opened, **columns)

    parcel, express = shipping("Parcel post", 495), shipping("Express", 1295)
    transfer = payment("Bank transfer", "wire_transfers", "manual")
    card = payment("Card", "stripe_payments", "test")
    wholesale = sheet.add("customer_groups", opened, name="Wholesale", code="wholesale")
    sheet.add(
        "promotions",
        opened,
        name="Ten percent off with SAMPLE10",
        kind="percent",
        coupon_code="SAMPLE10",
        percentage=10,
    )
    for name in ("newsletter", "gift", "fragile"):
        sheet.add("tags", opened, name=name)
    model = sheet.add(
        "subscription_models", opened, name="Every order again", frequencies=["weekly", "monthly", "three-month"]
    )
    return Fittings(
        parcel=Methods(parcel, 495, transfer),
        express=Methods(express, 1295, transfer),
        card=Methods(parcel, 495, card),
        card_id=card,
        transfer_id=transfer,
        model_id=model,
        wholesale_id=wholesale,
    )


@dataclass(frozen=True, slots=True)
class _Products:
    """What the documents' orders hold."""

    shirt: Product
    mug: Product
    discontinued: Product
    tote: Product
    beans: Product
    filters: Product
    lamp: Product
    poster: Product


class Documented(NamedTuple):
    """The documents' customer, and products that can be had."""

    sam: Person
    mug: Product
    tote: Product


def add_documents(sheet: Sheet, fittings: Fittings, timezone: str) -> Documented:
    """Add the documents' products, customer, orders, subscription and cart; gives what others can build on."""
    products = _products(sheet)
    sam = _sam(sheet, fittings)
    _orders_to_link_to(sheet, fittings, products, sam)
    days = timedelta(days=1)
    sheet.order(
        sheet.at - 40 * days,
        sam,
        [Line(products.shirt, 2), Line(products.mug, 1), Line(products.discontinued, 1)],
        fittings.parcel,
        number=2502,
        status="approved",
    )
    repeated = sheet.order(
        sheet.at - 10 * days,
        sam,
        [Line(products.beans, 2), Line(products.filters, 1)],
        fittings.parcel,
        number=2503,
        id="ABCRtyUpBa",
        billing={
            "business": True,
            "first_name": None,
            "last_name": None,
            "company": "Sample Roastery",
            "line_1": "Placeholder Square 3",
            "city": "Sampleton",
            "zip_code": "0000 AB",
            "country_code": "NL",
            "phone": None,
            "email": "office@example.com",
        },
    )
    add_subscription(
        sheet, repeated, frequency="monthly", timezone=timezone, model_id=fittings.model_id, id="BCDRtyUpBa"
    )
    _cart(sheet, sam, products.poster)
    _webhook(sheet, repeated.at)
    return Documented(sam, products.mug, products.tote)


def _products(sheet: Sheet) -> _Products:
    days = timedelta(days=1)
    opened, changed = sheet.at - 900 * days, sheet.at - 20 * days
    return _Products(
        shirt=sheet.product(
            opened,
            "TSHIRT-BLUE",
            "Blue T-Shirt",
            picture=("blue", "shirt"),
            number=42,
            price=1995,
            previous=1795,
            changed_at=changed,
            stock=250,
            description="A plain shirt of organic cotton.",
        ),
        mug=sheet.product(
            opened,
            "MUG-COTTON",
            "Cotton Mug",
            picture=("cream", "mug"),
            number=13,
            price=895,
            previous=995,
            changed_at=changed,
            stock=80,
        ),
        discontinued=sheet.product(
            opened,
            "MUG-OLD",
            "Discontinued Mug",
            picture=("grey", "mug"),
            number=7,
            price=795,
            disabled_at=changed,
            stock=0,
        ),
        tote=sheet.product(
            opened, "TOTE-CANVAS", "Canvas Tote Bag", picture=("plain", "bag"), number=21, price=1250, stock=40
        ),
        beans=sheet.product(
            opened,
            "BEANS-1KG",
            "Coffee Beans 1 kg",
            picture=("brown", "coffee"),
            number=31,
            price=1890,
            stock=500,
            tax_rate="0.09",
        ),
        filters=sheet.product(
            opened, "FILTERS-100", "Coffee Filters, 100 pieces", picture=("white", "filters"), number=32, price=350
        ),
        lamp=sheet.product(opened, "LAMP-DESK", "Desk Lamp", picture=("black", "lamp"), number=55, price=4900, stock=0),
        poster=sheet.product(
            opened,
            "POSTER-MAP",
            "Map Poster",
            picture=("green", "poster"),
            number=60,
            price=1500,
            stock=15,
            max_quantity=5,
        ),
    )


def _sam(sheet: Sheet, fittings: Fittings) -> Person:
    return sheet.person(
        sheet.at - timedelta(days=800),
        "sam.sample@example.com",
        {
            "business": False,
            "first_name": "Sam",
            "last_name": "Sample",
            "company": None,
            "line_1": "Example Street 12",
            "city": "Sampleton",
            "zip_code": "0000 AA",
            "country_code": "NL",
            "phone": "+1 202 555 0142",
            "email": "sam.sample@example.com",
        },
        wallet={
            "payment_method_id": fittings.transfer_id,
            "name": "Account of Sam Sample",
            "gateway": "manual",
            "customer_token": "cus_sample",
            "payment_source_token": "src_sample",
        },
        id=CUSTOMER_ID,
    )


def _orders_to_link_to(sheet: Sheet, fittings: Fittings, products: _Products, sam: Person) -> None:
    """Add Ecwid's orders: one that can be had again whole, one in part, one not at all, and one that was on sale."""
    days = timedelta(days=1)
    sheet.order(
        sheet.at - 60 * days,
        sam,
        [Line(products.shirt, 1), Line(products.mug, 2), Line(products.tote, 1)],
        fittings.parcel,
        number=1001,
        code="JJ5HH",
        status="approved",
    )
    sheet.order(
        sheet.at - 55 * days,
        sam,
        [Line(products.lamp, 1), Line(products.poster, 3), Line(products.discontinued, 2)],
        fittings.express,
        number=1002,
        code="EG4H2",
        status="approved",
    )
    sheet.order(
        sheet.at - 50 * days,
        sam,
        [Line(products.discontinued, 1)],
        fittings.parcel,
        number=1003,
        code="J77J8",
        status="approved",
    )
    sheet.order(
        sheet.at - 45 * days,
        sam,
        [Line(products.shirt, 3), Line(products.beans, 1)],
        fittings.parcel,
        number=1004,
        code="SALE-G01ZG",
        status="approved",
        discount_percent=10,
        coupon_code="SAMPLE10",
    )


def _webhook(sheet: Sheet, at: datetime) -> None:
    """Add a webhook with the delivery that it was tested by."""
    url = "https://example-store.example.com/hooks/reprise"
    webhook_id = sheet.webhook("order_subscriptions.last_run_failed", url, at)
    event_id = sheet.event("webhooks.test", webhook_id, at)
    tried, done = at + timedelta(seconds=1), at + timedelta(seconds=7)
    event = {"id": event_id, "name": "webhooks.test", "sequence": 1, "payload": {}}
    document = {"data": {"type": "webhooks", "id": webhook_id}, "meta": {"event": event}}
    sheet.add(
        "event_callbacks",
        tried,
        webhook_id=webhook_id,
        event_id=event_id,
        callback_url=url,
        payload=json.dumps(document),
        status="delivered",
        attempts_count=2,
        last_attempt_at=done,
        delivered_at=done,
        response_code="200",
        response_message="OK",
    )


def _cart(sheet: Sheet, sam: Person, product: Product) -> None:
    """Add the customer's active cart, with something in it to append to."""
    at = sheet.at - timedelta(hours=2)
    amount = line_totals(1, product.price, product.tax_rate, tax_included=True)
    total = totals([amount])
    cart_id = sheet.add(
        "carts",
        at,
        session=SESSION,
        customer_id=sam.id,
        customer_email=sam.email,
        currency_code=sheet.currency_code,
        subtotal_amount_cents=total.subtotal,
        total_tax_amount_cents=total.tax,
        total_amount_cents=total.total,
    )
    sheet.add(
        "cart_items",
        at,
        cart_id=cart_id,
        sku_id=product.id,
        sku_code=product.code,
        name=product.name,
        image_url=product.image_url,
        quantity=1,
        currency_code=sheet.currency_code,
        unit_amount_cents=product.price,
        total_amount_cents=amount.total,
        tax_rate=product.tax_rate,
        tax_amount_cents=amount.tax,
    )
