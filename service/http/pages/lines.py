"""Lines of an order that is to be repeated, as pages show them and as their forms choose them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.http.pages.pages import picture_of
from service.operations.ordering.facts import PRODUCTS
from service.rules.outcome_texts import detail
from service.rules.outcomes import Outcome

CHOSEN, QUANTITY = "line-", "quantity-"
"""What the names of a form's fields begin with; the line's id follows."""
_DIGITS = 7


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order as a page shows it.

    `then` is the price of one piece in the order, None where it is the same now.
    """

    id: str
    chosen: bool
    name: str
    picture: str | None
    options: Sequence[str]
    quantity: int
    unit: int
    then: int | None
    total: int
    detail: str | None
    skipped: bool


def line_of(outcome: Outcome, base: str, locale: str, *, chosen: bool = True) -> Line:
    """What became of a line, in the language of a locale; `base` is the URL of the API."""
    quantity = outcome.requested_quantity if outcome.skipped else outcome.resulting_quantity
    unit = outcome.current_unit_amount_cents or 0
    then = outcome.previous_unit_amount_cents
    return Line(
        id=outcome.line.id,
        chosen=chosen,
        name=outcome.name,
        picture=picture(outcome, base),
        options=options(outcome),
        quantity=quantity,
        unit=unit,
        then=None if then == unit else then,
        total=quantity * unit,
        detail=detail(outcome, locale),
        skipped=outcome.skipped,
    )


def picture(outcome: Outcome, base: str) -> str | None:
    """The URL of the sku's picture, where a page may show it. `base` is the URL of the API."""
    return picture_of(None if outcome.item is None else outcome.item.image_url, base)


def options(outcome: Outcome) -> list[str]:
    """What was chosen among what the shop offers. A customer's own text (an engraving) is not shown."""
    offered = {} if outcome.item is None else {option["name"]: option.get("values") for option in outcome.item.options}
    return [str(value) for name, value in outcome.line.options.items() if offered.get(name)]


def products(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes of lines that a customer knows as products; shipments, discounts and the like are not listed."""
    return [outcome for outcome in outcomes if outcome.line.item_type in PRODUCTS]


def choice(form: Mapping[str, str]) -> Mapping[str, int] | None:
    """The quantities of the lines that a form chooses, by their ids; None for a form that lets choose none."""
    if "choosing" not in form:
        return None
    ids = [name.removeprefix(CHOSEN) for name in form if name.startswith(CHOSEN)]
    return {id_: _quantity(form.get(QUANTITY + id_, "")) for id_ in ids}


def _quantity(text: str) -> int:
    """A quantity as somebody typed it, 1 for what is none."""
    return max(int(text), 1) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else 1
