"""How often, as so many days, weeks, months or years, and in weeks on which days.

An interval and a frequency are two ways to say one thing. A frequency is kept: one of Commerce Layer's words, an
interval that has no word (`2-week`, `1-week:monday,thursday`), or a crontab. `hourly`, and crontabs that mean something
else than an interval, have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cronsim import CronSim

from schemas.kinds.times import UNITS, WEEKDAYS, Unit
from service.texts import Phrase

MOST: Final[Mapping[Unit, int]] = {"day": 3650, "week": 520, "month": 120, "year": 10}
"""The longest intervals: ten years."""

HOURLY: Final = "hourly"

_WORDS: Final[Mapping[str, tuple[Unit, int]]] = {
    "daily": ("day", 1),
    "weekly": ("week", 1),
    "monthly": ("month", 1),
    "two-month": ("month", 2),
    "three-month": ("month", 3),
    "four-month": ("month", 4),
    "six-month": ("month", 6),
    "yearly": ("year", 1),
}

NAMED: Final = (HOURLY, *_WORDS)
"""The frequencies that are a word (Commerce Layer's)."""

_WORD_OF = {interval: word for word, interval in _WORDS.items()}
_FORM = re.compile(r"([1-9][0-9]{0,3})-(day|week|month|year)(?::([a-z]+(?:,[a-z]+){0,6}))?")
_CRONTAB = re.compile(r"\d+ \d+ (\*|[1-9]|1\d|2[0-8]) (\*|[1-9]|1[0-2]) ([*0-9A-Z,-]+)", re.IGNORECASE)
_SUNDAYS = (0, 7)
_ANY = datetime(2000, 1, 1, tzinfo=UTC)


class FrequencyError(ValueError):
    """A text that is no frequency; `reason` says why, in a sentence without a subject."""

    def __init__(self, reason: Phrase) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Interval:
    """So many units, in weeks on these days (0 is Monday); without any on the day of the anchor."""

    unit: Unit
    count: int = 1
    weekdays: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The frequency that says the same."""
        if not self.weekdays:
            return _WORD_OF.get((self.unit, self.count)) or f"{self.count}-{self.unit}"
        return f"{self.count}-{self.unit}:{','.join(WEEKDAYS[day] for day in self.weekdays)}"

    @property
    def months(self) -> int:
        """How many months it is; 0 for days and weeks."""
        return {"month": self.count, "year": 12 * self.count}.get(self.unit, 0)

    @property
    def days(self) -> int:
        """How many days it is; 0 for months and years."""
        return {"day": self.count, "week": 7 * self.count}.get(self.unit, 0)

    def days_to(self, step: int, weekday: int) -> int:
        """How many days after a day its occurrence so many steps on falls, for an interval of days or weeks.

        On `weekdays`, weeks are counted from Monday of the week of that day.
        """
        if not self.weekdays or not step:
            return step * self.days
        passed = sum(day <= weekday for day in self.weekdays)
        weeks, place = divmod(passed + step - 1, len(self.weekdays))
        return weeks * self.days + self.weekdays[place] - weekday

    def check(self) -> None:
        """Raise FrequencyError for one that is too long, or has weekdays and isn't of weeks."""
        if self.count > MOST[self.unit]:
            raise FrequencyError(Phrase("is longer than ten years"))
        if self.weekdays and self.unit != "week":
            raise FrequencyError(Phrase("has no weekdays: only weeks have"))


@lru_cache(maxsize=4096)
def counted(frequency: str) -> Interval | None:
    """The interval that a calendar counts by; None for `hourly`, crontabs and what is none."""
    if frequency in _WORDS:
        return Interval(*_WORDS[frequency])
    found = _FORM.fullmatch(frequency)
    if found is None:
        return None
    count, unit, names = found.groups()
    days = (names or "").split(",") if names else []
    if not set(days) <= set(WEEKDAYS):
        return None
    return Interval(next(known for known in UNITS if known == unit), int(count), weekdays_of(days))


def weekdays_of(names: Iterable[str]) -> tuple[int, ...]:
    """Days of the week by their names, in their order, each once. Raises ValueError for a name that is none."""
    return tuple(sorted({WEEKDAYS.index(name) for name in names}))


@lru_cache(maxsize=4096)
def meant(frequency: str) -> Interval | None:
    """The interval that a frequency means, also a crontab; None for `hourly` and crontabs that mean none."""
    if (interval := counted(frequency)) is not None:
        return interval
    found = _CRONTAB.fullmatch(frequency)
    if found is None:
        return None
    day, month, weekday = found.groups()
    if day == month == "*" and weekday != "*":
        days = CronSim(frequency, _ANY).weekdays
        numbers = [one for one in days if isinstance(one, int)]
        weekdays = sorted({6 if one in _SUNDAYS else one - 1 for one in numbers})
        return Interval("week", 1, tuple(weekdays)) if len(numbers) == len(days) else None
    if weekday != "*" or (day == "*" and month != "*"):
        return None
    return Interval("day" if day == "*" else "month" if month == "*" else "year")


def interval_of(unit: Unit | None, count: int | None, weekdays: Sequence[str] | None) -> Interval | None:
    """The interval that is kept in columns; None without a unit."""
    return None if unit is None else Interval(unit, count or 1, weekdays_of(weekdays or ()))


def columns_of(interval: Interval | None) -> dict[str, object]:
    """The columns that an interval is kept in."""
    if interval is None:
        return {"interval_unit": None, "interval_count": None, "weekdays": None}
    weekdays = [WEEKDAYS[day] for day in interval.weekdays] or None
    return {"interval_unit": interval.unit, "interval_count": interval.count, "weekdays": weekdays}
