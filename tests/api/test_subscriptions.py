"""The life of a subscription over HTTP: every verb in every status, and what it does to the schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service import clock
from service.operations.subscriptions import sweep
from service.principal import Store
from service.rules.verbs import VERBS
from service.store.pool import Connection, Database
from tests import counted, factories
from tests.factories import Line
from tests.jobs.steps import names_of, row
from tests.spec.writing import Api, offenders, pointers, resource, to

DAY = timedelta(days=1)
STATUSES = ("draft", "active", "inactive", "cancelled")


@pytest.fixture
async def order_id(connection: Connection, store: Store) -> str:
    """A placed order of a customer."""
    return await factories.full_order(connection, store, [Line(await factories.sku(connection, store, price=1900), 2)])


async def subscribe(api: Api, order_id: str, **attributes: Any) -> Any:
    return await api.create(
        "order_subscriptions", {"frequency": "daily"} | attributes, {"source_order": to("orders", order_id)}
    )


async def tell(api: Api, subscription: Any, **attributes: Any) -> Any:
    """The subscription's attributes after a change."""
    answer = await api.update("order_subscriptions", subscription["id"], attributes)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["attributes"]


async def occurrences(api: Api, subscription: Any) -> list[Any]:
    return list((await api.get(f"order_subscriptions/{subscription['id']}/occurrences?sort=occurrence_index"))["data"])


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def said(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_a_subscription_of_a_placed_order_is_active_and_counts_from_its_placement(
    api: Api, order_id: str, connection: Connection, store: Store
) -> None:
    placed = (await row(connection, "orders", store, order_id))["placed_at"]
    made = await subscribe(api, order_id)
    attributes = made["attributes"]
    assert attributes["status"] == "active"
    assert (instant(attributes["next_run_at"]) - placed) % DAY in (timedelta(0), DAY / 24, 23 * DAY / 24)
    assert timedelta(0) < instant(attributes["next_run_at"]) - clock.now() <= DAY
    planned = await occurrences(api, made)
    assert [one["attributes"]["status"] for one in planned] == ["planned"] * 3
    assert planned[0]["attributes"]["scheduled_at"] == attributes["next_run_at"]
    assert "order_subscriptions.activate" in await names_of(connection, store, made["id"])
    assert len((await api.get(f"order_subscriptions/{made['id']}/order_subscription_items"))["data"]) == 1
    assert await offenders(connection, store) == []


async def test_one_that_its_order_does_not_activate_starts_when_it_is_told(api: Api, order_id: str) -> None:
    sent = {"frequency": "daily", "activate_by_source_order": False}
    document = resource("order_subscriptions", sent, {"source_order": to("orders", order_id)})
    refused = await api.send("POST", "order_subscriptions", document)
    assert (refused.status_code, pointers(refused)) == (422, ["/data"])
    starts_at = said(clock.now() + 10 * DAY)
    made = await subscribe(api, order_id, activate_by_source_order=False, starts_at=starts_at)
    assert (made["attributes"]["status"], made["attributes"]["next_run_at"]) == ("draft", None)
    attributes = await tell(api, made, _activate=True)
    assert (attributes["status"], attributes["next_run_at"]) == ("active", starts_at)


@pytest.mark.rule("FM-76")
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("verb", VERBS["order_subscriptions"])
async def test_every_verb_in_every_status_is_either_done_or_refused(
    *, api: Api, order_id: str, connection: Connection, store: Store, verb: str, status: str
) -> None:
    made = await subscribe(api, order_id)
    if status == "draft":
        begins = {"activate_by_source_order": False, "starts_at": said(clock.now()), "allow_duplicate": True}
        made = await subscribe(api, order_id, **begins)
    elif status != "active":
        await tell(api, made, **{"_deactivate" if status == "inactive" else "_cancel": True})
    value = {"pause_until": said(clock.now() + 3 * DAY), "delay": 1}.get(verb, True)
    answer = await api.update("order_subscriptions", made["id"], {f"_{verb}": value})
    row = VERBS["order_subscriptions"][verb]
    if status in row.sources | row.settled:
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["code"] == "INVALID_STATE"
        assert pointers(answer)[0] in (f"/data/attributes/_{verb}", "/data")
    assert await offenders(connection, store) == []


@pytest.mark.parametrize("verb", ["deactivate", "cancel", "pause_until"])
async def test_the_same_verb_twice_is_one_event(
    api: Api, order_id: str, connection: Connection, store: Store, verb: str
) -> None:
    made = await subscribe(api, order_id)
    value = said(clock.now() + 3 * DAY) if verb == "pause_until" else True
    assert await tell(api, made, **{f"_{verb}": value}) == await tell(api, made, **{f"_{verb}": value})
    assert (await names_of(connection, store, made["id"])).count(f"order_subscriptions.{verb}") == 1


async def test_what_was_missed_while_inactive_runs_once_as_soon_as_it_is_active_again(
    api: Api, order_id: str, connection: Connection, store: Store, database: Database
) -> None:
    made = await subscribe(api, order_id)
    await tell(api, made, _deactivate=True)
    dates = await connection.fetchrow(
        "select anchor_at, next_run_at from order_subscriptions where store_id = $1", store.id
    )
    assert dates is not None
    await connection.execute(
        "update order_subscriptions set anchor_at = $2, next_run_at = $3 where store_id = $1",
        store.id,
        *(at - timedelta(hours=60) for at in dates),
    )
    await connection.execute("delete from occurrences where store_id = $1", store.id)
    await counted.anew(connection, store)
    before = clock.now()
    attributes = await tell(api, made, _activate=True)
    assert before <= instant(attributes["next_run_at"]) <= clock.now()
    async with database.transaction() as transaction:
        swept = await sweep.sweep(transaction, store)
    assert len(swept.copies) == 1
    statuses = [one["attributes"]["status"] for one in await occurrences(api, made)]
    assert statuses == ["missed", "missed", "due", "planned", "planned", "planned"][-len(statuses) :]


async def test_the_next_run_is_skipped_and_let_run_again(
    api: Api, order_id: str, connection: Connection, store: Store
) -> None:
    made = await subscribe(api, order_id)
    first, second, _ = await occurrences(api, made)
    attributes = await tell(api, made, _skip_next=True)
    assert attributes["next_run_at"] == second["attributes"]["scheduled_at"]
    skipped = (await occurrences(api, made))[0]
    assert (skipped["id"], skipped["attributes"]["status"], skipped["attributes"]["reason"]) == (
        first["id"],
        "skipped",
        "asked",
    )
    answer = await api.update("occurrences", first["id"], {"_unskip": True})
    assert answer.json()["data"]["attributes"]["status"] == "planned"
    again = (await api.get(f"order_subscriptions/{made['id']}"))["data"]["attributes"]
    assert again["next_run_at"] == first["attributes"]["scheduled_at"]
    assert await offenders(connection, store) == []


async def test_an_occurrence_is_moved_between_its_neighbours_only(api: Api, order_id: str) -> None:
    made = await subscribe(api, order_id)
    first, second, _ = await occurrences(api, made)
    nominal = instant(second["attributes"]["nominal_at"])
    moved = await api.update("occurrences", second["id"], {"scheduled_at": said(nominal + DAY / 2)})
    assert moved.status_code == 200, moved.text
    attributes = moved.json()["data"]["attributes"]
    assert (attributes["scheduled_at"], attributes["nominal_at"], attributes["reason"]) == (
        said(nominal + DAY / 2),
        second["attributes"]["nominal_at"],
        "moved",
    )
    for wrong in (nominal + DAY, nominal - DAY, clock.now() - DAY):
        refused = await api.update("occurrences", second["id"], {"scheduled_at": said(wrong)})
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/scheduled_at"])
    assert (await occurrences(api, made))[0] == first


async def test_a_new_next_run_moves_that_run_alone(api: Api, order_id: str) -> None:
    made = await subscribe(api, order_id)
    _, second, _ = await occurrences(api, made)
    to = said(instant(made["attributes"]["next_run_at"]) + DAY / 4)
    assert (await tell(api, made, next_run_at=to))["next_run_at"] == to
    rows = await occurrences(api, made)
    assert (rows[0]["attributes"]["scheduled_at"], rows[0]["attributes"]["reason"]) == (to, "moved")
    assert rows[1] == second
    for wrong in (said(clock.now() - DAY), second["attributes"]["scheduled_at"]):
        refused = await api.update("order_subscriptions", made["id"], {"next_run_at": wrong})
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/next_run_at"])


async def test_a_pause_moves_the_next_run_and_ends_when_it_is_told(api: Api, order_id: str) -> None:
    made = await subscribe(api, order_id)
    until = instant(made["attributes"]["next_run_at"]) + 5 * DAY
    paused = await tell(api, made, _pause_until=said(until))
    assert (paused["next_run_at"], paused["paused_until"]) == (said(until), said(until))
    resumed = await tell(api, made, _resume=True)
    assert (resumed["next_run_at"], resumed["paused_until"]) == (made["attributes"]["next_run_at"], None)
    refused = await api.update("order_subscriptions", made["id"], {"_pause_until": said(clock.now() - DAY)})
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/_pause_until"])


@pytest.mark.rule("FM-41")
async def test_a_new_frequency_is_planned_at_once_and_runs_nothing_by_surprise(
    api: Api, order_id: str, connection: Connection, store: Store
) -> None:
    made = await subscribe(api, order_id, frequency="monthly")
    changed = await tell(api, made, frequency="weekly", timezone="America/New_York")
    assert 6 * DAY < instant(changed["next_run_at"]) - clock.now() <= 7 * DAY + DAY / 4  # the wall time is kept
    rows = await occurrences(api, made)
    assert [one["attributes"]["occurrence_index"] for one in rows] == [1, 2, 3]
    assert rows[0]["attributes"]["scheduled_at"] == changed["next_run_at"]
    last = await tell(api, made, frequency="monthly", last_day=True)
    assert (instant(last["next_run_at"]) + DAY).astimezone(UTC).day in (1, 2)
    assert await offenders(connection, store) == []


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"frequency": "* * 1 * *"}, "/data/attributes/frequency"),
        ({"frequency": "sometimes"}, "/data/attributes/frequency"),
        ({"frequency": "weekly", "last_day": True}, "/data/attributes/frequency"),
        ({"last_day": True}, "/data/attributes/last_day"),
    ],
)
async def test_a_frequency_that_there_is_not_is_refused_with_its_pointer(
    api: Api, order_id: str, attributes: dict[str, Any], pointer: str
) -> None:
    made = await subscribe(api, order_id)
    refused = await api.update("order_subscriptions", made["id"], attributes)
    assert (refused.status_code, pointers(refused)) == (422, [pointer])
    assert (await api.get(f"order_subscriptions/{made['id']}"))["data"]["attributes"]["frequency"] == "daily"


@pytest.mark.rule("FM-48")
async def test_an_end_before_the_next_run_leaves_none(api: Api, order_id: str) -> None:
    made = await subscribe(api, order_id, frequency="monthly")
    end = said(instant(made["attributes"]["next_run_at"]))
    assert (await tell(api, made, expires_at=end))["next_run_at"] is None
    later = said(instant(end) + timedelta(seconds=1))
    assert (await tell(api, made, expires_at=later))["next_run_at"] == made["attributes"]["next_run_at"]


@pytest.mark.rule("FM-55")
async def test_what_is_cancelled_makes_no_more_copies(
    api: Api, order_id: str, connection: Connection, store: Store
) -> None:
    made = await subscribe(api, order_id)
    await tell(api, made, _run_now=True)
    (copy,) = (await api.get(f"order_subscriptions/{made['id']}/recurring_order_copies"))["data"]
    assert copy["attributes"]["status"] == "pending"
    cancelled = await tell(api, made, _cancel=True)
    assert (cancelled["status"], cancelled["next_run_at"]) == ("cancelled", None)
    (copy,) = (await api.get(f"order_subscriptions/{made['id']}/recurring_order_copies"))["data"]
    assert copy["attributes"]["status"] == "aborted"
    assert {one["attributes"]["status"] for one in await occurrences(api, made)} == {"skipped"}
    assert await offenders(connection, store) == []


async def test_what_is_the_clients_own_can_be_noted_of_items_of_what_is_cancelled(api: Api, order_id: str) -> None:
    made = await subscribe(api, order_id)
    await tell(api, made, _cancel=True)
    (item,) = (await api.get(f"order_subscriptions/{made['id']}/order_subscription_items"))["data"]
    sent = {"reference": "A-1", "metadata": {"a": 1}, "quantity": item["attributes"]["quantity"]}
    noted = await api.update("order_subscription_items", item["id"], sent)
    assert noted.status_code == 200, noted.text
    attributes = noted.json()["data"]["attributes"]
    assert (attributes["reference"], attributes["metadata"]) == ("A-1", {"a": 1})
    for more in ({"quantity": 9}, {"_reprice": True}):
        refused = await api.update("order_subscription_items", item["id"], {"reference": "A-2", **more})
        assert refused.status_code == 409, refused.text
    after = (await api.get(f"order_subscription_items/{item['id']}"))["data"]["attributes"]
    kept = item["attributes"] | {"reference": "A-1", "metadata": {"a": 1}, "updated_at": after["updated_at"]}
    assert after == kept


async def test_only_integrations_take_a_subscription_out_of_its_parking(
    api: Api, order_id: str, connection: Connection, store: Store
) -> None:
    made = await subscribe(api, order_id)
    await connection.execute(
        "update order_subscriptions set parked_at = $2, parked_reason = 'too many', next_run_at = null"
        " where store_id = $1",
        store.id,
        clock.now(),
    )
    attributes = await tell(api, made, _unpark=True)
    assert (attributes["parked_at"], attributes["parked_reason"]) == (None, None)
    assert instant(attributes["next_run_at"]) > clock.now()
