"""Days as pages show them, and as people type them into their forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_date

from service.errors import ApiError, Invalid, InvalidState
from service.operations.subscriptions.ordering_now import OrderNow
from service.rules.failures import WHY_NOT
from service.texts import Phrase


def written(at: datetime, timezone: str, locale: str, pattern: str = "d MMMM y") -> str:
    """An instant's day in a time zone, as readers of a locale write it; `pattern` is one of Unicode's (UTS 35)."""
    return format_date(at.astimezone(ZoneInfo(timezone)), pattern, locale)


def typed(day: str, at: datetime, timezone: str) -> datetime:
    """A day as somebody typed it, at the time of day that an instant has there. Raises Invalid for what is no day."""
    here = at.astimezone(ZoneInfo(timezone))
    with suppress(ValueError):
        wanted = datetime.fromisoformat(day)
        return here.replace(year=wanted.year, month=wanted.month, day=wanted.day)
    raise Invalid("{name} - must be a date", name="day")


@contextmanager
def moving(at: datetime, timezone: str, locale: str) -> Iterator[None]:
    """Raise Invalid for a day that a run can't be moved to, with the days that it can be moved to.

    `at` is when it takes place now. In words for customers: the API's name attributes and instants.
    """
    try:
        yield
    except ApiError as error:
        if not all(isinstance(problem, Invalid) for problem in error.problems):
            raise
        within = next((problem.meta for problem in error.problems if problem.meta is not None), {})
        found = _days(at.astimezone(ZoneInfo(timezone)), within)
        if found is None:
            raise Invalid("The delivery can't be on that day.") from error
        first, last = (format_date(day, "EEEE d MMMM y", locale) for day in found)
        raise Invalid(
            "The delivery can't be on that day. Choose one from {first} to {last}.", first=first, last=last
        ) from error


@contextmanager
def ordering(timezone: str, locale: str) -> Iterator[None]:
    """Raise InvalidState for a run that is ordered too early in words for customers: from which day on it can be."""
    try:
        yield
    except ApiError as error:
        allowed_at = next((found for one in error.problems if (found := (one.meta or {}).get("allowed_at"))), None)
        if allowed_at is None:
            raise
        reason = too_soon(datetime.fromisoformat(allowed_at), timezone, locale)
        raise InvalidState(reason) from error


def too_soon(allowed_at: datetime, timezone: str, locale: str) -> Phrase:
    """Why a run can't be ordered now that would follow too soon, and from when on it can be."""
    day = written(allowed_at, timezone, locale)
    return Phrase(
        "That is too soon after another delivery. The next one can be ordered ahead of its day from {day} on.", day=day
    )


def why_not_now(now: OrderNow, timezone: str, locale: str) -> Phrase | None:
    """Why the next run can't be ordered now; None where it can be, or where there is none."""
    if now.allowed_at is not None:
        return too_soon(now.allowed_at, timezone, locale)
    return None if now.fails is None else WHY_NOT[now.fails]


def _days(here: datetime, within: Mapping[str, str]) -> tuple[date, date] | None:
    """The first and the last day on which something can be at the time of day that it has; None for no day."""
    if not {"after", "before"} <= within.keys():
        return None
    after, before = (datetime.fromisoformat(within[name]).astimezone(here.tzinfo) for name in ("after", "before"))
    first = after.date() + timedelta(days=after.time() >= here.time())
    last = before.date() - timedelta(days=before.time() <= here.time())
    return (first, last) if first <= last else None
