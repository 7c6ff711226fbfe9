"""What becomes of a subscription's dates, worked out a second time from the rules: plain lists, nothing of the service.

A subscription has a list of dates to come, each with the period that it is of. An edit makes that list anew; what has
come up by then isn't on it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import chain, count

from tests.faults.plain_dates import Crontab, Dates, instant, matches, periods, shown

MADE_UP = 5
NOT_LATE = timedelta(minutes=10)
FOREVER = 1_000_000
EARLIER = -1
"""The period of what came up before the calendar was changed."""


class Refused(Exception):
    """The edit is refused, and changes nothing."""


@dataclass
class Row:
    """An occurrence: the period that it is of, where the calendar puts it, when it runs, what became of it."""

    period: int
    nominal: datetime
    at: datetime
    status: str = "planned"
    reason: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nobody skipped or moved it."""
        return self.status == "planned" and self.at == self.nominal


@dataclass
class Plain:
    """One subscription: its terms, its rows by index, and the dates to come that differ from the calendar's.

    `source` is when the order was placed that it repeats, which stands for the run before the first.
    """

    frequency: str | Crontab
    zone: str
    starts: datetime
    now: datetime
    last_day: bool = False
    policy: str = "run_once"
    expires: datetime | None = None
    most: int | None = None
    last: bool = False
    paused: datetime | None = None
    cutoff: timedelta = timedelta(0)
    apart: timedelta | None = None
    paid_for: int | None = None
    source: datetime | None = None
    active: bool = True
    ended: bool = False
    rows: dict[int, Row] = field(default_factory=dict)
    next: int = 1

    def __post_init__(self) -> None:
        self._anchor(self.starts, self.now)
        self.settle_end()

    # what the calendar says

    def _anchor(self, at: datetime, after: datetime) -> None:
        self.starts = at
        self.day = shown(at, self.zone)
        self.phase: date | None = None
        self.counted = at
        self.source_ran = at <= after
        self._list(lambda period, when: period > 0 and when > after, include_start=at > after)

    def _series(self) -> Iterator[tuple[int, datetime]]:
        """Every date from the phase on, with its period."""
        if isinstance(self.frequency, Crontab):
            return matches(self.frequency, self.zone, self.counted)
        clock = self.day.time()
        base = self.phase or self.day.date()
        start = self.starts if self.phase is None else instant(datetime.combine(base, clock), self.zone)
        wanted = 31 if self.last_day else self.day.day
        return periods(self.frequency, self.zone, start, datetime.combine(base, clock), wanted)

    def _list(self, fits: Callable[[int, datetime], bool], *, include_start: bool = False) -> None:
        """Take the dates that fit, counted on from the next index that isn't settled or overdue."""
        if include_start:
            later = (found for found in self._series() if found[0] > 0)
            self.dates = Dates(chain([(0, self.starts)], later))
        else:
            self.dates = Dates(found for found in self._series() if fits(*found))
        self.passed = 0
        self.first = self._behind()
        # A start that an edit has passed by stays behind, also when the clock steps back before it.
        self.source_ran = self.source_ran or self.dates.at(0)[0] > 0

    def _date(self, place: int) -> tuple[int, datetime]:
        return self.dates.at(self.passed + place)

    def _behind(self) -> int:
        """The index of the first date that is on the list."""
        return max(self.next, max((index + 1 for index, row in self.rows.items() if row.at <= self.now), default=0))

    def row(self, index: int) -> Row:
        """An occurrence from the next one on."""
        if index in self.rows:
            return self.rows[index]
        period, at = self._date(index - self.first)
        return Row(period, at, at)

    # what runs

    def over(self, row: Row) -> bool:
        """Whether an occurrence comes after the end."""
        return self.expires is not None and row.at >= self.expires

    def ran(self) -> int:
        """How many occurrences count."""
        return sum(row.status == "due" for row in self.rows.values())

    def _left(self) -> int:
        left = FOREVER if self.most is None else self.most - self.ran()
        if not self.last:
            return left
        # Of deliveries that are paid for together the last that is paid for is the last.
        return min(left, int(not self.ended) if self.paid_for is None else self.paid_for)

    def _runs(self, row: Row) -> bool:
        return row.status == "planned" and not (self.paused is not None and row.at < self.paused)

    def coming(self, number: int) -> list[int]:
        """The indexes of the next runs."""
        found: list[int] = []
        index = self.next
        while len(found) < min(number, self._left()):
            row = self.row(index)
            if self.over(row):
                break
            if self._runs(row):
                found.append(index)
            index += 1
        return found

    def reaches(self, wanted: int) -> bool:
        """Whether an occurrence comes up before the end."""
        runs = 0
        for index in range(self.next, wanted + 1):
            if self.over(self.row(index)) or runs >= self._left():
                return False
            runs += self._runs(self.row(index))
        return True

    def next_run(self) -> datetime | None:
        """When it runs next."""
        following = self.coming(1)
        return self.row(following[0]).at if following else None

    def settle_end(self) -> None:
        """Note whether a run is left."""
        self.ended = not self.coming(1)

    def look(self, now: datetime) -> None:
        """The service looks at the clock."""
        self.now = now
        following = self.next_run()
        if not self.active or following is None or following > now:
            return
        come_up: list[int] = []
        left = self._left()
        while True:
            row = self.row(self.next)
            if row.at > now or self.over(row):
                break
            if row.status == "planned" and not self._runs(row):
                row = replace(row, status="skipped", reason="paused")
            if row.status == "planned":
                come_up.append(self.next)
            self.rows[self.next] = row
            self.next += 1
        chosen = self._made_up(come_up, now)
        for index in come_up:
            run = index in chosen[:left]
            self.rows[index].status = "due" if run else "missed"
            if not run:
                self.rows[index].reason = "catchup"
        self.ended = self.last and any(index in chosen[:left] for index in come_up)
        if any(index in chosen[:left] for index in come_up):
            self._give_up()
        self.settle_end()

    def _give_up(self) -> None:
        """What is held for its price is missed once another run comes up."""
        for row in self.rows.values():
            if row.status == "held":
                row.status, row.reason = "missed", "approval"

    def end_of_approval(self, index: int, held_at: datetime) -> datetime | None:
        """Until when a run that was held then can be agreed to: its next date; None where the dates were made anew."""
        if self.rows[index].period == EARLIER:
            return None
        return next(at for later in count(index + 1) if (at := self.row(later).nominal) > held_at)

    def _made_up(self, late: list[int], now: datetime) -> list[int]:
        """Which of those that have come up run."""
        if self.policy == "skip":
            return [index for index in late if self.row(index).at >= now - NOT_LATE]
        return late[-1:] if self.policy == "run_once" else late[-MADE_UP:]

    # edits

    def closed(self) -> datetime:
        """Until when no date changes any more."""
        return self.now + self.cutoff if self.active and not self.ended else self.now

    def _begin(self, now: datetime, *, expires: datetime | None, most_left: int) -> Row | None:
        """What has come up by now is settled, or overdue; gives the last of what stays where it is."""
        self.now = now
        index = self.next
        if most_left > 0:
            while True:
                row = self.row(index)
                if row.at > self.closed() or (expires is not None and row.at >= expires):
                    break
                if row.at > now:
                    pass
                elif row.status == "planned" and self.paused is not None and row.at < self.paused:
                    row = replace(row, status="skipped", reason="paused")
                elif row.status == "planned" and (self.ended or self.over(row)):
                    row = replace(row, status="skipped", reason="ended")
                self.rows[index] = row
                index += 1
        while self.next < index and self.rows[self.next].status == "skipped" and self.rows[self.next].at <= now:
            self.next += 1
        self.passed += max(index - self.first, 0)
        self.first = max(index, self.first)
        self.open = index
        return self.rows.get(index - 1)

    def edit(
        self,
        now: datetime,
        *,
        frequency: str | Crontab | None = None,
        zone: str | None = None,
        last_day: bool | None = None,
        anchor: datetime | None = None,
        expires: datetime | str | None = "as it is",
        most: int | str | None = "as it is",
        ends: bool | None = None,
        paid_for: int | str | None = "as it is",
        paused: datetime | str | None = "as it is",
        skip: bool = False,
        run_at: datetime | None = None,
    ) -> None:
        """Make an edit. Raises Refused."""
        end = self.expires if isinstance(expires, str) else expires
        if self.paid_for is not None and isinstance(expires, datetime):
            raise Refused
        if self.paid_for and isinstance(most, int) and most < self.ran() + self.paid_for:
            raise Refused
        before = self.most, self.last, self.paid_for
        self.most = self.most if isinstance(most, str) else most
        self.last = self.last if ends is None else ends
        self.paid_for = self.paid_for if isinstance(paid_for, str) else paid_for
        left = self._left()
        wanted = self.most, self.last, self.paid_for
        self.most, self.last, self.paid_for = before
        last = self._begin(now, expires=end, most_left=left)
        special = {index: row for index, row in self.rows.items() if index >= self.open and not row.is_plain}
        self._recount(last, frequency, zone, last_day, anchor, special)
        self.expires, (self.most, self.last, self.paid_for) = end, wanted
        if not isinstance(paused, str):
            self.paused = paused
        following = self._open()
        if skip and following:
            self.rows[following[0]] = replace(self.row(following[0]), status="skipped", reason="asked")
        if run_at is not None:
            self._move_next(run_at)
        self._check_reached(special)
        self.settle_end()

    def delay(self, now: datetime, number: int, *, runs: bool) -> None:
        """Put the next run off by days, or by runs. Raises Refused."""
        self.edit(now)
        still = self._open(number + 1 if runs else 1)
        if len(still) < (number + 1 if runs else 1):
            raise Refused
        if runs:
            to = self.row(still[-1]).at
        else:
            to = instant(shown(self.row(still[0]).at, self.zone) + timedelta(days=number), self.zone)
        if self.is_closed(to) or (self.paused is not None and to < self.paused):
            raise Refused
        if self.expires is not None and to >= self.expires:
            raise Refused
        many = 2
        while len(found := self._open(many)) == many and self.row(found[-1]).at < to:
            many += 1
        behind = [index for index in found if self.row(index).at >= to]
        gap = self.row(behind[0]).at - to if behind else timedelta(0)
        if not runs and self.apart is not None and timedelta(0) < gap < self.apart:
            raise Refused
        passed = [index for index in self._open(many + 1) if self.row(index).at <= to]
        moved = passed[-1] if passed else still[0]
        for index in passed[:-1]:
            self.rows[index] = replace(self.row(index), status="skipped", reason="passed_over")
        if self.row(moved).at != to:
            self.rows[moved] = replace(self.row(moved), at=to, reason="moved")
            self._check_place(moved)
        self.check_moved()
        self.settle_end()

    def order(self, now: datetime) -> None:
        """Order the next run now. Raises Refused."""
        before = [index for index, row in self.rows.items() if row.status in ("due", "held")]
        self.edit(now)
        if before:
            last = self.rows[max(before)]
            if now < (last.nominal if self.apart is None else last.at + self.apart):
                raise Refused
        elif self.source is not None and self.apart is not None and now < self.source + self.apart:
            raise Refused
        late: list[int] = []
        index = self.next
        while self._left() > 0 and (row := self.row(index)).at <= now and not self.over(row):
            late += [index] if self._runs(row) else []
            index += 1
        made_up = self._made_up(late, now)[: self._left()]
        for index in [index for index in late if index not in made_up]:
            self.rows[index] = replace(self.row(index), status="missed", reason="catchup")
        following = self.coming(1)
        if not following:
            raise Refused
        for index in range(self.next, following[0]):
            row = self.row(index)
            self.rows[index] = row if row.status != "planned" else replace(row, status="skipped", reason="paused")
        self.rows[following[0]] = replace(self.row(following[0]), at=now, status="due", reason="ordered")
        self.next = following[0] + 1
        self.ended = self.last
        self._give_up()
        self.check_moved()
        self.settle_end()

    def _check_reached(self, special: dict[int, Row]) -> None:
        """What was moved still comes before the end, or is given up where the next run is the last."""
        lost = [index for index, row in special.items() if row.status == "planned" and not self.reaches(index)]
        if lost and not self.last:
            raise Refused
        for index in lost:
            self.rows.pop(index, None)

    def check_moved(self) -> None:
        """Every run to come that was moved still comes before the end. Raises Refused."""
        self._check_reached({index: row for index, row in self.rows.items() if index >= self.open and not row.is_plain})

    def _recount(  # noqa: PLR0917 -- the terms
        self,
        last: Row | None,
        frequency: str | Crontab | None,
        zone: str | None,
        last_day: bool | None,  # noqa: FBT001
        anchor: datetime | None,
        special: dict[int, Row],
    ) -> None:
        ran_at = last.nominal if last is not None else self.starts if self.source_ran else None
        after = max(
            [self.closed(), *([] if last is None else [last.nominal, last.at]), *([] if ran_at is None else [ran_at])]
        )
        same_frequency = frequency is None or frequency == self.frequency
        changes = not same_frequency or zone not in (None, self.zone) or last_day not in (None, self.last_day)
        if anchor is None and not changes:
            return
        old_zone, old_first = self.zone, self._date(0)[0]
        before = {index: self.row(index) for index in special}
        if self.open < self.first:
            old_first -= self.first - self.open
        self.zone, self.last_day = zone or self.zone, self.last_day if last_day is None else last_day
        self.frequency = frequency or self.frequency
        index = self.open
        if anchor is not None:
            self._anchor(anchor, after)
        elif isinstance(self.frequency, Crontab) or self.frequency == "hourly" or not same_frequency:
            if not same_frequency:
                self.phase = None if ran_at is None else shown(ran_at, old_zone).date()
            self.starts = self.starts if self.zone == old_zone else instant(self.day, self.zone)
            self.counted = after
            wall = None if ran_at is None or self.frequency == "hourly" else shown(ran_at, old_zone)
            if ran_at is None:
                self.counted = max(self.starts, after)
                if isinstance(self.frequency, Crontab):
                    self._list(lambda _, at: at > after, include_start=self.starts > after)
                    self.first = index
                    self._keep(before, by="wall" if same_frequency else "instant", old_zone=old_zone)
                    return
            earliest = None if isinstance(self.frequency, Crontab) else wall
            there = self.zone
            self._list(lambda _, at: at > after and (earliest is None or shown(at, there) > earliest))
            self._settle_source()
        else:
            self.starts = self.starts if self.zone == old_zone else instant(self.day, self.zone)
            self._list(lambda period, at: period >= old_first and at > after)
        self.first = index
        by = "period"
        if anchor is not None or not same_frequency or self.frequency == "hourly":
            by = "instant"
        elif isinstance(self.frequency, Crontab):
            by = "wall"
        self._keep(before, by=by, old_zone=old_zone)

    def _settle_source(self) -> None:
        """What ran first was at the start, unless hours are counted from it and the clock has yet to show it."""
        if self.frequency == "hourly" and self.phase is None:
            self.source_ran = self.dates.at(0)[0] > 0

    def _keep(self, special: dict[int, Row], *, by: str, old_zone: str) -> None:
        """Keep what was skipped or moved, in the period that it was in; what has come up is of no period any more."""
        for index, row in self.rows.items():
            if index < self.first:
                row.period = EARLIER
        for index in [index for index in self.rows if index >= self.first]:
            del self.rows[index]
        for index, row in special.items():
            fresh = self.row(index)
            same = (
                row.period != EARLIER
                and {
                    "period": fresh.period == row.period,
                    "wall": shown(fresh.nominal, self.zone) == shown(row.nominal, old_zone),
                    "instant": False,
                }[by]
            )
            if not (same or fresh.nominal == row.nominal):
                raise Refused
            at = fresh.nominal if row.at == row.nominal else row.at
            self.rows[index] = replace(fresh, at=at, status=row.status, reason=row.reason)
        for index in special:
            self._check_place(index)

    def _check_place(self, index: int) -> None:
        before = self.row(index - 1) if index > self.first else self.rows.get(index - 1)
        if before is not None and before.at >= self.row(index).at:
            raise Refused
        if self.row(index).at >= self.row(index + 1).at:
            raise Refused

    def _open(self, wanted: int = 2) -> list[int]:
        """The next runs that aren't cut off."""
        number = wanted
        while True:
            found = self.coming(number)
            still = [index for index in found if not self.is_closed(self.row(index).at)]
            if len(still) >= wanted or len(found) < number:
                return still[:wanted]
            number += 1

    def is_closed(self, at: datetime) -> bool:
        """Whether it is too late to change a run at an instant, or to have one there."""
        return self.cutoff > timedelta(0) and self.active and not self.ended and at <= self.closed()

    def _move_next(self, to: datetime) -> None:
        if self.is_closed(to):
            raise Refused
        following = self._open()
        while not self.active and following and self.row(following[-1]).at <= to:
            more = self.coming(len(following) + 1)
            if more == following:
                break
            following = more
        if not following or (self.paused is not None and to < self.paused):
            raise Refused
        if self.expires is not None and to >= self.expires:
            raise Refused
        if self.active:
            if len(following) > 1 and self.row(following[1]).at <= to:
                raise Refused
            moved = following[0]
        else:
            passed = [index for index in following if self.row(index).at <= to]
            moved = passed[-1] if passed else following[0]
            for index in passed[:-1]:
                self.rows[index] = replace(self.row(index), status="skipped", reason="passed_over")
        if self.row(moved).at != to:
            self.rows[moved] = replace(self.row(moved), at=to, reason="moved")
            self._check_place(moved)

    def _check_open(self, index: int) -> None:
        if self.is_closed(self.row(index).at):
            raise Refused

    def skip(self, index: int) -> None:
        """Leave an occurrence to come out. Raises Refused."""
        self._check_open(index)
        self.rows[index] = replace(self.row(index), status="skipped", reason="asked")
        self.settle_end()

    def unskip(self, index: int) -> None:
        """Let it run after all. Raises Refused."""
        self._check_open(index)
        self.rows[index] = replace(self.row(index), status="planned", reason=None)
        if not self.reaches(index):
            raise Refused
        self.settle_end()

    def move(self, index: int, to: datetime) -> None:
        """Move an occurrence to come. Raises Refused."""
        self._check_open(index)
        if self.is_closed(to):
            raise Refused
        self.rows[index] = replace(self.row(index), at=to, reason="moved")
        self._check_place(index)
        if (self.paused is not None and to < self.paused) or (self.expires is not None and to >= self.expires):
            raise Refused
        self.settle_end()
