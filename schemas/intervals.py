"""How often something is ordered again: an interval or a crontab, and where its calendar is read."""

from __future__ import annotations

from typing import Final

from schemas.fields import Write
from schemas.kinds import UNITS, WEEKDAYS, Boolean, Enum, EnumList, Integer, Text, TimeZone

FREQUENCIES: Final = (
    "hourly, daily, weekly, monthly, two-month, three-month, four-month, six-month, yearly, intervals such as `2-week`"
    " and `1-week:monday,thursday`"
)
"""Which frequencies there are, for docs."""


class Recurring:
    """When a type of the calendar comes again: what its next runs are counted by."""

    frequency = Text(
        write=Write.BOTH,
        nullable=False,
        filter=True,
        sort=True,
        harmless=True,
        doc=f"{FREQUENCIES}, or a crontab. A new one has this or an interval.",
        example="monthly",
    )
    interval_unit = Enum(
        *UNITS,
        write=Write.BOTH,
        doc="What `frequency` counts, which it is another way to set; null for hourly, and crontabs that mean no"
        " interval.",
    )
    interval_count = Integer(
        minimum=1, maximum=3650, write=Write.BOTH, doc="Every how many of these units: 1 by default."
    )
    weekdays = EnumList(
        *WEEKDAYS,
        write=Write.BOTH,
        doc="For weeks: the days on which it runs, at the anchor's time; null: on the anchor's day.",
    )
    cutoff_hours = Integer(
        minimum=0,
        maximum=720,
        write=Write.BOTH,
        guarded=True,
        nullable=False,
        doc="How many hours before a run its date is settled: later edits go to the run after it. 0 by default.",
    )
    last_day = Boolean(
        write=Write.BOTH,
        nullable=False,
        doc="Whether runs fall on the last day of their month, for frequencies of whole months; not so by default.",
    )
    timezone = TimeZone(write=Write.BOTH, nullable=False, doc="Where its calendar is read; the store's by default.")
