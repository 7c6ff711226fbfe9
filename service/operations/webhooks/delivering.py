"""From events to deliveries, and from deliveries to what came of them: the steps between which receivers are asked.

Events become deliveries in the order in which they can be known: up to the oldest transaction that may still commit, so
that none is passed over. Who delivers holds the webhook for the time of a lease; each attempt has its number, and only
what came of the last one counts. So whoever dies on the way loses nothing, and what is sent again has the same id.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from service import clock
from service.gateways.receivers import Reply
from service.operations.events import outbox
from service.operations.events.reading import Happened
from service.operations.webhooks.documents import Shape
from service.principal import Store
from service.rules import deliveries, mentions
from service.rules.deliveries import Circuit
from service.store import partitions
from service.store.horizon import ahead, horizon
from service.store.partitions import Busy, Month
from service.store.pool import Connection
from service.store.statements import Command, Many, One, Only, OnlyValue, Values
from service.store.vault import vault_of

AT_A_TIME: Final = 8
"""How many deliveries one receiver is sent side by side."""
MOST_AT_ONCE: Final = 64
"""How many a receiver that answers at once is sent before anything is noted."""
MOST_EVENTS: Final = 500
"""How many events are given to webhooks in one transaction."""
KEPT: Final = timedelta(days=30)
"""How long deliveries are kept that have come to an end, unless the settings say otherwise."""
_BATCH: Final = 1_000
"""How many of them one statement deletes at most."""
LEASE: Final = timedelta(seconds=30)
"""How long a webhook is held: longer than a receiver has for its answer."""


class Due(NamedTuple):
    """A webhook that is to be told something."""

    store_id: int
    id: str


class Receiver(NamedTuple):
    """A webhook that is held: what its deliveries are signed with, and what they hold."""

    id: str
    shared_secret: str
    previous_secret: str | None
    include_resources: Sequence[str]
    payload: Literal["full", "thin"]
    ordered: bool
    leased_until: datetime

    @property
    def secrets(self) -> list[str]:
        """What signs, the newest first."""
        return [self.shared_secret, *([self.previous_secret] if self.previous_secret else [])]

    @property
    def shape(self) -> Shape:
        """What it is told of a resource."""
        return Shape(self.payload, tuple(self.include_resources))


class Attempt(NamedTuple):
    """A delivery of an event that is about to be sent, for the `attempt`-th time.

    `payload` is what was sent before, if anything.
    """

    id: str
    attempt: int
    callback_url: str
    payload: str | None
    event: Happened


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt."""

    attempt: Attempt
    reply: Reply


class _Ahead(NamedTuple):
    store_id: int
    transaction_id: int


class _Settled(NamedTuple):
    id: str
    payload: str


class _State(NamedTuple):
    circuit_state: str
    circuit_failure_count: int
    health: str
    health_since: datetime
    disabled_at: datetime | None


class Standing(NamedTuple):
    """How deliveries of all stores stand: how many wait, since when the first could have been sent, circuits open."""

    waiting: int
    since: datetime | None
    stopped: int


_STORES_WITH_NEWS = Values("webhooks/delivering.stores_with_news", int)
_STORES_AHEAD = Many("webhooks/delivering.stores_ahead", _Ahead)
_PUT_BACK = Command("webhooks/delivering.put_back")
_BEGIN = Command("webhooks/delivering.begin")
_FAN_OUT = OnlyValue("webhooks/delivering.fan_out", int)
_DUE = Many("webhooks/delivering.due", Due)
_HOLD = One("webhooks/delivering.hold", Receiver)
_TAKE_UP = Many("webhooks/delivering.take_up", Attempt)
_SETTLE_PAYLOADS = Many("webhooks/delivering.settle_payloads", _Settled)
_NOTE = Command("webhooks/delivering.note")
_PUT_DOWN = Command("webhooks/delivering.put_down")
_LOCK = One("webhooks/delivering.lock", _State)
_LET_GO = Command("webhooks/delivering.let_go")
_STORES_WITH_PAST = Values("webhooks/delivering.stores_with_past", int)
_STORES_WITHIN = Values("webhooks/delivering.stores_within", int)
_COUNT_OUT = OnlyValue("webhooks/delivering.count_out", bool)
_DELETE_PAST = OnlyValue("webhooks/delivering.delete_past", int)
_STANDING = Only("webhooks/delivering.standing", Standing)


async def put_back(connection: Connection) -> list[int]:
    """Put events that came with a dump of another server before all that this one writes; return their stores.

    Transactions have the numbers of their server: where those are higher, whoever reads in their order would wait for
    this server to come that far.
    """
    found = await _STORES_AHEAD(connection, ahead=await ahead(connection))
    # What this server has written since it was asked is behind it now; what another one wrote is still ahead.
    first = await ahead(connection) if found else 0
    stores = [one.store_id for one in found if one.transaction_id >= first]
    for store_id in stores:
        await _PUT_BACK(connection, store=store_id, ahead=first)
    return stores


async def begin(connection: Connection, store_id: int) -> None:
    """Begin to give a store's events to its webhooks, with those of transactions that may still commit."""
    await _BEGIN(connection, store=store_id, horizon=await horizon(connection))


async def stores_with_news(connection: Connection, deployment: str) -> list[int]:
    """Return the stores with events that no webhook was given yet, if the database is this deployment's."""
    return await _STORES_WITH_NEWS(connection, deployment=deployment, horizon=await horizon(connection))


async def fan_out(connection: Connection, store_id: int) -> bool:
    """Give the next events of a store to its webhooks, in the caller's transaction; whether there may be more."""
    before = await horizon(connection)
    number = await _FAN_OUT(connection, store=store_id, horizon=before, at=clock.now(), most=MOST_EVENTS)
    return number == MOST_EVENTS


async def due(connection: Connection, deployment: str, *, most: int) -> list[Due]:
    """Return webhooks of all stores that are to be told something, and that nobody tells."""
    return await _DUE(connection, deployment=deployment, at=clock.now(), most=most)


async def take_up(
    connection: Connection, store_id: int, webhook_id: str, *, lease: timedelta = LEASE, most: int = AT_A_TIME
) -> tuple[Receiver, list[Attempt]] | None:
    """Hold a webhook and count an attempt of what it is to be told now; None when there is nothing to do for it."""
    at = clock.now()
    held = await _HOLD(connection, store=store_id, webhook=webhook_id, at=at, until=at + lease)
    receiver = None if held is None else _opened(connection, store_id, held)
    if receiver is None:
        return None
    return receiver, await _TAKE_UP(
        connection, store=store_id, webhook=webhook_id, at=at, ordered=receiver.ordered, most=most
    )


def _opened(connection: Connection, store_id: int, held: Receiver) -> Receiver | None:
    """A webhook with its secrets; None without its secret: nothing is sent that nobody could verify."""
    vault = vault_of(connection)
    secret = vault.open("webhooks.shared_secret", store_id, held.id, held.shared_secret)
    previous = vault.open("webhooks.previous_secret", store_id, held.id, held.previous_secret)
    return None if secret is None else held._replace(shared_secret=secret, previous_secret=previous)


async def settle_payloads(connection: Connection, store_id: int, payloads: dict[str, str]) -> dict[str, str]:
    """Settle what deliveries send, by their ids; return it as it is sent, now and at every further attempt."""
    said = list(payloads.values())
    found = await _SETTLE_PAYLOADS(
        connection,
        store=store_id,
        ids=list(payloads),
        payloads=said,
        people=[" ".join(mentions.named(one)) for one in said],
    )
    return {one.id: one.payload for one in found}


async def note(
    connection: Connection, store: Store, receiver: Receiver, outcomes: Sequence[Outcome], left: Sequence[Attempt] = ()
) -> None:
    """Note what came of attempts, take back those that were `left`, and let go of their webhook, in one transaction.

    A receiver that is gone is told of no more events; one that failed too often in a row isn't either, for now.
    """
    at = clock.now()
    state = await _LOCK(connection, store=store.id, webhook=receiver.id)
    if state is None:
        return
    if left:
        await _PUT_DOWN(
            connection,
            store=store.id,
            ids=[one.id for one in left],
            attempts=[one.attempt for one in left],
        )
    waits = [_wait(one) for one in outcomes]
    if outcomes:
        await _NOTE(
            connection,
            store=store.id,
            at=at,
            ids=[one.attempt.id for one in outcomes],
            attempts=[one.attempt.attempt for one in outcomes],
            statuses=[_status(one, wait) for one, wait in zip(outcomes, waits, strict=True)],
            codes=[None if one.reply.status is None else str(one.reply.status) for one in outcomes],
            messages=[one.reply.message for one in outcomes],
            next=[None if wait is None else at + wait for wait in waits],
        )
    await _let_go(connection, store, receiver, state, [one.reply for one in outcomes])


async def clean(connection: Connection, at: datetime, *, kept: timedelta = KEPT) -> None:
    """Delete deliveries that were kept for so long, with all of their event's month; what waits is kept however long.

    A month is emptied at once where nothing of it stays, nobody is at it, and Postgres lets us; else row by row.
    """
    before = at - kept
    for month in await partitions.past(connection, "event_callbacks", before):
        await _empty(connection, month, before)
    until = partitions.month("event_callbacks", before).first
    for store_id in await _STORES_WITH_PAST(connection, before=before, until=until):
        deleted = _BATCH
        while deleted == _BATCH:
            deleted = await _DELETE_PAST(connection, store=store_id, before=before, until=until, most=_BATCH)


async def _empty(connection: Connection, month: Month, before: datetime) -> bool:
    """Empty a month's partition, and count what was in it as deleted; whether that could be done."""
    stores = await _STORES_WITHIN(connection, first=month.first, until=month.until)
    if not stores or not await partitions.may_empty(connection, month):
        return False
    try:
        async with connection.transaction():
            await partitions.lock(connection, month)
            # Once more: nothing comes or goes any more.
            for store_id in await _STORES_WITHIN(connection, first=month.first, until=month.until):
                partitions.require(
                    not await _COUNT_OUT(
                        connection, store=store_id, first=month.first, until=month.until, before=before
                    )
                )
            await partitions.empty(connection, month)
    except Busy:
        return False
    return True


async def standing(connection: Connection) -> Standing:
    """Return how deliveries of all stores stand."""
    return await _STANDING(connection)


async def _let_go(
    connection: Connection, store: Store, receiver: Receiver, state: _State, replies: Sequence[Reply]
) -> None:
    at = clock.now()
    before = Circuit(state.circuit_failure_count, state.circuit_state == "open", state.disabled_at is not None)
    failures = deliveries.in_a_row(before.failures, [reply.accepted for reply in replies])
    after = Circuit(
        failures,
        before.is_open or failures >= deliveries.OPENS_AFTER,
        before.is_disabled or any(reply.gone for reply in replies),
    )
    happened = [
        *(["webhooks.stop"] if after.is_open > before.is_open else []),
        *(["webhooks.disable"] if after.is_disabled > before.is_disabled else []),
    ]
    reason = next((_reason(reply) for reply in reversed(replies) if not reply.accepted), None)
    known = after.health in ("disabled", "healthy") and after.health == state.health
    await _LET_GO(
        connection,
        store=store.id,
        webhook=receiver.id,
        held=receiver.leased_until,
        at=at,
        circuit="open" if after.is_open else "closed",
        failures=failures,
        health=after.health,
        reason=None if after.health == "healthy" else reason,
        keeps=known or not replies,
        since=state.health_since if after.health == state.health else at,
        disabled=state.disabled_at or (at if after.is_disabled else None),
        stopped=bool(happened),
    )
    for name in happened:
        payload = {"reason": reason, "failures": failures}
        await outbox.record(connection, store, name, receiver.id, actor=outbox.WORKER, payload=payload)


def _wait(one: Outcome) -> timedelta | None:
    """After what time a failed attempt is followed by the next; None for one that is followed by none."""
    if one.reply.accepted:
        return None
    draw = random.random()  # noqa: S311 -- spreads attempts, keeps no secret
    return deliveries.next_wait(one.attempt.attempt, one.reply.wait, draw)


def _status(one: Outcome, wait: timedelta | None) -> str:
    if one.reply.accepted:
        return "delivered"
    return "failed" if wait is None else "pending"


def _reason(reply: Reply) -> str:
    """Why a delivery failed, in short."""
    return reply.message if reply.status is None else f"{reply.status} {reply.message}".strip()
