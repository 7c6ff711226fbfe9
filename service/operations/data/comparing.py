"""The calendar that a subscription had elsewhere beside the one that it gets here.

Elsewhere, the next date is what the file says, and each one after it a period later than the one before. Here, dates
are counted from the anchor: a month end clamps and never drifts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice, repeat
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from service.operations.data.completing import standing_of
from service.operations.data.records import Entry
from service.rules.intervals import HOURLY, counted
from service.rules.recurrence import UNCOUNTABLE
from service.rules.schedule import upcoming

DATES: Final = 3
"""How many dates of each subscription are compared."""


class Compared(NamedTuple):
    """A date of a subscription elsewhere, and here; None where there is none."""

    subscription_id: str
    there: datetime | None
    here: datetime | None

    @property
    def differs(self) -> bool:
        """Whether they are another minute."""
        return self.there is None or self.here is None or abs((self.there - self.here).total_seconds()) >= 60


def compare(entry: Entry) -> list[Compared]:
    """Compare the next dates of a subscription that was taken; empty for what doesn't run."""
    row = entry.row
    if row is None or entry.problems or row.record.type_ != "order_subscriptions" or row.get("status") != "active":
        return []
    next_run_at = row.get("next_run_at")
    if not isinstance(next_run_at, datetime):
        return []
    try:
        here = [one.scheduled_at for one in islice(upcoming(standing_of(row)), DATES)]
    except UNCOUNTABLE:
        here = []
    there = list(islice(_iterated(next_run_at, str(row.get("frequency")), str(row.get("timezone"))), DATES))
    return [Compared(row.id, *dates) for dates in zip(_padded(there), _padded(here), strict=True)]


def _padded(dates: Sequence[datetime]) -> list[datetime | None]:
    """As many dates as are compared, None for those that there aren't."""
    return [*dates, *repeat(None, DATES - len(dates))]


def _iterated(first: datetime, frequency: str, timezone: str) -> Iterator[datetime]:
    """Dates, each a period after the one before on the wall clock; of crontabs and weekdays the first alone."""
    interval = counted(frequency)
    period = relativedelta(hours=1) if frequency == HOURLY else None
    if interval is not None and not interval.weekdays:
        period = relativedelta(months=interval.months, days=interval.days)
    zone, at = ZoneInfo(timezone), first
    yield at
    while period is not None:
        wall = at.astimezone(zone).replace(tzinfo=None) + period
        at = at + period if frequency == HOURLY else wall.replace(tzinfo=zone).astimezone(first.tzinfo)
        yield at
