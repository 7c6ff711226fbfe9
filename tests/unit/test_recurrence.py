"""The calendar of subscriptions, against dateutil's rules and time zones as a second opinion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pytest
from dateutil import rrule, tz
from hypothesis import given
from hypothesis import strategies as st

from schemas.kinds import UNITS
from service.rules.intervals import (
    HOURLY,
    NAMED,
    FrequencyError,
    Interval,
    columns_of,
    counted,
    interval_of,
    meant,
)
from service.rules.recurrence import Calendar, anchored, check_frequency

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
AMSTERDAM = ZoneInfo("Europe/Amsterdam")

zones = st.sampled_from(ZONES)
intervals = st.builds(Interval, st.sampled_from(UNITS), st.integers(1, 10)) | st.builds(
    Interval, st.just("week"), st.integers(1, 6), st.sets(st.integers(0, 6), min_size=1).map(sorted).map(tuple)
)
frequencies = st.sampled_from(NAMED) | intervals.map(lambda interval: interval.text)
crontabs = st.sampled_from(
    ["30 * * * *", "0 9 * * MON", "15 2 L * *", "0 0 31 * *", "30 1,2 * * *", "0 8 1 */3 *", "45 23 29 2 *"]
)
instants = st.integers(0, 10 * 366 * 86_400_000).map(
    lambda milliseconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
)


def local(calendar: Calendar, first: int, number: int) -> list[str]:
    """Wall dates and times of occurrences."""
    zone = ZoneInfo(calendar.timezone)
    dates = islice(calendar.dates(first), number)
    return [date.at.astimezone(zone).strftime("%Y-%m-%d %H:%M") for date in dates]


def at(year: int, month: int, day: int, hour: int = 9, minute: int = 0) -> datetime:
    """The instant of a wall time in Amsterdam."""
    return datetime(year, month, day, hour, minute, tzinfo=AMSTERDAM).astimezone(UTC)


@pytest.mark.rule("FM-38", "FM-39")
@pytest.mark.parametrize("day", [28, 29, 30, 31])
def test_month_ends_clamp_and_never_drift_for_48_months(day: int) -> None:
    calendar = Calendar(at(2023, 1, day), "Europe/Amsterdam", "monthly")
    first = datetime.fromisoformat("2023-02-01T09:00")
    months = rrule.rrule(rrule.MONTHLY, first, count=48, bymonthday=range(28, day + 1), bysetpos=-1)
    assert local(calendar, 1, 48) == [month.strftime("%Y-%m-%d %H:%M") for month in months]


@pytest.mark.rule("FM-38")
def test_a_date_that_was_clamped_says_so() -> None:
    calendar = Calendar(at(2023, 1, 31), "Europe/Amsterdam", "monthly")
    assert [date.reason for date in islice(calendar.dates(0), 4)] == ["anchor", "clamped", "anchor", "clamped"]


@pytest.mark.rule("FM-39")
@pytest.mark.parametrize(("frequency", "a_year"), [("monthly", 12), ("two-month", 6), ("four-month", 3), ("yearly", 1)])
def test_no_month_is_left_out(frequency: str, a_year: int) -> None:
    calendar = Calendar(at(2024, 12, 31, 23, 59), "Europe/Amsterdam", frequency)
    assert calendar.first_after(at(2025, 12, 31, 23, 59)) == a_year + 1


@pytest.mark.rule("FM-41")
def test_the_last_day_of_the_month_has_to_be_asked_for() -> None:
    anchor = at(2025, 2, 28)
    assert local(Calendar(anchor, "Europe/Amsterdam", "monthly"), 1, 2) == ["2025-03-28 09:00", "2025-04-28 09:00"]
    asked = Calendar(anchor, "Europe/Amsterdam", "monthly", last_day=True)
    assert local(asked, 1, 2) == ["2025-03-31 09:00", "2025-04-30 09:00"]


@pytest.mark.rule("FM-42")
def test_a_leap_day_comes_every_year_and_again_as_itself() -> None:
    calendar = Calendar(at(2024, 2, 29), "Europe/Amsterdam", "yearly")
    assert [day[:10] for day in local(calendar, 1, 4)] == ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


@pytest.mark.rule("FM-44", "FM-47")
def test_a_wall_time_that_is_left_out_becomes_the_first_instant_after_it() -> None:
    calendar = Calendar(at(2026, 3, 28, 2, 30), "Europe/Amsterdam", "daily")
    assert local(calendar, 0, 3) == ["2026-03-28 02:30", "2026-03-29 03:00", "2026-03-30 02:30"]
    assert calendar.date(1).reason == "clock_forward"


@pytest.mark.rule("FM-44")
def test_a_wall_time_that_comes_twice_is_taken_once() -> None:
    calendar = Calendar(at(2026, 10, 24, 2, 30), "Europe/Amsterdam", "daily")
    dates = list(islice(calendar.dates(0), 3))
    assert [date.at.isoformat() for date in dates] == [
        "2026-10-24T00:30:00+00:00",
        "2026-10-25T00:30:00+00:00",
        "2026-10-26T01:30:00+00:00",
    ]
    assert dates[1].reason == "clock_back"


@pytest.mark.rule("FM-44")
def test_crontabs_run_once_where_clocks_change() -> None:
    forward = Calendar(at(2026, 3, 28, 12), "Europe/Amsterdam", "30 2 * * *")
    assert local(forward, 1, 2) == ["2026-03-29 03:00", "2026-03-30 02:30"]
    back = Calendar(at(2026, 10, 24, 12), "Europe/Amsterdam", "30 2 * * *")
    assert [date.at.isoformat() for date in islice(back.dates(1), 2)] == [
        "2026-10-25T00:30:00+00:00",
        "2026-10-26T01:30:00+00:00",
    ]


@pytest.mark.rule("FM-44")
def test_a_crontab_that_starts_between_two_runs_of_one_wall_time_does_not_go_back() -> None:
    second = datetime(2026, 10, 25, 1, 20, tzinfo=UTC)  # 02:20 in Amsterdam, for the second time
    assert Calendar(second, "Europe/Amsterdam", "30 2 * * *").date(1).at == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def theirs(interval: Interval, start: datetime, index: int) -> datetime:
    """The wall time of an occurrence by dateutil's rules."""
    if interval.unit == "day":
        wall = rrule.rrule(rrule.DAILY, start, interval=interval.count)[index]
    elif interval.unit == "week":
        rule = rrule.rrule(
            rrule.WEEKLY, start, interval=interval.count, byweekday=interval.weekdays or None, wkst=rrule.MO
        )
        wall = next(islice((one for one in rule if one.date() > start.date()), index - 1, None))
    else:
        months, days = interval.count, range(min(start.day, 28), start.day + 1)
        if interval.unit == "year":
            months *= 12
        wall = rrule.rrule(rrule.MONTHLY, start.replace(day=1), interval=months, bymonthday=days, bysetpos=-1)[index]
    return wall.replace(microsecond=start.microsecond)


@given(zone=zones, frequency=frequencies.filter(lambda one: one != HOURLY), anchor=instants, index=st.integers(1, 60))
def test_occurrences_keep_their_wall_time_as_dateutil_says(
    zone: str, frequency: str, anchor: datetime, index: int
) -> None:
    calendar, interval = Calendar(anchor, zone, frequency), counted(frequency)
    assert interval is not None
    wall = theirs(interval, anchor.astimezone(ZoneInfo(zone)).replace(tzinfo=None), index)
    found, reason = calendar.date(index)
    there = tz.gettz(zone)
    if tz.datetime_exists(wall, there):
        assert found == wall.replace(tzinfo=there, fold=0).astimezone(UTC)
        assert (reason == "clock_back") == tz.datetime_ambiguous(wall, there)
    else:
        assert found.astimezone(there).replace(tzinfo=None) > wall
        before = found - timedelta(milliseconds=1)
        assert before.astimezone(there).replace(tzinfo=None) < wall
        assert reason == "clock_forward"


@given(zone=zones, frequency=frequencies | crontabs, anchor=instants, index=st.integers(0, 60))
def test_every_occurrence_is_later_than_the_one_before(zone: str, frequency: str, anchor: datetime, index: int) -> None:
    calendar = Calendar(anchor, zone, frequency)
    number = 3 if frequency.endswith("29 2 *") else 20
    dates = [date.at for date in islice(calendar.dates(min(index, number)), number)]
    assert all(earlier < later for earlier, later in pairwise(dates))


@given(zone=zones, frequency=frequencies | crontabs, anchor=instants, days=st.floats(-10, 500), index=st.integers(0, 9))
def test_the_first_after_an_instant_is_the_first_after_it(
    zone: str, frequency: str, anchor: datetime, days: float, index: int
) -> None:
    calendar = Calendar(anchor, zone, frequency, anchor_index=index)
    instant = anchor + timedelta(days=days)
    first = calendar.first_after(instant)
    assert calendar.date(first).at > instant
    assert first == index or calendar.date(first - 1).at <= instant


@given(
    zone=zones,
    frequency=frequencies | crontabs,
    anchor=instants,
    days=st.floats(-40, 400),
    next_index=st.integers(1, 1000),
)
def test_a_new_anchor_neither_repeats_nor_makes_up_for_anything(
    zone: str, frequency: str, anchor: datetime, days: float, next_index: int
) -> None:
    now = anchor + timedelta(days=days)
    calendar = anchored(Calendar(anchor, zone, frequency), next_index, now)
    following = calendar.date(next_index).at
    assert following > now
    assert calendar.first_after(now) == next_index
    fresh = Calendar(anchor, zone, frequency)
    assert following == (fresh.date(fresh.first_after(now)).at)


@pytest.mark.rule("FM-45")
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_looking_every_quarter_of_an_hour_finds_each_day_once_far_from_utc(zone: str) -> None:
    calendar = Calendar(datetime(2026, 5, 1, 23, 50, tzinfo=UTC), zone, "daily")
    looks = [calendar.anchor_at + timedelta(minutes=15 * look) for look in range(4 * 48 + 1)]
    assert {calendar.first_after(look) for look in looks} == {1, 2, 3}


@pytest.mark.rule("FM-45")
@given(old=zones, new=zones, passed=st.integers(0, 40))
def test_a_new_time_zone_keeps_the_count(old: str, new: str, passed: int) -> None:
    calendar = Calendar(datetime(2026, 1, 31, 12, tzinfo=UTC), old, "daily")
    last = calendar.date(passed).at
    moved = anchored(Calendar(last, new, "daily"), passed + 1, last)
    assert timedelta(hours=20) < moved.date(passed + 1).at - last < timedelta(hours=28)


@pytest.mark.parametrize(
    "frequency",
    [*NAMED, "10-year", "1-week:monday", "14-day", "30 * * * *", "0 9 1,15 * *", "0 0 L * *", "0 0 * * MON#1"],
)
def test_frequencies_that_there_are(frequency: str) -> None:
    check_frequency(frequency)


@pytest.mark.parametrize(
    ("frequency", "why"),
    [
        ("", "one of hourly"),
        ("fortnightly", "one of hourly"),
        ("0-week", "one of hourly"),
        ("2-weeks", "one of hourly"),
        ("1-week:mon", "one of hourly"),
        ("1-week:", "one of hourly"),
        ("1-week", "is written weekly"),
        ("2-month", "is written two-month"),
        ("2-week:thursday,monday", "is written 2-week:monday,thursday"),
        ("2-day:monday", "only weeks"),
        ("11-year", "longer than ten years"),
        ("3651-day", "longer than ten years"),
        ("* * 1 * *", "finer than hourly"),
        ("0,30 * * * *", "finer than hourly"),
        ("*/20 9 * * *", "finer than hourly"),
        ("0 0 9 * * *", "five fields"),
        ("0 0 31 2 *", "means no date"),
        ("61 * * * *", "means no date"),
        ("0 0 0 * *", "means no date"),
        ("0 0 * * L", "means no date"),
        ("a b c d e", "means no date"),
        ("0 " * 200, "five fields"),
    ],
)
def test_texts_that_are_no_frequency(frequency: str, why: str) -> None:
    with pytest.raises(FrequencyError, match=why):
        check_frequency(frequency)


@given(intervals)
def test_an_interval_and_its_frequency_say_the_same(interval: Interval) -> None:
    assert counted(interval.text) == meant(interval.text) == interval
    check_frequency(interval.text)
    columns: dict[str, Any] = columns_of(interval)
    assert interval_of(columns["interval_unit"], columns["interval_count"], columns["weekdays"]) == interval


def test_months_and_years_are_what_they_were_said_to_be() -> None:
    assert [Interval("month", 12).text, Interval("year").text, Interval("day", 7).text] == [
        "12-month",
        "yearly",
        "7-day",
    ]


CRONTABS = {
    "30 7 * * *": Interval("day"),
    "30 7 * * 1,4": Interval("week", 1, (0, 3)),
    "30 7 * * MON-FRI": Interval("week", 1, (0, 1, 2, 3, 4)),
    "30 7 * * 0": Interval("week", 1, (6,)),
    "30 7 * * SUN,7": Interval("week", 1, (6,)),
    "30 7 12 * *": Interval("month"),
    "30 7 12 3 *": Interval("year"),
    "30 * * * *": None,
    "30 7,8 * * *": None,
    "30 7 1,15 * *": None,
    "30 7 31 * *": None,
    "30 7 L * *": None,
    "30 7 * 3 *": None,
    "30 7 12 * 1": None,
    "30 7 * * 5L": None,
    "30 7 * * 1#2": None,
    "30 7 * * */2": None,
}


@pytest.mark.parametrize("crontab", CRONTABS)
def test_a_crontab_shows_the_interval_that_it_means(crontab: str) -> None:
    check_frequency(crontab)
    found = meant(crontab)
    assert found == CRONTABS[crontab]
    if found is None:
        return
    start = datetime(2026, 1, 12, 7, 30, tzinfo=UTC).replace(month=3)
    theirs_, ours = (Calendar(start, "UTC", text) for text in (crontab, found.text))
    assert [one.at for one in islice(theirs_.dates(1), 40)] == [one.at for one in islice(ours.dates(1), 40)]


@given(st.text("0123456789*/,-L#WMON ", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_frequency_or_an_error(text: str) -> None:
    try:
        check_frequency(text)
    except FrequencyError:
        return
    anchor = datetime(2026, 1, 1, tzinfo=UTC)
    assert Calendar(anchor, "UTC", text).date(1).at > anchor


def test_last_days_are_for_months_only() -> None:
    with pytest.raises(FrequencyError, match="whole months"):
        check_frequency("weekly", last_day=True)
    with pytest.raises(FrequencyError, match="whole months"):
        Calendar(at(2026, 1, 1), "UTC", "0 9 L * *", last_day=True)


def test_a_calendar_has_a_known_time_zone_and_nothing_before_its_anchor() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        Calendar(at(2026, 1, 1), "Europe/Nowhere", "daily")
    with pytest.raises(ValueError, match="before the anchor"):
        Calendar(at(2026, 1, 1), "UTC", "daily", anchor_index=3).date(2)
