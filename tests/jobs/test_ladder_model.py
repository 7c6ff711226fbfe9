"""The ladder against a plain model of it, over declines that are drawn by lot, in the time of a test clock."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import orjson
import pytest

from service.gateways.port import Answer, Payment
from service.jobs.advance import AdvanceJob
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests.gateways import nearby
from tests.jobs.paying import Run, prepare
from tests.jobs.playing import freeze, said
from tests.jobs.steps import offences
from tests.jobs.test_unpaid import beside
from tests.spec.writing import Api

Word = Literal["paid", "soft", "hard", "barred", "unpaid"]

START: Final = datetime(2026, 3, 1, 9, tzinfo=UTC)
FIRST: Final = START + timedelta(hours=1)
MONTH: Final = timedelta(days=30)
ORDERS: Final = 4
CODES: Final[dict[str, Word]] = {"card_declined": "soft", "stolen_card": "hard", "not_placed": "barred"}


@dataclass
class Lot:
    """A gateway that answers by lot: always the same for the same attempt at an order; of seed 0 always no."""

    seed: int
    needs_source = True
    asks_nobody = False
    positions: dict[str, int] = field(default_factory=dict)

    def drawn(self, position: int, attempt: int) -> Word:
        lot = random.Random(f"{self.seed}/{position}/{attempt}")
        weights = (92, 5, 3) if self.seed else (1, 0, 0)
        return lot.choices(("soft", "paid", "hard"), weights)[0]

    async def authorize(self, payment: Payment) -> Answer:
        position = self.positions.setdefault(str(payment.order_id), len(self.positions))
        match self.drawn(position, int(payment.key.rpartition("/")[2])):
            case "paid":
                return Answer("authorized", "r")
            case "hard":
                return Answer("declined", "r", "stolen_card", hard=True)
            case _:
                return Answer("declined", "r", "card_declined")

    async def find(self, payment: Payment) -> Answer | None:
        return await self.authorize(payment)

    async def void(self, payment: Payment) -> None:
        raise AssertionError(f"nothing of this lot is let go of: {payment.order_id}")


@dataclass
class Owed:
    """What the model knows of an order: how often it was asked for, and when it is next."""

    due: datetime | None
    asked: int = 0


def simulate(lot: Lot, ladder: list[int], until: datetime) -> list[tuple[datetime, str, Word]]:
    """All that happens, by an implementation that looks at everything at every instant."""
    orders = {id_: Owed(FIRST) for id_ in sorted(lot.positions)}
    happened: list[tuple[datetime, str, Word]] = []
    retries: list[datetime] = []
    barred = False
    while waiting := [(owed.due, id_) for id_, owed in orders.items() if owed.due is not None]:
        at, id_ = min(waiting)
        if at > until:
            break
        owed = orders[id_]
        word: Word = "barred"
        if not (barred and owed.asked):
            if owed.asked and len([one for one in retries if at - MONTH < one]) >= 20:
                owed.due = sorted(retries)[-20] + MONTH
                continue
            if owed.asked:
                retries.append(at)
            word = lot.drawn(lot.positions[id_], owed.asked + 1)
        owed.asked += 1
        happened.append((at, id_, word))
        steps = ladder[owed.asked - 1 : owed.asked] if word == "soft" else []
        owed.due = at + timedelta(hours=steps[0]) if steps else None
        barred = barred or word == "hard"
        if owed.due is None and word != "paid":
            happened.append((at, id_, "unpaid"))
    return happened


async def found(connection: Connection, store: Store) -> list[tuple[datetime, str, Word]]:
    """All that happened, as events tell it."""
    rows = await connection.fetch(
        "select name, created_at, resource_id, payload from events where store_id = $1 and name = any($2) order by id",
        store.id, ["orders.payment_failed", "orders.place", "order_subscriptions.unpaid"],
    )  # fmt: skip
    told: list[tuple[datetime, str, Word]] = []
    for row in rows:
        payload: Any = orjson.loads(row["payload"])
        match row["name"]:
            case "orders.place":
                told.append((row["created_at"], row["resource_id"], "paid"))
            case "orders.payment_failed":
                told.append((row["created_at"], row["resource_id"], CODES[payload["error"]]))
            case _:
                told.append((row["created_at"], payload["order_id"], "unpaid"))
    return told


async def climb(run: Run, api: Api, lot: Lot, until: datetime) -> None:
    """Let the store's time go on, as workers do."""
    test_clock = await freeze(api, run.store, START)
    answer = await api.update("test_clocks", test_clock["id"], {"_advance_to": said(until)})
    assert answer.status_code == 200, answer.text
    payments = PaymentJob(run.database, {**nearby(), "test": lot})
    await AdvanceJob(run.database, CopyJob(run.database), payments).go_on(run.store.id, test_clock["id"])


@pytest.mark.rule("FM-56")
@pytest.mark.parametrize("seed", range(4))
async def test_payments_are_asked_for_as_the_model_does(
    seed: int, api: Api, database: Database, connection: Connection, store: Store
) -> None:
    drawn = random.Random(seed)
    ladder = [24] * 10 if seed == 0 else [drawn.choice((1, 24, 72, 200)) for _ in range(drawn.randint(0, 10))]
    columns: dict[str, Any] = {"anchor_at": FIRST.replace(year=2025), "next_run_at": FIRST, "frequency": "yearly"}
    run = await prepare(database, connection, replace(store, frozen_at=START), **columns)
    for _ in range(ORDERS - 1):
        await beside(run, **columns)
    await connection.execute("update stock_items set quantity = 100 where store_id = $1", store.id)
    await run.policy(ladder)
    lot, until = Lot(seed), START + timedelta(days=100)
    await climb(run, api, lot, until)
    expected, happened = simulate(lot, ladder, until), await found(connection, store)
    assert len(lot.positions) == ORDERS
    assert sorted(happened) == sorted(expected)
    assert await offences(connection, store) == []
    if seed == 0:
        assert len(happened) == ORDERS * 12, "every step was taken, and told of its end"
        assert max(at for at, _, _ in happened) > FIRST + MONTH, "the cap was reached"
