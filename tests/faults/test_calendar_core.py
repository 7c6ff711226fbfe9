"""What edits make of a subscription's dates, against plain lists of them, in zones whose clocks are changed oddly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from service.rules.recurrence import Calendar, anchored
from service.rules.rescheduling import Conflicting, Edit, reschedule
from service.rules.schedule import (
    Advance,
    Delay,
    Entry,
    NotMovable,
    Standing,
    TooSoon,
    advance,
    comes,
    move,
    plan,
    runs_left,
)
from tests.faults.plain_calendar import Plain, Refused
from tests.faults.plain_dates import Crontab

MINUTE = timedelta(minutes=1)
WEEKDAYS = Crontab("30 13 * * 1-5", 13, 30, (0, 1, 2, 3, 4))
TUESDAYS = Crontab("5 18 * * 2", 18, 5, (1,))
FREQUENCIES = (
    "hourly", "daily", "weekly", "monthly", "two-month", "six-month", "yearly", WEEKDAYS, TUESDAYS, "10-day", "2-week",
    "5-month", "2-year", "1-week:monday,thursday", "2-week:tuesday,saturday,sunday", "3-week:friday",
)  # fmt: skip
WHOLE_MONTHS = ("monthly", "two-month", "six-month", "yearly", "5-month", "2-year")
ZONES = (
    "UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu",
    "America/Sao_Paulo", "Pacific/Niue",
)  # fmt: skip


@dataclass
class Ledger:
    """A subscription in memory, kept as the database keeps it."""

    standing: Standing
    rows: dict[int, Entry] = field(default_factory=dict)
    next_run_at: datetime | None = None
    active: bool = True
    most: int | None = None
    ends: bool = False
    cutoff: timedelta = timedelta(0)
    apart: timedelta | None = None

    def ran(self) -> int:
        return sum(row.status == "due" for row in self.rows.values())

    def left(self) -> int | None:
        return runs_left(self.most, self.ran(), ends=self.ends, ended=self.next_run_at is None)

    def stand(self, now: datetime) -> Standing:
        first = self.standing.next_index
        runs = self.active and self.next_run_at is not None
        return replace(
            self.standing,
            entries={index: row for index, row in self.rows.items() if index >= first},
            last=self.rows.get(first - 1),
            runs_left=self.left(),
            ended=self.next_run_at is None,
            ran=next((row for _, row in sorted(self.rows.items(), reverse=True) if row.status == "due"), None),
            apart=self.apart,
            settled_until=now + self.cutoff if runs and self.cutoff else None,
        )

    def write(self, step: Advance) -> None:
        self.rows |= {entry.index: entry for entry in step.entries}
        for index in step.gone:
            del self.rows[index]
        self.standing = replace(self.standing, next_index=step.next_index)
        self.next_run_at = step.next_run_at

    def look(self, now: datetime) -> None:
        if self.active and self.next_run_at is not None and self.next_run_at <= now:
            self.write(advance(self.stand(now), now))

    def edit(self, now: datetime, **changes: Any) -> None:
        before = self.stand(now)
        self.most = changes.pop("most", self.most)
        self.ends = changes.pop("ends", self.ends)
        calendar = before.calendar
        edit = Edit(
            frequency=changes.pop("frequency", calendar.frequency),
            timezone=changes.pop("timezone", calendar.timezone),
            last_day=changes.pop("last_day", calendar.last_day),
            expires_at=changes.pop("expires_at", before.expires_at),
            paused_until=changes.pop("paused_until", before.paused_until),
            runs_left=self.left(),
            ends=self.ends,
            idle=not self.active,
            **changes,
        )
        done = reschedule(before, edit, now)
        self.standing = done.standing
        self.write(done.step)


def text(frequency: Any) -> Any:
    return frequency.text if isinstance(frequency, Crontab) else frequency


OURS = {
    "zone": "timezone", "anchor": "anchor_at", "paused": "paused_until", "expires": "expires_at", "skip": "skips_next",
    "run_at": "next_run_at",
}  # fmt: skip
"""What the service calls what the plain calendar calls otherwise."""

Draw = Callable[[st.SearchStrategy[Any]], Any]


def frequency_of(draw: Draw, _: datetime, plain: Plain) -> dict[str, Any]:
    frequency = draw(st.sampled_from(FREQUENCIES))
    return {"frequency": frequency, "last_day": plain.last_day and frequency in WHOLE_MONTHS}


def zone_of(draw: Draw, *_: object) -> dict[str, Any]:
    return {"zone": draw(st.sampled_from(ZONES))}


def end_of(draw: Draw, at: datetime, _: Plain) -> dict[str, Any]:
    return {"expires": draw(st.none() | st.integers(-50, 2000).map(lambda number: at + number * 53 * MINUTE))}


CHANGES: dict[str, Callable[[Draw, datetime, Plain], dict[str, Any]]] = {
    "frequency": frequency_of,
    "zone": zone_of,
    "both": lambda draw, at, plain: frequency_of(draw, at, plain) | zone_of(draw),
    "last_day": lambda _draw, _, plain: {"last_day": plain.frequency in WHOLE_MONTHS and not plain.last_day},
    "anchor": lambda draw, at, _: {"anchor": at + draw(st.integers(-4000, 4000)) * 17 * MINUTE},
    "pause": lambda draw, at, _: {"paused": at + draw(st.integers(1, 2000)) * 47 * MINUTE},
    "resume": lambda *_: {"paused": None},
    "expires": end_of,
    "most": lambda draw, *_: {"most": draw(st.none() | st.integers(1, 8))},
    "ends": lambda draw, *_: {"ends": draw(st.booleans())},
    "skip_next": lambda *_: {"skip": True},
    "run_at": lambda draw, at, _: {"run_at": at + draw(st.integers(1, 3000)) * 31 * MINUTE},
}
"""What is changed, as the plain calendar calls it."""


@dataclass
class Pair:
    """The service's calendar and the plain one, side by side."""

    ledger: Ledger
    plain: Plain

    def do(self, name: str, at: datetime, data: st.DataObject) -> None:
        """Do something to both, which agree on whether it can be done."""
        kept = copy.deepcopy((self.ledger, self.plain))
        refused = [False, False]
        ours, theirs = self.changes(name, at, data)
        try:
            ours()
        except (Conflicting, NotMovable, TooSoon):
            refused[0] = True
        try:
            theirs()
        except Refused:
            refused[1] = True
        assert refused[0] == refused[1], (name, refused)
        if refused[0]:
            self.ledger, self.plain = kept
        self.compare()

    def changes(self, name: str, at: datetime, data: st.DataObject) -> tuple[Any, Any]:
        ledger, plain = self.ledger, self.plain
        if name in ("skip", "unskip", "move"):
            return self.occurrence(name, at, data)
        if name == "order":
            # Only of a subscription that is active.
            orders, plainly = ledger.active, plain.order if ledger.active else plain.edit
            return (lambda: ledger.edit(at, orders_next=orders)), (lambda: plainly(at))
        if name == "delay":
            number, runs = data.draw(st.integers(1, 20)), data.draw(st.booleans())
            by = Delay(number, "interval" if runs else "day")
            return (lambda: ledger.edit(at, delay=by)), (lambda: plain.delay(at, number, runs=runs))
        if name in ("activate", "activate_at", "deactivate"):
            return self.status(name, at, data)
        theirs = CHANGES[name](data.draw, at, plain)
        ours = {OURS.get(key, key): text(value) for key, value in theirs.items()}
        return (lambda: ledger.edit(at, **ours)), (lambda: plain.edit(at, **theirs))

    def status(self, name: str, at: datetime, data: st.DataObject) -> tuple[Any, Any]:
        run_at = None
        if name == "activate_at":
            run_at = at + data.draw(st.integers(1, 3000)) * 31 * MINUTE

        def ours() -> None:
            self.ledger.edit(at, next_run_at=run_at)
            self.ledger.active = name != "deactivate"

        def theirs() -> None:
            self.plain.edit(at, run_at=run_at)
            self.plain.active = name != "deactivate"

        return ours, theirs

    def occurrence(self, name: str, at: datetime, data: st.DataObject) -> tuple[Any, Any]:
        """One of the occurrences that have a row, as clients address them."""
        wanted = "skipped" if name == "unskip" else "planned"
        found = [
            index
            for index, row in self.ledger.rows.items()
            if index >= self.ledger.standing.next_index and row.status == wanted and row.scheduled_at > at
        ]
        if not found:
            return (lambda: None), (lambda: None)
        index = data.draw(st.sampled_from(found))
        to = at + data.draw(st.integers(1, 3000)) * 41 * MINUTE

        def ours() -> None:
            row = self.ledger.rows[index]
            before = self.ledger.stand(at)
            if before.is_settled(row.scheduled_at):
                raise Conflicting([row])
            if name == "move":
                standing = move(before, index, to)
            else:
                fresh = replace(
                    row,
                    status="skipped" if name == "skip" else "planned",
                    reason="asked" if name == "skip" else None,
                )
                standing = replace(before, entries={**before.entries, index: fresh})
                if name == "unskip" and not comes(standing, index):
                    raise Conflicting([fresh])
            self.ledger.write(plan(standing, at, before.entries))

        def theirs() -> None:
            self.plain.now = at
            if name == "move":
                self.plain.move(index, to)
            elif name == "skip":
                self.plain.skip(index)
            else:
                self.plain.unskip(index)

        return ours, theirs

    def compare(self) -> None:
        ledger, plain = self.ledger, self.plain
        assert ledger.next_run_at == plain.next_run()
        assert ledger.standing.next_index == plain.next
        for index, row in ledger.rows.items():
            expected = plain.row(index)
            found = (row.nominal_at, row.scheduled_at, row.status)
            assert found == (expected.nominal, expected.at, expected.status), index
            if row.status in ("skipped", "missed"):
                assert row.reason == expected.reason
        assert len({row.scheduled_at for row in ledger.rows.values()}) == len(ledger.rows), "one row per instant"
        assert set(range(1, plain.next)) <= set(ledger.rows)


def begin(  # noqa: PLR0917 -- the terms
    frequency: Any,
    zone: str,
    starts: datetime,
    now: datetime,
    policy: Any,
    cutoff: timedelta = timedelta(0),
    apart: timedelta | None = None,
    *,
    last_day: bool = False,
) -> Pair:
    """A subscription as it begins."""
    calendar = anchored(Calendar(starts, zone, text(frequency), last_day=last_day), 1, now)
    ledger = Ledger(Standing(calendar, 1, catchup_policy=policy), cutoff=cutoff, apart=apart)
    ledger.next_run_at = now
    ledger.write(plan(ledger.stand(now), now))
    pair = Pair(
        ledger, Plain(frequency, zone, starts, now, last_day=last_day, policy=policy, cutoff=cutoff, apart=apart)
    )
    pair.compare()
    return pair


EDITS = (*CHANGES, "activate", "activate_at", "deactivate", "skip", "unskip", "move", "delay", "order", "look", "look")


@pytest.mark.rule("FM-103", "FM-104", "FM-105", "FM-106", "FM-111", "FM-112")
@settings(max_examples=150, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
def test_whatever_is_edited_whenever_both_calendars_agree(data: st.DataObject) -> None:
    year = data.draw(st.sampled_from([2011, 2018, 2024, 2027]))
    start = datetime(year, 1, 1, tzinfo=UTC) + data.draw(st.integers(0, 365 * 24 * 12)) * 5 * MINUTE
    now = start + data.draw(st.integers(-30, 600)) * 61 * MINUTE
    frequency = data.draw(st.sampled_from(FREQUENCIES))
    pair = begin(
        frequency,
        data.draw(st.sampled_from(ZONES)),
        start,
        now,
        data.draw(st.sampled_from(["run_once", "run_all", "skip"])),
        data.draw(st.sampled_from([0, 0, 0, 1, 24, 72])) * timedelta(hours=1),
        data.draw(st.sampled_from([None, None, timedelta(days=2), timedelta(days=9)])),
        last_day=frequency in WHOLE_MONTHS and data.draw(st.booleans()),
    )
    for _ in range(data.draw(st.integers(1, 10))):
        if data.draw(st.integers(0, 9)) == 0:
            now -= data.draw(st.integers(1, 4000)) * MINUTE
        else:
            longest = 12 if pair.plain.frequency in ("hourly", "daily") else 80
            now += data.draw(st.integers(0, longest * 24 * 60)) * MINUTE
        if data.draw(st.booleans()):
            pair.ledger.look(now)
            pair.plain.look(now)
            pair.compare()
        name = data.draw(st.sampled_from(EDITS))
        if name != "look":
            pair.do(name, now, data)


def test_what_was_settled_before_another_frequency_keeps_its_rows_beyond_an_end() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    pair = begin("hourly", "UTC", start, start, "run_once", timedelta(hours=72))
    now = start + MINUTE
    for changes in ({"frequency": "10-day"}, {"most": 3}, {"most": None}):
        ours: dict[str, Any] = dict(changes)
        pair.ledger.edit(now, **ours)
        pair.plain.edit(now, **ours)
        pair.compare()
        now += MINUTE
    later = start + timedelta(days=1, minutes=5)
    pair.ledger.look(later)
    pair.plain.look(later)
    pair.compare()
    assert len(pair.ledger.rows) >= 72


@pytest.mark.rule("FM-104")
@pytest.mark.parametrize("frequency", ["daily", "monthly", "hourly", TUESDAYS, "2-week:tuesday,saturday,sunday"])
def test_a_start_that_was_passed_by_stays_behind_when_the_clock_steps_back(frequency: Any) -> None:
    """Another zone puts the start before now, where nothing is planned; that holds for a moment earlier, too."""
    start = datetime(2026, 3, 10, 12, tzinfo=UTC)
    pair = begin(frequency, "UTC", start, start - timedelta(hours=2), "run_once")
    passed = start - timedelta(hours=5, minutes=45)
    edits: list[tuple[datetime, dict[str, Any], dict[str, Any]]] = [
        (start - timedelta(hours=2), {"timezone": "Asia/Kathmandu"}, {"zone": "Asia/Kathmandu"}),
        (passed - timedelta(hours=30), {"frequency": "weekly"}, {"frequency": "weekly"}),
        (passed - timedelta(hours=40), {"frequency": "10-day"}, {"frequency": "10-day"}),
    ]
    for at, ours, theirs in edits:
        pair.ledger.edit(at, **ours)
        pair.plain.edit(at, **theirs)
        pair.compare()
        assert pair.ledger.next_run_at is not None
        assert pair.ledger.next_run_at > passed
    assert pair.ledger.next_run_at == passed + timedelta(days=10)
