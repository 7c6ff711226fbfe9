"""Runs that are made as they come due, in the very transaction that settles their occurrences: nearly all of them.

Such a copy has come to its end before others see it: there is no job to take it up, no claim, and nothing that a worker
could leave half-done. What keeps a run from being made so is told by nobody here: it is left to the queue, which makes
it, holds it or says why it can't be made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import orjson

from service import clock
from service.operations.catalogue.stock import Taken
from service.operations.copies import comparing, lenience, recurring_order_copies, runs, swaps, targets
from service.operations.copies.comparing import Planned
from service.operations.copies.runs import Of, Run, Terms
from service.operations.copies.targets import Target
from service.operations.events.outbox import Event
from service.principal import Store
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.store.pool import Connection
from service.store.statements import Command

LINES: Final = 5_000
"""How many lines the orders of a batch may have together; those beyond are left to the queue."""

_MADE = Command("copies/copies.made")


class Stale(Exception):
    """What the orders were planned by has changed meanwhile: the transaction must be rolled back."""


async def plan(
    connection: Connection, store: Store, due: Sequence[Of], numbers: list[int], at: datetime
) -> list[Planned]:
    """The runs that can be made at once, out of due ones, which have occurrences; nothing is written.

    Their orders take their numbers out of `numbers`. All runs of a subscription are made at once, or none.
    """
    known = await runs.terms_of_runs(connection, store, due)
    wanted: list[Run] = []
    ahead: Counter[str] = Counter()
    for of, terms in known.items():
        if _is_plain(terms) and len(wanted) < len(numbers):
            before = ahead[terms.subscription_id]
            wanted.append(
                Run(
                    terms,
                    terms.place_target_order,
                    of.occurrence_id,
                    ahead=before,
                    occurrence_index=of.occurrence_index,
                )
            )
            ahead[terms.subscription_id] += 1
    outcomes = await targets.plan(connection, store, list(zip(wanted, numbers, strict=False)), at)
    del numbers[: len(wanted)]
    planned = [
        Planned(clock.new_id(), run, outcome)
        for run, outcome in zip(wanted, outcomes, strict=True)
        if isinstance(outcome, Target) and outcome.unpaid is None
    ]
    found = list(_within_bounds(comparing.sorted_out(planned, at)[0]))
    whole = Counter(one.subscription_id for one in found)
    asked = Counter(of.order_subscription_id for of in due)
    return [one for one in found if whole[one.subscription_id] == asked[one.subscription_id]]


def _is_plain(terms: Terms) -> bool:
    """Whether runs on these terms need no stock before it is taken, as those do that go on whatever is missing."""
    run = Run(terms, place=True)
    return terms.status in SUBSCRIPTIONS_THAT_RUN and not (lenience.leaves_out(run) or lenience.replaces(run))


def _within_bounds(planned: Sequence[Planned]) -> Iterator[Planned]:
    """Those for which the stock seems to suffice, up to so many lines."""
    taken: Counter[str] = Counter()
    lines = 0
    for one in planned:
        needed: Counter[str] = Counter()
        for line in one.target.lines if one.target.placed else ():
            needed[line.product.sku_id] += line.quantity
        left = {line.product.sku_id: line.product.stock for line in one.target.lines}
        lines += len(one.target.lines)
        if lines > LINES:
            return
        if all((stock := left[id_]) is None or taken[id_] + pieces <= stock for id_, pieces in needed.items()):
            taken.update(needed)
            yield one


async def write(
    connection: Connection, store: Store, made: Sequence[Planned], at: datetime
) -> tuple[list[Event], list[Event]]:
    """Write the orders of runs, whose occurrences are written, and their copies.

    Returns the first events of both, and what happens to the subscriptions and to their items.

    The stock is noted as taken: `take_stock` must follow as the last step, so that no other run of a sku waits for
    more than that.
    """
    orders = [one.target for one in made]
    order_ids = await targets.write(connection, store, orders, at, Taken(_tracked(made), frozenset()))
    copies = [
        {
            "id": one.copy_id,
            "source_order_id": one.target.basis.source_order_id,
            "target_order_id": order_id,
            "order_subscription_id": one.subscription_id,
            "occurrence_id": one.run.occurrence_id,
            "place_target_order": one.run.place,
        }
        for one, order_id in zip(made, order_ids, strict=True)
    ]
    await _MADE(connection, store=store.id, copies=orjson.dumps(copies).decode(), at=at)
    await recurring_order_copies.charge(connection, store, orders, order_ids)
    swapped = await swaps.take(connection, store, made, at)
    first = [event for one, id_ in zip(made, order_ids, strict=True) for event in _happened(one, id_)]
    return first, [*recurring_order_copies.successes(made, order_ids), *swapped]


def _happened(made: Planned, order_id: str) -> Iterator[Event]:
    yield Event("recurring_order_copies.create", made.copy_id)
    yield Event("recurring_order_copies.start", made.copy_id)
    yield from recurring_order_copies.completion(made, order_id)


async def take_stock(connection: Connection, store: Store, made: Sequence[Planned], at: datetime) -> None:
    """Take the stock of orders that were made. Raises Stale when it isn't there any more."""
    lines = [line for one in made if one.target.placed for line in one.target.lines]
    taken = await targets.take_stock(connection, store, [line.taken for line in lines], at)
    if taken.skus != _tracked(made):
        raise Stale


def _tracked(made: Sequence[Planned]) -> frozenset[str]:
    """The skus that are taken out of the stock."""
    lines = (line for one in made if one.target.placed for line in one.target.lines)
    return frozenset(line.product.sku_id for line in lines if line.product.stock is not None)
