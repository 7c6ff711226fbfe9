"""A customer's subscriptions as a storefront shows them, and what a customer does with their dates there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

import orjson
from marshmallow import ValidationError

from schemas.graph import graph
from service.errors import Invalid, NotFound
from service.operations.generic.writing import Writer
from service.operations.subscriptions import cancelling, forecasts, ledgers
from service.operations.subscriptions.forecasts import Forecast, Run
from service.operations.subscriptions.occurrences import Occurrences
from service.operations.subscriptions.order_subscriptions import OrderSubscriptions
from service.principal import Principal
from service.rules.phases import PricePhase, phases_of
from service.rules.schedule import Delay
from service.store.pool import Connection
from service.store.statements import Many, Only
from service.store.write import Columns

_NEAR: Final = 12
"""How many runs to come are looked through first: those that somebody changes are mostly near."""

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
    prepaid_occurrences_left: int
    paused_until: datetime | None
    currency_code: str
    min_occurrences: int | None
    pricing_phases: Sequence[PricePhase]
    items: Sequence[Item]


class Made(NamedTuple):
    """An order that a subscription made."""

    id: str
    code: str
    placed_at: datetime
    currency_code: str
    total_amount_cents: int


@dataclass(frozen=True, slots=True)
class Line:
    """What a run orders: so many pieces of an item of the subscription, or of what `is_added` to the run.

    An item that is left out this time has a quantity of 0. `usually` is how many it is at all other times, None where
    that is no other number, and `instead` the name of what it is in the place of this time, None where it is no other
    product. `unit_amount_cents` is what one will cost, None where it can't be had.
    """

    id: str
    name: str
    quantity: int
    sku_code: str | None
    unit_amount_cents: int | None = None
    is_added: bool = False
    usually: int | None = None
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Coming:
    """A run to come. It has an `id` where it has a row; it comes to nothing where it is left out.

    What it comes to includes what it asks for deliveries behind it, or less than zero was paid for it before.
    `source_expires` says that what it is to be paid with expires before it, and `is_settled` that nobody can change it
    any more.
    """

    id: str | None
    index: int
    at: datetime
    status: str
    reason: str | None
    total_amount_cents: int | None
    prepaid_amount_cents: int
    currency_code: str
    lines: Sequence[Line] = ()
    source_expires: bool = False
    is_settled: bool = False


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
    prepaid_occurrences_left: int
    paused_until: datetime | None
    currency_code: str
    min_occurrences: int | None
    pricing_phases: str | None
    items: str | None


class _Different(NamedTuple):
    occurrence_id: str
    id: str
    sku_code: str
    name: str
    quantity: int
    usually: int
    instead: str | None


_Differences: TypeAlias = Mapping[str, Sequence[_Different]]

_OF_CUSTOMER = Many("subscriptions/overviews.of_customer", _Row)
_MADE = Many("subscriptions/overviews.made", Made)
_OCCURRENCE = Only("subscriptions/overviews.occurrence", Occurrence)
_DIFFERENT = Many("subscriptions/contents.different", _Different)


async def of_customer(
    connection: Connection, principal: Principal, subscription_id: str | None = None
) -> list[Overview]:
    """Return a customer's subscriptions that aren't cancelled; only that of an id where one is given."""
    rows = await _OF_CUSTOMER(
        connection, store=principal.store.id, customer=principal.customer_id, subscription=subscription_id
    )
    return [
        Overview(*row[:-2], phases_of(row.pricing_phases), [Item(*item) for item in orjson.loads(row.items or "[]")])
        for row in rows
    ]


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
    ids = await ledgers.ids(connection, store, subscription_id, [run.entry.index for run in found.runs])
    different: dict[str, list[_Different]] = {}
    for one in await _DIFFERENT(
        connection, store=store.id, subscription=subscription_id, occurrences=list(ids.values())
    ):
        different.setdefault(one.occurrence_id, []).append(one)
    return told(found, ids, different)


def ahead(runs: Iterable[Coming]) -> Coming | None:
    """The next run that takes place, of those to come: the one that can be ordered now."""
    return next((run for run in runs if run.status == "planned"), None)


async def one_coming(connection: Connection, principal: Principal, subscription_id: str, occurrence_id: str) -> Coming:
    """Return a run of those to come that have an id. Raises NotFound where it isn't one."""
    for most in (_NEAR, forecasts.FURTHEST):
        for run in await coming(connection, principal, subscription_id, most=most):
            if run.id == occurrence_id:
                return run
    raise NotFound("There is no such occurrence.")


async def hold(connection: Connection, principal: Principal, subscription_id: str) -> None:
    """Keep a customer's subscription as it is until the caller's transaction ends. Raises NotFound."""
    await _WRITERS["order_subscriptions"].lock(connection, principal, graph["order_subscriptions"], subscription_id)


async def named(connection: Connection, principal: Principal, subscription_id: str, index: int) -> str:
    """Return the id of the run of an index of a customer's subscription that is held; one that has no row gets it.

    Raises as the API's `create` does for a run that has no row and isn't to come.
    """
    found = await ledgers.ids(connection, principal.store, subscription_id, [index])
    if index in found:
        return found[index]
    columns = {"order_subscription_id": subscription_id, "occurrence_index": index}
    return await _WRITERS["occurrences"].make(connection, principal, graph["occurrences"], columns)


async def hold_run(connection: Connection, principal: Principal, subscription_id: str, index: int) -> str:
    """Hold a customer's subscription, and return the id of its run of an index. Raises as `hold` and `named` do."""
    await hold(connection, principal, subscription_id)
    return await named(connection, principal, subscription_id, index)


async def day_of(
    connection: Connection, principal: Principal, subscription_id: str, index: int, runs: Sequence[Coming] = ()
) -> datetime | None:
    """When the first run takes place that has at least an index: one of these, or one after them; None without any."""
    found = next((run.at for run in runs if run.index >= index and run.status == "planned"), None)
    if found is not None:
        return found
    store, customer = principal.store, principal.customer_id
    after = await forecasts.look(connection, store, subscription_id, customer, size=_NEAR, index=index)
    return next((run.entry.scheduled_at for run in after.runs if run.entry.status == "planned"), None)


def told(
    found: Forecast, ids: Mapping[int, str] = MappingProxyType({}), different: _Differences = MappingProxyType({})
) -> list[Coming]:
    """The runs of a forecast, those that have a row with its id and with what is different about them."""
    currency = "" if found.terms is None else found.terms.basis.currency_code
    return [
        Coming(
            ids.get(run.entry.index),
            run.entry.index,
            run.entry.scheduled_at,
            run.entry.status,
            run.entry.reason,
            None if run.estimate is None else run.estimate.total,
            0 if run.estimate is None else run.estimate.prepaid,
            currency,
            _lines(run, different.get(ids.get(run.entry.index, ""), ())),
            source_expires=run.estimate is not None and run.estimate.source_expires,
            is_settled=found.settled_until is not None and run.entry.scheduled_at <= found.settled_until,
        )
        for run in found.runs
    ]


def _lines(run: Run, different: Sequence[_Different]) -> list[Line]:
    """What a run orders, and then what is left out of it; nothing where it doesn't run."""
    if run.estimate is None:
        return []
    said = {one.id: one for one in different}
    return [
        *(
            Line(
                one.item.id,
                one.item.name,
                one.item.quantity,
                one.item.sku_code,
                None if one.price is None else one.price.amount_cents,
                one.item.is_added,
                said[one.item.id].usually if one.item.id in said else None,
                said[one.item.id].instead if one.item.id in said else None,
            )
            for one in run.estimate.lines
        ),
        *(Line(one.id, one.name, 0, one.sku_code, usually=one.usually) for one in different if not one.quantity),
    ]


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


async def delay(connection: Connection, principal: Principal, subscription_id: str, by: Delay) -> Overview:
    """Put the next run off; returns the subscription as it is then. Raises as the API's verbs do."""
    await _write(connection, principal, "order_subscriptions", subscription_id, verb="delay", kept={"delay": by})
    return await find(connection, principal, subscription_id)


async def change(connection: Connection, principal: Principal, subscription_id: str, columns: Columns) -> None:
    """Set columns of a subscription. Raises as the API's write does."""
    await _write(connection, principal, "order_subscriptions", subscription_id, columns)


async def order_next(connection: Connection, principal: Principal, subscription_id: str) -> None:
    """Order the next run now, in place of its date, whatever comes of it. Raises as the API's verb does."""
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
