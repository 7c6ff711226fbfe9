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
from service.jsonapi.body import Draft
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
    line_ids: Sequence[str]


class _OfLines(OrderSubscriptions):
    """Subscriptions to some of an order's lines."""

    def __init__(self, line_ids: Sequence[str]) -> None:
        self._line_ids = line_ids

    async def lines(self, change: Change) -> Sequence[str]:  # noqa: ARG002 -- the hook's signature
        """The lines that it was made for."""
        return self._line_ids


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
        wanted = together.get(key) or _Wanted(row.model_id, row.frequency, bool(row.auto_activate), ())
        together[key] = replace(wanted, line_ids=(*wanted.line_ids, row.id))
    change.kept["subscriptions"] = list(together.values())
    return {"subscription_created_at": change.at}


async def create(change: Change) -> None:
    """Make the subscriptions that `prepare` found; those that aren't to begin by themselves are drafts."""
    wanted: Sequence[_Wanted] = change.kept.get("subscriptions", ())
    for one in wanted:
        # The order's prices are agreed on, whoever asks.
        attributes = {"frequency": one.frequency, "activate_by_source_order": one.active, "price_mode": "fixed"}
        draft = Draft(
            graph["order_subscriptions"],
            None,
            attributes if one.active else attributes | {"starts_at": change.before["placed_at"]},
            {"source_order": change.id, "subscription_model": one.model_id},
            # The order says how many there are: two of its lines may be equal.
            triggers={duplicates.ALLOWED: True},
        )
        await _OfLines(one.line_ids).create(change.connection, change.principal, draft)


async def activate(connection: Connection, store: Store, order_id: str, *, actor: str) -> None:
    """Begin the drafts that wait for their order to be placed, which it is now: their first run is a period later."""
    at = clock.now(store)
    for draft in await _WAITING_FOR_ORDER(connection, store=store.id, order=order_id):
        begins = {} if draft.starts_at is not None else {"anchor_at": at}
        await _tell(connection, store, draft.id, "_activate", actor=actor, attributes=begins)


async def cancel(connection: Connection, store: Store, order_id: str, *, actor: str) -> None:
    """End the subscriptions of a cancelled order whose models say so."""
    ending = await _ENDING_WITH_ORDER(connection, store=store.id, order=order_id)
    for id_ in ending:
        await _tell(connection, store, id_, "_cancel", actor=actor, attributes={})
    if ending:
        await outbox.record(connection, store, "orders.cancel_subscriptions", order_id, actor=actor)


async def _tell(
    connection: Connection, store: Store, id_: str, verb: str, *, actor: str, attributes: dict[str, datetime]
) -> None:
    """Have a subscription do what its trigger does, whoever it belongs to: whoever had the order may not see it."""
    principal, writer, resource = Principal.of_service(store, actor), OrderSubscriptions(), graph["order_subscriptions"]
    locked = await writer.lock(connection, principal, resource, id_)
    await writer.update(connection, principal, locked, Draft(resource, id_, attributes, triggers={verb: True}))
