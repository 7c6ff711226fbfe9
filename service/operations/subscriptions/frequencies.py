"""How often a subscription runs: said as a frequency or as an interval, of which both are kept and mean the same."""

from __future__ import annotations

from service.errors import Invalid
from service.jsonapi.body import blank
from service.operations.generic.change import Change
from service.rules.intervals import FrequencyError, Interval, columns_of, interval_of, meant
from service.rules.recurrence import check_frequency

FIELDS = ("interval_unit", "interval_count", "weekdays")
"""The columns of an interval."""


def settle(change: Change) -> None:
    """Work out the frequency of an interval that was sent, or the other way round; note what can't be.

    What is sent as it was gives way to what is new, so that whole resources can be sent back.
    """
    said, counts = change.sets("frequency"), change.sets(*FIELDS)
    if not said and not counts:
        if change.new:
            change.problems.append(blank("frequency", "/data"))
        elif change.sets("last_day"):
            _check(change)
        return
    wanted = _wanted(change) if counts else None
    if not said and wanted is None:
        change.problems.append(blank("interval_unit", change.draft.pointer(*FIELDS)))
        return
    if not said and wanted is not None:
        change.columns["frequency"] = wanted.text
    if not _check(change):
        return
    found = meant(change.columns["frequency"])
    if counts and found != wanted:
        change.problems.append(
            Invalid(
                "{name} - says something else than frequency, which is {frequency!r}: send one of them.",
                name=next(name for name in FIELDS if name in change.columns),
                frequency=change.columns["frequency"],
                pointer=change.draft.pointer(*FIELDS),
            )
        )
    change.columns |= columns_of(found)


def _wanted(change: Change) -> Interval | None:
    """The interval that is wanted: what isn't sent is as before; weekdays go where others than weeks are counted."""
    unit, count = change.value("interval_unit"), change.value("interval_count")
    days = change.value("weekdays") if change.sets("weekdays") or unit == "week" else None
    return interval_of(unit, count, days)


def _check(change: Change) -> bool:
    """Whether the frequency is one; a problem where it isn't."""
    try:
        check_frequency(change.value("frequency"), last_day=bool(change.value("last_day")))
    except FrequencyError as error:
        sent = next((name for name in ("frequency", *FIELDS) if name in change.draft.attributes), "frequency")
        pointer = change.draft.pointer(sent, "last_day")
        change.problems.append(Invalid("{name} - {message}", name=sent, message=error.reason, pointer=pointer))
        return False
    return True
