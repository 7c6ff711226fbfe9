"""What a subscription's ledger says next, against a plain simulation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules.recurrence import Calendar
from service.rules.schedule import (
    CATCH_UP,
    GRACE,
    CatchupPolicy,
    Entry,
    NotMovable,
    Standing,
    advance,
    forecast,
    move,
    room,
    upcoming,
)

START = datetime(2026, 1, 31, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
hourly = Standing(Calendar(START, "UTC", "hourly"), 1)
daily = Standing(Calendar(START, "Europe/Amsterdam", "daily"), 1)


class Ledger:
    """A ledger in memory, kept as the database keeps it: by looking at the clock now and then."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.rows: dict[int, Entry] = {}
        self.ran: list[int] = []
        self.next_run_at: datetime | None = None
        self.look(START)

    def look(self, now: datetime) -> list[int]:
        """What runs at this look."""
        step = advance(replace(self.standing, entries=self.rows), now)
        self.rows |= {entry.index: entry for entry in step.entries}
        due = [entry.index for entry in step.due]
        self.ran += due
        left = self.standing.runs_left
        self.standing = replace(
            self.standing, next_index=step.next_index, runs_left=None if left is None else left - len(due)
        )
        self.next_run_at = step.next_run_at
        return due

    def looks(self, instants: Iterable[datetime]) -> None:
        for instant in instants:
            self.look(instant)

    def statuses(self) -> list[str]:
        return [self.rows[index].status for index in sorted(self.rows)]

    def move(self, index: int, **changes: object) -> None:
        self.rows[index] = replace(self.rows[index], **changes)  # type: ignore[arg-type]


def test_three_occurrences_to_come_are_planned() -> None:
    ledger = Ledger(daily)
    assert [(row.index, row.status) for row in ledger.rows.values()] == [
        (1, "planned"),
        (2, "planned"),
        (3, "planned"),
    ]
    assert ledger.next_run_at == START + DAY
    assert ledger.look(START + DAY) == [1]
    assert sorted(ledger.rows) == [1, 2, 3, 4]
    assert ledger.look(START + DAY) == []


@pytest.mark.rule("FM-63")
@pytest.mark.parametrize(("policy", "runs"), [("run_once", 1), ("run_all", CATCH_UP), ("skip", 0)])
def test_twelve_hours_out_of_order_are_made_up_for_as_the_policy_says(policy: CatchupPolicy, runs: int) -> None:
    ledger = Ledger(replace(hourly, catchup_policy=policy))
    assert len(ledger.look(START + 12 * HOUR + HOUR / 2)) == runs
    assert ledger.statuses() == ["missed"] * (12 - runs) + ["due"] * runs + ["planned"] * 3
    assert {row.reason for row in ledger.rows.values() if row.status == "missed"} == {"catchup"}
    assert ledger.next_run_at == START + 13 * HOUR


@pytest.mark.rule("FM-63")
@pytest.mark.parametrize("policy", ["run_once", "run_all", "skip"])
def test_a_service_that_is_always_a_little_late_still_runs_every_occurrence(policy: CatchupPolicy) -> None:
    ledger = Ledger(replace(hourly, catchup_policy=policy))
    ledger.looks(START + number * HOUR + GRACE for number in range(1, 30))
    assert ledger.ran == list(range(1, 30))


@pytest.mark.rule("FM-63")
def test_runs_that_take_longer_than_their_interval_still_make_progress() -> None:
    ledger = Ledger(hourly)
    ledger.looks(START + number * 2.5 * HOUR for number in range(1, 20))
    assert len(ledger.ran) == 19
    assert ledger.ran == sorted(set(ledger.ran))


def test_a_skipped_occurrence_does_not_run_and_the_next_run_is_the_one_after() -> None:
    ledger = Ledger(daily)
    ledger.move(1, status="skipped", reason="asked")
    ledger.look(START)
    assert ledger.next_run_at == START + 2 * DAY
    assert ledger.look(START + 2 * DAY) == [2]
    assert ledger.rows[1].status == "skipped"


def test_a_moved_occurrence_runs_when_it_was_moved_to_and_the_next_keeps_its_date() -> None:
    ledger = Ledger(daily)
    ledger.move(1, scheduled_at=START + DAY + 5 * HOUR)
    assert ledger.look(START + DAY) == []
    assert ledger.next_run_at == START + DAY + 5 * HOUR
    assert ledger.look(START + DAY + 5 * HOUR) == [1]
    assert ledger.next_run_at == START + 2 * DAY


def test_a_pause_leaves_out_what_falls_into_it() -> None:
    ledger = Ledger(replace(daily, paused_until=START + 3 * DAY))
    assert ledger.next_run_at == START + 3 * DAY
    ledger.look(START + 3 * DAY)
    assert ledger.statuses() == ["skipped", "skipped", "due", "planned", "planned", "planned"]
    assert ledger.rows[1].reason == "paused"


def test_a_pause_that_ends_early_leaves_the_rest_as_it_was() -> None:
    ledger = Ledger(replace(daily, paused_until=START + 300 * DAY))
    ledger.look(START + DAY)
    ledger.standing = replace(ledger.standing, paused_until=None)
    assert ledger.look(START + 2 * DAY) == [2]


@pytest.mark.rule("FM-48")
def test_a_subscription_that_expires_a_month_after_its_start_runs_once_or_not_at_all() -> None:
    monthly = Standing(Calendar(START, "UTC", "monthly"), 1)
    end = datetime(2026, 2, 28, 9, tzinfo=UTC)
    assert [entry.index for entry in upcoming(replace(monthly, expires_at=end + timedelta(milliseconds=1)))] == [1]
    none = Ledger(replace(monthly, expires_at=end))
    assert (none.rows, none.next_run_at) == ({}, None)


def test_runs_end_with_their_number_also_when_they_are_made_up_for() -> None:
    ledger = Ledger(replace(hourly, runs_left=3, catchup_policy="run_all"))
    assert len(ledger.look(START + 2 * HOUR)) == 2
    assert len(ledger.look(START + 12 * HOUR)) == 1
    assert ledger.next_run_at is None
    assert ledger.look(START + 24 * HOUR) == []


def test_the_number_of_runs_does_not_count_what_is_skipped() -> None:
    ledger = Ledger(replace(daily, runs_left=2))
    ledger.move(1, status="skipped")
    ledger.looks(START + number * DAY for number in range(1, 9))
    assert ledger.ran == [2, 3]


@given(
    frequency=st.sampled_from(["hourly", "daily", "weekly", "monthly", "0 6 * * *", "30 * * * *"]),
    policy=st.sampled_from(["run_once", "run_all", "skip"]),
    gaps=st.lists(st.integers(1, 60 * 24 * 40), max_size=12),
    runs_left=st.none() | st.integers(0, 8),
    expires=st.none() | st.integers(0, 60 * 24 * 90),
    pause=st.none() | st.integers(0, 60 * 24 * 60),
)
def test_whenever_one_looks_every_occurrence_is_settled_once(
    *,
    frequency: str,
    policy: CatchupPolicy,
    gaps: list[int],
    runs_left: int | None,
    expires: int | None,
    pause: int | None,
) -> None:
    minute = timedelta(minutes=1)
    calendar = Calendar(START, "Europe/Amsterdam", frequency)
    standing = Standing(
        calendar,
        1,
        expires_at=None if expires is None else START + expires * minute,
        paused_until=None if pause is None else START + pause * minute,
        runs_left=runs_left,
        catchup_policy=policy,
    )
    ledger = Ledger(standing)
    dates = calendar.dates(1)
    index, at = 1, next(dates).at
    now, left = START, runs_left
    for gap in gaps:
        before, now = now, now + gap * minute
        expected: list[int] = []
        come_up = []
        # The plain rule: look at every occurrence between two looks.
        while left != 0 and at <= now:
            if expires is not None and at >= START + expires * minute:
                break
            if pause is None or at >= START + pause * minute:
                come_up.append((index, at))
            index, at = index + 1, next(dates).at
        if policy == "run_once":
            expected = [number for number, _ in come_up[-1:]]
        elif policy == "run_all":
            expected = [number for number, _ in come_up[-CATCH_UP:]]
        else:
            expected = [number for number, at in come_up if now - at <= GRACE]
        if left is not None:
            expected = expected[:left]
            left -= len(expected)
        assert (ledger.next_run_at is None) or ledger.next_run_at > before
        assert ledger.look(now) == expected
    assert sorted(ledger.rows) == list(range(1, len(ledger.rows) + 1))
    assert len(ledger.ran) == len(set(ledger.ran))
    assert all(row.status != "planned" for number, row in ledger.rows.items() if number < index)


@pytest.mark.parametrize("pause", [None, START + 3 * DAY + 8 * HOUR])
@pytest.mark.parametrize("end", [None, START + 4 * DAY + 6 * HOUR])
@pytest.mark.parametrize("settled", [None, START + 2 * DAY + 5 * HOUR])
def test_the_room_of_an_occurrence_is_where_it_can_be_moved(
    pause: datetime | None, end: datetime | None, settled: datetime | None
) -> None:
    standing = replace(daily, paused_until=pause, expires_at=end, settled_until=settled)
    for index in (1, 2, 3, 4):
        found = room(standing, index)
        for half_hours in range(-48, 48 * 6):
            to = START + half_hours * HOUR / 2
            try:
                move(standing, index, to)
            except NotMovable:
                moved = False
            else:
                moved = True
            assert moved == ((found.after is None or to > found.after) and to < found.before), (index, to)


@given(
    left=st.integers(1, 6),
    failing=st.frozensets(st.integers(1, 20)),
    overdue=st.integers(0, 30),
    policy=st.sampled_from(("run_once", "run_all")),
    ends=st.booleans(),
)
def test_another_run_comes_for_each_that_fails_unless_it_ends_anyway(
    *, left: int, failing: frozenset[int], overdue: int, policy: CatchupPolicy, ends: bool
) -> None:
    standing = replace(hourly, runs_left=left, catchup_policy=policy, ends_anyway=ends)
    # Of those that are overdue the last one, or the last few, run.
    ran_out = max(overdue - (CATCH_UP if policy == "run_all" else 1), 0)
    coming = [*range(ran_out + 1, overdue + 1)][:left]
    index = overdue
    while sum(ends or run not in failing for run in coming) < left:
        index += 1
        coming.append(index)
    # What fails is noted as late as it has been handed out.
    noted: set[int] = set()
    found: list[int] = []
    for entry in forecast(standing, START + overdue * HOUR, noted):
        found.append(entry.index)
        noted |= {entry.index} & failing
    assert found == coming
