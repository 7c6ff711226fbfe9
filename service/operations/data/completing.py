"""What a record leaves out follows from the rest of it and from its store; what it says has to add up.

The rules are those of sql/checks.sql, looked at record by record before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, cast
from zoneinfo import ZoneInfo

import orjson

from schemas.history import RECORDS
from service.operations.data.records import Columns, Problem, Row, derived_id
from service.operations.ordering.facts import PRODUCTS
from service.operations.subscriptions import ledgers
from service.operations.subscriptions.ledgers import Ran, Terms
from service.operations.subscriptions.order_subscriptions import CARRIED
from service.operations.tenant.terms import Terms as StoreTerms
from service.principal import Store
from service.rules.intervals import FrequencyError, columns_of, meant
from service.rules.order_codes import order_code
from service.rules.prepaid import period_of
from service.rules.recurrence import UNCOUNTABLE, Calendar, check_frequency
from service.rules.schedule import Entry, Standing, plan
from service.rules.states import PLACED_ORDERS
from service.rules.totals import tax
from service.texts import Phrase

_AMOUNTS: Final = (
    "shipping_amount_cents",
    "payment_method_amount_cents",
    "discount_amount_cents",
    "adjustment_amount_cents",
    "gift_card_amount_cents",
    "prepaid_amount_cents",
)
_BEFORE: Final = timedelta(milliseconds=1)
_NOWHERE: Final = Phrase("leads to nothing that is there: import that first")
_DATED: Final[Mapping[str, Mapping[object, tuple[str, ...]]]] = {
    "orders": {"placed": ("placed_at",), "approved": ("placed_at", "approved_at"), "cancelled": ("cancelled_at",)},
    "order_subscriptions": {"cancelled": ("cancelled_at",)},
    "occurrences": {"completed": ("completed_at",)},
}
"""The instants that go with a status, by type."""
_ONLY: Final = {"cancelled_at": "cancelled", "completed_at": "completed"}
"""Those of them that go with no other status."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What every record of an import is completed from: the store, its market, its terms, and the instant."""

    store: Store
    market_id: str
    terms: StoreTerms
    at: datetime


def complete(row: Row, frame: Frame, number: int | None, facts: Mapping[str, Columns], problems: list[Problem]) -> None:
    """Complete a record, and note what doesn't add up.

    `number` is the running number set aside for it, if it needs one; `facts` are columns of what its references lead
    to, by the column that refers.
    """
    if number is not None:
        row.columns["number"] = number
    for column in row.undated:
        held = None if row.before is None else row.before.get(column)
        row.columns[column] = held if isinstance(held, datetime) and held <= frame.at else frame.at
    complete_type = _BY_TYPE.get(row.record.type_)
    if complete_type is not None:
        complete_type(row, frame, facts, problems)
    for one in (row, *row.parts.get("occurrences", [])):
        _dated(one, problems)


def _order(row: Row, frame: Frame, _facts: Mapping[str, Columns], problems: list[Problem]) -> None:
    columns, new = row.columns, row.before is None
    if new:
        _default(row, "market_id", frame.market_id)
        _default(row, "currency_code", frame.store.currency_code)
        _default(row, "language_code", frame.terms.locale)
        _default(row, "tax_included", frame.terms.prices_include_tax)
        _default(row, "status", "placed")
        _default(row, "created_at", columns.get("placed_at", frame.at))
        if "code" not in columns and isinstance(number := row.get("number"), int) and number > 0:
            columns["code"] = order_code(number, prefix=frame.terms.order_prefix, suffix=frame.terms.order_suffix)
        if columns["status"] in PLACED_ORDERS:
            _default(row, "placed_at", columns["created_at"])
    for address in row.embedded.values():
        address.columns |= {"customer_id": row.get("customer_id"), "snapshot": True}
    lines = row.parts.get("line_items", [])
    for position, line in enumerate(lines):
        _line(line, row, position, problems)
    if row.get("status") in PLACED_ORDERS and not lines:
        problems.append(Problem("line_items", Phrase("can't be blank")))
    for name in (*_AMOUNTS, "shipping_tax_amount_cents", "prepaid_tax_amount_cents"):
        _default(row, name, _sum(lines, "discount_cents") if name == "discount_amount_cents" else 0, new=new)
    _default(row, "subtotal_tax_amount_cents", _sum(lines, "tax_amount_cents"), new=new)
    taxes = ("subtotal_tax_amount_cents", "shipping_tax_amount_cents", "prepaid_tax_amount_cents")
    _default(row, "total_tax_amount_cents", sum(_whole(row, name) for name in taxes), new=new)
    subtotal = sum(_whole(line, "total_amount_cents") for line in lines if line.get("item_type") in (None, *PRODUCTS))
    _agree(row, "subtotal_amount_cents", subtotal, problems)
    _agree(row, "total_amount_cents", subtotal + sum(_whole(row, name) for name in _AMOUNTS), problems)


def _line(line: Row, order: Row, position: int, problems: list[Problem]) -> None:
    new = line.before is None
    _default(line, "position", position, new=new)
    _default(line, "options_amount_cents", 0, new=new)
    _default(line, "name", line.get("sku_code"), new=new)
    _agree(line, "currency_code", order.get("currency_code"), problems)
    if line.get("item_type") in (None, "skus") and line.get("sku_code") is None:
        problems.append(Problem(f"{line.path}sku_code", Phrase("can't be blank")))
    total = _multiplied(line, problems)
    if total is None:
        return
    _agree(line, "total_amount_cents", total + _whole(line, "options_amount_cents"), problems)
    rate = line.get("tax_rate")
    if new and isinstance(rate, Decimal):
        taxed = max(_whole(line, "total_amount_cents") + _whole(line, "discount_cents"), 0)
        _default(line, "tax_amount_cents", tax(taxed, rate, included=bool(order.get("tax_included"))))


def _multiplied(row: Row, problems: list[Problem]) -> int | None:
    """The quantity times the unit price; None, with the problem noted, where one of them is missing."""
    quantity, unit = row.get("quantity"), row.get("unit_amount_cents")
    if isinstance(quantity, int) and isinstance(unit, int):
        return quantity * unit
    known = {problem.field for problem in problems}
    for name, value in (("quantity", quantity), ("unit_amount_cents", unit)):
        if value is None and row.path + name not in known:
            problems.append(Problem(row.path + name, Phrase("can't be blank")))
    return None


def _subscription(row: Row, frame: Frame, facts: Mapping[str, Columns], problems: list[Problem]) -> None:
    source = facts.get("source_order_id", {})
    if row.before is None:
        _default(row, "market_id", frame.market_id)
        _default(row, "timezone", frame.store.timezone)
        for name in ("customer_id", "customer_email", *CARRIED):
            if name not in row.embedded and name in source:
                _default(row, name, source[name])
    for address in row.embedded.values():
        address.columns |= {"customer_id": row.get("customer_id"), "snapshot": True}
    kept = row.get("prepaid_period")
    period = period_of(orjson.dumps(kept) if isinstance(kept, dict) else cast("str | None", kept))
    if period is not None and row.get("prepaid_order_id") is None:
        problems.append(Problem("prepaid_order_id", Phrase("can't be blank")))
    _agree(row, "prepaid_occurrences_left", 0 if period is None else period.left, problems)
    currency = source.get("currency_code", frame.store.currency_code)
    for type_ in ("order_subscription_items", "occurrence_items"):
        for item in row.parts.get(type_, []):
            _item(item, currency, problems)
    if not problems:
        _schedule(row, frame, problems)
    if not problems:
        _place_contents(row, problems)


def _item(item: Row, currency: object, problems: list[Problem]) -> None:
    """Complete what a subscription orders each time, or once."""
    _default(item, "name", item.get("sku_code"), new=item.before is None)
    if item.get("swap_sku_code") is not None:
        _default(item, "swap_name", item.get("swap_sku_code"), new=item.before is None)
    _default(item, "currency_code", currency, new=item.before is None)
    total = _multiplied(item, problems)
    if total is not None:
        _agree(item, "total_amount_cents", total, problems)


def _place_contents(row: Row, problems: list[Problem]) -> None:
    """Find the occurrences of what is ordered once, by the index that it gives."""
    by_index = {occurrence.get("occurrence_index"): occurrence.id for occurrence in row.parts.get("occurrences", [])}
    for line in row.parts.get("occurrence_items", []):
        _agree(line, "occurrence_id", by_index.get(line.get("occurrence_index")), problems)
        if line.get("occurrence_id") is None:
            problems.append(Problem(f"{line.path}occurrence_index", Phrase("is of none of the occurrences")))


def _schedule(row: Row, frame: Frame, problems: list[Problem]) -> None:
    """Check the calendar; one that was given by its next run alone is counted from there."""
    try:
        check_frequency(str(row.get("frequency")), last_day=bool(row.get("last_day")))
        row.columns |= columns_of(meant(str(row.get("frequency"))))
        if row.get("status") == "active" and row.get("next_run_at") is not None:
            _count(row)
            if "occurrences" not in row.parts and row.before is None:
                _plan(row, frame)
    except FrequencyError as error:
        problems.append(Problem("frequency", error.reason))
        return
    except UNCOUNTABLE:
        problems.append(Problem("anchor_at", Phrase("leads to no date")))
        return
    first = row.get("next_index") or 1
    for occurrence in row.parts.get("occurrences", []):
        index, status = occurrence.get("occurrence_index"), occurrence.get("status") or "planned"
        if status == "planned" and isinstance(index, int) and isinstance(first, int) and index < first:
            problems.append(Problem(f"{occurrence.path}status", Phrase("is planned, but the next run is a later one")))
        if status == "completed" and index != 0 and not occurrence.orders and occurrence.before is None:
            problems.append(Problem(f"{occurrence.path}order_id", Phrase("can't be blank")))


def _terms(row: Row) -> Terms:
    """The terms of a subscription, with what a new one has that nothing was given for."""
    return ledgers.terms_of({name: row.get(name) for name in Terms._fields if row.get(name) is not None})


def _count(row: Row) -> None:
    """Settle which occurrence the next run is: where that isn't said, the anchor and the next run tell."""
    if row.get("next_index") is not None:
        return
    next_run_at = cast("datetime", row.get("next_run_at"))
    if row.get("anchor_at") is None:
        row.columns |= {"anchor_at": next_run_at, "anchor_index": 1, "next_index": 1}
        return
    calendar = _terms(row).calendar
    index = calendar.first_after(next_run_at - _BEFORE)
    if index > calendar.anchor_index and not _is_on(calendar, index, next_run_at):
        index -= 1  # a run that was moved stays behind the date that it had
    shift = 1 if index == 0 else 0
    anchor_index = cast("int", row.get("anchor_index") or 0)
    row.columns |= {"anchor_index": anchor_index + shift, "next_index": index + shift}


def _is_on(calendar: Calendar, index: int, at: datetime) -> bool:
    """Whether a run at an instant is the one of this date: at that instant, or on the one date of its day.

    Where platforms keep the hour of UTC, a run in winter comes an hour before its date here, and isn't the last one.
    """
    zone, dates = ZoneInfo(calendar.timezone), (calendar.date(index - 1).at, calendar.date(index).at)
    before, own, day = (one.astimezone(zone).date() for one in (*dates, at))
    return dates[1] == at or before < day == own


def standing_of(row: Row) -> Standing:
    """How a subscription that runs stands when it comes: its next run where it was said to be. Raises UNCOUNTABLE."""
    terms, ran = _terms(row), _whole(row, "occurrencies")
    calendar, next_run_at = terms.calendar, cast("datetime", terms.next_run_at)
    nominal = calendar.date(terms.next_index)
    moved = Entry(terms.next_index, nominal.at, next_run_at, reason="moved")
    return Standing(
        calendar,
        terms.next_index,
        entries={terms.next_index: moved} if nominal.at != next_run_at else {},
        expires_at=terms.expires_at,
        paused_until=terms.paused_until,
        runs_left=terms.runs_left(Ran(ran, ran)),
        catchup_policy=terms.catchup_policy,
    )


def _plan(row: Row, frame: Frame) -> None:
    """Write the occurrences that come next into the ledger, as an edit here would."""
    standing = standing_of(row)
    entries = {entry.index: entry for entry in plan(standing, frame.at, {}).entries}
    row.parts["occurrences"] = [
        Row(
            RECORDS["occurrences"],
            {
                "id": derived_id("occurrences", row.id, entry.index),
                "order_subscription_id": row.id,
                "occurrence_index": entry.index,
                "status": entry.status,
                "nominal_at": entry.nominal_at,
                "scheduled_at": entry.scheduled_at,
                "reason": entry.reason,
            },
            path=f"occurrences.{position}.",
        )
        for position, entry in enumerate(entries.values())
    ]


def _default(row: Row, column: str, value: object, *, new: bool = True) -> None:
    """Give a column of a new row a value where none was given."""
    if new and column not in row.columns:
        row.columns[column] = value


def _dated(row: Row, problems: list[Problem]) -> None:
    """Note each instant that the status asks for and that isn't given, and each that goes with another status."""
    status, asked = row.get("status"), _DATED.get(row.record.type_, {})
    for column in asked.get(status, ()):
        if row.get(column) is None:
            reason = Phrase("can't be blank: the status is {status}", status=status)
            problems.append(Problem(row.path + column, reason))
    for column, only in _ONLY.items():
        if (column,) in asked.values() and status != only and row.get(column) is not None:
            problems.append(Problem(row.path + column, Phrase("goes with the status {status}", status=only)))


def _agree(row: Row, column: str, expected: object, problems: list[Problem]) -> None:
    """Give a column the value that follows from others; note the problem where another one was given."""
    given = row.columns.get(column)
    if given is None:
        row.columns[column] = expected
    elif given != expected:
        reason = Phrase("is {given}, but follows from the rest as {expected}", given=given, expected=expected)
        problems.append(Problem(row.path + column, reason))


def _whole(row: Row, column: str) -> int:
    value = row.get(column)
    return value if isinstance(value, int) else 0


def _sum(rows: Iterable[Row], column: str) -> int:
    return sum(_whole(row, column) for row in rows)


def check_agreements(row: Row, facts: Mapping[str, Columns], problems: list[Problem]) -> None:
    """Note each reference that leads nowhere, or to something of another customer, order or subscription."""
    for column, known in facts.items():
        if not known:
            problems.append(Problem(row.path + column, _NOWHERE, value=str(row.get(column)), refers=True))
    for agreement in row.record.agreements:
        there = facts.get(agreement.reference)
        if not there or (agreement.when and row.get("status") not in agreement.when):
            continue
        here = agreement.here if isinstance(agreement.here, bool) else row.get(agreement.here)
        if there.get(agreement.there) != here:
            reason = Phrase("leads to something with another {name}", name=agreement.there)
            problems.append(Problem(row.path + agreement.reference, reason))


_BY_TYPE: Final[Mapping[str, Callable[[Row, Frame, Mapping[str, Columns], list[Problem]], None]]] = {
    "orders": _order,
    "order_subscriptions": _subscription,
}
