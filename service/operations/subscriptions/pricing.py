"""What a line of a subscription costs, ordered each time or once: the sku as it can be had, and whose price applies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

import orjson

from service.jsonapi.body import blank
from service.operations.catalogue.selling import SOLD, check_amount, find_sold
from service.operations.generic.change import Change
from service.rules.outcomes import ItemKey, options_digest
from service.store.write import Columns


class Ordered(Protocol):
    """So many pieces of a sku; options are JSON."""

    @property
    def sku_id(self) -> str | None:
        """The sku."""

    @property
    def options(self) -> str:
        """What was chosen."""

    @property
    def quantity(self) -> int:
        """How many."""


def held(others: Iterable[Ordered]) -> dict[ItemKey, int]:
    """The pieces in other lines, by sku and options."""
    pieces: Counter[ItemKey] = Counter()
    for other in others:
        pieces[other.sku_id or "", options_digest(orjson.loads(other.options))] += other.quantity
    return pieces


def differs(change: Change, was: Columns, *columns: str) -> bool:
    """Whether a line is to be something else in one of these columns than it was."""
    return any(_plain(column, change.value(column)) != _plain(column, was.get(column)) for column in columns)


def _plain(column: str, value: object) -> object:
    return orjson.loads(value) if column == "options" and isinstance(value, str) else value


async def settle(change: Change, others: dict[ItemKey, int], was: Columns, *, mode: str, anew: bool = False) -> None:
    """Find the sku of a line and the price of one, as it `was` unless that is another now; {} for a line that is new.

    `mode` is the price mode that applies to it; with `anew` it is today's price. Notes what can't be.
    """
    by_hand = change.draft.attributes.get("unit_amount_cents") is not None
    anew_priced = not by_hand and (anew or reprices(change, was, mode, by_hand=change.value("priced_by_hand")))
    if by_hand and (not was or differs(change, was, "unit_amount_cents", "quantity")):
        change.columns["priced_by_hand"] = True
    if anew_priced or not was or differs(change, was, *(name for name in SOLD if name in was)):
        currency, customer_id = change.value("currency_code"), change.whole["customer_id"]
        sold = await find_sold(change, currency, customer_id, others, priced=not anew_priced)
        if sold is None:
            return
        if not was or differs(change, was, "sku_code"):
            change.columns |= {"sku_id": sold.item.sku_id, "name": sold.item.name}
        if anew_priced:
            change.columns |= {"unit_amount_cents": sold.unit_amount_cents, "priced_by_hand": False}
    total_up(change)


def total_up(change: Change) -> None:
    """Work out what the pieces of a line cost together."""
    total = change.value("quantity") * change.value("unit_amount_cents")
    change.columns["total_amount_cents"] = total
    check_amount(change, total)


def reprices(change: Change, was: Columns, mode: str, *, by_hand: bool) -> bool:
    """Whether today's price follows from a change that names none, of a price that was set `by_hand` or not.

    It does for another product, and for another quantity that a customer chooses. A price that an integration set by
    hand holds for every quantity; one that was agreed on with the order holds when an integration changes the quantity.
    """
    if not was or differs(change, was, "sku_code", "options"):
        return True
    if by_hand or not differs(change, was, "quantity"):
        return False
    return change.principal.owner is not None or mode == "current"


def check_code(change: Change) -> None:
    """Note that a new line names no sku."""
    if change.value("sku_code") is None:
        change.problems.append(blank("sku_code", "/data"))
