"""What a line sells: the sku as it can be had, at which price, and the limits of lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import orjson

from service.errors import Invalid
from service.jsonapi.nearness import nearest
from service.operations.catalogue import pricing, skus
from service.operations.generic.change import Change
from service.operations.parties import customers
from service.rules.outcome_texts import phrase
from service.rules.outcomes import CatalogueItem, ItemKey, Outcome, Policy, SourceLine, decide
from service.rules.totals import MAX_CENTS, line_totals, tax

MAX_LINES = 1_000
"""How many lines a cart, an order or a subscription holds."""

SOLD = ("sku_code", "options", "quantity", "item_type")
"""Columns that say what is ordered."""

_SWAP = "_swap"
"""The trigger by which a line names another sku."""

_POINTED = {
    "option_invalid": "options",
    "option_required": "options",
    "quantity_below_min": "quantity",
    "quantity_reduced_max": "quantity",
    "quantity_raised_min": "quantity",
    "quantity_rounded_step": "quantity",
}
"""Which field an outcome's code is about; the others are about the sku."""


@dataclass(frozen=True, slots=True)
class Sold:
    """A sku as it can be had for a line, at the price for so many."""

    item: CatalogueItem
    unit_amount_cents: int
    compare_at_amount_cents: int | None


async def find_sold(
    change: Change,
    currency: str,
    customer_id: str | None,
    held: Mapping[ItemKey, int],
    *,
    priced: bool = False,
    code: str | None = None,
) -> Sold | None:
    """The sku of a line as it can be had; None with a problem noted when it can't.

    `held` are the quantities that the whole has already, `priced` says that the line brings its own price, and `code`
    is that of another sku than the line's.
    """
    connection, store = change.connection, change.store
    wanted: str = code or change.value("sku_code")
    sku_id = await skus.id_of(connection, store, wanted)
    if sku_id is None:
        await note_unknown(change, wanted)
        return None
    customer = None if customer_id is None else await customers.find(connection, store, customer_id)
    group_id = None if customer is None else customer.customer_group_id
    catalogue = await pricing.catalogue(
        connection, store, [sku_id], currency=currency, customer_group_id=group_id, at=change.at
    )
    return judge(change, catalogue[sku_id], held, priced=priced)


async def note_unknown(change: Change, code: str) -> None:
    """Note that no sku has the code that a line names, and which code on sale is nearest to it."""
    change.problems.append(
        Invalid(
            "{name} - no sku has this code",
            name=_SWAP if _SWAP in change.draft.triggers else "sku_code",
            pointer=change.draft.pointer("sku_code", _SWAP),
            meta={"error": "unknown"},
            suggestion=nearest(code, await skus.beside(change.connection, change.store, code, change.at)),
        )
    )


def judge(change: Change, offered: CatalogueItem, held: Mapping[ItemKey, int], *, priced: bool = False) -> Sold | None:
    """A sku as it can be had for a line; None with a problem noted when it can't. `held` and `priced` as above."""
    # Whether it may come along when an order is repeated doesn't matter to who asks for it by its code.
    item = replace(offered, reorderable=True)
    outcome = _outcome(change, item, held, priced=priced)
    reason = phrase(outcome)
    if reason is not None:
        code = str(outcome.code)
        pointer = change.draft.pointer(_POINTED.get(code, "sku_code"), "sku_code", _SWAP, "quantity")
        change.problems.append(Invalid(reason, pointer=pointer, meta={"error": code}))
        return None
    price = outcome.price
    assert price is not None  # noqa: S101 -- a line that is added has a price
    return Sold(item, price.amount_cents, price.compare_at_amount_cents)


def _outcome(change: Change, item: CatalogueItem, held: Mapping[ItemKey, int], *, priced: bool) -> Outcome:
    line = SourceLine(
        agreed=priced,
        id=change.id,
        item_type="skus",
        sku_id=item.sku_id,
        sku_code=item.code,
        name=item.name,
        options=orjson.loads(change.value("options") or "{}"),
        quantity=change.value("quantity"),
        currency_code=item.currency_code,
        unit_amount_cents=0,
    )
    return decide([line], {item.sku_id: item}, held, Policy(stock="ignore", limits_agreed=True, merge=False))[0]


def price_line(change: Change, rate: Decimal, *, included: bool) -> None:
    """The amounts of a line from its quantity, price and tax rate."""
    unit, quantity = change.value("unit_amount_cents"), change.value("quantity")
    options, discount = change.value("options_amount_cents") or 0, change.value("discount_cents") or 0
    try:
        amounts = line_totals(quantity, unit, rate, tax_included=included, discount_cents=discount)
    except Invalid:
        check_amount(change, quantity * unit)
        return
    total = amounts.total + options
    check_amount(change, total)
    change.columns["total_amount_cents"] = total
    change.columns["tax_rate"] = rate
    change.columns["tax_amount_cents"] = tax(max(total + discount, 0), rate, included=included)


def check_amount(change: Change, amount: int) -> None:
    """Note that the amount of a line, in minor units, is larger than can be kept."""
    if abs(amount) > MAX_CENTS:
        pointer = change.draft.pointer("quantity", "unit_amount_cents", "options_amount_cents")
        change.problems.append(Invalid("The amount of the line would be too large to be stored.", pointer=pointer))


def check_room(change: Change, lines: int) -> None:
    """Note that what the line goes into holds as many lines as it may."""
    if lines >= MAX_LINES:
        pointer = change.draft.pointer("cart", "order", "order_subscription")
        change.problems.append(
            Invalid("The maximum of {most} lines has been reached.", most=MAX_LINES, pointer=pointer)
        )
