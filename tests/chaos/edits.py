"""Subscriptions that are edited at random instants of a year, each beside a plain calendar that follows the edits."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from tests.chaos import simulation
from tests.faults.plain_calendar import Plain, Refused, Row
from tests.faults.plain_dates import Crontab
from tests.jobs.playing import said
from tests.spec.writing import Api

FREQUENCIES = (
    "daily", "weekly", "weekly", "monthly", "monthly", "two-month", "three-month", "six-month", "yearly",
    Crontab("30 13 * * 1-5", 13, 30, (0, 1, 2, 3, 4)), Crontab("5 18 * * 2", 18, 5, (1,)),
    "10-day", "2-week", "5-month", "2-year", "1-week:monday,thursday", "2-week:tuesday,saturday,sunday",
    "3-week:friday",
)  # fmt: skip
SELDOM = "hourly"
"""One in a hundred: its runs are as many as those of all others."""
WHOLE_MONTHS = ("monthly", "two-month", "three-month", "six-month", "yearly", "5-month", "2-year")
CUTOFFS = (0, 0, 0, 12, 36, 96)
"""How many hours before a run its date is settled."""
ZONES = (
    "UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Niue",
    "America/Sao_Paulo", "Africa/Casablanca",
)  # fmt: skip
POLICIES = ("run_once", "run_all", "skip")
HOUR = timedelta(hours=1)

Frequency = str | Crontab


def text(frequency: Frequency) -> str:
    """A frequency as it is sent."""
    return frequency.text if isinstance(frequency, Crontab) else frequency


def said_as(frequency: Frequency, chance: random.Random) -> dict[str, Any]:
    """A frequency as it is sent: an interval that has no word by its parts now and then."""
    said_so = text(frequency)
    how, _, days = said_so.partition(":")
    count, _, unit = how.partition("-")
    if isinstance(frequency, Crontab) or not count.isdigit() or chance.randrange(2):
        return {"frequency": said_so}
    return {"interval_unit": unit, "interval_count": int(count), "weekdays": days.split(",") if days else None}


def _frequency(chance: random.Random, of: Sequence[Frequency]) -> Frequency:
    return SELDOM if of is FREQUENCIES and chance.randrange(100) == 0 else chance.choice(of)


@dataclass
class Edited:
    """A subscription that is edited: what is sent to make it, and its plain calendar.

    `ran_at` says when the runs were made, by index, and `placed_at` where their orders were later; `told` what was done
    to it, to tell of a difference, and `done` how often, by its name and whether it was refused.
    """

    frequencies: ClassVar[Sequence[Frequency]] = FREQUENCIES
    """How often it may run."""

    sent: dict[str, Any]
    plain: Plain
    chance: random.Random
    ran_at: dict[int, datetime] = field(default_factory=dict)
    placed_at: dict[int, datetime] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    done: Counter[tuple[str, bool]] = field(default_factory=Counter)
    wrong: str | None = None

    @classmethod
    def of(cls, seed: str, now: datetime) -> Self:
        """One of any kind, made now."""
        chance = random.Random(seed)
        frequency, zone, policy = _frequency(chance, cls.frequencies), chance.choice(ZONES), chance.choice(POLICIES)
        starts = now + timedelta(minutes=chance.randrange(-20 * 24 * 60, 40 * 24 * 60))
        last_day = frequency in WHOLE_MONTHS and chance.randrange(4) == 0
        cutoff = chance.choice(CUTOFFS)
        sent = {
            **said_as(frequency, chance),
            "cutoff_hours": cutoff,
            "timezone": zone,
            "starts_at": said(starts),
            "catchup_policy": policy,
            "last_day": last_day,
            "allow_duplicate": True,
        }
        hours = timedelta(hours=cutoff)
        return cls(sent, Plain(frequency, zone, starts, now, last_day=last_day, policy=policy, cutoff=hours), chance)

    def stretch(self, now: datetime) -> None:
        """Let the service look whenever something is due, until an instant."""
        plain = self.plain
        while plain.active and (following := plain.next_run()) is not None and following <= now:
            at = max(following, plain.now)
            plain.look(at)
            self.note_runs(at)
        plain.now = now

    def note_runs(self, at: datetime) -> None:
        """Note what runs at an instant, and has not before."""
        for index, row in sorted(self.plain.rows.items()):
            if row.status == "due" and index not in self.ran_at:
                self.ran_at[index] = at
                self.make(index, row, at)

    def make(self, index: int, row: Row, at: datetime) -> None:
        """Make what a run comes to: nothing here, where only dates are followed."""

    async def edit(self, api: Api, id_: str, now: datetime) -> None:
        """Do something to both, which agree on whether it can be done."""
        if self.wrong is not None:
            return
        await self.change_dates(api, id_, now, EDITS)

    async def change_dates(self, api: Api, id_: str, now: datetime, edits: Mapping[str, Change]) -> None:
        """Make one of some edits of dates and terms."""
        name = self.chance.choice(tuple(edits))
        kept = copy.deepcopy(self.plain)
        url, attributes, act = await edits[name](self, api, id_, now)
        if not attributes:
            return
        try:
            act()
            refused = False
        except Refused:
            self.plain, refused = kept, True
        answer = await api.update(url.partition("/")[0], url.partition("/")[2], attributes)
        self.tell(now, name, attributes, refused=refused)
        if answer.status_code not in ((409, 422) if refused else (200,)):
            self.wrong = f"{answer.status_code} {answer.text}"
            return
        self.note_runs(now)

    def tell(self, now: datetime, name: str, what: object, *, refused: bool) -> None:
        """Note an edit."""
        self.done[name, refused] += 1
        self.told.append(f"{now:%m-%d %H:%M} {name} {what}{' refused' if refused else ''}")

    def settled(self) -> list[simulation.Row]:
        """The rows that are past, as the service keeps them; of those that ran no reason."""
        return [
            simulation.Row(
                index,
                row.nominal,
                row.at,
                "completed" if row.status == "due" else row.status,
                row.reason if row.status in ("skipped", "missed") else None,
                self.placed_at.get(index, self.ran_at.get(index)) if row.status == "due" else None,
            )
            for index, row in sorted(self.plain.rows.items())
            if index < self.plain.next
        ]

    def minutes(self, least: int, most: int) -> timedelta:
        """A random span of days, to the minute."""
        return timedelta(minutes=self.chance.randrange(least * 24 * 60 + 1, most * 24 * 60))


Change = Callable[["Edited", Api, str, datetime], Awaitable["Doing"]]
"""An edit of a subscription that has an id, at an instant."""
Doing = tuple[str, dict[str, Any], Callable[[], None]]
"""What is written to, the attributes that are sent (none: nothing is there), and the same for the plain calendar."""


def _terms(id_: str, attributes: dict[str, Any], act: Callable[[], None]) -> Doing:
    return f"order_subscriptions/{id_}", attributes, act


async def _change_frequency(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    frequency = _frequency(one.chance, one.frequencies)
    last_day = one.plain.last_day and frequency in WHOLE_MONTHS
    sent = {**said_as(frequency, one.chance), "last_day": last_day}
    return _terms(id_, sent, lambda: one.plain.edit(now, frequency=frequency, last_day=last_day))


async def _change_zone(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    zone = one.chance.choice(ZONES)
    return _terms(id_, {"timezone": zone}, lambda: one.plain.edit(now, zone=zone))


async def _change_both(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    frequency, zone = _frequency(one.chance, one.frequencies), one.chance.choice(ZONES)
    last_day = one.plain.last_day and frequency in WHOLE_MONTHS
    sent = {**said_as(frequency, one.chance), "timezone": zone, "last_day": last_day}
    return _terms(id_, sent, lambda: one.plain.edit(now, frequency=frequency, zone=zone, last_day=last_day))


async def _change_last_day(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    last_day = one.plain.frequency in WHOLE_MONTHS and not one.plain.last_day
    return _terms(id_, {"last_day": last_day}, lambda: one.plain.edit(now, last_day=last_day))


async def _change_anchor(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    anchor = now + one.minutes(-40, 40)
    return _terms(id_, {"anchor_at": said(anchor)}, lambda: one.plain.edit(now, anchor=anchor))


async def _pause(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    until = now + one.minutes(0, 60)
    return _terms(id_, {"_pause_until": said(until)}, lambda: one.plain.edit(now, paused=until))


async def _resume(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    return _terms(id_, {"_resume": True}, lambda: one.plain.edit(now, paused=None))


async def _end(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    # A subscription ends after its start, or the end is refused.
    expires = max(now + one.minutes(-5, 90), datetime.fromisoformat(one.sent["starts_at"]) + HOUR)
    return _terms(id_, {"expires_at": said(expires)}, lambda: one.plain.edit(now, expires=expires))


async def _count(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    most = one.plain.ran() + one.chance.randrange(1, 9)
    return _terms(id_, {"max_occurrences": most}, lambda: one.plain.edit(now, most=most))


async def _extend(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    sent = {"expires_at": None, "max_occurrences": None, "cancel_at_period_end": False}
    return _terms(id_, sent, lambda: one.plain.edit(now, expires=None, most=None, ends=False))


async def _last(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    ends = one.chance.randrange(2) == 0
    return _terms(id_, {"cancel_at_period_end": ends}, lambda: one.plain.edit(now, ends=ends))


async def _skip_next(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    return _terms(id_, {"_skip_next": True}, lambda: one.plain.edit(now, skip=True))


async def _move_next(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    to = now + one.minutes(0, 40)
    return _terms(id_, {"next_run_at": said(to)}, lambda: one.plain.edit(now, run_at=to))


def _becomes(one: Edited, now: datetime, *, active: bool, run_at: datetime | None = None) -> Callable[[], None]:
    def act() -> None:
        one.plain.edit(now, run_at=run_at)
        one.plain.active = active

    return act


async def _deactivate(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    return _terms(id_, {"_deactivate": True}, _becomes(one, now, active=False))


async def _activate(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    return _terms(id_, {"_activate": True}, _becomes(one, now, active=True))


async def _activate_at(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    to = now + one.minutes(0, 40)
    sent = {"_activate": True, "next_run_at": said(to)}
    return _terms(id_, sent, _becomes(one, now, active=True, run_at=to))


async def _skip(one: Edited, api: Api, id_: str, now: datetime) -> Doing:
    return await _one_of(one, api, id_, now, "planned", lambda index: (({"_skip": True}), one.plain.skip, (index,)))


async def _unskip(one: Edited, api: Api, id_: str, now: datetime) -> Doing:
    return await _one_of(one, api, id_, now, "skipped", lambda index: (({"_unskip": True}), one.plain.unskip, (index,)))


async def _move(one: Edited, api: Api, id_: str, now: datetime) -> Doing:
    to = now + one.minutes(0, 60)
    return await _one_of(
        one, api, id_, now, "planned", lambda index: (({"scheduled_at": said(to)}), one.plain.move, (index, to))
    )


async def _one_of(  # noqa: PLR0917 -- what an edit is given, and more
    one: Edited, api: Api, id_: str, now: datetime, status: str, doing: Callable[[int], Any]
) -> Doing:
    """Something done to one of the occurrences to come that have a row."""
    url = f"order_subscriptions/{id_}/occurrences?filter[status]={status}&sort=-occurrence_index&page[size]=4"
    found = [
        (row["id"], row["attributes"]["occurrence_index"])
        for row in (await api.get(url))["data"]
        if datetime.fromisoformat(row["attributes"]["scheduled_at"]) > now
        and row["attributes"]["occurrence_index"] >= one.plain.next
    ]
    if not found:
        return "", {}, lambda: None
    occurrence, index = one.chance.choice(sorted(found))
    attributes, act, given = doing(index)

    def acting() -> None:
        one.plain.edit(now)
        act(*given)
        one.plain.check_moved()

    return f"occurrences/{occurrence}", attributes, acting


EDITS: Mapping[str, Change] = {
    "frequency": _change_frequency,
    "zone": _change_zone,
    "both": _change_both,
    "last day": _change_last_day,
    "anchor": _change_anchor,
    "pause": _pause,
    "resume": _resume,
    "end": _end,
    "count": _count,
    "extend": _extend,
    "extend again": _extend,
    "last": _last,
    "skip next": _skip_next,
    "move next": _move_next,
    "deactivate": _deactivate,
    "activate": _activate,
    "activate again": _activate,
    "activate at": _activate_at,
    "skip": _skip,
    "unskip": _unskip,
    "move": _move,
}
