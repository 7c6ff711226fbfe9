"""Subscriptions of the demo shop's customer that show what there is.

They have terms, a substitute, a card that ends, a delivery that is not paid yet, and deliveries that are paid ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import orjson

from service.demo.documents import Documented, Fittings
from service.demo.rows import Line, Product, Sheet
from service.demo.subscriptions import Copy, add_subscription
from service.gateways.testing import APPROVES
from service.rules.prepaid import Period, Price, cost, parts_of
from service.rules.totals import line_totals, totals

COFFEE: Final = "coffee-club"
"""The subscription with terms: it costs less at first, and lasts for three deliveries at least."""
UNPAID: Final = "tote-unpaid"
"""The subscription whose last delivery is not paid yet, and the action link with which it can be."""
PREPAID: Final = "coffee-prepaid"
"""The subscription that pays for four deliveries at once, of which three are still to come."""

_PHASES: Final = [{"occurrences": 3, "percentage": 10}, {"occurrences": None, "percentage": 5}]


def add_showcase(sheet: Sheet, fittings: Fittings, timezone: str, documented: Documented) -> list[Copy]:
    """Add the subscriptions with what they are of; gives their past runs, for `add_copy`."""
    days, opened = timedelta(days=1), sheet.at - timedelta(days=300)
    card = sheet.add(
        "customer_payment_sources",
        sheet.at - timedelta(days=300),
        customer_id=documented.sam.id,
        payment_method_id=fittings.card_id,
        name="Visa ending in 4242",
        gateway="test",
        payment_source_token=APPROVES,
        expires_at=sheet.at + 25 * days,
    )
    house = sheet.product(
        opened,
        "COFFEE-HOUSE",
        "House Blend, 500 g",
        picture=("bright", "coffee"),
        price=1150,
        tax_rate="0.09",
        substitute_sku_codes=["COFFEE-DARK"],
    )
    sheet.product(
        opened, "COFFEE-DARK", "Dark Roast, 500 g", picture=("black", "coffee"), price=1240, stock=60, tax_rate="0.09"
    )
    source = sheet.order(
        sheet.at - 18 * days,
        documented.sam._replace(wallet=card),
        [Line(house, 2), Line(documented.mug, 1)],
        fittings.card,
        status="approved",
    )
    terms = {
        "price_mode": "current",
        "unavailable_policy": "substitute",
        "min_occurrences": 3,
        "pricing_phases": orjson.dumps(_PHASES).decode(),
    }
    copies = add_subscription(
        sheet, source, frequency="monthly", timezone=timezone, model_id=fittings.model_id, terms=terms, id=COFFEE
    )
    bag = sheet.order(
        sheet.at - 33 * days, documented.sam, [Line(documented.tote, 1)], fittings.parcel, status="approved"
    )
    copies += add_subscription(
        sheet,
        bag,
        frequency="monthly",
        timezone=timezone,
        model_id=fittings.model_id,
        last_unpaid=True,
        id=UNPAID,
    )
    return [*copies, *_prepaid(sheet, fittings, timezone, documented, house)]


def _prepaid(
    sheet: Sheet, fittings: Fittings, timezone: str, documented: Documented, product: Product
) -> Iterator[Copy]:
    """Add the subscription that is paid ahead; gives its past runs, the last of which pays for those to come."""
    begun, methods = sheet.at - timedelta(days=45), fittings.parcel
    source = sheet.order(begun, documented.sam, [Line(product, 1)], methods, status="approved")
    terms = {"prepaid_occurrences": 4}
    *before, last = add_subscription(
        sheet, source, frequency="monthly", timezone=timezone, model_id=fittings.model_id, terms=terms, id=PREPAID
    )
    items = [row for row in sheet.rows["order_subscription_items"] if row["order_subscription_id"] == PREPAID]
    amounts = line_totals(1, product.price_at(begun), product.tax_rate, tax_included=True)
    each = cost(totals([amounts], shipping_amount_cents=methods.shipping_cents))
    prices = {row["id"]: Price(row["sku_id"], row["unit_amount_cents"]) for row in items}
    pays = Period(prices, methods.shipping, methods.shipping_cents, parts_of([each] * 3))
    yield from before
    yield replace(last, pays=pays)


def add_pay_link(sheet: Sheet, order_id: str) -> None:
    """Add the action link with which the order of a run that is not paid yet can be."""
    days = timedelta(days=1)
    sheet.add(
        "action_links",
        sheet.at - days,
        id=UNPAID,
        order_subscription_id=UNPAID,
        action="pay",
        order_id=order_id,
        occurrence_index=1,
        expires_at=sheet.at + 30 * days,
    )
