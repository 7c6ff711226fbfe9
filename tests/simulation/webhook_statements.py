"""What the statements do by which events become deliveries and these are told, in memory, by their paths.

`test_webhook_memory.py` holds them to what Postgres does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import orjson

from tests.simulation.memory import Handler, Row, Transaction, nothing
from tests.simulation.statements import STORE, Rows, find, with_texts

CURSOR: Final = str(STORE)


def _place(row: Row) -> tuple[int, str]:
    return row["transaction_id"], row["id"]


def _news(of: Transaction, horizon: int) -> list[Row]:
    """The events that no webhook was given yet, in the order in which they can be known."""
    cursor = of.row("event_cursors", CURSOR)
    if cursor is None:
        return []
    given = (cursor["transaction_id"], cursor["event_id"])
    within = 2**62 if "hasty" in of.memory.flaws else horizon
    found = [row for row in of.rows("events") if _place(row) > given and row["transaction_id"] < within]
    return sorted(found, key=_place)


async def begin(of: Transaction, *, store: int, horizon: int) -> Rows:
    if of.row("event_cursors", str(store)) is None:
        await of.insert("event_cursors", {"id": str(store), "transaction_id": horizon, "event_id": ""})
    return []


async def horizon(of: Transaction) -> Rows:
    return [(of.memory.horizon,)]


async def ahead(of: Transaction) -> Rows:
    return [(of.memory.next_transaction,)]


async def record(of: Transaction, *, events: str, at: datetime, **_: object) -> Rows:
    """Events with the numbers that follow, which whoever holds their resource alone can take."""
    found: Rows = []
    for one in orjson.loads(events):
        type_, resource_id = one["name"].partition(".")[0], one["resource_id"]
        place = f"{type_}/{resource_id}"
        await of.lock("sequences", place)
        number = (of.row("sequences", place) or {"number": 0})["number"] + 1
        await of.update("sequences", place, id=place, number=number)
        row = {"id": one["id"], "name": one["name"], "resource_type": type_, "resource_id": resource_id}
        await of.insert("events", {**row, "sequence": number, "created_at": at, "transaction_id": of.number})
        found.append((one["id"],))
    return found


async def stores_with_news(of: Transaction, *, horizon: int, **_: object) -> Rows:
    return [(STORE,)] if _news(of, horizon) else []


def wants(webhook: Row, event: Row) -> bool:
    """Whether a webhook is to be told of an event."""
    return not {"*", f"{event['resource_type']}.*", event["name"]}.isdisjoint(webhook["topics"])


async def fan_out(of: Transaction, *, store: int, horizon: int, at: datetime, most: int) -> Rows:
    await of.lock("event_cursors", str(store))
    news = _news(of, horizon)[:most]
    for webhook_id in sorted(row["id"] for row in of.rows("webhooks") if any(wants(row, one) for one in news)):
        await of.lock("webhooks", webhook_id)
        webhook = of.row("webhooks", webhook_id)
        assert webhook is not None
        if webhook["disabled_at"] is not None:
            continue
        made = [one for one in news if wants(webhook, one) and webhook["created_at"] <= one["created_at"]]
        for one in made:
            delivery = {"id": f"{one['id']}-{webhook_id}", "webhook_id": webhook_id, "event_id": one["id"]}
            delivery |= {"status": "pending", "attempts_count": 0, "next_attempt_at": at, "payload": None}
            if of.row("event_callbacks", delivery["id"]) is None:
                await of.insert("event_callbacks", delivery)
        if made:
            woken = min(at, webhook["next_delivery_at"] or at)
            await of.update("webhooks", webhook_id, next_delivery_at=woken)
    if news:
        transaction_id, event_id = _place(news[-1])
        await of.update("event_cursors", str(store), transaction_id=transaction_id, event_id=event_id)
    return [(len(news),)]


def _is_due(of: Transaction, row: Row, at: datetime) -> bool:
    return (
        row["next_delivery_at"] is not None
        and row["next_delivery_at"] <= at
        and row["disabled_at"] is None
        and (row["circuit_state"] == "closed" or "unbroken" in of.memory.flaws)
        and (row["leased_until"] is None or row["leased_until"] <= at)
    )


async def due(of: Transaction, *, at: datetime, most: int, **_: object) -> Rows:
    found = [row for row in of.rows("webhooks") if _is_due(of, row, at)]
    return [(STORE, row["id"]) for row in sorted(found, key=lambda row: row["next_delivery_at"])[:most]]


async def hold(of: Transaction, *, webhook: str, at: datetime, until: datetime, **_: object) -> Rows:
    row = of.row("webhooks", webhook)
    if row is None or not _is_due(of, row, at):
        return []
    await of.lock("webhooks", webhook)
    row = of.row("webhooks", webhook)
    if row is None or not _is_due(of, row, at):
        return []
    await of.update("webhooks", webhook, leased_until=until)
    return [(webhook, row["shared_secret"], None, [], "full", row["ordered"], until)]


def _told(row: Row) -> tuple[object, ...]:
    """An event, as others are told of it."""
    names = ("id", "name", "resource_type", "resource_id", "sequence")
    return (*(row[name] for name in names), "{}", "{}", "workers", None, row["created_at"], row["transaction_id"])


async def take_up(of: Transaction, *, webhook: str, at: datetime, ordered: bool, most: int, **_: object) -> Rows:
    events = {row["id"]: row for row in of.rows("events")}
    own = [row for row in of.rows("event_callbacks") if row["webhook_id"] == webhook and row["status"] == "pending"]
    due_ = [row for row in own if row["next_attempt_at"] <= at]
    if ordered and "unordered" not in of.memory.flaws:
        due_ = [row for row in due_ if not any(_before(of, events, own, events[row["event_id"]]))]
    found: Rows = []
    for row in sorted(due_, key=lambda row: (row["next_attempt_at"], row["id"]))[:most]:
        await of.lock("event_callbacks", row["id"])
        held = of.row("event_callbacks", row["id"])
        assert held is not None
        attempt, payload = held["attempts_count"] + 1, held["payload"]
        await of.update("event_callbacks", row["id"], attempts_count=attempt)
        found.append((row["id"], attempt, webhook, payload, *_told(events[row["event_id"]])))
    return found


def _before(of: Transaction, events: Mapping[str, Row], waiting: Sequence[Row], event: Row) -> Iterator[bool]:
    """Whether earlier events of a resource wait, or were given to nobody yet."""
    cursor = of.row("event_cursors", CURSOR)
    given = (0, "") if cursor is None else (cursor["transaction_id"], cursor["event_id"])
    waits = {row["event_id"] for row in waiting}
    for one in events.values():
        if one["resource_id"] == event["resource_id"] and one["sequence"] < event["sequence"]:
            yield one["id"] in waits or _place(one) > given


async def settle_payloads(of: Transaction, *, ids: Sequence[str], payloads: Sequence[str], **_: object) -> Rows:
    found: Rows = []
    for id_, payload in zip(ids, payloads, strict=True):
        await of.lock("event_callbacks", id_)
        row = of.row("event_callbacks", id_)
        assert row is not None
        settled = payload if "resettled" in of.memory.flaws else row["payload"] or payload
        await of.update("event_callbacks", id_, payload=settled)
        found.append((id_, settled))
    return found


async def _of_attempt(of: Transaction, id_: str, attempt: int) -> Row | None:
    """A delivery that waits for what came of this very attempt, held."""
    await of.lock("event_callbacks", id_)
    row = of.row("event_callbacks", id_)
    return row if row is not None and (row["attempts_count"], row["status"]) == (attempt, "pending") else None


async def note(
    of: Transaction,
    *,
    ids: Sequence[str],
    attempts: Sequence[int],
    statuses: Sequence[str],
    next: Sequence[datetime | None],  # noqa: A002 -- the parameter's name
    **_: object,
) -> Rows:
    for id_, attempt, status, at in zip(ids, attempts, statuses, next, strict=True):
        if await _of_attempt(of, id_, attempt) is not None:
            await of.update("event_callbacks", id_, status=status, next_attempt_at=at)
    return []


async def put_down(of: Transaction, *, ids: Sequence[str], attempts: Sequence[int], **_: object) -> Rows:
    for id_, attempt in zip(ids, attempts, strict=True):
        if await _of_attempt(of, id_, attempt) is not None:
            await of.update("event_callbacks", id_, attempts_count=attempt - 1)
    return []


async def lock(of: Transaction, *, webhook: str, **_: object) -> Rows:
    await of.lock("webhooks", webhook)
    row = of.row("webhooks", webhook)
    names = ("circuit_state", "circuit_failure_count", "health", "health_since", "disabled_at")
    return [] if row is None else [tuple(row[name] for name in names)]


async def let_go(
    of: Transaction,
    *,
    webhook: str,
    held: datetime,
    circuit: str,
    failures: int,
    health: str,
    since: datetime,
    disabled: datetime | None,
    **_: object,
) -> Rows:
    # What waits is looked up as the statement begins, before it waits for the row.
    next_at = next_delivery_at(of, webhook)
    await of.lock("webhooks", webhook)
    row = of.row("webhooks", webhook)
    assert row is not None
    await of.update(
        "webhooks", webhook,
        circuit_state=circuit, circuit_failure_count=failures, health=health, health_since=since, disabled_at=disabled,
        leased_until=None if row["leased_until"] == held else row["leased_until"], next_delivery_at=next_at,
    )  # fmt: skip
    return []


def next_delivery_at(of: Transaction, webhook: str) -> datetime | None:
    """When the first delivery of a webhook that waits is to be sent."""
    own = (row for row in of.rows("event_callbacks") if row["webhook_id"] == webhook and row["status"] == "pending")
    return min((row["next_attempt_at"] for row in own), default=None)


HANDLERS: Final[Mapping[str, Handler]] = {
    "tenant/stores.find": find,
    "events/events.horizon": horizon,
    "events/events.ahead": ahead,
    "events/events.record": record,
    "webhooks/delivering.begin": begin,
    "webhooks/delivering.stores_with_news": stores_with_news,
    "webhooks/delivering.fan_out": fan_out,
    "webhooks/delivering.due": due,
    "webhooks/delivering.hold": hold,
    "webhooks/delivering.take_up": take_up,
    "webhooks/delivering.settle_payloads": settle_payloads,
    "webhooks/delivering.note": note,
    "webhooks/delivering.put_down": put_down,
    "webhooks/delivering.lock": lock,
    "webhooks/delivering.let_go": let_go,
    "webhooks/delivering.stores_ahead": nothing,
}

BY_TEXT: Final = with_texts(HANDLERS)
