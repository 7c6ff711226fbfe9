"""Changes for good on pages of our own, looked at before they are made: how many of which product, and how often.

A form says what is wanted, and its first answer shows what that leads to. The form of that page says it once more, with
the digest of what was shown, and the change is made if it still leads there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from schemas.kinds.times import UNITS, Unit
from service.errors import ApiError, Invalid, InvalidState
from service.http.pages import deliveries
from service.http.pages.deliveries import number, quantity_between
from service.http.pages.pages import impossible
from service.operations.subscriptions import amending, overviews, swaps
from service.operations.subscriptions.amending import Amendment, Frequency, Quantity, Rhythm, Swap, SwapOnce
from service.operations.subscriptions.overviews import Coming, Overview
from service.operations.subscriptions.swaps import Item
from service.principal import Principal
from service.rules.intervals import Interval, meant, weekdays_of
from service.store.pool import Connection
from service.texts import Phrase

FIELDS: Final = ("amend", "item", "sku", "from", "only", "quantity", "frequency", "unit", "count")
"""What forms say of what is wanted; `digest` says what was shown of it."""

UNITS_OF: Final[Mapping[Unit, Phrase]] = {
    "day": Phrase("days"),
    "week": Phrase("weeks"),
    "month": Phrase("months"),
    "year": Phrase("years"),
}


@dataclass(frozen=True, slots=True)
class Looked:
    """What a change leads to: the next runs, and which of the products in the next one there is too little of.

    `fields` are those of the form that makes the change.
    """

    amendment: Amendment
    runs: Sequence[Coming]
    short: frozenset[str]
    fields: Mapping[str, str]


def wanted(form: Mapping[str, str], coming: Sequence[Coming]) -> Amendment:
    """Return what a form asks for, of the runs to come that it was offered.

    Raises Invalid for what can't be read, and NotFound for a run that isn't to come.
    """
    unit, amount = form.get("unit"), number(form.get("quantity" if form.get("amend") == "quantity" else "count", ""))
    match form.get("amend"):
        case "quantity" if amount is not None:
            return Quantity(form.get("item", ""), amount)
        case "swap":
            return _swap(form, coming)
        case "frequency" if form.get("frequency"):
            return Frequency(form["frequency"])
        case "interval" if amount is not None and (known := next((one for one in UNITS if one == unit), None)):
            return Rhythm(known, amount, None)
    if form.get("amend") == "quantity":
        raise quantity_between(1)
    raise impossible()


def _swap(form: Mapping[str, str], coming: Sequence[Coming]) -> Swap | SwapOnce:
    """Return which product a form wants in the place of another, and when.

    Raises NotFound for a run that isn't to come.
    """
    item, sku = form.get("item", ""), form.get("sku", "")
    following = overviews.ahead(coming)
    run = deliveries.run_of(coming, form["from"]) if "from" in form else following
    if form.get("only"):
        if run is None:
            raise impossible()
        return SwapOnce(item, sku, run.index)
    return Swap(item, sku, None if run is None or run == following else run.index)


async def look(
    connection: Connection, customer: Principal, subscription_id: str, form: Mapping[str, str]
) -> Looked | None:
    """Return what a change that a form asks for leads to; None for a form that asks for none.

    It runs in a transaction, and nothing of it stays. Raises ApiError subclasses.
    """
    if "amend" not in form:
        return None
    amendment = await _wanted(connection, customer, subscription_id, form)
    with _in_words(amendment):
        await _check_offer(connection, customer, subscription_id, amendment)
        found = await amending.rehearse(connection, customer, subscription_id, amendment)
    fields = {name: form[name] for name in FIELDS if name in form} | {"digest": found.digest}
    # The next run is always meant by none, so that the page which follows knows it from a later one.
    if isinstance(amendment, Swap) and amendment.begins is None:
        fields.pop("from", None)
    return Looked(amendment, overviews.told(found.forecast), frozenset(found.short), fields)


async def make(connection: Connection, customer: Principal, subscription_id: str, form: Mapping[str, str]) -> None:
    """Make a change that was looked at. Raises PreviewStale for one that leads elsewhere by now, and as `look` does."""
    amendment = await _wanted(connection, customer, subscription_id, form)
    with _in_words(amendment):
        await _check_offer(connection, customer, subscription_id, amendment)
        await amending.amend(connection, customer, subscription_id, amendment, form.get("digest", ""))


def frequency_of(amendment: Amendment, found: Overview) -> str | None:
    """How often a subscription comes by a change; None for a change of something else."""
    match amendment:
        case Frequency():
            return amendment.name
        case Rhythm():
            now = meant(found.frequency)
            keeps = amendment.weekdays is None and now is not None and amendment.unit == "week"
            days = now.weekdays if keeps and now is not None else weekdays_of(amendment.weekdays or ())
            return Interval(amendment.unit, amendment.number, days).text
    return None


def product_of(amendment: Amendment, items: Sequence[Item]) -> tuple[int, str] | None:
    """How many of which product come each time by a change; None for a change of something else."""
    if not isinstance(amendment, Quantity):
        return None
    return next(((amendment.number, item.name) for item in items if item.id == amendment.item_id), None)


class Swapped(NamedTuple):
    """From when on which product comes in place of which; `once` says that it does only then."""

    at: datetime
    product: str
    instead: str
    once: bool


def swapped_by(looked: Looked, items: Sequence[Item]) -> Swapped | None:
    """Return what a swap that was looked at does; None for a change of something else."""
    amendment = looked.amendment
    if not isinstance(amendment, Swap | SwapOnce):
        return None
    once = isinstance(amendment, SwapOnce)
    begins = amendment.occurrence_index if isinstance(amendment, SwapOnce) else amendment.begins
    at = next((run.at for run in looked.runs if begins is None or run.index >= begins), None)
    item = next((item for item in items if item.id == amendment.item_id), None)
    choices = () if item is None else item.choices
    product = next((choice.name for choice in choices if choice.sku_code == amendment.sku_code), None)
    return None if at is None or item is None or product is None else Swapped(at, product, item.name, once)


async def _wanted(
    connection: Connection, customer: Principal, subscription_id: str, form: Mapping[str, str]
) -> Amendment:
    """Return what a form asks for. Raises as `wanted` does."""
    coming: Sequence[Coming] = ()
    if form.get("amend") == "swap":
        coming = await overviews.coming(connection, customer, subscription_id, most=deliveries.RUNS)
    return wanted(form, coming)


async def _check_offer(connection: Connection, customer: Principal, subscription_id: str, amendment: Amendment) -> None:
    """Raise Invalid for a swap for something that isn't offered in the place of the item."""
    if isinstance(amendment, Swap | SwapOnce):
        await swaps.check_offer(connection, customer, subscription_id, amendment.item_id, amendment.sku_code)


@contextmanager
def _in_words(amendment: Amendment) -> Iterator[None]:
    """Raise what the API refuses in words for customers: its own name attributes and ids."""
    try:
        yield
    except ApiError as error:
        if any("occurrences" in (problem.meta or {}) for problem in error.problems):
            raise InvalidState(
                "A delivery to come was skipped or moved, which this would undo. Have it come as planned first."
            ) from error
        if not all(isinstance(problem, Invalid) for problem in error.problems):
            raise
        if isinstance(amendment, Quantity):
            raise Invalid("So many can't be ordered. Choose another quantity.") from error
        if isinstance(amendment, Swap | SwapOnce):
            raise swaps.not_offered() from error
        raise Invalid("It can't come that often. Choose something else.") from error
