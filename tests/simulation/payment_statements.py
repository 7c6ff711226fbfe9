"""What the statements do by which payments of runs are asked for, refused and asked for anew, in memory, by path.

`test_payment_memory.py` holds them to what Postgres does. Nothing is owed but a cent; a store's ladder is `LADDER`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.simulation.memory import Handler, Row, Transaction, nothing
from tests.simulation.statements import STORE, Rows, ahead, find, with_texts
from tests.simulation.webhook_statements import record

LADDER: Final = "[1, 1]"
REFUSED: Final = ("declined", "failed")


def _of_order(of: Transaction, order: str) -> list[Row]:
    return sorted((row for row in of.rows("attempts") if row["order_id"] == order), key=lambda row: row["id"])


def _held(row: Row) -> tuple[Any, ...]:
    """A payment, as whoever holds it knows it."""
    facts = (row["id"], row["order_id"], row["status"], "card", None, row["key"], "EUR", 1, row["source_id"])
    return (*facts, row["source_id"], False, row["asked"], None, None, None, True)


async def begin_attempt(
    of: Transaction, order: str, *, at: datetime, lease_end: datetime, retried_at: datetime | None, id_: str
) -> tuple[Any, ...]:
    """Note a payment that is about to be asked for, by who holds its order; what was ahead is this one."""
    row = of.row("orders", order)
    assert row is not None
    earlier = _of_order(of, order)
    for one in earlier:
        if one["retry_at"] is not None:
            await of.update("attempts", one["id"], retry_at=None)
    attempt = {"id": id_, "order_id": order, "source_id": row["source_id"], "key": f"{order}/{len(earlier) + 1}"}
    attempt |= {"status": "pending", "retried_at": retried_at, "retry_at": None, "lease_expires_at": lease_end}
    attempt |= {"asked": 1, "answered_at": None, "decline_code": None, "created_at": at}
    await of.insert("attempts", attempt)
    return _held(attempt)


async def claim_attempt(of: Transaction, *, order: str, at: datetime, lease_expires_at: datetime, **_: object) -> Rows:
    for row in _of_order(of, order):
        if row["lease_expires_at"] is None or row["lease_expires_at"] > at:
            continue
        await of.lock("attempts", row["id"])
        held = of.row("attempts", row["id"])
        assert held is not None
        if held["lease_expires_at"] is None or held["lease_expires_at"] > at:
            continue
        await of.update("attempts", row["id"], lease_expires_at=lease_expires_at, asked=held["asked"] + 1)
        return [_held({**held, "asked": held["asked"] + 1})]
    return []


async def abandoned(of: Transaction, *, at: datetime, most: int) -> Rows:
    left = [row for row in of.rows("attempts") if row["lease_expires_at"] is not None and row["lease_expires_at"] <= at]
    return [(STORE, row["order_id"]) for row in left][:most]


def _retry_at(of: Transaction, order: str) -> datetime | None:
    """When the payment of an order is to be asked for anew: its subscription runs, and it waits."""
    row = of.row("orders", order)
    subscription = of.row("subscriptions", row["subscription"]) if row is not None else None
    if row is None or row["status"] != "pending" or subscription is None or subscription["status"] != "active":
        return None
    return next((one["retry_at"] for one in _of_order(of, order) if one["retry_at"] is not None), None)


async def due(of: Transaction, *, at: datetime, limit: int, but: Sequence[str], **_: object) -> Rows:
    times = {row["id"]: _retry_at(of, row["id"]) for row in of.rows("orders") if row["id"] not in but}
    found = sorted((time, id_) for id_, time in times.items() if time is not None and time <= at)
    return [(id_,) for _, id_ in found[:limit]]


async def is_due(of: Transaction, *, order: str, at: datetime, **_: object) -> Rows:
    time = _retry_at(of, order)
    return [(time is not None and (time <= at or "hasty" in of.memory.flaws),)]


async def lock(of: Transaction, *, order: str, **_: object) -> Rows:
    await of.lock("orders", order)
    row = of.row("orders", order)
    return [] if row is None else [(row["status"],)]


async def take_source(of: Transaction, *, order: str, **_: object) -> Rows:
    row = of.row("orders", order)
    assert row is not None
    if row["status"] != "pending":
        return []
    subscription = of.row("subscriptions", row["subscription"])
    assert subscription is not None
    source_id = subscription["source_id"]
    await of.update("orders", order, source_id=source_id)
    again = any(
        one["source_id"] == source_id and one["status"] in REFUSED and one["decline_code"] != "not_placed"
        for one in _of_order(of, order)
    )
    return [(source_id, again, _is_barred(of, source_id))]


def _is_barred(of: Transaction, source_id: str) -> bool:
    source = of.row("sources", source_id)
    assert source is not None
    return source["refused_at"] is not None and "unbarred" not in of.memory.flaws


async def hold_source(of: Transaction, *, source: str, **_: object) -> Rows:
    if "uncapped" not in of.memory.flaws:
        await of.lock("sources", source)
    return [(_is_barred(of, source),)]


async def last_retries(of: Transaction, *, source: str, most: int, **_: object) -> Rows:
    retried = (row["retried_at"] for row in of.rows("attempts") if row["source_id"] == source)
    found = sorted((at for at in retried if at is not None), reverse=True)
    return [] if "uncapped" in of.memory.flaws else [(at,) for at in found[:most]]


async def rest(of: Transaction, *, order: str, retry_at: datetime, **_: object) -> Rows:
    for row in _of_order(of, order):
        if row["retry_at"] is not None:
            await of.update("attempts", row["id"], retry_at=retry_at)
    return []


async def bar(of: Transaction, *, source: str, at: datetime, **_: object) -> Rows:
    await of.lock("sources", source)
    row = of.row("sources", source)
    if row is not None and row["refused_at"] is None:
        await of.update("sources", source, refused_at=at)
    return []


async def _run(of: Transaction, order_id: str, attempt: str | None) -> tuple[Any, ...] | None:
    """The run that an order came of, whose subscription is held."""
    order = of.row("orders", order_id)
    assert order is not None
    await of.lock("subscriptions", order["subscription"])
    subscription, copy = of.row("subscriptions", order["subscription"]), of.row("copies", order["copy"])
    assert subscription is not None
    assert copy is not None
    asked = of.row("attempts", attempt)
    source_id = order["source_id"] if asked is None else asked["source_id"]
    refusals = 1 + sum(
        one["id"] != attempt and one["status"] in REFUSED and one["source_id"] == source_id
        for one in _of_order(of, order_id)
    )
    replaced = subscription["source_id"] != source_id
    facts = (copy["id"], None, subscription["id"], copy["errors_log"] is None, subscription["status"], replaced)
    # No copy fails here: there is an order of each.
    return (*facts, LADDER, refusals, copy["given_up_at"] is not None, False)


async def run(of: Transaction, *, unpaid: str, attempt: str | None, **_: object) -> Rows:
    found = await _run(of, unpaid, attempt)
    return [] if found is None else [found]


async def hold(of: Transaction, *, order: str, attempt: str, **_: object) -> Rows:
    await of.lock("orders", order)
    row = of.row("orders", order)
    assert row is not None
    found = await _run(of, order, attempt)
    assert found is not None
    return [
        (order, row["status"], "authorized" if row["status"] == "placed" else "unpaid", False, *found, *[None] * 11)
    ]


async def _ended(of: Transaction, id_: str, was: str, **values: object) -> Row | None:
    """A payment of which nobody has written yet what the gateway said, with that."""
    await of.lock("attempts", id_)
    row = of.row("attempts", id_)
    assert row is not None
    if row["status"] != was and "unfenced" not in of.memory.flaws:
        return None
    await of.update("attempts", id_, lease_expires_at=None, **values)
    return row


async def settle(
    of: Transaction,
    *,
    id: str,
    was: str,
    answer: str,
    answered_at: datetime,
    order_status: str,
    **others: Any,
) -> Rows:
    ended = await _ended(of, id, was, status=answer, answered_at=answered_at)
    if ended is None:
        return []
    await of.update("orders", ended["order_id"], status=order_status)
    return [(ended["order_id"], [row[0] for row in await record(of, events=others["events"], at=others["at"])])]


async def refuse(
    of: Transaction,
    *,
    id: str,
    was: str,
    answer: str,
    answered_at: datetime,
    order_status: str,
    **others: Any,
) -> Rows:
    said = {"status": answer, "decline_code": others["decline_code"], "retry_at": others["retry_at"]}
    ended = await _ended(of, id, was, answered_at=answered_at, **said)
    if ended is None:
        return []
    await of.update("orders", ended["order_id"], status=order_status)
    await _note(of, **others)
    return [(ended["order_id"], [row[0] for row in await record(of, events=others["events"], at=others["at"])])]


async def _note(
    of: Transaction, *, copy: str, errors_log: str, retry_at: datetime | None, at: datetime, **_: Any
) -> None:
    """Note on a copy that the payment of its run was refused."""
    await of.lock("copies", copy)
    row = of.row("copies", copy)
    assert row is not None
    given_up_at = (row["given_up_at"] or at) if retry_at is None else None
    await of.update("copies", copy, errors_log=errors_log, given_up_at=given_up_at)


async def not_payable(of: Transaction, *, order: str, id: str, noted_at: datetime, **others: Any) -> Rows:
    facts = await begin_attempt(of, order, at=noted_at, lease_end=noted_at, retried_at=None, id_=id)
    said = {"status": "failed", "decline_code": "not_placed", "retry_at": others["retry_at"], "answered_at": noted_at}
    await of.update("attempts", facts[0], lease_expires_at=None, asked=0, **said)
    await _note(of, **others)
    return [(row[0],) for row in await record(of, events=others["events"], at=others["at"])]


async def recover(of: Transaction, *, copy: str, **_: object) -> Rows:
    await of.update("copies", copy, given_up_at=None)
    return []


async def stop_of_order(of: Transaction, *, order: str, **_: object) -> Rows:
    for row in _of_order(of, order):
        if row["retry_at"] is not None:
            await of.update("attempts", row["id"], retry_at=None)
    return []


async def unpaid_policy(*_: object, **__: object) -> Rows:
    return [("keep",)]


HANDLERS: Final[Mapping[str, Handler]] = {
    "tenant/stores.find": find,
    "events/events.record": record,
    "events/events.ahead": ahead,
    "webhooks/delivering.stores_ahead": nothing,
    "copies/copies.abandoned": nothing,
    "tenant/test_clocks.stranded": nothing,
    "data/imports.abandoned": nothing,
    "data/exports.abandoned": nothing,
    "payments/attempts.claim_attempt": claim_attempt,
    "payments/attempts.abandoned": abandoned,
    "payments/dunning.due": due,
    "payments/dunning.is_due": is_due,
    "payments/dunning.take_source": take_source,
    "payments/dunning.hold_source": hold_source,
    "payments/dunning.last_retries": last_retries,
    "payments/dunning.rest": rest,
    "payments/dunning.bar": bar,
    "payments/dunning.run": run,
    "payments/dunning.recover": recover,
    "payments/dunning.not_payable": not_payable,
    "payments/dunning.stop_of_order": stop_of_order,
    "ordering/placing.lock": lock,
    "ordering/placing.hold": hold,
    "ordering/placing.settle": settle,
    "ordering/placing.refuse": refuse,
    "subscriptions/subscriptions.unpaid_policy": unpaid_policy,
}

BY_TEXT: Final = with_texts(HANDLERS)
