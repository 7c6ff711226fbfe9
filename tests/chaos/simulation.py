"""What a year of subscriptions must come to, worked out a second time: plain loops over dates, nothing of the service.

Wall times are walked minute by minute where clocks change, crontabs day by day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

MONTHS = {"monthly": 1, "two-month": 2, "three-month": 3, "four-month": 4, "six-month": 6, "yearly": 12}
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MOST_MADE_UP = 5
NOT_LATE = timedelta(minutes=10)


@dataclass(frozen=True)
class Every:
    """So many units, in weeks on some days (0 is Monday), as it is sent: by its parts."""

    count: int
    unit: str
    days: Sequence[int] = ()

    @property
    def sent(self) -> dict[str, object]:
        """The attributes."""
        days = {"weekdays": [WEEK[day] for day in self.days]} if self.days else {}
        return {"interval_unit": self.unit, "interval_count": self.count, **days}


@dataclass(frozen=True)
class Crontab:
    """A crontab of one minute and some hours, on days of the month or of the week (0 is Monday); None means all."""

    text: str
    minute: int
    hours: Sequence[int]
    month_days: Sequence[int] | None = None
    week_days: Sequence[int] | None = None


class Action(NamedTuple):
    """What is done to a subscription between two advances: a verb, at the end of the stretch of this number."""

    stretch: int
    verb: str


@dataclass(frozen=True)
class Life:
    """A subscription as its customer wants it; instants are aware."""

    frequency: str | Crontab | Every
    timezone: str
    made_at: datetime
    starts_at: datetime
    expires_at: datetime | None = None
    max_occurrences: int | None = None
    policy: str = "run_once"
    actions: Sequence[Action] = ()

    @property
    def sent(self) -> dict[str, object]:
        """The frequency as it is sent."""
        if isinstance(self.frequency, Every):
            return self.frequency.sent
        return {"frequency": self.frequency.text if isinstance(self.frequency, Crontab) else self.frequency}


class Row(NamedTuple):
    """A row of a ledger that is settled, by its index: `placed_at` is that of its order, None without one."""

    place: int
    nominal_at: datetime
    scheduled_at: datetime
    status: str
    reason: str | None
    placed_at: datetime | None


class Next(NamedTuple):
    """The next run: its place in the ledger, and when it falls."""

    place: int
    at: datetime


@dataclass
class Simulation:
    """One subscription's life so far; `stretch` goes on to an instant, `act` does what is asked there."""

    life: Life
    until: datetime
    rows: list[Row] = field(default_factory=list)
    active: bool = True
    paused_until: datetime | None = None
    skipped: set[int] = field(default_factory=set)
    moved: dict[int, datetime] = field(default_factory=dict)
    ran: int = 0

    def __post_init__(self) -> None:
        self.dates = list(dates(self.life, self.until))
        self.place = 0

    def stretch(self, now: datetime) -> None:
        """Settle what falls due until an instant, each at its own."""
        while self.active:
            ahead = self._ahead()
            reached = [index for index in range(self.place, ahead or 0) if self._at(index) <= now]
            if ahead is None or self._at(ahead) > now:
                return
            for place in reached:
                self._leave_out(place)
            self._run(ahead, self._at(ahead))
            self.place = ahead + 1

    def reactivate(self, now: datetime) -> None:
        """Go on after a time in which nothing ran: what was missed is made up for as the policy says."""
        self.active = True
        ahead = self._ahead()
        if ahead is None or self._at(ahead) > now:
            return
        come_up = []
        while self.place < len(self.dates) and self._goes_on(self.place) and self._at(self.place) <= now:
            if self._left_out(self.place):
                self._leave_out(self.place)
            else:
                come_up.append(self.place)
            self.place += 1
        if self.life.policy == "run_once":
            chosen = come_up[-1:]
        elif self.life.policy == "run_all":
            chosen = come_up[-MOST_MADE_UP:]
        else:
            chosen = [place for place in come_up if self._at(place) >= now - NOT_LATE]
        if self.life.max_occurrences is not None:
            chosen = chosen[: self.life.max_occurrences - self.ran]
        for place in come_up:
            if place in chosen:
                self._run(place, now)
            else:
                index, nominal_at, _ = self.dates[place]
                self.rows.append(Row(index, nominal_at, self._at(place), "missed", "catchup", None))

    def next(self) -> Next | None:
        """The run that comes next."""
        ahead = self._ahead()
        return None if ahead is None else Next(self.dates[ahead][0], self._at(ahead))

    def settled(self) -> list[Row]:
        """The rows by their index."""
        return sorted(self.rows)

    def _at(self, place: int) -> datetime:
        index, at, _ = self.dates[place]
        return self.moved.get(index, at)

    def _goes_on(self, place: int) -> bool:
        if self.life.max_occurrences is not None and self.ran >= self.life.max_occurrences:
            return False
        return self.life.expires_at is None or self._at(place) < self.life.expires_at

    def _left_out(self, place: int) -> bool:
        paused = self.paused_until is not None and self._at(place) < self.paused_until
        return paused or self.dates[place][0] in self.skipped

    def _ahead(self) -> int | None:
        """The place of the next date that runs."""
        for place in range(self.place, len(self.dates)):
            if not self._goes_on(place):
                return None
            if not self._left_out(place):
                return place
        return None

    def _leave_out(self, place: int) -> None:
        index, nominal_at, _ = self.dates[place]
        reason = "asked" if index in self.skipped else "paused"
        self.rows.append(Row(index, nominal_at, self._at(place), "skipped", reason, None))

    def _run(self, place: int, now: datetime) -> None:
        index, nominal_at, reason = self.dates[place]
        if index in self.moved:
            reason = "moved"
        self.rows.append(Row(index, nominal_at, self._at(place), "completed", reason, now))
        self.ran += 1


def dates(life: Life, until: datetime) -> Iterator[tuple[int, datetime, str | None]]:
    """Index, instant and reason of the dates until an instant and some beyond: the first after it was made is 1."""
    index = 0
    for at, reason in _from_the_start(life, until + timedelta(days=20)):
        if at > life.made_at:
            index += 1
            yield index, at, reason


def _from_the_start(life: Life, end: datetime) -> Iterator[tuple[datetime, str | None]]:
    """The start, and what follows it until one is later than the end."""
    zone = ZoneInfo(life.timezone)
    start = life.starts_at.astimezone(zone).replace(tzinfo=None)
    yield life.starts_at, None
    if isinstance(life.frequency, Crontab):
        yield from _crontab(life.frequency, zone, life.starts_at, end)
        return
    if isinstance(life.frequency, Every) and life.frequency.days:
        yield from _on_weekdays(life.frequency, start, zone, end)
        return
    at, step = life.starts_at, 0
    while at <= end:
        step += 1
        reason = None
        if life.frequency == "hourly":
            at = life.starts_at + timedelta(hours=step)
        elif isinstance(life.frequency, Every):
            at, reason = _every(life.frequency, step, start, zone)
        elif life.frequency in ("daily", "weekly"):
            at, reason = _instant(start + timedelta(days=step * (7 if life.frequency == "weekly" else 1)), zone, None)
        else:
            at, reason = _month(start, step * MONTHS[life.frequency], zone)
        yield at, reason


def _every(every: Every, step: int, start: datetime, zone: ZoneInfo) -> tuple[datetime, str | None]:
    """So many steps after a wall time."""
    number = step * every.count
    if every.unit in ("month", "year"):
        return _month(start, number * 12 if every.unit == "year" else number, zone)
    return _instant(start + timedelta(days=number * 7 if every.unit == "week" else number), zone, None)


def _on_weekdays(every: Every, start: datetime, zone: ZoneInfo, end: datetime) -> Iterator[tuple[datetime, str | None]]:
    """The days of a week after the start that are wanted, in every so many weeks."""
    monday, day = start.date() - timedelta(days=start.weekday()), start
    while day.replace(tzinfo=zone) <= end + timedelta(days=40):
        day += timedelta(days=1)
        weeks = (day.date() - monday).days // 7
        if weeks % every.count == 0 and day.weekday() in every.days:
            yield _instant(day, zone, None)


def _month(start: datetime, months: int, zone: ZoneInfo) -> tuple[datetime, str | None]:
    """So many months after a wall time, on the last day of a month that is too short."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day, reason = start.day, None
    while True:
        try:
            return _instant(start.replace(year=year, month=month + 1, day=day), zone, reason)
        except ValueError:
            day, reason = day - 1, "clamped"


def _instant(wall: datetime, zone: ZoneInfo, reason: str | None) -> tuple[datetime, str | None]:
    """The instant of a wall time; the first minute after one that is left out, the first of one that comes twice."""
    at = wall.replace(tzinfo=zone).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == wall:
        twice = (at + timedelta(hours=1)).astimezone(zone).replace(tzinfo=None, fold=0) == wall
        return at, "clock_back" if twice else reason
    while wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        wall += timedelta(minutes=1)
    return wall.replace(tzinfo=zone).astimezone(UTC), "clock_forward"


def _crontab(crontab: Crontab, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, None]]:
    """The dates of a crontab that stays clear of changes of clocks."""
    day = start.astimezone(zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    while day.replace(tzinfo=zone) <= end + timedelta(days=40):
        fits = crontab.month_days is None or day.day in crontab.month_days
        if fits and (crontab.week_days is None or day.weekday() in crontab.week_days):
            for hour in crontab.hours:
                at = day.replace(hour=hour, minute=crontab.minute, tzinfo=zone).astimezone(UTC)
                if at > start:
                    yield at, None
        day += timedelta(days=1)


def counts(rows: Sequence[Row]) -> Mapping[str, int]:
    """How many rows there are of each status."""
    found: dict[str, int] = {}
    for row in rows:
        found[row.status] = found.get(row.status, 0) + 1
    return found
