"""Action links: handed out, opened, and done once.

Opening writes nothing, however often it is done: mail scanners open every link before its reader does. What a link does
is what the API's own verbs do, said by the subscription's customer; the events name the link as their actor. No other
right comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple
from zoneinfo import ZoneInfo

from schemas.action_links import IN_DAYS, OF_A_RUN, Action, action_link_state
from schemas.kinds import due
from service import clock
from service.clock import later
from service.errors import Gone, Invalid, InvalidState
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.subscriptions import cancelling, forecasts, ledgers, overviews
from service.operations.subscriptions.cancelling import Commitment
from service.operations.subscriptions.overviews import Ending
from service.principal import CUSTOMER_SCOPES, Principal, Store
from service.rules import masks, schedule
from service.rules.named_tokens import NamedKeys
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.store.pool import Connection
from service.store.statements import Command, Many, One
from service.store.write import Columns
from service.texts import Phrase

USUALLY: Final = timedelta(days=30)
LONGEST: Final = timedelta(days=90)
"""How long a link works unless said otherwise, and at most."""

DAYS: Final = {"delay": 7, "pause": 30}
"""For how many days unless said otherwise."""

_AHEAD: Final = 100
"""How many runs ahead a link may be about."""


class Held(NamedTuple):
    """A run that waits for approval, and what it would come to."""

    id: str
    occurrence_index: int
    scheduled_at: datetime
    held_amount_cents: int
    currency_code: str


class Owed(NamedTuple):
    """A run whose order waits to be paid, and what it comes to."""

    order_id: str
    occurrence_index: int
    scheduled_at: datetime
    total_amount_cents: int
    total_tax_amount_cents: int
    tax_included: bool
    currency_code: str

    @property
    def due(self) -> int:
        """What has to be paid, in minor units."""
        return due(self.total_amount_cents, self.total_tax_amount_cents, tax_included=self.tax_included)


class _Row(NamedTuple):
    id: str
    action: Action
    occurrence_index: int | None
    days: int | None
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    order_subscription_id: str
    status: str
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
_HELD = One("subscriptions/action_links.held", Held)
_OWED = Many("subscriptions/action_links.owed", Owed)
_USE = Command("subscriptions/action_links.use")


async def _revoked(change: Change) -> Columns:
    return {"revoked_at": change.at}


class ActionLinks(Writer):
    """Links as shops hand them out, and customers for themselves."""

    whole = "order_subscription"
    effects: ClassVar = {"revoke": _revoked}

    def status(self, change: Change) -> str:
        """Return its state, which is kept in no column."""
        used_at, revoked_at, expires_at = map(change.value, ("used_at", "revoked_at", "expires_at"))
        return action_link_state(used_at, revoked_at, expires_at, change.at)

    async def validate(self, change: Change) -> None:
        """Settle what a new link is about and how long it works, and note what can't be."""
        if not change.new:
            return
        status = change.whole["status"]
        if status not in SUBSCRIPTIONS_THAT_RUN:
            reason = Phrase("order_subscription - is {status}: nothing can be done to it", status=status)
            _refuse(change, reason, "order_subscription")
        elif change.whole["customer_id"] is None:
            _refuse(change, Phrase("order_subscription - has no customer who could act"), "order_subscription")
        else:
            _settle_end(change)
            _settle_days(change)
            await _settle_run(change)


def _settle_end(change: Change) -> None:
    expires_at = change.value("expires_at")
    if expires_at is None:
        change.columns["expires_at"] = later(change.at, USUALLY)
    elif not change.at < expires_at <= later(change.at, LONGEST):
        reason = Phrase("expires_at - must be in the future, and within {days} days", days=LONGEST.days)
        _refuse(change, reason, "expires_at")


def _settle_days(change: Change) -> None:
    action = change.value("action")
    if action in IN_DAYS:
        change.columns["days"] = change.value("days") or DAYS[action]
    elif change.value("days") is not None:
        _refuse(change, Phrase("days - is for {actions} only", actions=sorted(IN_DAYS)), "days")


def _refuse(change: Change, reason: Phrase, *names: str) -> None:
    """Note that the first of these fields that was sent can't be as it is."""
    change.problems.append(Invalid(reason, pointer=change.draft.pointer(*names)))


async def _settle_run(change: Change) -> None:
    """Say which run it is about; whether it is still to come then is asked when the link is used."""
    action, index = change.value("action"), change.value("occurrence_index")
    if action not in OF_A_RUN:
        if index is not None:
            reason = Phrase("occurrence_index - is for {actions} only", actions=sorted(OF_A_RUN))
            _refuse(change, reason, "occurrence_index")
        return
    of, runs = _RUNS_FOR.get(action, (Phrase("planned"), _planned_runs))
    possible = await runs(change)
    if not possible or index not in (None, *possible):
        _refuse(
            change, Phrase("occurrence_index - is no run that is {status}", status=of), "occurrence_index", "action"
        )
    else:
        change.columns["occurrence_index"] = index or possible[0]


async def _held_run(change: Change) -> list[int]:
    held = await _HELD(change.connection, store=change.store.id, subscription=change.whole["id"])
    return [] if held is None else [held.occurrence_index]


async def _planned_runs(change: Change) -> list[int]:
    standing = await ledgers.standing_of(change.connection, change.store, change.whole["id"])
    entries = [] if standing is None else forecasts.first(schedule.upcoming(standing), _AHEAD)
    return [entry.index for entry in entries if entry.status == "planned"]


async def _unpaid_runs(change: Change) -> list[int]:
    return [one.occurrence_index for one in await owed(change.connection, change.store, change.whole["id"])]


_RUNS_FOR: Final = {
    "approve": (Phrase("held for approval"), _held_run),
    "reject": (Phrase("held for approval"), _held_run),
    "pay": (Phrase("waiting to be paid"), _unpaid_runs),
}
"""Which runs a link may be about, and what they are called; for all others planned ones."""


async def owed(connection: Connection, store: Store, subscription_id: str, index: int | None = None) -> Sequence[Owed]:
    """Return the runs of a subscription whose orders wait to be paid, the oldest first; only that of an index."""
    return await _OWED(connection, store=store.id, subscription=subscription_id, index=index)


@dataclass(frozen=True, slots=True)
class Opened:
    """A genuine link that is not over: what it is for, and who does it, as seen by somebody who holds no more than it.

    `recipient` is masked. `used_at` is None while it can be done.
    """

    id: str
    action: Action
    occurrence_index: int | None
    days: int | None
    used_at: datetime | None
    subscription_id: str
    status: str
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

    `possible` is False where it would change nothing, or can't be done any more. `run_id` is None where it is about no
    run, `order_id` where no order is to be paid.
    """

    possible: bool
    at: datetime | None = None
    to: datetime | None = None
    amount_cents: int | None = None
    currency_code: str = ""
    run_id: str | None = None
    commitment: Commitment | None = None
    reasons: Sequence[str] = ()
    order_id: str | None = None

    @property
    def shown(self) -> str:
        """What a page has shown of it, as one text."""
        return f"{self.possible} {self.at} {self.to} {self.amount_cents}"


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
        days=found.days,
        used_at=found.used_at,
        subscription_id=found.order_subscription_id,
        status=found.status,
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
        case "approve" | "reject":
            return await _of_held(connection, opened)
        case "pause":
            runs = opened.status in SUBSCRIPTIONS_THAT_RUN
            return Prospect(possible=runs, to=_morning(at, days, opened.timezone))
        case "resume":
            return Prospect(possible=opened.paused_until is not None and opened.paused_until > at)
        case _:
            keeps = await cancelling.commitment(connection, opened.store, opened.subscription_id)
            possible = opened.status != "cancelled" and keeps is None
            reasons = await cancelling.reasons(connection, opened.store)
            return Prospect(possible=possible, commitment=keeps, reasons=reasons)


async def _of_held(connection: Connection, opened: Opened) -> Prospect:
    held = await _HELD(connection, store=opened.store.id, subscription=opened.subscription_id)
    if held is None or held.occurrence_index != opened.occurrence_index:
        return Prospect(possible=False)
    return Prospect(
        possible=True,
        at=held.scheduled_at,
        amount_cents=held.held_amount_cents,
        currency_code=held.currency_code,
        run_id=held.id,
    )


async def _of_owed(connection: Connection, opened: Opened) -> Prospect:
    found = await owed(connection, opened.store, opened.subscription_id, opened.occurrence_index)
    if not found or opened.status == "cancelled":
        return Prospect(possible=False)
    return Prospect(
        possible=True,
        at=found[0].scheduled_at,
        amount_cents=found[0].due,
        currency_code=found[0].currency_code,
        order_id=found[0].order_id,
    )


async def _of_run(connection: Connection, opened: Opened, at: datetime) -> Prospect:
    standing = await ledgers.standing_of(connection, opened.store, opened.subscription_id)
    entries = [] if standing is None else forecasts.first(schedule.upcoming(standing), _AHEAD)
    run = next((entry for entry in entries if entry.index == opened.occurrence_index), None)
    if run is None:
        return Prospect(possible=False)
    ids = await ledgers.ids(connection, opened.store, opened.subscription_id, [run.index])
    to = _days_later(run.scheduled_at, opened.days or 0, opened.timezone) if opened.action == "delay" else None
    possible = run.status == "planned" and run.scheduled_at > at and run.index in ids
    if opened.action == "order_now":
        possible = possible and opened.status == "active" and run == entries[0]
    return Prospect(possible=possible, at=run.scheduled_at, to=to, run_id=ids.get(run.index))


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
        raise InvalidState("Something has changed meanwhile. Please look at it once more.")
    return now


async def note_use(connection: Connection, opened: Opened) -> None:
    """Note that what a link is for was done."""
    store, at = opened.store, clock.now(opened.store)
    await _USE(connection, store=store.id, link=opened.id, at=at)
    await outbox.record(connection, store, "action_links.use", opened.id, actor=outbox.actor(opened.principal))


async def _do(connection: Connection, opened: Opened, now: Prospect, ending: Ending) -> None:
    principal, id_ = opened.principal, opened.subscription_id
    match opened.action:
        case "skip" if now.run_id is not None:
            await overviews.skip(connection, principal, now.run_id)
        case "delay" if now.run_id is not None and now.to is not None:
            await overviews.move(connection, principal, now.run_id, now.to)
        case "approve" | "reject" as verb if now.run_id is not None:
            await overviews.decide(connection, principal, now.run_id, verb)
        case "pause":
            await overviews.pause(connection, principal, id_, now.to)
        case "resume":
            await overviews.pause(connection, principal, id_, None)
        case "cancel":
            await overviews.cancel(connection, principal, id_, ending)
        case "order_now":
            await overviews.order_next(connection, principal, id_)


def _gone() -> Gone:
    return Gone("This link doesn't work any more.")
