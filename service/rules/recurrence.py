"""The calendar of a subscription: when its occurrences fall, as a pure function of anchor, time zone and frequency.

The anchor is a day and a time on the wall clock of the time zone. Occurrence `index` falls `index - anchor_index`
periods after it, always counted from the anchor itself: month ends clamp (31 January, 28 February, 31 March) and never
drift. A wall time that a change of clocks leaves out becomes the first instant after it, one that comes twice is taken
once, the first time. Another frequency or time zone keeps the day and the time of the anchor: only where periods are
counted from, the phase, follows what ran last.

In weeks with several days each of them counts: the first after the anchor is 1. Hours are hours that pass, whatever
clocks do. A crontab's occurrences are its matches after the anchor, one by one;
around changes of clocks they follow Debian's cron: what is left out comes right after, and nothing comes twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import count, islice
from typing import Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil.relativedelta import relativedelta

from service.rules.intervals import HOURLY, NAMED, FrequencyError, Interval, counted
from service.texts import Phrase

Reason = Literal["anchor", "clamped", "clock_forward", "clock_back"]
"""Why an occurrence falls where it does: as counted from the anchor, on the last day of a month that is too short for
it, or moved off a wall time that its time zone leaves out, or taken the first time of a wall time that comes twice."""

_PROBE = datetime(2000, 1, 1, tzinfo=UTC)
_EXAMPLE = Interval("week", 2, (0, 3)).text


UNCOUNTABLE: Final = (LookupError, ValueError, OverflowError, RuntimeError)
"""What a calendar raises that can't be read, or not so far ahead."""


class Date(NamedTuple):
    """Where an occurrence falls: an instant in UTC, and why there."""

    at: datetime
    reason: Reason


def check_frequency(frequency: str, *, last_day: bool = False) -> None:
    """Raise FrequencyError unless this is a word, an interval, or a crontab of five fields not finer than hourly.

    `last_day` makes sense for frequencies of whole months only.
    """
    interval = counted(frequency)
    if is_crontab(frequency):
        _check_crontab(frequency)
    if interval is not None:
        interval.check()
        if interval.text != frequency:
            raise FrequencyError(Phrase("is written {text}", text=interval.text))
    if last_day and (interval is None or not interval.months):
        raise FrequencyError(Phrase("has no last day of the month: only frequencies of whole months have one"))


def is_crontab(frequency: str) -> bool:
    """Whether its dates are found one by one."""
    return frequency != HOURLY and counted(frequency) is None


def _check_crontab(expression: str) -> None:
    if len(expression) > 100 or len(expression.split()) != 5:
        raise FrequencyError(
            Phrase(
                "must be one of {names}, an interval such as {interval}, or a crontab of five fields",
                names=NAMED,
                interval=_EXAMPLE,
            )
        )
    try:
        crontab = CronSim(expression, _PROBE)
        next(crontab)
    except (CronSimError, StopIteration, IndexError):
        # cronsim 2.8 meets some texts, such as an L alone where a day of the week stands, with an IndexError.
        raise FrequencyError(Phrase("is a crontab that means no date")) from None
    if len(crontab.minutes) != 1:
        raise FrequencyError(Phrase("is a crontab that is finer than hourly"))


@dataclass(slots=True)
class _Known:
    """What a calendar has worked out, as a schedule is walked through several times.

    `dates` are those so many steps after the anchor; those of a crontab come one after the other, from `first` on.
    """

    wall: datetime | None = None
    dates: dict[int, Date] = field(default_factory=dict)
    first: int = 0
    walk: Iterator[Date] | None = None

    def __deepcopy__(self, _: dict[int, object]) -> Self:
        """Nothing: the copy of a calendar works it out itself."""
        return type(self)()


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a subscription's occurrences fall.

    `anchor_at` is an aware instant, `timezone` an IANA name, `wall` what the clock there shows at the anchor; None
    where it shows just that, and another time where it leaves that time out. The occurrence `anchor_index` falls at the
    anchor, or, where a phase is given, in the period of that day (`phase_on`); a crontab's is taken to fall at an
    instant (`phase_at`). With `last_day` all fall on the last day of their month, at the anchor's time of day.

    Raises FrequencyError for a frequency that doesn't exist, ZoneInfoNotFoundError for such a time zone.
    """

    anchor_at: datetime
    timezone: str
    frequency: str
    anchor_index: int = 0
    last_day: bool = False
    wall: datetime | None = None
    phase_on: date | None = None
    phase_at: datetime | None = None
    _known: _Known = field(default_factory=_Known, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_frequency(self.frequency, last_day=self.last_day)
        ZoneInfo(self.timezone)

    @property
    def wall_clock(self) -> datetime:
        """Day and time of the anchor on the wall clock, without a time zone."""
        if self.wall is not None:
            return self.wall
        known = self._known
        if known.wall is None:
            known.wall = self.anchor_at.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None, fold=0)
        return known.wall

    def date(self, index: int) -> Date:
        """Where the occurrence of this index falls. Raises ValueError for one before `anchor_index`."""
        return next(self.dates(index))

    def dates(self, index: int) -> Iterator[Date]:
        """Where the occurrences fall from this index on, without end. Raises ValueError for one before `anchor_index`.

        A crontab's are found by walking from there.
        """
        steps = index - self.anchor_index
        if steps < 0:
            raise ValueError("there is no occurrence before the anchor")
        return (self._date(step) for step in count(steps))

    def _date(self, step: int) -> Date:
        """Where the occurrence so many steps after the anchor falls."""
        known = self._known
        if not is_crontab(self.frequency):
            if step not in known.dates:
                known.dates[step] = self._step(step)
        elif step not in known.dates:
            if known.walk is None or step < known.first:
                known.first, known.dates = step, {}
                known.walk = islice(self._matches(), step, None)
            while step not in known.dates:
                known.dates[known.first + len(known.dates)] = next(known.walk)
        return known.dates[step]

    def later(self, at: datetime, days: int) -> datetime:
        """So many days after an instant, at the same time on the wall clock."""
        zone = ZoneInfo(self.timezone)
        wall = at.astimezone(zone).replace(tzinfo=None, fold=0) + timedelta(days=days)
        return _instant(wall, zone, "anchor").at

    def first_after(self, at: datetime) -> int:
        """The index of the first occurrence from `anchor_index` on that falls later than an aware instant."""
        if is_crontab(self.frequency):
            return next(index for index, date in enumerate(self._matches(), self.anchor_index) if date.at > at)
        first = self._step(0).at
        if at < first:
            return self.anchor_index
        period, runs = _shortest(counted(self.frequency))
        most = (int((at - first) / period) + 2) * runs
        return self.anchor_index + bisect_right(range(most + 1), at, key=lambda step: self._step(step).at)

    def _step(self, step: int) -> Date:
        if step == 0 and self.phase_on is None and (self.wall is None or not self.last_day):
            return Date(self.anchor_at, "anchor")
        zone, anchor = ZoneInfo(self.timezone), self.wall_clock
        phase = anchor if self.phase_on is None else datetime.combine(self.phase_on, anchor.time())
        if self.frequency == HOURLY:
            start = self.anchor_at if self.phase_on is None else _instant(phase, zone, "anchor").at
            return Date(start + timedelta(hours=step), "anchor")
        interval = counted(self.frequency)
        assert interval is not None  # noqa: S101 -- crontabs are walked
        if not interval.months:
            return _instant(phase + timedelta(days=interval.days_to(step, phase.weekday())), zone, "anchor")
        day = 31 if self.last_day else anchor.day
        wall = phase + relativedelta(months=step * interval.months, day=day)
        return _instant(wall, zone, "clamped" if wall.day < anchor.day else "anchor")

    def _matches(self) -> Iterator[Date]:
        """The instant that a crontab is counted from, then every match after it."""
        last = self.anchor_at if self.phase_at is None else self.phase_at
        yield Date(last, "anchor")
        crontab = CronSim(self.frequency, last.astimezone(ZoneInfo(self.timezone)))
        while True:
            at = next(crontab).astimezone(UTC)
            # Around changes of clocks the same instant, or one before the start, may come up.
            if at > last:
                last = at
                yield Date(at, "anchor")


def anchored(calendar: Calendar, next_index: int, after: datetime) -> Calendar:
    """The same calendar, so counted that `next_index` is its first occurrence after an instant.

    Indexes go on without a gap, nothing that lies behind is made up for, and no occurrence comes twice.
    """
    if is_crontab(calendar.frequency):
        start = max(calendar.anchor_at, after)
        return replace(calendar, phase_at=start, anchor_index=next_index - (calendar.anchor_at <= after))
    counted = replace(calendar, anchor_index=0)
    return replace(calendar, anchor_index=next_index - counted.first_after(after))


def changed(
    calendar: Calendar, frequency: str, timezone: str, *, last_day: bool, last_at: datetime | None = None
) -> Calendar:
    """The calendar with another frequency or time zone, or on other days, from the same day and time on the wall clock.

    Another frequency counts its periods from the last nominal run, `last_at`, or from the anchor where nothing has run.
    """
    wall, phase_on = calendar.wall_clock, calendar.phase_on
    if frequency != calendar.frequency:
        phase_on = None if last_at is None else last_at.astimezone(ZoneInfo(calendar.timezone)).date()
    anchor_at = calendar.anchor_at
    if timezone != calendar.timezone:
        anchor_at = _instant(wall, ZoneInfo(timezone), "anchor").at
    return Calendar(
        anchor_at,
        timezone,
        frequency,
        calendar.anchor_index,
        last_day=last_day,
        wall=wall,
        phase_on=phase_on,
        phase_at=calendar.phase_at if frequency == calendar.frequency else None,
    )


def _shortest(interval: Interval | None) -> tuple[timedelta, int]:
    """No period is shorter (an hour where there is no interval), with so many runs in one.

    A day of a change of clocks, say, has 23 hours or 22.
    """
    if interval is None:
        return timedelta(hours=1), 1
    return timedelta(days=interval.days or 28 * interval.months, hours=-4), max(len(interval.weekdays), 1)


def _instant(wall: datetime, zone: ZoneInfo, reason: Reason) -> Date:
    """The instant of a wall time, of one that comes twice the first, of one that is left out the first after it."""
    first = wall.replace(tzinfo=zone, fold=0)
    before, after = first.utcoffset(), first.replace(fold=1).utcoffset()
    if before == after or before is None or after is None:
        return Date(first.astimezone(UTC), reason)
    if before > after:
        return Date(first.astimezone(UTC), "clock_back")
    return Date(_change(zone, wall - after, wall - before), "clock_forward")


@lru_cache(maxsize=4096)
def _change(zone: ZoneInfo, earlier: datetime, later: datetime) -> datetime:
    """The instant between two (both UTC, naive) at which the zone's clocks are changed, to the second."""
    low, high = earlier.replace(tzinfo=UTC), later.replace(tzinfo=UTC)
    offset = low.astimezone(zone).utcoffset()
    seconds = int((high - low).total_seconds())
    moved = bisect_right(
        range(seconds + 1),
        0,
        key=lambda second: int((low + timedelta(seconds=second)).astimezone(zone).utcoffset() != offset),
    )
    # Whole seconds, also when the wall time has milliseconds: clocks change on whole seconds.
    return (low + timedelta(seconds=moved)).replace(microsecond=0)
