"""Other platforms' exports as records: a module for each platform, which names where its fields are documented."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import Literal, NamedTuple, cast, get_args

from schemas.kinds import minor_units
from service.operations.data.records import Undated
from service.texts import Either, Phrase

Sent = Mapping[str, object]
"""What a platform wrote: an object of its API, or the cells of a row."""

Made = dict[str, object]
"""A record."""

Platform = Literal["commerce_layer", "ecwid", "shopify", "woocommerce"]
"""A platform that there is a profile of."""

PLATFORMS: tuple[Platform, ...] = get_args(Platform)

BLANK = Phrase("can't be blank")
_NUMBER = Phrase("is no number")
_WHOLE = Phrase("is no whole number")
_PIECES = Phrase("is no number of pieces")
_AMOUNT = Phrase("is no amount")
_TOO_MUCH = Decimal(10) ** 15
"""No number of a shop is as large."""

FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError)
"""What a profile raises for something that the platform doesn't write so, where no field of it is to blame."""


class Cells(dict[str, object]):
    """What a platform wrote in one place: an object, or the cells of a row.

    `path` is where it stands within another object, `line` on which line, None where that is the first of the thing.
    `written` are the names that the file has for fields, where the profile knows them by others.
    """

    def __init__(
        self, sent: Sent, *, path: str = "", line: int | None = None, written: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sent)
        self.path, self.line, self.written = path, line, written or {}


class Unreadable(ValueError):
    """A field that can't be read: what the file calls it, what stands there, on which line, and what is wrong."""

    def __init__(self, sent: Sent, name: str, reason: Phrase) -> None:
        super().__init__(name)
        self.field, self.line = name, None
        if isinstance(sent, Cells):
            self.field, self.line = sent.path + sent.written.get(name, name), sent.line
        self.value, self.reason = text(sent, name), reason


class Sheet(NamedTuple):
    """One kind of a platform's files: what makes records of it, and the column by which rows of one thing are known.

    Where the platform has named it in several ways, the first of them that a row has counts. `type_` is what the
    records mainly are, `ids` the fields by which the platform knows one (`keys`, unless they are others). `called` is
    which field of the file the fields of records are made of, by `<type>.<field>`, and `renamed` names that files have
    today, with those that the profile knows.
    """

    records: Callable[[Sequence[Sent]], Iterator[Made]]
    keys: tuple[str, ...] = ()
    type_: str = ""
    ids: tuple[str, ...] = ()
    called: Mapping[str, str] = {}
    renamed: Mapping[str, str] = {}

    def id_of(self, sent: Sent) -> str:
        """What the platform knows a thing by; empty where that is missing."""
        return next((found for name in self.ids or self.keys if (found := text(sent, name))), "")


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
        return sheet.records([self._cells(sheet, row, currency) for row in rows])

    def _cells(self, sheet: Sheet, row: Sent, currency: str) -> Cells:
        written = {known: name for name, known in sheet.renamed.items() if name in row}
        known = {sheet.renamed.get(name, name): value for name, value in row.items()}
        known[self.currency] = text(row, self.currency) or currency
        return Cells(known, line=row.line if isinstance(row, Cells) else None, written=written)

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


def number(sent: Sent, name: str, reason: Phrase = _NUMBER) -> Decimal:
    """A field as a number; zero where it is missing. Raises Unreadable, with the reason, for what is none."""
    try:
        found = Decimal(text(sent, name) or 0)
    except ArithmeticError:
        raise Unreadable(sent, name, reason) from None
    if not found.is_finite() or abs(found) >= _TOO_MUCH:
        raise Unreadable(sent, name, reason)
    return found


def whole(sent: Sent, name: str) -> int:
    """A field as a whole number; zero where it is missing. Raises Unreadable for what is none."""
    found = number(sent, name, _WHOLE)
    if found != found.to_integral_value():
        raise Unreadable(sent, name, _WHOLE)
    return int(found)


def pieces(sent: Sent, name: str) -> int:
    """How many pieces a line has. Raises Unreadable for what is no number of pieces."""
    found = number(sent, name, _PIECES)
    if found < 1 or found != found.to_integral_value():
        raise Unreadable(sent, name, _PIECES if text(sent, name) else BLANK)
    return int(found)


def cents(sent: Sent, name: str, currency: str) -> int:
    """An amount in minor units; zero where it is missing. Raises Unreadable for what is none."""
    return int(number(sent, name, _AMOUNT).scaleb(minor_units(currency)).to_integral_value())


def word(sent: Sent, name: str, meanings: Mapping[str, str]) -> str:
    """What a word of a platform means. Raises Unreadable for one that it doesn't have."""
    found = text(sent, name)
    if found is None or found not in meanings:
        known = Either(meanings)
        raise Unreadable(sent, name, BLANK if found is None else Phrase("must be one of: {words}", words=known))
    return meanings[found]


def inner(sent: Sent, name: str) -> Sent:
    """An object within; empty where it is missing."""
    value = sent.get(name)
    return _within(sent, name, value) if isinstance(value, dict) else {}


def listed(sent: Sent, name: str) -> list[Sent]:
    """The objects of a list within; none where it is missing."""
    value = sent.get(name)
    return [_within(sent, name, one) for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _within(sent: Sent, name: str, value: Sent) -> Cells:
    if isinstance(sent, Cells):
        return Cells(value, path=f"{sent.path}{name}.", line=sent.line)
    return Cells(value, path=f"{name}.")


def called(where: str, before: str = "", **fields: str) -> dict[str, str]:
    """Which fields of a file those of records are made of: by `<type>.<field>`, for `Sheet.called`."""
    return {f"{where}.{name}": before + field for name, field in fields.items()}


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


def method(title: str | None, code: str | None = None) -> Made | None:
    """A method by what the platform calls it, and by its code there; None where it names none."""
    if not title and not code:
        return None
    return sparse(name=(title or code or "")[:255], reference=code[:255] if code else None)


def on_sale(*, sold: bool, until: str | None = None) -> Made:
    """Whether a sku is on sale: one that isn't was until it was changed last, or nobody says until when."""
    return {"disabled_at": None if sold else until or Undated.PAST}


def slug(prefix: str, value: str) -> str:
    """An id of characters that an id may have."""
    return (prefix + "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in value))[:64]


def named(*, business: str | None, first: str | None, last: str | None) -> Made:
    """Who is addressed: a person, or else a business. A person with one name has it as both."""
    if first or last:
        return sparse(first_name=first or last, last_name=last or first, company=business)
    return sparse(business=True, company=business) if business else {}


def line(*, sku: str | None, name: str, quantity: int, total: int, discount: int = 0, tax: int = 0) -> Made:
    """A line of an order that cost so much before its discount, at the price of a piece that comes nearest to it.

    What that leaves over, at most half a cent a piece, becomes a part of the order's adjustment. As what options cost,
    it would say that an option was chosen, and a line with one that the catalogue doesn't have can't be bought again.
    """
    unit = (2 * total + quantity) // (2 * quantity)
    made = {"quantity": quantity, "unit_amount_cents": unit}
    made |= {"discount_cents": -abs(discount), "tax_amount_cents": tax}
    return {"sku_code": sku or name[:255], "name": name[:255], **made}


def cost(one: Made) -> int:
    """What a `line` comes to before its discount."""
    return cast("int", one["quantity"]) * cast("int", one["unit_amount_cents"])


def amounts(
    sent: Sent, names: tuple[str, str], currency: str, lines: Sequence[Made], *, included: bool = False, **known: int
) -> Made:
    """An order's amounts, so that they come to what was paid: what is known of no other amount is an adjustment.

    `names` are the fields of what was paid and of the taxes in it, `known` other amounts by their names. Taxes come on
    top of the lines, unless prices `included` them. Raises Unreadable where what was paid can't be.
    """
    paid, tax = (cents(sent, name, currency) for name in names)
    if text(sent, names[0]) is None:
        raise Unreadable(sent, names[0], BLANK)
    if paid < tax:
        raise Unreadable(sent, names[0], Phrase("is less than the taxes in it, {taxes}", taxes=text(sent, names[1])))
    taxed = sum(cast("int", one["tax_amount_cents"]) for one in lines)
    rest = paid - (0 if included else tax) - sum(map(cost, lines)) - sum(known.values())
    return {
        **known,
        "adjustment_amount_cents": rest,
        "tax_included": included,
        "subtotal_tax_amount_cents": taxed,
        "shipping_tax_amount_cents": max(tax - taxed, 0),
        "total_tax_amount_cents": tax,
    }
