"""Edits of when subscriptions with everything run, and on which terms."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tests.chaos import edits
from tests.chaos.edits import Change, Doing, Edited
from tests.chaos.mixed import PHASES, UNAVAILABLE, Editor, Mixed, Told, planned
from tests.chaos.purses import Policy
from tests.faults.plain_calendar import Refused
from tests.jobs.test_worker import until
from tests.spec.writing import Api

UNPAID: Sequence[Policy | None] = (None, "keep", "pause", "cancel")
MOST_ATTEMPTS = 5
"""How many extra runs that fail a customer has in a day."""


async def _delay(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    runs, number = one.chance.randrange(2) == 0, one.chance.randint(1, 3)
    number = number if runs else one.chance.randint(1, 20)
    sent = {"_delay": number, "_delay_unit": "interval" if runs else "day"}
    return f"order_subscriptions/{id_}", sent, lambda: one.plain.delay(now, number, runs=runs)


async def _order_next_now(one: Edited, api: Api, id_: str, now: datetime) -> Doing:
    """What is ordered now is what was told of the run before."""
    assert isinstance(one, Mixed)
    first = await anext(planned(api, id_), None)

    def act() -> None:
        if not one.plain.active:
            raise Refused
        one.plain.order(now)
        assert first is not None
        index, told = first["occurrence_index"], Told.of(first)
        one.foretold[index] = told._replace(at=now)
        if any(one.shelf.price(sku, now) != one.shelf.price(sku, told.at) for sku in one.shelf.prices):
            one.made_at_once.add(index)  # It was told at the prices of its date.

    return f"order_subscriptions/{id_}", {"_order_next_now": True}, act


async def _cancel(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    """Stop for good, as a customer can once so many have come."""
    assert isinstance(one, Mixed)

    def act() -> None:
        if one.till.ran < one.least and not one.plain.ended:
            raise Refused
        one.plain.edit(now)
        one.plain.active = False
        one.end()

    return f"order_subscriptions/{id_}", {"_cancel": True}, act


async def _count(one: Edited, api: Api, id_: str, now: datetime) -> Doing:
    """Never fewer than it must run."""
    assert isinstance(one, Mixed)
    url, sent, act = await edits.EDITS["count"](one, api, id_, now)

    def acting() -> None:
        if sent["max_occurrences"] < one.least:
            raise Refused
        act()

    return url, sent, acting


async def _prepay(one: Edited, _: Api, id_: str, now: datetime) -> Doing:
    """So many deliveries paid for at once from the next period on; they all have to come."""
    assert isinstance(one, Mixed)
    prepaid = one.chance.choice((None, 2, 3, 5))

    def act() -> None:
        paid_for = one.till.paid_for(prepaid)
        if prepaid == one.till.prepaid:
            return
        if paid_for is not None and one.plain.expires is not None:
            raise Refused
        one.plain.edit(now, paid_for=paid_for)
        one.till.prepaid = prepaid

    return f"order_subscriptions/{id_}", {"prepaid_occurrences": prepaid}, act


async def _phase(one: Edited, _: Api, id_: str, __: datetime) -> Doing:
    assert isinstance(one, Mixed)
    phases = one.chance.choice(PHASES)

    def act() -> None:
        one.till.phases = phases

    return f"order_subscriptions/{id_}", {"pricing_phases": [phase.sent for phase in phases] or None}, act


async def _price(one: Edited, _: Api, id_: str, __: datetime) -> Doing:
    assert isinstance(one, Mixed)
    fixed = one.chance.randrange(2) == 0

    def act() -> None:
        one.till.fixed = fixed

    return f"order_subscriptions/{id_}", {"price_mode": "fixed" if fixed else "current"}, act


async def _choose(one: Edited, _: Api, id_: str, __: datetime) -> Doing:
    """Other policies: of what can't be had, of what was missed, and of what isn't paid."""
    assert isinstance(one, Mixed)
    unavailable, policy = one.chance.choice(UNAVAILABLE), one.a_policy()
    unpaid = one.chance.choice(UNPAID)

    def act() -> None:
        one.till.unavailable, one.plain.policy = unavailable, policy
        one.choose_unpaid(unpaid)

    sent = {"unavailable_policy": unavailable, "catchup_policy": policy, "unpaid_policy": unpaid}
    return f"order_subscriptions/{id_}", sent, act


async def _keep_apart(one: Edited, _: Api, id_: str, __: datetime) -> Doing:
    days, hours = one.chance.choice((None, 1, 2, 9)), one.chance.choice(edits.CUTOFFS)

    def act() -> None:
        one.plain.apart = None if days is None else timedelta(days=days)
        one.plain.cutoff = timedelta(hours=hours)

    return f"order_subscriptions/{id_}", {"min_days_between_runs": days, "cutoff_hours": hours}, act


async def _least(one: Edited, _: Api, id_: str, __: datetime) -> Doing:
    assert isinstance(one, Mixed)
    least = one.chance.choice((0, 2, 5))

    def act() -> None:
        if one.plain.most is not None and least > one.plain.most:
            raise Refused
        one.least = least

    return f"order_subscriptions/{id_}", {"min_occurrences": least or None}, act


async def run_extra(one: Mixed, editor: Editor) -> None:
    """An order outside of the schedule, of which a customer has one in a day, and five attempts at it."""
    day = [made for at, made in one.asked if at > editor.now - timedelta(days=1)]
    refused = editor.by_customer and (any(day) or len(day) >= MOST_ATTEMPTS)
    answer = await editor.api.update("order_subscriptions", editor.id_, {"_run_now": True})
    if not one.note(editor, answer, refused=refused):
        return
    one.run_extra(editor.now)
    await _made(editor)


async def decide(one: Mixed, editor: Editor) -> None:
    """Agree to a run that is held, or reject it."""
    url = f"order_subscriptions/{editor.id_}/occurrences?filter[status]=held"
    found = {row["attributes"]["occurrence_index"]: row["id"] for row in (await editor.api.get(url))["data"]}
    if found.keys() != set(one.waiting()):
        one.wrong = f"{sorted(found)} are held"
    if not found or one.wrong is not None:
        return
    index, agrees = one.chance.choice(sorted(found)), one.chance.randrange(3) > 0
    total, held_at = one.waits_for[index]
    end, most = one.plain.end_of_approval(index, held_at), one.plain.most
    if agrees and end is None:
        return
    refused = agrees and end is not None and end <= editor.now
    refused = refused or (agrees and most is not None and one.plain.ran() >= most)
    kept = copy.deepcopy(one.plain)
    if not refused:
        row = one.plain.rows[index]
        row.status, row.reason = ("due", row.reason) if agrees else ("skipped", "rejected")
        try:
            one.plain.edit(editor.now)
        except Refused:
            one.plain, refused = kept, True
    answer = await editor.api.update("occurrences", found[index], {"_approve" if agrees else "_reject": True})
    if one.note(editor, answer, refused=refused, what=(index, agrees, total)) and agrees:
        await _made(editor)
        now = (await editor.api.get(f"occurrences/{found[index]}"))["data"]["attributes"]["status"]
        one.agree(index, editor.now, heard=now == "held")


async def _made(editor: Editor) -> None:
    """Wait until nothing is being made any more."""

    async def is_made() -> bool:
        url = f"order_subscriptions/{editor.id_}/recurring_order_copies?filter[status]=pending,in_progress"
        return not (await editor.api.get(url))["data"]

    await until(is_made, 600)


CANCEL: Mapping[str, Change] = {"cancel": _cancel}
DATES: Mapping[str, Change] = {**edits.EDITS, "count": _count, "delay": _delay, "order now": _order_next_now}
TERMS: Mapping[str, Change] = {
    "prepaid": _prepay,
    "phases": _phase,
    "price mode": _price,
    "policies": _choose,
    "apart": _keep_apart,
    "least": _least,
}
