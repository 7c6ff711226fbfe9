"""When a calendar says that runs are, worked out a second time from the rules: plain dates, nothing of the service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

MONTHS = {"monthly": 1, "two-month": 2, "three-month": 3, "six-month": 6, "yearly": 12}
DAYS = {"daily": 1, "weekly": 7}
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Crontab:
    """At a minute of an hour that no change of clocks is near, on some days of the week (0 is Monday)."""

    text: str
    hour: int
    minute: int
    days: tuple[int, ...]


def instant(wall: datetime, zone: str) -> datetime:
    """The instant at which a clock shows this; the first after it where the clock never does, the first of two."""
    there = ZoneInfo(zone)
    while True:
        at = wall.replace(tzinfo=there, fold=0).astimezone(UTC)
        if at.astimezone(there).replace(tzinfo=None, fold=0) == wall:
            return at
        wall += timedelta(minutes=1)


def shown(at: datetime, zone: str) -> datetime:
    """What a clock shows at an instant."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


class Dates:
    """Dates without end, each found when somebody looks."""

    def __init__(self, source: Iterator[tuple[int, datetime]]) -> None:
        self._source = source
        self._found: list[tuple[int, datetime]] = []

    def __deepcopy__(self, _: object) -> Dates:
        return self

    def at(self, place: int) -> tuple[int, datetime]:
        """Period and instant of a date."""
        while len(self._found) <= place:
            self._found.append(next(self._source))
        return self._found[place]


def periods(frequency: str, zone: str, start: datetime, base: datetime, day: int) -> Iterator[tuple[int, datetime]]:
    how, _, days = frequency.partition(":")
    number, _, unit = how.partition("-")
    if days:
        yield from _weekdays(int(number) * 7, [WEEK.index(name) for name in days.split(",")], zone, base)
    for period in count():
        if frequency == "hourly":
            yield period, start + timedelta(hours=period)
        elif unit in ("day", "week") and number.isdigit():
            yield period, instant(base + timedelta(days=period * int(number) * (7 if unit == "week" else 1)), zone)
        elif unit in ("month", "year") and number.isdigit():
            ahead = base.year * 12 + base.month - 1 + period * int(number) * (12 if unit == "year" else 1)
            yield period, instant(datetime.combine(_in_month(ahead, day), base.time()), zone)
        elif frequency in DAYS:
            yield period, instant(base + timedelta(days=period * DAYS[frequency]), zone)
        else:
            months = base.year * 12 + base.month - 1 + period * MONTHS[frequency]
            yield period, instant(datetime.combine(_in_month(months, day), base.time()), zone)


def _weekdays(every: int, days: list[int], zone: str, base: datetime) -> Iterator[tuple[int, datetime]]:
    """The base, and after it the days of its week and of every so many days later, one day after the other."""
    yield 0, instant(base, zone)
    monday = base - timedelta(days=base.weekday())
    period = 0
    for ahead in count(1):
        day = base + timedelta(days=ahead)
        if (day - monday).days % every < 7 and day.weekday() in days:
            period += 1
            yield period, instant(day, zone)


def matches(crontab: Crontab, zone: str, after: datetime) -> Iterator[tuple[int, datetime]]:
    day, period = shown(after, zone).date(), 0
    while True:
        if day.weekday() in crontab.days:
            at = instant(datetime.combine(day, time(crontab.hour, crontab.minute)), zone)
            if at > after:
                period += 1
                yield period, at
        day += timedelta(days=1)


def _in_month(months: int, day: int) -> date:
    """A day of a month, or its last day."""
    while True:
        try:
            return date(months // 12, months % 12 + 1, day)
        except ValueError:
            day -= 1
