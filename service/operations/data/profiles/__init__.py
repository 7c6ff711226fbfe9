"""Other platforms' exports as records: a module for each platform, which names where its fields are documented."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import Literal, NamedTuple, cast, get_args

from schemas.kinds import minor_units

Sent = Mapping[str, object]
"""What a platform wrote: an object of its API, or the cells of a row."""

Made = dict[str, object]
"""A record."""

Platform = Literal["commerce_layer", "ecwid", "shopify", "woocommerce"]
"""A platform that there is a profile of."""

PLATFORMS: tuple[Platform, ...] = get_args(Platform)

NEVER = "1970-01-01T00:00:00Z"
"""Until when something is on sale of which a platform says only that it isn't."""

FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError)
"""What a profile raises for something that the platform doesn't write so."""


class Sheet(NamedTuple):
    """One kind of a platform's files: what makes records of it, and the column by which rows of one thing are known.

    Where the platform has named it in several ways, the first of them that a row has counts.
    """

    records: Callable[[Sequence[Sent]], Iterator[Made]]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """How a platform's exports become records: its kinds of files by what their names begin with.

    `source` is where the platform documents the fields. `currency` is the field that names a currency; where it holds
    none, amounts are in the store's.
    """

    name: str
    source: str
    sheets: Mapping[str, Sheet]
    currency: str = "currency"

    def records(self, sheet: Sheet, rows: Sequence[Sent], currency: str) -> Iterator[Made]:
        """The records of rows of a sheet, for a store of this currency."""
        return sheet.records([{**row, self.currency: text(row, self.currency) or currency} for row in rows])

    def sheet(self, stem: str) -> Sheet | None:
        """What reads a file of this name."""
        return next((sheet for name, sheet in self.sheets.items() if stem.lower().startswith(name)), None)


def profile_of(name: str) -> Profile:
    """The profile of a platform."""
    return cast("Profile", import_module(f"{__name__}.{name}").PROFILE)


def text(sent: Sent, name: str) -> str | None:
    """A field as text; None where it is missing or blank."""
    value = sent.get(name)
    return None if value is None or value is False or str(value).strip() == "" else str(value).strip()


def number(sent: Sent, name: str) -> Decimal:
    """A field as a number; zero where it is missing."""
    return Decimal(text(sent, name) or 0)


def cents(sent: Sent, name: str, currency: str) -> int:
    """An amount in minor units; zero where it is missing."""
    return int(number(sent, name).scaleb(minor_units(currency)).to_integral_value())


def inner(sent: Sent, name: str) -> Sent:
    """An object within; empty where it is missing."""
    value = sent.get(name)
    return value if isinstance(value, dict) else {}


def listed(sent: Sent, name: str) -> list[Sent]:
    """The objects of a list within; none where it is missing."""
    value = sent.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def instant(value: str | None) -> str | None:
    """An instant as records have it: platforms leave out the zone of UTC, and put a space in place of the T."""
    if value is None:
        return None
    moment = value.replace(" UTC", "Z").strip()
    day, _, clock = moment.replace("T", " ").partition(" ")
    return f"{day}T{clock.replace(' ', '')}" if clock else day


def sparse(**fields: object) -> Made:
    """A record without the fields that hold nothing."""
    return {name.rstrip("_"): value for name, value in fields.items() if value not in (None, {}, [])}


def price(sku_id: str, currency: str, amount: int, compared: int) -> Made:
    """What a sku costs, beside what it is compared with where that is more."""
    return sparse(
        type="prices",
        id=f"{sku_id}-price"[:64],
        sku_id=sku_id,
        currency_code=currency,
        amount_cents=amount,
        compare_at_amount_cents=compared if compared > amount else None,
    )


def stock(sku_id: str, quantity: int) -> Made:
    """How many pieces of a sku there are; platforms go below zero for what is owed."""
    return {"type": "stock_items", "id": f"{sku_id}-stock"[:64], "sku_id": sku_id, "quantity": max(quantity, 0)}


def on_sale(*, sold: bool, until: str | None = None) -> Made:
    """Whether a sku is on sale: one that isn't was until it was changed last, or where nobody says when, never."""
    return {"disabled_at": None if sold else until or NEVER}


def slug(prefix: str, value: str) -> str:
    """An id of characters that an id may have."""
    return (prefix + "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in value))[:64]


def named(*, business: str | None, first: str | None, last: str | None) -> Made:
    """Who is addressed: a person, or else a business. A person with one name has it as both."""
    if first or last:
        return sparse(first_name=first or last, last_name=last or first, company=business)
    return sparse(business=True, company=business) if business else {}


def line(*, sku: str | None, name: str, quantity: int, total: int, discount: int = 0, tax: int = 0) -> Made:
    """A line of an order that cost so much before its discount; what its price leaves over is what options cost."""
    unit, rest = divmod(total, quantity)
    made = {"quantity": quantity, "unit_amount_cents": unit, "options_amount_cents": rest}
    made |= {"discount_cents": -abs(discount), "tax_amount_cents": tax}
    return {"sku_code": sku or name[:255], "name": name[:255], **made}


def amounts(paid: int, tax: int, lines: Sequence[Made], *, included: bool = False, **known: int) -> Made:
    """An order's amounts, so that they come to what was paid: what is known of no other amount is an adjustment.

    `known` are amounts by their names. Taxes come on top of the lines, unless prices `included` them.
    """
    of_lines = sum(
        cast("int", one["quantity"]) * cast("int", one["unit_amount_cents"]) + cast("int", one["options_amount_cents"])
        for one in lines
    )
    taxed = sum(cast("int", one["tax_amount_cents"]) for one in lines)
    rest = paid - (0 if included else tax) - of_lines - sum(known.values())
    return {
        **known,
        "adjustment_amount_cents": rest,
        "tax_included": included,
        "subtotal_tax_amount_cents": taxed,
        "shipping_tax_amount_cents": max(tax - taxed, 0),
        "total_tax_amount_cents": tax,
    }
