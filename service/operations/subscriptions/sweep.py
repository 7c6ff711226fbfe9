"""The sweep: subscriptions whose time has come get their occurrences settled and their copies ordered.

It works in two steps. Which stores have something due is one global read without a lock. Then each store's
subscriptions are taken up a batch at a time, in a transaction of their own: locked unless another sweep has them, rows
of ledgers written, copies and their jobs made, the subscriptions moved on. What ends a transaction leaves the batch
as it was: where the database refuses one of them, they are taken up one by one, and that one is parked. What is
committed isn't due any more. A row of a ledger becomes due once, however many
look at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from service import clock
from service.operations.copies import at_once, recurring_order_copies
from service.operations.copies.at_once import Stale
from service.operations.copies.comparing import Planned
from service.operations.copies.runs import Of
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.operations.subscriptions import ledgers
from service.operations.subscriptions.ledgers import Ledgers, Ran, Terms
from service.principal import Store
from service.rules.schedule import CATCH_UP, Advance, Entry, Standing, advance
from service.store.pool import Connection
from service.store.statements import Command, Many, Values

BATCH: Final = 100
"""How many subscriptions one transaction takes up."""

FUSE: Final = 48
"""How many copies of a subscription there may be within a day; one more and it is parked. Hourly ones make 24."""


NUMBERS: Final = CATCH_UP * BATCH
"""How many orders a batch may need numbers for."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a batch came to: how many subscriptions it took up, the copies that came of it, the subscriptions it parked.

    `lateness` is that of the copies whose orders it has made at once, from the instants of their occurrences.
    """

    subscriptions: int
    copies: Sequence[str]
    parked: Sequence[str]
    lateness: Sequence[timedelta] = ()

    @property
    def more(self) -> bool:
        """Whether more may be due."""
        return self.subscriptions == BATCH


class _Due(NamedTuple):
    terms: Terms
    ran: Ran
    copies_of_a_day: int


class _Approved(NamedTuple):
    id: str
    order_subscription_id: str


_DUE_STORES = Values("subscriptions/sweep.due_stores", int)
_DUE_IDS = Values("subscriptions/sweep.due_ids", str)
_DUE = Many("subscriptions/sweep.due", _Due)
_ADVANCE = Command("subscriptions/sweep.advance")
_ORDER_COPIES = Command("subscriptions/sweep.order_copies")
_GIVE_UP = Command("subscriptions/sweep.give_up")
_UNORDERED = Many("subscriptions/sweep.unordered", _Approved)
_PARK = Command("subscriptions/sweep.park")


async def due_stores(
    connection: Connection, deployment: str, at: datetime, *, since: datetime = clock.EARLIEST
) -> list[int]:
    """The stores on real time of which something has come due by this instant, and after `since`.

    None for another deployment's worker.
    """
    return await _DUE_STORES(connection, at=at, since=since, deployment=deployment)


async def due_ids(connection: Connection, store: Store) -> Sequence[str]:
    """Return the subscriptions of a store that the next batch takes up, unless another sweep holds them."""
    return await _DUE_IDS(connection, store=store.id, at=clock.now(store), most=BATCH)


async def sweep(
    connection: Connection, store: Store, *, only: str | None = None, numbers: list[int] | None = None
) -> Swept:
    """Take up a batch of a store's subscriptions that are due by its clock, or `only` one, in the caller's transaction.

    With `numbers` for them, orders are made at once where nothing stands against it; the other copies get jobs. Raises
    Stale when those can't be made after all, and what the database says against one of the subscriptions. After that
    the transaction must be rolled back.
    """
    at = clock.now(store)
    due = await _DUE(connection, store=store.id, at=at, most=BATCH, only=only, since=at - timedelta(days=1), fuse=FUSE)
    if not due:
        return Swept(0, [], [])
    ledger = await ledgers.open_ends(connection, store, [one.terms for one in due])
    steps, parked = _steps(due, ledger, at)
    coming = {ledger.id_at((id_, entry.index)): (id_, entry) for id_, step in steps.items() for entry in step.due}
    made: list[Planned] = []
    if numbers and coming:
        wanted = [Of(subscription_id, id_, entry.index) for id_, (subscription_id, entry) in coming.items()]
        made = await at_once.plan(connection, store, wanted, numbers, at)
    ordered = await _write(connection, store, steps, ledger, made, at=at)
    for id_, reason in parked.items():
        await _park(connection, store, id_, reason)
    first = [Event("recurring_order_copies.create", id_) for id_ in ordered]
    happened: list[Event] = []
    if made:
        of_made, happened = await at_once.write(connection, store, made, at)
        first += of_made
    await outbox.record_first(connection, store, first, actor=outbox.WORKER)
    ended = [id_ for id_, step in steps.items() if step.next_run_at is None]
    happened += [Event(f"order_subscriptions.{ledgers.END}", id_) for id_ in ended]
    await outbox.record_all(connection, store, happened, actor=outbox.WORKER)
    if store.frozen_at is None:
        # On a test clock time waits for them: the job that advances it makes them itself.
        await recurring_order_copies.enqueue_all(connection, store.id, ordered)
    if made:
        await at_once.take_stock(connection, store, made, at)
    lateness = [at - coming[one.run.occurrence_id or ""][1].scheduled_at for one in made]
    return Swept(len(due), [*ordered, *(one.copy_id for one in made)], list(parked), lateness)


def _steps(due: Sequence[_Due], ledger: Ledgers, at: datetime) -> tuple[dict[str, Advance], dict[str, str]]:
    """Where subscriptions go, by their ids, and why some can't: they are to be parked."""
    steps: dict[str, Advance] = {}
    parked: dict[str, str] = {}
    for one in due:
        id_ = one.terms.id
        if one.copies_of_a_day >= FUSE:
            parked[id_] = "too many copies within a day"
            continue
        try:
            steps[id_] = advance(_standing(one, ledger.entries.get(id_, {})), at)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it stays this subscription's own
            # One that can't be counted must not hold up the others, in this batch and in all that follow.
            parked[id_] = f"its calendar can't be read: {error}"
    return steps, parked


async def set_aside(connection: Connection, store: Store, subscription_id: str) -> Swept:
    """Park a subscription that can't be taken up, so that it holds up no other."""
    await _park(connection, store, subscription_id, "its next run can't be written")
    return Swept(1, [], [subscription_id])


async def _park(connection: Connection, store: Store, subscription_id: str, reason: str) -> None:
    """Take a subscription out of the schedule until somebody looks at it, and tell of it."""
    await _PARK(connection, store=store.id, subscription=subscription_id, at=clock.now(store), reason=reason)
    parked = Event("order_subscriptions.park", subscription_id, {"reason": reason})
    await outbox.record_all(connection, store, [parked], actor=outbox.WORKER)


def _standing(due: _Due, ledger: Mapping[int, Entry]) -> Standing:
    terms = due.terms
    return Standing(
        calendar=terms.calendar,
        next_index=terms.next_index,
        entries=ledger,
        expires_at=terms.expires_at,
        paused_until=terms.paused_until,
        runs_left=terms.runs_left(due.ran),
        catchup_policy=terms.catchup_policy,
    )


async def _write(
    connection: Connection,
    store: Store,
    steps: Mapping[str, Advance],
    ledger: Ledgers,
    made: Sequence[Planned],
    *,
    at: datetime,
) -> list[str]:
    """Write where subscriptions go, by their ids; gives the ids of the copies that were ordered, all but those made."""
    entries = [(id_, entry) for id_, step in steps.items() for entry in step.entries]
    completed = {one.run.occurrence_id for one in made}
    written = await ledgers.write_all(connection, store, entries, at=at, known=ledger, completed=completed)
    if completed != {row.id for row in written if row.status == "completed"}:
        raise Stale
    runs = Counter(one.subscription_id for one in made)
    succeeded = {one.subscription_id for one in made if one.target.succeeded}
    await _ADVANCE(
        connection,
        store=store.id,
        ids=list(steps),
        next_indexes=[step.next_index for step in steps.values()],
        next_runs=[step.next_run_at for step in steps.values()],
        runs=[runs[id_] for id_ in steps],
        succeeded=[id_ in succeeded for id_ in steps],
        at=at,
    )
    due = [row for row in written if row.status == "due"]
    if due or made:
        coming = {*(row.order_subscription_id for row in due), *runs}
        await _GIVE_UP(connection, store=store.id, subscriptions=list(coming), at=at)
    return await _order_copies(connection, store, [(row.id, row.order_subscription_id) for row in due], at=at)


async def order_missing(connection: Connection, store: Store, subscription_id: str) -> list[str]:
    """Order the copies of a subscription's occurrences that somebody agreed to, or tries again; gives their ids."""
    due = await _UNORDERED(connection, store=store.id, subscription=subscription_id)
    made = await _order_copies(connection, store, due, at=clock.now(store))
    await recurring_order_copies.enqueue_all(connection, store.id, made)
    return made


async def _order_copies(
    connection: Connection, store: Store, due: Sequence[tuple[str, str]], *, at: datetime
) -> list[str]:
    """Order copies of these occurrences of these subscriptions; gives their ids."""
    made = [clock.new_id() for _ in due]
    if not made:
        return made
    await _ORDER_COPIES(
        connection,
        store=store.id,
        ids=made,
        subscriptions=[subscription_id for _, subscription_id in due],
        occurrences=[occurrence_id for occurrence_id, _ in due],
        at=at,
    )
    return made
