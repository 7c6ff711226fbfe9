"""Subscriptions of every kind lived through with test clocks, beside the simulation: `python -m tests.chaos.year`."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx2

from service import clock
from service.app import create_app
from service.cli import logs
from service.operations.access import tokens
from service.principal import SCOPES, Store
from service.settings import Settings
from service.store import embedded, migrate
from service.store.checks import violations
from service.store.pool import Connection, Database, open_database
from tests import factories
from tests.chaos import fleet
from tests.chaos.carded import Carded
from tests.chaos.edits import Edited
from tests.chaos.mixed import Mixed
from tests.chaos.simulation import MONTHS, Action, Crontab, Every, Life, Row, Simulation, counts
from tests.chaos.warehouse import Warehouse
from tests.factories import Line
from tests.jobs.test_worker import until, working
from tests.spec.writing import Api, to
from tests.support import KEYS, Access, make_store

START = datetime(2027, 1, 29, 9, tzinfo=UTC)
STRETCH = timedelta(days=30, hours=7, minutes=3)

CRONTABS = (
    Crontab("30 7 * * 1", 30, [7], week_days=[0]),
    Crontab("0 18 * * 1-5", 0, [18], week_days=range(5)),
    Crontab("15 12 1,15 * *", 15, [12], month_days=[1, 15]),
    Crontab("45 6 31 * *", 45, [6], month_days=[31]),
    Crontab("5 8,20 * * 6", 5, [8, 20], week_days=[5]),
)
INTERVALS = (
    Every(10, "day"), Every(2, "week"), Every(6, "week"), Every(5, "month"), Every(2, "year"),
    Every(1, "week", (0, 3)), Every(2, "week", (1, 5, 6)), Every(3, "week", (4,)),
)  # fmt: skip
ZONES = (
    "UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Niue",
    "Australia/Sydney", "America/Sao_Paulo", "Africa/Casablanca",
)  # fmt: skip
POLICIES = ("run_once", "run_all", "skip")


@dataclass(frozen=True)
class Plan:
    """How many subscriptions live in how many stores, each on a clock of its own, and for how many stretches.

    So many more, `edited`, are edited on the way, a few of them at each of so many `instants` of a stretch. So are the
    `mixed`, of which contents and prices change, too, and orders are held against forecasts.
    """

    subscriptions: int = 1_000
    edited: int = 400
    mixed: int = 60
    instants: int = 4
    stores: int = 4
    stretches: int = 12
    seed: int = 1


@dataclass
class Report:
    """How it ended. `wrong` says which rows differ from the simulation's."""

    rows: Counter[str] = field(default_factory=Counter)
    edits: int = 0
    orders: int = 0
    done: Counter[tuple[str, bool]] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The counts in one line, and the edits in a table."""
        names = sorted({name for name, _ in self.done})
        told = ", ".join(f"{count} {status}" for status, count in sorted(self.rows.items()))
        return (
            f"{sum(self.rows.values())} occurrences ({told}), {self.edits} edits in {self.seconds:.0f} seconds, "
            f"{len(self.wrong)} wrong; {self.orders} orders are as they were foretold"
            + "".join(
                f"\n  {name:<20} {self.done[name, False]:>6} made {self.done[name, True]:>6} refused" for name in names
            )
            + "".join(f"\n  {name:<40} {count:>6}" for name, count in sorted(self.features.items()))
        )


@dataclass
class _Shop:
    """A store on a test clock: its subscriptions by id, each with its simulation; those that are edited apart."""

    store: Store
    api: Api
    clock_id: str
    lives: dict[str, Simulation] = field(default_factory=dict)
    edited: dict[str, Edited] = field(default_factory=dict)
    warehouse: Warehouse | None = None

    @classmethod
    async def open(cls, database: Database, client: httpx2.AsyncClient) -> Self:
        """Make a store that stands still at the start."""
        store = await make_store(database)
        async with database.transaction() as connection:
            id_, token = await tokens.issue(
                connection, store.id, customer_id=None, scopes=SCOPES, name=None, expires_at=None, at=clock.now()
            )
        api = Api(client, Access(id_, token))
        made = await api.create("test_clocks", {"name": "year", "frozen_at": said(START)})
        answer = await api.update("stores", str(store.id), None, {"test_clock": to("test_clocks", made["id"])})
        assert answer.status_code == 200, answer.text
        return cls(store, api, made["id"])

    async def begin(self, database: Database, lives: Sequence[Life], edited: Sequence[Edited], end: datetime) -> None:
        """Make the subscriptions through the API."""
        async with database.connection() as connection:
            sku = await factories.sku(connection, self.store, price=1900, stock=1_000_000)
            order_id = await factories.full_order(connection, self.store, [Line(sku)], placed_at=START)
        for life in lives:
            attributes: dict[str, Any] = {
                **life.sent,
                "allow_duplicate": True,
                "timezone": life.timezone,
                "starts_at": said(life.starts_at),
                "catchup_policy": life.policy,
                "max_occurrences": life.max_occurrences,
                "expires_at": None if life.expires_at is None else said(life.expires_at),
            }
            made = await self.api.create("order_subscriptions", attributes, {"source_order": to("orders", order_id)})
            self.lives[made["id"]] = Simulation(life, end)
        for one in edited:
            made = await self.api.create("order_subscriptions", one.sent, {"source_order": to("orders", order_id)})
            self.edited[made["id"]] = one

    async def live(self, plan: Plan, position: int, progress: Callable[[str], None]) -> None:
        """Live through the year, from one end of a stretch to the next, with some edits in between.

        Of a seed the store at each position lives through the same. `progress` is told of each stretch that is over.
        """
        chance = random.Random(f"instants {plan.seed} {position}")
        for stretch in range(1, plan.stretches + 1):
            begins = START + STRETCH * (stretch - 1)
            for minutes in sorted(chance.sample(range(1, int(STRETCH.total_seconds() / 60)), plan.instants)):
                now = begins + timedelta(minutes=minutes)
                await self._foresee(now)
                for id_, one in self.edited.items():
                    if chance.randrange(3) == 0:
                        await one.edit(self.api, id_, now)
                if self.warehouse is not None:
                    await self.warehouse.edit(now)
                    # What is overdue by then, or was ordered now, is made before the next forecast is read.
                    await self._go_to(now + timedelta(minutes=1))
                    self.warehouse.settle()
            await self._foresee(begins + STRETCH)
            await self._act(stretch, begins + STRETCH)
            progress(f"store {position + 1} of {plan.stores}: {stretch} of {plan.stretches} stretches are over")

    async def _foresee(self, now: datetime) -> None:
        """Go to an instant, having read what is to come until then."""
        if self.warehouse is not None:
            await self.warehouse.foretell(now)
        await self._go_to(now)

    async def _go_to(self, now: datetime) -> None:
        """Bring the clock to an instant, and all simulations with it."""
        answer = await self.api.update("test_clocks", self.clock_id, {"_advance_to": said(now)})
        assert answer.status_code == 200, answer.text

        async def arrived() -> bool:
            test_clock = await self.api.get(f"test_clocks/{self.clock_id}")
            return bool(test_clock["data"]["attributes"]["status"] == "ready")

        await until(arrived, 3_600)
        if self.warehouse is not None:
            await self.warehouse.hear()
        for simulation in self.lives.values():
            simulation.stretch(now)
        for one in self.all_edited.values():
            one.stretch(now)

    @property
    def all_edited(self) -> Mapping[str, Edited]:
        """Those of which dates are edited, and those of which everything is."""
        return {**self.edited, **({} if self.warehouse is None else self.warehouse.mixed)}

    async def _act(self, stretch: int, now: datetime) -> None:
        """Do what the lives ask for at the end of a stretch."""
        for id_, simulation in self.lives.items():
            for action in simulation.life.actions:
                if action.stretch == stretch:
                    await self._tell(id_, simulation, action.verb, now)

    async def _tell(self, id_: str, simulation: Simulation, verb: str, now: datetime) -> None:
        """Do something to a subscription and to its simulation."""
        following = simulation.next()
        attributes: dict[str, Any] = {}
        if verb == "pause":
            simulation.paused_until = now + timedelta(days=47)
            attributes = {"_pause_until": said(simulation.paused_until)}
        elif verb == "skip" and following is not None:
            simulation.skipped.add(following.place)
            attributes = {"_skip_next": True}
        elif verb == "move" and following is not None:
            simulation.moved[following.place] = following.at + timedelta(hours=3)
            attributes = {"next_run_at": said(simulation.moved[following.place])}
        elif verb == "deactivate":
            simulation.active = False
            attributes = {"_deactivate": True}
        elif verb == "activate":
            simulation.reactivate(now)
            attributes = {"_activate": True}
        if attributes:
            answer = await self.api.update("order_subscriptions", id_, attributes)
            assert answer.status_code == 200, (simulation.life, following, answer.text)


def lives(plan: Plan) -> list[Life]:
    """A mix of all frequencies, zones, policies and stories: few of those that run often."""
    chance = random.Random(plan.seed)
    return [_life(n, plan, chance) for n in range(plan.subscriptions)]


def _life(n: int, plan: Plan, chance: random.Random) -> Life:
    # Of a hundred: one hourly for three weeks, two daily, 17 weekly, 40 of whole months, 20 by interval, 20 by crontab.
    place = n % 20
    starts_at = START + timedelta(minutes=chance.randrange(-20 * 24 * 60, 40 * 24 * 60))
    common: dict[str, Any] = {
        "timezone": chance.choice(ZONES),
        "made_at": START,
        "starts_at": starts_at,
        "policy": POLICIES[n % 3],
    }
    if n % 101 == 0:
        return Life("hourly", **common, expires_at=starts_at + timedelta(days=21))
    frequency: str | Crontab | Every
    if n % 50 == 1:
        frequency = "daily"
    elif place < 4:
        frequency = "weekly"
    elif place < 12:
        frequency = list(MONTHS)[n % len(MONTHS)]
    elif place < 16:
        frequency = INTERVALS[chance.randrange(len(INTERVALS))]
    else:
        frequency = CRONTABS[chance.randrange(len(CRONTABS))]
    return Life(frequency, **common, **_story(chance, plan, starts_at, movable=not isinstance(frequency, Crontab)))


def _story(chance: random.Random, plan: Plan, starts_at: datetime, *, movable: bool) -> dict[str, Any]:
    """What happens on the way: nothing, an end, a number of runs, a pause, a skip, a move, or months out of action."""
    stretch = chance.randrange(1, max(plan.stretches - 1, 2))
    story = chance.choice(("plain", "expires", "runs", "pause", "skip", "move", "away", "away and few"))
    if story == "expires":
        return {"expires_at": starts_at + timedelta(minutes=chance.randrange(60, 300 * 24 * 60))}
    away = [
        Action(stretch, "deactivate"),
        Action(min(stretch + chance.randrange(1, 4), plan.stretches - 1), "activate"),
    ]
    if story == "runs":
        return {"max_occurrences": chance.randrange(1, 9)}
    if story == "away and few":
        return {"max_occurrences": chance.randrange(2, 12), "actions": away}
    if story == "away":
        return {"actions": away}
    if story in ("pause", "skip") or (story == "move" and movable):
        return {"actions": [Action(stretch, story)]}
    return {}


def said(at: datetime) -> str:
    """An instant as the API takes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def play(url: str, plan: Plan, progress: Callable[[str], None] = migrate.silent) -> Report:
    """Live through the year in a migrated database; gives how what happened differs from the simulation.

    `progress` is told a line for each stretch of a store.
    """
    began = time.monotonic()
    report, end = Report(), START + STRETCH * plan.stretches
    all_lives = lives(plan)
    edited = [Edited.of(f"{plan.seed} {n}", START) for n in range(plan.edited)]
    mixed = [(Mixed, Carded)[n // 2 % 2].of(f"{plan.seed} mixed {n}", START) for n in range(plan.mixed)]
    async with open_database(url, max_size=30, keys=KEYS) as database, _client(url) as client:
        shops = [await _Shop.open(database, client) for _ in range(plan.stores)]
        for position, shop in enumerate(shops):
            await shop.begin(database, all_lives[position :: plan.stores], edited[position :: plan.stores], end)
            if mixed:
                shop.warehouse = Warehouse(shop.store, shop.api, random.Random(f"{plan.seed} {position}"))
                await shop.warehouse.begin(database, client, mixed[position :: plan.stores], START)
        async with working(
            url, as_given=True, concurrency=16, lease=timedelta(minutes=1), heartbeat=timedelta(seconds=30)
        ):
            await asyncio.gather(*(shop.live(plan, position, progress) for position, shop in enumerate(shops)))
        async with database.connection() as connection:
            for shop in shops:
                await _compare(connection, shop, report)
            report.wrong += [str(violation) for violation in await violations(connection)]
    report.seconds = time.monotonic() - began
    return report


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application on the database."""
    app = create_app(
        Settings(database_url=url, secret_keys=",".join(KEYS), token_cache_seconds=0, rate_limit=1_000_000)
    )
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
            yield client


async def _compare(connection: Connection, shop: _Shop, report: Report) -> None:
    """Hold the ledgers of a store, as far as they are settled, against the simulation, row by row."""
    found: dict[str, list[Row]] = {id_: [] for id_ in (*shop.lives, *shop.all_edited)}
    rows = await connection.fetch(
        """
        select occurrences.order_subscription_id, occurrences.occurrence_index, occurrences.nominal_at,
            occurrences.scheduled_at, occurrences.status, occurrences.reason, orders.placed_at
        from occurrences
        inner join order_subscriptions
            on occurrences.store_id = order_subscriptions.store_id
            and occurrences.order_subscription_id = order_subscriptions.id
            and occurrences.occurrence_index < order_subscriptions.next_index
        left join orders on occurrences.store_id = orders.store_id and occurrences.id = orders.occurrence_id
        where occurrences.store_id = $1
        order by occurrences.occurrence_index
        """,
        shop.store.id,
    )
    for id_, *row in rows:
        found[id_].append(Row(*row))
    ahead = await connection.fetch(
        "select id, next_run_at from order_subscriptions where store_id = $1 and status = 'active'", shop.store.id
    )
    for id_, simulation in shop.lives.items():
        expected = simulation.settled()
        report.rows += Counter(counts(expected))
        report.wrong += _differing(str(simulation.life), found[id_], expected)
    for id_, one in shop.all_edited.items():
        expected = one.settled()
        report.rows += Counter(counts(expected))
        report.edits += len(one.told)
        report.done += one.done
        # Why a run fell where it did isn't counted a second time.
        past = [
            row._replace(reason=None) if row.status in ("completed", "failed", "held") else row for row in found[id_]
        ]
        past, expected = _as_far_as_noted(one, past, expected)
        what = "; ".join((str(one.sent), *one.told))
        report.wrong += [f"{what}: {one.wrong}"] if one.wrong is not None else _differing(what, past, expected)
    for id_, next_run_at in ahead:
        found_one = shop.all_edited.get(id_)
        if found_one is None or found_one.wrong is not None:
            continue
        if (following := found_one.plain.next_run()) != next_run_at:
            report.wrong.append(f"{'; '.join(found_one.told)}: next {next_run_at} instead of {following}")
    if shop.warehouse is not None:
        report.wrong += [wrong async for wrong in shop.warehouse.differing(connection)]
        for mixed in shop.warehouse.mixed.values():
            report.orders += len(mixed.orders)
            report.features += mixed.features()


def _as_far_as_noted(one: Edited, past: list[Row], expected: list[Row]) -> tuple[list[Row], list[Row]]:
    """Rows without those at their end that are left out, and noted by one of the two only so far.

    An edit that changes nothing notes nothing in the ledger, and one of what a run orders nothing in the calendar.
    """
    if all(row.status == "skipped" for row in expected[len(past) :]):
        expected = expected[: len(past)]
    if isinstance(one, Mixed) and all(row.status == "skipped" for row in past[len(expected) :]):
        past = past[: len(expected)]
    return past, expected


def _differing(what: str, found: Sequence[Row], expected: Sequence[Row]) -> list[str]:
    """The first row that differs, in words; none where all are the same."""
    if found == expected:
        return []
    pairs = zip(found, expected, strict=False)
    differing = next((pair for pair in pairs if pair[0] != pair[1]), (len(found), len(expected)))
    return [f"{what}: {differing[0]} instead of {differing[1]}"]


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


async def _play_anew(url: str, plan: Plan) -> Report:
    await migrate.migrate(url)
    return await play(url, plan, progress=_say)


def main() -> None:
    """Live through a year; exit code 1 when a row differs."""
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.year")
    for name in ("subscriptions", "edited", "mixed", "instants", "stores", "stretches", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(plan, name))
    plan = Plan(**vars(parser.parse_args()))
    logs.configure("warning")
    with fleet.own_folder("year") as folder, embedded.start(folder) as server:
        report = asyncio.run(_play_anew(server.url, plan))
    sys.stdout.write(f"{report}\n")
    sys.stdout.writelines(f"{problem}\n" for problem in report.wrong[:20])
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
