"""What a subscription's ledger of occurrences says next: which run, which are left out, and when to look again.

The ledger has a row for every occurrence that is past, and for some that are to come: the next ones, and those that
somebody has named, so that they can be skipped, moved or filled one by one; the calendar knows the others. Moving keeps
the order: an occurrence stays between its neighbours.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count, dropwhile, islice, takewhile
from sys import maxsize
from typing import Final, Literal, NamedTuple

from schemas.kinds import render_timestamp
from service.rules.recurrence import Calendar, Date
from service.texts import Phrase

Status = Literal["planned", "due", "skipped", "missed"]
CatchupPolicy = Literal["run_once", "run_all", "skip"]

HORIZON: Final = 3
"""How many occurrences to come have a row."""

CATCH_UP: Final = 5
"""How many occurrences `run_all` makes up for at most."""

GRACE: Final = timedelta(minutes=10)
"""An occurrence that comes up no later than this isn't late: the service was only busy."""


ALL: Final = range(maxsize)
"""The indexes of all occurrences."""


class NotMovable(ValueError):
    """The next run can't be moved so; `reason` says why, in a sentence without a subject."""

    def __init__(self, reason: Phrase) -> None:
        super().__init__(reason)
        self.reason = reason


class TooSoon(ValueError):
    """A run would come too soon after another; the first instant that is allowed is `allowed_at`."""

    def __init__(self, allowed_at: datetime) -> None:
        super().__init__(allowed_at)
        self.allowed_at = allowed_at


@dataclass(frozen=True, slots=True)
class Delay:
    """So many days, or runs, that the next run is put off by."""

    number: int
    unit: Literal["day", "interval"] = "day"


@dataclass(frozen=True, slots=True)
class Entry:
    """An occurrence: where the calendar puts it, when it runs, and why that differs or why it doesn't run."""

    index: int
    nominal_at: datetime
    scheduled_at: datetime
    status: Status = "planned"
    reason: str | None = None


class Room(NamedTuple):
    """Between which instants something can be, neither of them included; `after` is None where it is only later."""

    after: datetime | None
    before: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How a running subscription stands. Instants are aware.

    `entries` are its rows from `next_index` on, by index, and `last` the one before them; `runs_left` is None when
    their number has no end. Occurrences at `expires_at` or later don't come up any more, those before `paused_until`
    are left out. One that has `ended`, or is `parked`, runs nothing until somebody changes that. What comes up by
    `settled_until` is cut off from edits: they go to what comes after it. What is ordered ahead or delayed stays
    `apart`, so long at least, from other runs; `ran` is the last that ran. A run that fails isn't one of `runs_left`,
    unless the subscription `ends_anyway`.
    """

    calendar: Calendar
    next_index: int
    entries: Mapping[int, Entry] = field(default_factory=dict)
    expires_at: datetime | None = None
    paused_until: datetime | None = None
    runs_left: int | None = None
    catchup_policy: CatchupPolicy = "run_once"
    last: Entry | None = None
    ended: bool = False
    parked: bool = False
    settled_until: datetime | None = None
    apart: timedelta | None = None
    ran: Entry | None = None
    ends_anyway: bool = False

    @property
    def goes_on_for_failures(self) -> bool:
        """Whether another run comes for each that fails."""
        return self.runs_left is not None and not self.ends_anyway

    def is_settled(self, at: datetime) -> bool:
        """Whether the date of an occurrence at an instant stays as it is."""
        return self.settled_until is not None and at <= self.settled_until


@dataclass(frozen=True, slots=True)
class Advance:
    """What a look at the clock leads to.

    `entries` are the rows to write, those to be made and those that change, `gone` the indexes of rows that won't come
    any more. The next occurrence is `next_index`; it runs at `next_run_at`, None when there is none any more.
    """

    entries: Sequence[Entry]
    next_index: int
    next_run_at: datetime | None
    gone: Sequence[int] = ()

    @property
    def due(self) -> list[Entry]:
        """Those that run now."""
        return [entry for entry in self.entries if entry.status == "due"]


def runs_left(
    most: int | None, ran: int, *, ends: bool = False, ended: bool = False, paid: int | None = None
) -> int | None:
    """How many runs are left after so many, of so many at most; None where their number has no end.

    Of a subscription that `ends` the run that comes next is the last, and has come once it has `ended`. Where runs are
    `paid` for together, the last of those is: all of them come, and none that would be paid for next.
    """
    left = None if most is None else max(most - ran, 0)
    if not ends:
        return left
    last = (0 if ended else 1) if paid is None else paid
    return last if left is None else min(left, last)


def upcoming(standing: Standing) -> Iterator[Entry]:
    """The occurrences from the next one on until the subscription ends, also those that will be left out.

    Without runs that fail or are made by hand in between, this is what will happen.
    """
    return (settled for _, settled in _ahead(standing))


def _ahead(standing: Standing, failing: Container[int] = ()) -> Iterator[tuple[Entry, Entry]]:
    """Upcoming occurrences, each as ledger and calendar have it and as it will be settled."""
    runs = 0
    for entry in _walk(standing):
        settled = _paused(entry, standing)
        yield entry, settled
        if settled.status == "planned" and (standing.ends_anyway or settled.index not in failing):
            runs += 1
        if standing.runs_left is not None and runs >= standing.runs_left:
            return


def forecast(standing: Standing, now: datetime, failing: Container[int] = ()) -> Iterator[Entry]:
    """The occurrences that are to come by `now`: those whose time has come and that run, then the upcoming ones.

    `failing` are the indexes of those that will fail: others come in their place. An index may be added as late as its
    occurrence has been handed out.
    """
    step = advance(standing, now, horizon=0)
    yield from (replace(entry, status="planned") for entry in step.due)
    counted = [entry for entry in step.due if standing.ends_anyway or entry.index not in failing]
    ahead = replace(standing, next_index=step.next_index, runs_left=_runs_left(standing.runs_left, counted))
    yield from (settled for _, settled in _ahead(ahead, failing))


def plan(
    standing: Standing, now: datetime, ledger: Mapping[int, Entry] | None = None, *, horizon: int = HORIZON
) -> Advance:
    """Plan the next occurrences and find the one that runs next, which may be overdue; nothing is settled.

    `ledger` are the rows as they are written, when the standing's differ from them.
    """
    written = standing.entries if ledger is None else ledger
    reached = coming(standing, max(written, default=0), horizon=horizon)
    # Rows further ahead are of runs that somebody named; those in between need none.
    near = {index: entry for index, entry in reached.items() if index in written}
    ahead = {**standing.entries, **dict(islice(reached.items(), horizon)), **near}
    unwritten = [entry for index, entry in sorted(ahead.items()) if written.get(index) != entry]
    beyond = [
        index
        for index, entry in written.items()
        if index >= standing.next_index
        and entry.status == "planned"
        and index not in reached
        and (index not in standing.entries or (entry.scheduled_at > now and _is_of(standing.calendar, entry)))
    ]
    next_run = next(_runs(standing), None)
    return Advance(
        [entry for entry in unwritten if entry.index not in beyond],
        standing.next_index,
        None if next_run is None else next_run.scheduled_at,
        sorted(beyond),
    )


def _is_of(calendar: Calendar, entry: Entry) -> bool:
    """Whether a calendar tells where an occurrence falls; one that was settled before it changed has its row only."""
    return entry.index >= calendar.anchor_index and calendar.date(entry.index).at == entry.nominal_at


def coming(standing: Standing, furthest: int, *, horizon: int = HORIZON) -> dict[int, Entry]:
    """The occurrences up to an index that come up before the end, and so many at least, by their indexes."""
    found: dict[int, Entry] = {}
    # A pause is not noted before its time: it may be ended early.
    for entry, _ in _ahead(standing):
        if len(found) >= horizon and entry.index > furthest:
            break
        found[entry.index] = entry
    return found


def comes(standing: Standing, index: int) -> bool:
    """Whether an occurrence comes up before the end."""
    return index in coming(standing, index)


def skip_next(standing: Standing) -> Standing:
    """The same with the next run that can still be changed left out; as it is when there is none."""
    following = next(_open_runs(standing), None)
    return standing if following is None else _with(standing, replace(following, status="skipped", reason="asked"))


def move_next(standing: Standing, to: datetime) -> Standing:
    """The same with the next run that can still be changed moved. Raises NotMovable when it can't be moved there."""
    following = next(_open_runs(standing), None)
    if following is None:
        raise NotMovable(Phrase("the subscription has no next run"))
    return move(standing, following.index, to)


def move_over(standing: Standing, to: datetime) -> Standing:
    """The same with its next run at an instant, and what would come up before then left out.

    The last occurrence that would come up until then is moved there, or the first after it. Raises NotMovable as
    `move_next` does.
    """
    check_within(standing, to)
    before = list(takewhile(lambda entry: entry.scheduled_at <= to, _open_runs(standing)))
    following = before.pop() if before else next(_open_runs(standing), None)
    if following is None:
        raise NotMovable(Phrase("the subscription has no next run"))
    for entry in before:
        standing = _with(standing, replace(entry, status="skipped", reason="passed_over"))
    return standing if following.scheduled_at == to else move(standing, following.index, to)


def delay(standing: Standing, by: Delay) -> Standing:
    """The same with the next run that can still be changed put off, and what would come up before then left out.

    Raises NotMovable as `move_next` does, and TooSoon where the run after it would follow too soon.
    """
    coming = list(islice(_open_runs(standing), by.number + 1 if by.unit == "interval" else 1))
    if len(coming) <= (by.number if by.unit == "interval" else 0):
        raise NotMovable(Phrase("the subscription has no next run"))
    if by.unit == "interval":
        return move_over(standing, coming[-1].scheduled_at)
    to = standing.calendar.later(coming[0].scheduled_at, by.number)
    behind = next(dropwhile(lambda entry: entry.scheduled_at < to, _open_runs(standing)), None)
    if behind is not None and standing.apart is not None and to < behind.scheduled_at < to + standing.apart:
        raise TooSoon(behind.scheduled_at)
    return move_over(standing, to)


def order_next(standing: Standing, now: datetime) -> Standing:
    """The same with its next run due now, and what would have come up before that left out.

    Of several that are overdue those are missed that nothing makes up for, as at any other time. One run is ordered
    ahead at a time: the next one so long after it as the subscription says, else once it would have come by itself.
    Raises NotMovable when there is no next run, and TooSoon.
    """
    ran = standing.ran
    if ran is not None:
        allowed_at = ran.nominal_at if standing.apart is None else ran.scheduled_at + standing.apart
        if allowed_at > now:
            raise TooSoon(allowed_at)
    passed: list[Entry] = []
    overdue = [
        _paused(entry, standing) for entry in takewhile(lambda entry: entry.scheduled_at <= now, _walk(standing))
    ]
    decided = _catch_up([entry for entry in overdue if entry.status == "planned"], standing, now)
    missed = {index: entry for index, entry in decided.items() if entry.status == "missed"}
    standing = replace(standing, entries={**standing.entries, **missed})
    for _, entry in _ahead(standing):
        if entry.status == "planned":
            due = replace(entry, scheduled_at=now, status="due", reason="ordered")
            return replace(standing, entries={**standing.entries, **{one.index: one for one in (*passed, due)}})
        passed.append(entry)
    raise NotMovable(Phrase("the subscription has no next run"))


def ordered_next(standing: Standing, now: datetime) -> Entry:
    """The run that `order_next` makes due now, as one that is planned. Raises as that does."""
    entries = order_next(standing, now).entries
    ordered = max(index for index, one in entries.items() if (one.status, one.scheduled_at) == ("due", now))
    return replace(entries[ordered], status="planned")


def move(standing: Standing, index: int, to: datetime) -> Standing:
    """The same with an occurrence to come moved. Raises NotMovable where it would leave its place among the others."""
    near = {entry.index: entry for entry in takewhile(lambda entry: entry.index <= index + 1, dates(standing))}
    before = near.get(index - 1, standing.last)
    if (before is not None and to <= before.scheduled_at) or to >= near[index + 1].scheduled_at:
        raise NotMovable(Phrase("must be after the occurrence before it, and before the one after it"))
    check_within(standing, to)
    return _with(standing, replace(near[index], scheduled_at=to, reason="moved"))


def room(standing: Standing, index: int) -> Room:
    """Where an occurrence to come can be moved."""
    near = {entry.index: entry for entry in takewhile(lambda entry: entry.index <= index + 1, dates(standing))}
    before = near.get(index - 1, standing.last)
    follows = None if before is None else before.scheduled_at
    paused = None if standing.paused_until is None else standing.paused_until - timedelta(milliseconds=1)
    after = [at for at in (follows, standing.settled_until, paused) if at is not None]
    until = [at for at in (near[index + 1].scheduled_at, standing.expires_at) if at is not None]
    return Room(max(after, default=None), min(until))


def check_within(standing: Standing, to: datetime) -> None:
    """Raise NotMovable for an instant at which nothing would run: cut off, in the pause, or once all is over."""
    if standing.is_settled(to):
        raise NotMovable(
            Phrase(
                "must be later than {at}: until then the dates are settled", at=render_timestamp(standing.settled_until)
            )
        )
    if standing.paused_until is not None and to < standing.paused_until:
        raise NotMovable(Phrase("must not be before the end of the pause"))
    if standing.expires_at is not None and to >= standing.expires_at:
        raise NotMovable(Phrase("must be before the subscription expires"))


def _runs(standing: Standing) -> Iterator[Entry]:
    return (entry for entry in upcoming(standing) if entry.status == "planned")


def _open_runs(standing: Standing) -> Iterator[Entry]:
    return (entry for entry in _runs(standing) if not standing.is_settled(entry.scheduled_at))


def _with(standing: Standing, entry: Entry) -> Standing:
    return replace(standing, entries={**standing.entries, entry.index: entry})


def advance(standing: Standing, now: datetime, *, horizon: int = HORIZON) -> Advance:
    """Settle every occurrence whose time has come, plan those after it, and find the next one that runs."""
    passed = [_paused(entry, standing) for entry in takewhile(lambda entry: entry.scheduled_at <= now, _walk(standing))]
    decided = _catch_up([entry for entry in passed if entry.status == "planned"], standing, now)
    settled = [decided.get(entry.index, entry) for entry in passed]
    left = _runs_left(standing.runs_left, settled)
    next_index = standing.next_index + len(settled)
    entries = {index: entry for index, entry in standing.entries.items() if index >= next_index}
    ahead = plan(replace(standing, next_index=next_index, entries=entries, runs_left=left), now, horizon=horizon)
    changed = [entry for entry in settled if standing.entries.get(entry.index) != entry]
    return Advance([*changed, *ahead.entries], ahead.next_index, ahead.next_run_at, ahead.gone)


def _walk(standing: Standing) -> Iterator[Entry]:
    """The occurrences from the next one on until the subscription expires, as ledger and calendar have them."""
    if standing.runs_left is not None and standing.runs_left <= 0:
        return
    for entry in dates(standing):
        if standing.expires_at is not None and entry.scheduled_at >= standing.expires_at:
            return
        yield entry


def dates(standing: Standing) -> Iterator[Entry]:
    """The occurrences from the next one on without end, as ledger and calendar have them."""
    calendar = standing.calendar
    # What came up before the calendar was changed has its rows.
    first = max(standing.next_index, calendar.anchor_index)
    yield from (standing.entries[index] for index in range(standing.next_index, first))
    for index in count(first):
        # Where those fall that have rows need not be worked out.
        yield standing.entries.get(index) or entry_of(index, calendar.date(index))


def entry_of(index: int, date: Date) -> Entry:
    """An occurrence as the calendar has it."""
    return Entry(index, date.at, date.at, reason=None if date.reason == "anchor" else date.reason)


def _paused(entry: Entry, standing: Standing) -> Entry:
    if entry.status == "planned" and standing.paused_until is not None and entry.scheduled_at < standing.paused_until:
        return replace(entry, status="skipped", reason="paused")
    return entry


def _catch_up(come_up: Sequence[Entry], standing: Standing, now: datetime) -> dict[int, Entry]:
    """Which of the occurrences whose time has come run, and which are missed, by index."""
    if standing.catchup_policy == "skip":
        running = [entry for entry in come_up if entry.scheduled_at >= now - GRACE]
    else:
        most = 1 if standing.catchup_policy == "run_once" else CATCH_UP
        running = list(come_up[-most:])
    if standing.runs_left is not None:
        running = running[: standing.runs_left]
    run = {entry.index for entry in running}
    return {
        entry.index: _settled(entry, "due", entry.reason)
        if entry.index in run
        else _settled(entry, "missed", "catchup")
        for entry in come_up
    }


def _settled(entry: Entry, status: Status, reason: str | None) -> Entry:
    return Entry(entry.index, entry.nominal_at, entry.scheduled_at, status, reason)


def _runs_left(runs_left: int | None, settled: Sequence[Entry]) -> int | None:
    return None if runs_left is None else runs_left - sum(entry.status == "due" for entry in settled)
