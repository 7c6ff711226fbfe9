"""What stands in for the rest of the service: orders that hold nothing, a queue, a clock, ids that a seed decides."""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NoReturn, cast
from unittest import mock

import structlog

from service import clock
from service.operations.catalogue.stock import Taken
from service.operations.copies import runs, targets
from service.operations.copies.runs import Basis, LastRun, Of, Run, Terms
from service.operations.copies.targets import Target
from service.operations.ordering.facts import Ways
from service.principal import Store
from service.rules.totals import Totals
from service.store import pool, queue
from tests.simulation import loop
from tests.simulation.memory import Connection, Transaction

EPOCH: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""The instant at which simulated time begins."""

skew: ContextVar[timedelta] = ContextVar("skew", default=timedelta())
"""How far the clock of the process that runs is off."""

_NOTHING: Final = Totals(0, 0, 0, 0, 0, 0)
_WAYS: Final = Ways(None, None, None, None, None, None, None, None, None, None, has_external_gateway=False)


def true_time() -> datetime:
    """The instant that it is, whatever the clocks say."""
    moment = EPOCH + timedelta(seconds=loop.time())
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _now(store: clock.HasClock | None = None) -> datetime:
    at = None if store is None else store.frozen_at
    return true_time() + skew.get() if at is None else at


def _of(connection: pool.Connection) -> Connection:
    return cast("Connection", connection)


async def _terms_of(
    connection: pool.Connection, _: Store, wanted: Sequence[tuple[Of, bool]], __: datetime
) -> Sequence[Terms]:
    """The terms of runs: nothing to be ordered, paid or sent."""
    of = _transaction(connection)
    await _of(connection).database.travel()
    return [_terms(of, run.order_subscription_id) for run, _ in wanted]


def _terms(of: Transaction, id_: str) -> Terms:
    row = of.row("subscriptions", id_)
    assert row is not None
    basis = Basis("source", id_, "customer", None, None, "EUR", False, "", "", "test", 0, 0, _WAYS)  # noqa: FBT003 -- a row
    last = LastRun(None, None, None, None, None, None, None)
    return Terms(basis, row["status"], False, None, None, None, 0, last, None)  # noqa: FBT003 -- a row


def _transaction(connection: pool.Connection) -> Transaction:
    transaction = _of(connection).transaction
    assert transaction is not None
    return transaction


async def _plan(connection: pool.Connection, _: Store, wanted: Sequence[tuple[Run, int]], __: datetime) -> list[Target]:
    """Orders of nothing."""
    await _of(connection).database.travel()
    return [
        Target(run.terms.basis, number, "pending", "not_required", (), _NOTHING, ["orders.create"], run.occurrence_id)
        for run, number in wanted
    ]


async def _make(connection: pool.Connection, store: Store, planned: Sequence[Target], at: datetime) -> list[str]:
    return await _write(connection, store, planned, at, None)


async def _write(
    connection: pool.Connection, _: Store, planned: Sequence[Target], at: datetime, taken: Taken | None
) -> list[str]:
    assert taken is None or not taken.short
    await _of(connection).database.travel()
    ids = [clock.new_id() for _ in planned]
    for id_, one in zip(ids, planned, strict=True):
        order = {"id": id_, "subscription": one.basis.order_subscription_id, "occurrence": one.occurrence_id, "at": at}
        await _transaction(connection).insert("orders", order | {"true_at": true_time()})
    return ids


async def _enqueue_all(connection: pool.Connection, entrypoint: str, payloads: Mapping[str, bytes]) -> None:
    """Put jobs into the queue, unless one of the same key waits or runs."""
    await _of(connection).database.travel()
    own = _of(connection).transaction
    of = own or _of(connection).database.begin()
    keys = {row["key"] for row in of.rows("jobs")}
    for key, payload in payloads.items():
        if key not in keys:
            job = {"id": clock.new_id(), "entrypoint": entrypoint, "key": key, "payload": payload}
            await of.insert("jobs", job | {"due": 0.0, "picked": None, "tries": 0})
    if own is None:
        await _of(connection).database.commit(of)


async def _enqueue(connection: pool.Connection, entrypoint: str, payload: bytes, *, dedupe_key: str) -> None:
    await _enqueue_all(connection, entrypoint, {dedupe_key: payload})


async def _payloads(connection: pool.Connection, entrypoint: str, *, most: int) -> list[bytes] | None:
    await _of(connection).database.travel()
    of = _of(connection).transaction or Transaction(_of(connection).database.memory)
    found = [row["payload"] for row in of.rows("jobs") if row["entrypoint"] == entrypoint]
    return None if len(found) > most else found


def _listen(unexpected: list[Exception], _: object, __: str, ___: Mapping[str, object]) -> NoReturn:
    """Keep what a worker has logged, if the weather isn't to blame, and say nothing."""
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and not pool.passes(error):
        unexpected.append(error)
    raise structlog.DropEvent


@contextmanager
def playing(chance: random.Random, wrong: list[str]) -> Iterator[None]:
    """They stand in meanwhile, and what workers log that is no accident of the weather is `wrong`."""
    with instead(chance) as unexpected:
        yield
    wrong += sorted({f"a worker logged {error!r}"[:200] for error in unexpected})


@contextmanager
def instead(chance: random.Random) -> Iterator[list[Exception]]:
    """Meanwhile they stand in for what they are doubles of, and the seed decides all that is random.

    Gives the errors that workers log meanwhile and that are no accidents of the weather.
    """
    before, configuration = random.getstate(), structlog.get_config()
    random.seed(chance.random())
    # Times and ids are in order, as real ones are, so that a seed leads to the same run again.
    numbers = iter(range(10**6))
    with ExitStack() as stack:
        for module, name, double in (
            (clock, "now", _now),
            (clock, "new_id", lambda: f"id-{next(numbers):06}"),
            (runs, "terms_of", _terms_of),
            (targets, "plan", _plan),
            (targets, "make", _make),
            (targets, "write", _write),
            (queue, "enqueue", _enqueue),
            (queue, "enqueue_all", _enqueue_all),
            (queue, "payloads", _payloads),
        ):
            stack.enter_context(mock.patch.object(module, name, double))
        unexpected: list[Exception] = []
        structlog.configure(
            processors=[partial(_listen, unexpected)],
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            cache_logger_on_first_use=False,
        )
        try:
            yield unexpected
        finally:
            random.setstate(before)
            structlog.configure(**configuration)
