"""Action links: handed out by shops, and by customers for themselves. What opens and uses them is in `link_uses`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple

from schemas.action_links import IN_DAYS, OF_A_RUN, action_link_state
from schemas.kinds import due
from service.clock import later
from service.errors import Invalid
from service.operations.catalogue import skus
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.subscriptions import forecasts, ledgers, swaps
from service.principal import CUSTOMER_SCOPES, Principal, Store
from service.rules import schedule
from service.rules.states import SUBSCRIPTIONS_THAT_RUN
from service.store.pool import Connection
from service.store.statements import Many, One
from service.store.write import Columns
from service.texts import Phrase

USUALLY: Final = timedelta(days=30)
LONGEST: Final = timedelta(days=90)
"""How long a link works unless said otherwise, and at most."""

DAYS: Final = {"delay": 7, "pause": 30}
"""For how many days unless said otherwise."""

AHEAD: Final = 100
"""How many runs ahead a link may be about."""


class Held(NamedTuple):
    """A run that waits for approval, and what it would come to."""

    id: str
    occurrence_index: int
    scheduled_at: datetime
    held_amount_cents: int
    currency_code: str


class Owed(NamedTuple):
    """A run whose order waits to be paid, and what it comes to. An extra run has no index."""

    order_id: str
    occurrence_index: int | None
    scheduled_at: datetime
    total_amount_cents: int
    total_tax_amount_cents: int
    tax_included: bool
    currency_code: str

    @property
    def due(self) -> int:
        """What has to be paid, in minor units."""
        return due(self.total_amount_cents, self.total_tax_amount_cents, tax_included=self.tax_included)


_HELD = One("subscriptions/action_links.held", Held)
_OWED = Many("subscriptions/action_links.owed", Owed)


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
            await _settle_swap(change)
            await (_settle_order(change) if change.value("action") == "pay" else _settle_run(change))


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


async def _settle_swap(change: Change) -> None:
    """Say which item is swapped; whether the other sku can be had is asked when the link is used."""
    code, other = change.value("sku_code"), change.value("swap_sku_code")
    if change.value("action") != "swap":
        if (code, other) != (None, None):
            reason = Phrase("{name} - is for swap only", name="swap_sku_code" if code is None else "sku_code")
            _refuse(change, reason, "sku_code", "swap_sku_code")
        return
    if other is None or await skus.id_of(change.connection, change.store, other) is None:
        reason = Phrase("can't be blank") if other is None else Phrase("no sku has this code")
        _refuse(change, Phrase("{name} - {reason}", name="swap_sku_code", reason=reason), "swap_sku_code", "action")
        return
    customer = Principal(change.store, "", change.whole["customer_id"], CUSTOMER_SCOPES)
    ordered = await swaps.codes(change.connection, customer, change.whole["id"])
    if code not in ordered and (code is not None or len(ordered) != 1):
        _refuse(change, Phrase("sku_code - is the code of no item, of which there are several"), "sku_code", "action")
    else:
        change.columns["sku_code"] = code or ordered[0]


def _refuse(change: Change, reason: Phrase, *names: str) -> None:
    """Note that the first of these fields that was sent can't be as it is."""
    change.problems.append(Invalid(reason, pointer=change.draft.pointer(*names)))


async def _settle_run(change: Change) -> None:
    """Say which run it is about; whether it is still to come then is asked when the link is used."""
    action, index = change.value("action"), change.value("occurrence_index")
    if change.value("order_id") is not None:
        _refuse(change, Phrase("order - is for {actions} only", actions=["pay"]), "order")
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


async def _settle_order(change: Change) -> None:
    """Say which order it pays: that of the run that was named, or that order, else the oldest that is unpaid."""
    index, order_id = change.value("occurrence_index"), change.value("order_id")
    unpaid = await owed(change.connection, change.store, change.whole["id"])
    meant = [one for one in unpaid if index in (None, one.occurrence_index) and order_id in (None, one.order_id)]
    if meant:
        change.columns |= {"order_id": meant[0].order_id, "occurrence_index": meant[0].occurrence_index}
    elif order_id is not None:
        _refuse(change, Phrase("order - is none of the subscription that waits to be paid"), "order")
    else:
        reason = Phrase("occurrence_index - is no run that is {status}", status=Phrase("waiting to be paid"))
        _refuse(change, reason, "occurrence_index", "action")


async def _held_run(change: Change) -> list[int]:
    held = await held_of(change.connection, change.store, change.whole["id"])
    return [] if held is None else [held.occurrence_index]


async def _planned_runs(change: Change) -> list[int]:
    standing = await ledgers.standing_of(change.connection, change.store, change.whole["id"])
    entries = [] if standing is None else forecasts.first(schedule.upcoming(standing), AHEAD)
    return [entry.index for entry in entries if entry.status == "planned"]


_RUNS_FOR: Final = {
    "approve": (Phrase("held for approval"), _held_run),
    "reject": (Phrase("held for approval"), _held_run),
}
"""Which runs a link may be about, and what they are called; for all others planned ones."""


async def held_of(connection: Connection, store: Store, subscription_id: str) -> Held | None:
    """Return the run of a subscription that waits for approval, if one does."""
    return await _HELD(connection, store=store.id, subscription=subscription_id)


async def owed(connection: Connection, store: Store, subscription_id: str) -> Sequence[Owed]:
    """Return the runs of a subscription whose orders wait to be paid, the oldest first."""
    return await _OWED(connection, store=store.id, subscription=subscription_id)
