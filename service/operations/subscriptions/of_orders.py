"""Subscriptions of an order: made of its lines, begun when it is placed, ended when it is cancelled.

Which lines are ordered again, and how often, the lines say by their `frequency`; the store's subscription models say
which frequencies there are, and what a subscription is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from schemas.graph import graph
from service import clock
from service.errors import Invalid
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.subscriptions import duplicates
from service.operations.subscriptions.order_subscriptions import OrderSubscriptions
from service.principal import Principal, Store
from service.store.pool import Connection
from service.store.statements import Many, Values
from service.store.write import Columns

TRIGGER = "_create_subscriptions"
"""The trigger that makes subscriptions of an order."""


class _Line(NamedTuple):
    id: str
    name: str
    frequency: str
    model_id: str | None
    strategy: str | None
    auto_activate: bool | None
    min_occurrences: int | None
    pricing_phases: str | None
    prepaid_occurrences: int | None


class _Draft(NamedTuple):
    id: str
    starts_at: datetime | None


_LINES_TO_REPEAT = Many("subscriptions/subscriptions.lines_to_repeat", _Line)
_WAITING_FOR_ORDER = Many("subscriptions/subscriptions.waiting_for_order", _Draft)
_ENDING_WITH_ORDER = Values("subscriptions/subscriptions.ending_with_order", str)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A subscription that an order is to have: of these lines, by this model."""

    model_id: str
    frequency: str
    active: bool
    min_occurrences: int | None
    pricing_phases: str | None
    prepaid_occurrences: int | None
    line_ids: Sequence[str] = ()


async def prepare(change: Change) -> Columns | None:
    """Find what subscriptions a placed order is to have; note why it can't. An order that has had them gets no more.

    By a model's strategy there is one for all lines of a frequency, or one for each line. The oldest model that offers
    a line's frequency counts. The effect of `_create_subscriptions`. Raises Forbidden unless the asker may write
    subscriptions.
    """
    change.principal.require("update_subscriptions")
    if change.before["subscription_created_at"] is not None:
        return None
    pointer = change.draft.pointer(TRIGGER)
    rows = await _LINES_TO_REPEAT(change.connection, store=change.store.id, order=change.id)
    if not rows:
        change.problems.append(Invalid("No line of the order has a frequency.", pointer=pointer))
    change.problems += [
        Invalid(
            "{name}: no subscription model of the store offers the frequency {frequency!r}.",
            name=row.name,
            frequency=row.frequency,
            pointer=pointer,
            meta={"line_item_id": row.id},
        )
        for row in rows
        if row.model_id is None
    ]
    together: dict[tuple[str, str], _Wanted] = {}
    for row in rows:
        if row.model_id is None:
            continue
        key = (row.frequency, row.id if row.strategy == "by_line_items" else "")
        wanted = together.get(key) or _Wanted(
            row.model_id,
            row.frequency,
            active=bool(row.auto_activate),
            min_occurrences=row.min_occurrences,
            pricing_phases=row.pricing_phases,
            prepaid_occurrences=row.prepaid_occurrences,
        )
        together[key] = replace(wanted, line_ids=(*wanted.line_ids, row.id))
    change.kept["subscriptions"] = list(together.values())
    return {"subscription_created_at": change.at}


async def create(change: Change) -> None:
    """Make the subscriptions that `prepare` found; those that aren't to begin by themselves are drafts."""
    wanted: Sequence[_Wanted] = change.kept.get("subscriptions", ())
    for one in wanted:
        await _subscribe(change, one)


async def _subscribe(change: Change, wanted: _Wanted) -> str:
    """Make a subscription of an order; returns its id. The order's prices are agreed on, whoever asks."""
    columns: Columns = {
        "source_order_id": change.id,
        "subscription_model_id": wanted.model_id,
        "frequency": wanted.frequency,
        "price_mode": "fixed",
        "activate_by_source_order": wanted.active,
        "min_occurrences": wanted.min_occurrences,
        "pricing_phases": wanted.pricing_phases,
        "prepaid_occurrences": wanted.prepaid_occurrences,
    }
    begins = {} if wanted.active else {"starts_at": change.before["placed_at"]}
    # The order says how many there are: two of its lines may be equal.
    kept = {"lines": wanted.line_ids, duplicates.ALLOWED: True}
    return await OrderSubscriptions().make(
        change.connection, change.principal, graph["order_subscriptions"], {**columns, **begins}, kept=kept
    )


async def activate(connection: Connection, store: Store, order_id: str, *, actor: str) -> None:
    """Begin the drafts that wait for their order to be placed, which it is now: their first run is a period later."""
    at = clock.now(store)
    for draft in await _WAITING_FOR_ORDER(connection, store=store.id, source_order=order_id):
        begins = {} if draft.starts_at is not None else {"anchor_at": at}
        await _tell(connection, store, draft.id, "activate", begins, actor=actor)


async def cancel(connection: Connection, store: Store, order_id: str, *, actor: str) -> None:
    """End the subscriptions of a cancelled order whose models say so."""
    ending = await _ENDING_WITH_ORDER(connection, store=store.id, order=order_id)
    for id_ in ending:
        await _tell(connection, store, id_, "cancel", {}, actor=actor)
    if ending:
        await outbox.record(connection, store, "orders.cancel_subscriptions", order_id, actor=actor)


async def _tell(connection: Connection, store: Store, id_: str, verb: str, columns: Columns, *, actor: str) -> None:
    """Have a subscription do a verb, whoever it belongs to: whoever had the order may not see it."""
    principal, writer = Principal.of_service(store, actor), OrderSubscriptions()
    locked = await writer.lock(connection, principal, graph["order_subscriptions"], id_)
    await writer.change(connection, principal, locked, columns, verbs=(verb,))
