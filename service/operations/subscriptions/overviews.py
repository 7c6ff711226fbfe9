"""A customer's subscriptions as a storefront shows them, and what a customer does with their dates there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import orjson
from marshmallow import ValidationError

from schemas.graph import graph
from service.errors import Invalid, NotFound
from service.operations.generic.writing import Writer
from service.operations.subscriptions import cancelling, forecasts, ledgers
from service.operations.subscriptions.forecasts import Run
from service.operations.subscriptions.occurrences import Occurrences
from service.operations.subscriptions.order_subscriptions import OrderSubscriptions
from service.principal import Principal
from service.store.pool import Connection
from service.store.statements import Many, Only
from service.store.write import Columns

Decision = Literal["skip", "unskip", "approve", "reject"]
"""What can be said of a run."""


class Item(NamedTuple):
    """What a subscription orders each time."""

    name: str
    quantity: int
    image_url: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """A subscription in short."""

    id: str
    status: str
    frequency: str
    next_run_at: datetime | None
    cancel_at_period_end: bool
    items: Sequence[Item]


class Made(NamedTuple):
    """An order that a subscription made."""

    id: str
    code: str
    placed_at: datetime
    currency_code: str
    total_amount_cents: int


class Line(NamedTuple):
    """What a run orders: so many pieces of an item of the subscription, or of what was added to the run."""

    id: str
    name: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Coming:
    """A run to come. It can be changed where it has an `id`; it comes to nothing where it is left out."""

    id: str | None
    index: int
    at: datetime
    status: str
    reason: str | None
    total_amount_cents: int | None
    currency_code: str
    lines: Sequence[Line] = ()


class Occurrence(NamedTuple):
    """A run as it is kept."""

    id: str
    status: str
    scheduled_at: datetime


class _Row(NamedTuple):
    id: str
    status: str
    frequency: str
    next_run_at: datetime | None
    cancel_at_period_end: bool
    items: str | None


_OF_CUSTOMER = Many("subscriptions/overviews.of_customer", _Row)
_MADE = Many("subscriptions/overviews.made", Made)
_OCCURRENCE = Only("subscriptions/overviews.occurrence", Occurrence)


async def of_customer(
    connection: Connection, principal: Principal, subscription_id: str | None = None
) -> list[Overview]:
    """Return a customer's subscriptions that aren't cancelled; only that of an id where one is given."""
    rows = await _OF_CUSTOMER(
        connection, store=principal.store.id, customer=principal.customer_id, subscription=subscription_id
    )
    return [Overview(*row[:-1], [Item(*item) for item in orjson.loads(row.items or "[]")]) for row in rows]


async def find(connection: Connection, principal: Principal, subscription_id: str) -> Overview:
    """Return a customer's subscription. Raises NotFound."""
    found = await of_customer(connection, principal, subscription_id)
    if not found:
        raise NotFound("There is no such subscription.")
    return found[0]


async def made(connection: Connection, principal: Principal, subscription_id: str, *, most: int) -> list[Made]:
    """Return the latest orders that a subscription made."""
    return await _MADE(connection, store=principal.store.id, subscription=subscription_id, most=most)


async def coming(connection: Connection, principal: Principal, subscription_id: str, *, most: int) -> list[Coming]:
    """Return the next runs of a customer's subscription, skipped ones too. Raises NotFound for an unknown one."""
    store = principal.store
    found = await forecasts.look(connection, store, subscription_id, principal.customer_id, offset=0, size=most)
    currency = "" if found.terms is None else found.terms.basis.currency_code
    ids = await ledgers.ids(connection, store, subscription_id, [run.entry.index for run in found.runs])
    return [
        Coming(
            ids.get(run.entry.index),
            run.entry.index,
            run.entry.scheduled_at,
            run.entry.status,
            run.entry.reason,
            None if run.estimate is None else run.estimate.total,
            currency,
            _lines(run),
        )
        for run in found.runs
    ]


def _lines(run: Run) -> list[Line]:
    items = [] if run.estimate is None else [one.item for one in run.estimate.lines]
    return [Line(item.id, item.name, item.quantity) for item in items]


async def skip(connection: Connection, principal: Principal, occurrence_id: str, *, back: bool = False) -> Occurrence:
    """Leave a run out, or let it run after all; returns it as it is then. Raises as the API's verbs do."""
    return await decide(connection, principal, occurrence_id, "unskip" if back else "skip")


async def decide(
    connection: Connection,
    principal: Principal,
    occurrence_id: str,
    verb: Literal["skip", "unskip", "approve", "reject"],
) -> Occurrence:
    """Say a verb of a run; returns it as it is then. Raises as the API's verbs do."""
    await _write(connection, principal, "occurrences", occurrence_id, verb=verb)
    return await _OCCURRENCE(connection, store=principal.store.id, occurrence=occurrence_id)


async def move(connection: Connection, principal: Principal, occurrence_id: str, to: datetime) -> Occurrence:
    """Let a run take place at another instant; returns it as it is then. Raises as the API's write does."""
    await _write(connection, principal, "occurrences", occurrence_id, {"scheduled_at": to})
    return await _OCCURRENCE(connection, store=principal.store.id, occurrence=occurrence_id)


async def change(connection: Connection, principal: Principal, subscription_id: str, columns: Columns) -> None:
    """Set columns of a subscription. Raises as the API's write does."""
    await _write(connection, principal, "order_subscriptions", subscription_id, columns)


async def order_next(connection: Connection, principal: Principal, subscription_id: str) -> None:
    """Order the next run now, in place of its date. Raises as the API's verbs do."""
    await _write(connection, principal, "order_subscriptions", subscription_id, verb="order_next_now")


async def send(connection: Connection, principal: Principal, occurrence_id: str, address_id: str) -> None:
    """Have a run sent to an address. Raises as the API's write does."""
    await _write(connection, principal, "occurrences", occurrence_id, {"shipping_address_id": address_id})


async def pause(connection: Connection, principal: Principal, subscription_id: str, until: datetime | None) -> Overview:
    """Leave out all runs before an instant, or end a pause (None); returns the subscription as it is then.

    Raises as the API's verbs do.
    """
    verb, kept = "resume" if until is None else "pause_until", {"pause_until": until}
    await _write(connection, principal, "order_subscriptions", subscription_id, verb=verb, kept=kept)
    return await find(connection, principal, subscription_id)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a subscription is cancelled, as far as somebody says so, and whether its next run still comes."""

    reason: str | None = None
    comment: str | None = None
    at_period_end: bool = False

    def columns(self) -> Columns:
        """What of it is kept. Raises Invalid."""
        attributes = graph["order_subscriptions"].attributes
        said: dict[str, object] = {cancelling.AT_PERIOD_END: True} if self.at_period_end else {}
        for name, text in zip(cancelling.SAID, (self.reason, self.comment), strict=True):
            try:
                said[name] = attributes[name].deserialize(text or None)
            except ValidationError as error:
                raise Invalid("{name} - {message}", name=name, message=error.messages[0]) from None
        return said


async def cancel(connection: Connection, principal: Principal, subscription_id: str, how: Ending) -> None:
    """End a subscription for good, or with its next run. Raises as the API's verbs do."""
    verb = "" if how.at_period_end else "cancel"
    await _write(connection, principal, "order_subscriptions", subscription_id, how.columns(), verb=verb)


async def keep(connection: Connection, principal: Principal, subscription_id: str) -> None:
    """Let a subscription go on that was to end with its next run. Raises as the API's write does."""
    await _write(connection, principal, "order_subscriptions", subscription_id, {cancelling.AT_PERIOD_END: False})


async def tell(
    connection: Connection,
    principal: Principal,
    subscription_id: str,
    verb: Literal["activate", "deactivate", "cancel"],
) -> None:
    """Say a verb of a subscription that needs to be told no more. Raises as the API's verbs do."""
    await _write(connection, principal, "order_subscriptions", subscription_id, verb=verb)


async def _write(
    connection: Connection,
    principal: Principal,
    type_: str,
    id_: str,
    columns: Columns = MappingProxyType({}),
    *,
    verb: str = "",
    kept: Columns = MappingProxyType({}),
) -> None:
    """Change a resource as the API does."""
    writer = _WRITERS[type_]
    locked = await writer.lock(connection, principal, graph[type_], id_)
    await writer.change(connection, principal, locked, columns, verbs=(verb,) if verb else (), kept=kept)


_WRITERS: Final[Mapping[str, Writer]] = {"occurrences": Occurrences(), "order_subscriptions": OrderSubscriptions()}
