"""Action links opened, and what they are for done once.

Opening writes nothing, however often it is done: mail scanners open every link before its reader does. What a link does
is what the API's own verbs do, said by the subscription's customer; the events name the link as their actor. No other
right comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.action_links import Action, action_link_state
from service import clock
from service.errors import Gone, InvalidState
from service.operations.events import outbox
from service.operations.subscriptions import (
    action_links,
    cancelling,
    choices,
    forecasts,
    ledgers,
    ordering_now,
    overviews,
    swaps,
)
from service.operations.subscriptions.cancelling import Commitment
from service.operations.subscriptions.ordering_now import OrderNow
from service.operations.subscriptions.overviews import Ending
from service.operations.subscriptions.swaps import Offer
from service.principal import CUSTOMER_SCOPES, Principal, Store
from service.rules import masks, schedule
from service.rules.named_tokens import NamedKeys
from service.rules.schedule import Entry
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.store.pool import Connection
from service.store.statements import Command, One


class _Row(NamedTuple):
    id: str
    action: Action
    occurrence_index: int | None
    order_id: str | None
    days: int | None
    sku_code: str | None
    swap_sku_code: str | None
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    order_subscription_id: str
    status: str
    order_status: str | None
    timezone: str
    paused_until: datetime | None
    customer_id: str
    first_name: str | None
    last_name: str | None
    company: str | None
    zip_code: str | None
    store: Store


_LOCK = Command("subscriptions/action_links.lock")
_OPENED = One("subscriptions/action_links.opened", _Row)
_USE = Command("subscriptions/action_links.use")


@dataclass(frozen=True, slots=True)
class Opened:
    """A genuine link that is not over: what it is for, and who does it, as seen by somebody who holds no more than it.

    `recipient` is masked. `used_at` is None while it can be done.
    """

    id: str
    action: Action
    occurrence_index: int | None
    order_id: str | None
    days: int | None
    sku_code: str | None
    swap_sku_code: str | None
    used_at: datetime | None
    subscription_id: str
    status: str
    order_status: str | None
    timezone: str
    paused_until: datetime | None
    recipient: str
    principal: Principal

    @property
    def store(self) -> Store:
        """The store of the subscription."""
        return self.principal.store


@dataclass(frozen=True, slots=True)
class Prospect:
    """What using a link would do: to the run at `at` where it is about one, until or to `to`, at `amount_cents`.

    The `commitment` is what keeps a subscription from being cancelled yet, `reasons` are what may be said to that.

    `possible` is False where it would change nothing, or can't be done any more, or not now: `refused` says what keeps
    the run from being ordered, `waits_for` when another is to come before it. `paid_with` is the source in the wallet
    that pays an order, masked. `run_index` is None where it is about no run, `order_id` where no order is to be
    paid, `offer` where nothing is swapped.
    """

    possible: bool
    at: datetime | None = None
    to: datetime | None = None
    amount_cents: int | None = None
    currency_code: str = ""
    run_index: int | None = None
    commitment: Commitment | None = None
    reasons: Sequence[str] = ()
    order_id: str | None = None
    offer: Offer | None = None
    refused: OrderNow | None = None
    waits_for: datetime | None = None
    paid_with: str | None = None

    @property
    def shown(self) -> str:
        """What a page has shown of it, as one text."""
        pieces = "" if self.offer is None else f" {self.offer.item.id} {self.offer.item.quantity}"
        return f"{self.possible} {self.at} {self.to} {self.amount_cents} {self.paid_with}{pieces}"


async def open_link(
    connection: Connection, keys: NamedKeys, token: str, *, hold: bool = False, manages: bool = False
) -> Opened:
    """What a token opens; writes nothing. With `hold` the link stays as it is until the caller's transaction ends.

    `manages` asks for a link of the portal, else for one that does one thing. Raises Gone for a token that opens none
    of them, and for a link that was revoked or is over.
    """
    named = keys.verify(token)
    if named is None:
        raise _gone()
    if hold:
        await _LOCK(connection, store=named.store_id, link=named.id)
    found = await _OPENED(connection, store=named.store_id, link=named.id)
    if found is None or (found.action == "manage") != manages:
        raise _gone()
    store = found.store
    if action_link_state(found.used_at, found.revoked_at, found.expires_at, clock.now(store)) not in ("live", "used"):
        raise _gone()
    return Opened(
        id=found.id,
        action=found.action,
        occurrence_index=found.occurrence_index,
        order_id=found.order_id,
        days=found.days,
        sku_code=found.sku_code,
        swap_sku_code=found.swap_sku_code,
        used_at=found.used_at,
        subscription_id=found.order_subscription_id,
        status=found.status,
        order_status=found.order_status,
        timezone=found.timezone,
        paused_until=found.paused_until,
        recipient=masks.address(
            first_name=found.first_name, last_name=found.last_name, company=found.company, zip_code=found.zip_code
        ),
        principal=Principal(store, "", found.customer_id, CUSTOMER_SCOPES, acting=f"action_links:{found.id}"),
    )


async def prospect(connection: Connection, opened: Opened) -> Prospect:
    """What using a link would do now; writes nothing."""
    at, days = clock.now(opened.store), opened.days or 0
    match opened.action:
        case "skip" | "delay" | "order_now":
            return await _of_run(connection, opened, at)
        case "pay":
            return await _of_owed(connection, opened)
        case "swap":
            return await _of_swap(connection, opened)
        case "approve" | "reject":
            return await _of_held(connection, opened)
        case "pause" | "resume":
            return _of_pause(opened, at, days)
        case _:
            keeps = await cancelling.commitment(connection, opened.store, opened.subscription_id)
            possible = opened.status != "cancelled" and keeps is None
            reasons = await cancelling.reasons(connection, opened.store)
            return Prospect(possible=possible, commitment=keeps, reasons=reasons)


async def _of_held(connection: Connection, opened: Opened) -> Prospect:
    held = await action_links.held_of(connection, opened.store, opened.subscription_id)
    if held is None or held.occurrence_index != opened.occurrence_index:
        return Prospect(possible=False)
    return Prospect(
        possible=True,
        at=held.scheduled_at,
        amount_cents=held.held_amount_cents,
        currency_code=held.currency_code,
        run_index=held.occurrence_index,
    )


async def _of_owed(connection: Connection, opened: Opened) -> Prospect:
    unpaid = await action_links.owed(connection, opened.store, opened.subscription_id)
    found = next((one for one in unpaid if one.order_id == opened.order_id), None)
    if found is None or opened.status == "cancelled":
        return Prospect(possible=False)
    return Prospect(
        possible=True,
        at=found.scheduled_at,
        amount_cents=found.due,
        currency_code=found.currency_code,
        order_id=found.order_id,
    )


def _of_pause(opened: Opened, at: datetime, days: int) -> Prospect:
    if opened.action == "resume":
        return Prospect(possible=opened.paused_until is not None and opened.paused_until > at)
    runs = opened.status in SUBSCRIPTIONS_THAT_RUN
    return Prospect(possible=runs, to=_morning(at, days, opened.timezone))


async def _of_swap(connection: Connection, opened: Opened) -> Prospect:
    code, other = opened.sku_code or "", opened.swap_sku_code or ""
    found = await swaps.offer(connection, opened.principal, opened.subscription_id, code, other)
    if found is None or opened.status == "cancelled":
        return Prospect(possible=False)
    return Prospect(
        possible=True, amount_cents=found.amount_cents, currency_code=found.choice.currency_code, offer=found
    )


async def _of_run(connection: Connection, opened: Opened, at: datetime) -> Prospect:
    standing = await ledgers.standing_of(connection, opened.store, opened.subscription_id)
    entries = [] if standing is None else forecasts.first(schedule.upcoming(standing), action_links.AHEAD)
    run = next((entry for entry in entries if entry.index == opened.occurrence_index), None)
    if run is None:
        return Prospect(possible=False)
    to = _days_later(run.scheduled_at, opened.days or 0, opened.timezone) if opened.action == "delay" else None
    possible = run.status == "planned" and run.scheduled_at > at
    if opened.action == "order_now":
        if not possible or opened.status != "active":
            return Prospect(possible=False)
        following = next(entry for entry in entries if entry.status == "planned")
        return await _of_order(connection, opened, run.scheduled_at, None if following == run else following)
    return Prospect(possible=possible, at=run.scheduled_at, to=to, run_index=run.index)


async def _of_order(connection: Connection, opened: Opened, at: datetime, before: Entry | None) -> Prospect:
    """What ordering the run of an instant now would do, or why that can't be: another one may come before it."""
    if before is not None:
        return Prospect(possible=False, at=at, waits_for=before.scheduled_at)
    now = await ordering_now.look(connection, opened.principal, opened.subscription_id)
    if not now.possible or now.run is None or not now.run.total_amount_cents:
        return Prospect(possible=now.possible, at=at, refused=None if now.possible else now)
    return Prospect(
        possible=True,
        at=at,
        amount_cents=now.run.total_amount_cents,
        currency_code=now.run.currency_code,
        paid_with=await choices.paid_with(connection, opened.principal, opened.subscription_id),
    )


def _days_later(at: datetime, days: int, timezone: str) -> datetime:
    """So many days later at the same time of day, as clocks where the subscription is show it."""
    return (at.astimezone(ZoneInfo(timezone)) + timedelta(days=days)).astimezone(at.tzinfo)


def _morning(at: datetime, days: int, timezone: str) -> datetime:
    """The beginning of the day so many days later, where the subscription is."""
    day = at.astimezone(ZoneInfo(timezone)) + timedelta(days=days)
    return day.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(at.tzinfo)


async def use(connection: Connection, opened: Opened, shown: str, ending: Ending = Ending()) -> None:  # noqa: B008 -- frozen
    """Do what a link is for, once. Runs in the transaction in which the link was opened and held.

    `shown` is what its page has shown of it, `ending` what somebody says who cancels. A link that was used already does
    nothing more. Raises InvalidState where something else would happen now, else as the API's verbs do. One of `pay`
    takes more than a transaction, and is for `service.operations.orders.owed`.
    """
    if opened.used_at is not None:
        return
    await _do(connection, opened, await as_shown(connection, opened, shown), ending)
    await note_use(connection, opened)


async def as_shown(connection: Connection, opened: Opened, shown: str) -> Prospect:
    """Return what using a link would do. Raises InvalidState where its page has shown something else."""
    now = await prospect(connection, opened)
    if not now.possible or now.shown != shown:
        raise changed()
    return now


async def note_use(connection: Connection, opened: Opened) -> None:
    """Note that what a link is for was done."""
    store, at = opened.store, clock.now(opened.store)
    await _USE(connection, store=store.id, link=opened.id, at=at)
    await outbox.record(connection, store, "action_links.use", opened.id, actor=outbox.actor(opened.principal))


async def _do(connection: Connection, opened: Opened, now: Prospect, ending: Ending) -> None:
    principal, id_ = opened.principal, opened.subscription_id
    match opened.action:
        case "skip" | "delay" | "approve" | "reject" as action if now.run_index is not None:
            run_id = await overviews.hold_run(connection, principal, id_, now.run_index)
            if action != "delay":
                await overviews.decide(connection, principal, run_id, action)
            elif now.to is not None:
                await overviews.move(connection, principal, run_id, now.to)
        case "pause":
            await overviews.pause(connection, principal, id_, now.to)
        case "resume":
            await overviews.pause(connection, principal, id_, None)
        case "cancel":
            await overviews.cancel(connection, principal, id_, ending)
        case "order_now":
            await ordering_now.order(connection, principal, id_)
        case "swap" if now.offer is not None:
            await swaps.take(connection, principal, now.offer.item.id, now.offer.choice.sku_code)


def changed() -> InvalidState:
    """The refusal to do what leads elsewhere by now than its page has shown."""
    return InvalidState("Something has changed meanwhile. Please look at it once more.")


def _gone() -> Gone:
    return Gone("This link doesn't work any more.")
