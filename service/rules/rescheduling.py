"""What an edit makes of a subscription's ledger of occurrences, as a pure function of how it stands, the edit and now.

- What has come up by now keeps its date, as what is cut off from edits does. Where the subscription was paused, had
  ended or was parked meanwhile it is left out; otherwise it is overdue, and still runs.
- What is to come follows the calendar as it is wanted, from the same day and time on the wall clock, unless another
  anchor is given. Another time zone or last day keeps every occurrence in its period; another frequency counts on from
  the last nominal run. Nothing is planned for the past, nor at or before the last one's nominal instant.
- Occurrences that were skipped or moved stay so, or the edit conflicts with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from service.rules.intervals import HOURLY
from service.rules.recurrence import Calendar, anchored, changed, is_crontab
from service.rules.schedule import (
    Advance,
    Delay,
    Entry,
    Standing,
    coming,
    dates,
    delay,
    entry_of,
    move_next,
    move_over,
    order_next,
    plan,
    skip_next,
)


class Conflicting(ValueError):
    """An edit that can't be made without undoing what was skipped or moved: those `entries`."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(", ".join(str(entry.index) for entry in entries))
        self.entries = entries


@dataclass(frozen=True, slots=True)
class Edit:
    """What is wanted of a subscription: its terms, all of them, and what is done at once.

    With `anchor_at` it is counted from there, and no longer from the day and time that it had. `begins` says that
    nothing has run yet. Whatever `next_run_at` passes over is left out where the subscription was `idle`. One that
    `ends` gives up what was moved behind its last run.
    """

    frequency: str
    timezone: str
    last_day: bool = False
    anchor_at: datetime | None = None
    expires_at: datetime | None = None
    paused_until: datetime | None = None
    runs_left: int | None = None
    begins: bool = False
    idle: bool = False
    skips_next: bool = False
    next_run_at: datetime | None = None
    delay: Delay | None = None
    orders_next: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """How a subscription stands after an edit, and what is to be written of its ledger."""

    standing: Standing
    step: Advance


def reschedule(standing: Standing, edit: Edit, now: datetime) -> Rescheduled:
    """Make an edit.

    Raises Conflicting where it would undo what was skipped or moved, NotMovable where its next run can't be moved to
    where it is wanted, TooSoon where it would be too near to another, and whatever the calendar raises whose dates
    can't be counted (LookupError, ValueError, OverflowError, RuntimeError).
    """
    if edit.begins or edit.idle:
        standing = replace(standing, settled_until=None)
    ledger = standing.entries
    come_up = [] if edit.begins else _come_up(standing, edit, now)
    settled = {entry.index: entry for entry in come_up}
    first = standing.next_index + len(come_up)
    last = come_up[-1] if come_up else standing.last
    ahead = {index: entry for index, entry in ledger.items() if index >= first}
    calendar = _calendar(standing, edit, first, last, _closed(standing, now))
    if calendar != standing.calendar:
        ahead = {} if edit.begins else _carried(standing.calendar, calendar, ahead, first, last)
    is_open = (entry.index for entry in come_up if entry.status == "planned" or entry.scheduled_at > now)
    next_index = next(is_open, first)
    after = replace(
        standing,
        calendar=calendar,
        next_index=next_index,
        last=settled.get(next_index - 1, standing.last),
        entries=settled | ahead,
        expires_at=edit.expires_at,
        paused_until=edit.paused_until,
        runs_left=edit.runs_left,
        ended=False,
        parked=False,
    )
    if edit.skips_next:
        after = skip_next(after)
    if edit.next_run_at is not None:
        after = move_over(after, edit.next_run_at) if edit.idle else move_next(after, edit.next_run_at)
    if edit.delay is not None:
        after = delay(after, edit.delay)
    if edit.orders_next:
        after = _pass_over(order_next(after, now))
    step = plan(after, now, ledger)
    comes = coming(after, max(ledger, default=0))
    lost = [
        entry
        for index, entry in sorted(ledger.items())
        if index >= max(first, after.next_index)
        and entry.status == "planned"
        and _is_moved(entry)
        and index not in comes
    ]
    if lost and not edit.ends:
        raise Conflicting(lost)
    return Rescheduled(after, _given_up(step, frozenset(entry.index for entry in lost)))


def _given_up(step: Advance, indexes: frozenset[int]) -> Advance:
    """The same without what was moved behind the last run, also where it is overdue: nothing is left to keep."""
    entries = [entry for entry in step.entries if entry.index not in indexes]
    return replace(step, entries=entries, gone=sorted(indexes.union(step.gone)))


def _pass_over(standing: Standing) -> Standing:
    """The same with the run that is due now behind it."""
    due = next(entry for entry in standing.entries.values() if entry.status == "due")
    left = None if standing.runs_left is None else standing.runs_left - 1
    return replace(standing, next_index=due.index + 1, last=due, runs_left=left)


def _come_up(standing: Standing, edit: Edit, now: datetime) -> list[Entry]:
    """The occurrences from the next one on that keep their dates: to come, overdue or left out, as they stand."""
    found: list[Entry] = []
    if edit.runs_left is not None and edit.runs_left <= 0:
        return found
    closed = _closed(standing, now)
    for entry in dates(standing):
        if entry.scheduled_at > closed or (edit.expires_at is not None and entry.scheduled_at >= edit.expires_at):
            break
        # What is to come is left out in its time.
        found.append(_left_out(entry, standing) if entry.scheduled_at <= now else entry)
    return found


def _closed(standing: Standing, now: datetime) -> datetime:
    """By when occurrences keep their dates, and none is planned anew."""
    return now if standing.settled_until is None else standing.settled_until


def _left_out(entry: Entry, standing: Standing) -> Entry:
    """An occurrence whose time has come, left out where the subscription ran nothing then."""
    if entry.status != "planned":
        return entry
    if standing.parked:
        return replace(entry, status="skipped", reason="parked")
    if standing.paused_until is not None and entry.scheduled_at < standing.paused_until:
        return replace(entry, status="skipped", reason="paused")
    over = standing.expires_at is not None and entry.scheduled_at >= standing.expires_at
    if standing.ended or over:
        return replace(entry, status="skipped", reason="ended")
    return entry


def _calendar(standing: Standing, edit: Edit, first: int, last: Entry | None, now: datetime) -> Calendar:
    """The calendar as it is wanted, so counted that occurrence `first` is later than now and than the last one."""
    calendar = standing.calendar
    # Until something has run, the source order is what ran last: at the anchor, unless that is still to come. A phase
    # follows what ran.
    to_come = first <= calendar.anchor_index and calendar.phase_on is None
    at_anchor = None if edit.begins or to_come else calendar.anchor_at
    last_at = at_anchor if last is None else last.nominal_at
    behind = [last_at, None if last is None else last.scheduled_at]
    after = max([now, *(at for at in behind if at is not None)])
    if edit.begins or edit.anchor_at is not None:
        anchor_at = calendar.anchor_at if edit.anchor_at is None else edit.anchor_at
        return anchored(Calendar(anchor_at, edit.timezone, edit.frequency, last_day=edit.last_day), first, after)
    if (edit.frequency, edit.timezone, edit.last_day) == (calendar.frequency, calendar.timezone, calendar.last_day):
        return calendar
    wanted = changed(calendar, edit.frequency, edit.timezone, last_day=edit.last_day, last_at=last_at)
    if is_crontab(edit.frequency):
        if last_at is None:
            return anchored(wanted, first, after)
        return replace(wanted, phase_at=after, anchor_index=first - 1)
    if edit.frequency == HOURLY:
        return anchored(wanted, first, after)
    counted = wanted if edit.frequency == calendar.frequency else replace(wanted, anchor_index=0)
    index = counted.first_after(after)
    if edit.frequency == calendar.frequency:
        index = max(index, first)
    elif last_at is not None:
        # In another time zone, too, it is later on the wall clock than what ran last.
        wall = last_at.astimezone(ZoneInfo(calendar.timezone)).replace(tzinfo=None)
        zone = ZoneInfo(edit.timezone)
        while counted.date(index).at.astimezone(zone).replace(tzinfo=None) <= wall:
            index += 1
    return replace(counted, anchor_index=counted.anchor_index - (index - first))


def _carried(
    old: Calendar, new: Calendar, ahead: Mapping[int, Entry], first: int, last: Entry | None
) -> dict[int, Entry]:
    """What was skipped or moved from an index on, by its dates in another calendar.

    Raises Conflicting where another period would have to be left out, or a moved one would no longer stand between its
    neighbours.
    """
    carried: dict[int, Entry] = {}
    conflicting: list[Entry] = []
    for index, entry in ahead.items():
        if entry.status == "planned" and not _is_moved(entry):
            continue
        if _in_same_period(old, new, entry):
            nominal_at = new.date(index).at
            scheduled_at = entry.scheduled_at if _is_moved(entry) else nominal_at
            carried[index] = replace(entry, nominal_at=nominal_at, scheduled_at=scheduled_at)
        else:
            conflicting.append(entry)
    for index, entry in carried.items():
        before = last if index == first else carried.get(index - 1) or entry_of(index - 1, new.date(index - 1))
        behind = carried.get(index + 1) or entry_of(index + 1, new.date(index + 1))
        if (
            before is not None and entry.scheduled_at <= before.scheduled_at
        ) or entry.scheduled_at >= behind.scheduled_at:
            conflicting.append(ahead[index])
    if conflicting:
        raise Conflicting(sorted(conflicting, key=lambda entry: entry.index))
    return carried


def _is_moved(entry: Entry) -> bool:
    return entry.scheduled_at != entry.nominal_at


def _in_same_period(old: Calendar, new: Calendar, entry: Entry) -> bool:
    """Whether an occurrence is the same one in another calendar: at its instant, its wall time or in its period."""
    at = new.date(entry.index).at
    if at == entry.nominal_at:
        return True
    if entry.index < old.anchor_index or old.date(entry.index).at != entry.nominal_at:
        return False  # It came up by an earlier calendar, before the clock stepped back.
    if new.frequency != old.frequency or new.frequency == HOURLY:
        return False
    if is_crontab(new.frequency):
        walls = [
            instant.astimezone(ZoneInfo(calendar.timezone)).replace(tzinfo=None)
            for instant, calendar in ((entry.nominal_at, old), (at, new))
        ]
        return walls[0] == walls[1]
    counted = [(calendar.anchor_index, calendar.phase_on, calendar.wall_clock) for calendar in (old, new)]
    return counted[0] == counted[1]
