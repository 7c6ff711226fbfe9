"""Edits of running subscriptions: what they do to dates that are past, to those to come, and to nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests.faults.playing import Shop, on, short
from tests.jobs.playing import said
from tests.jobs.steps import names_of, offences
from tests.spec.writing import Api, pointers, to

JANUARY = "2026-01-31 09:00"


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    """A shop on 31 January."""
    return await Shop.open(api, database, connection, store, JANUARY)


@pytest.mark.rule("FM-103")
@pytest.mark.parametrize("policy", ["run_once", "run_all", "skip"])
async def test_what_fell_into_a_pause_is_skipped_when_it_is_ended_early(shop: Shop, policy: str) -> None:
    id_ = await shop.subscribe(JANUARY, catchup_policy=policy)
    await shop.wait_until("2026-03-05 12:00")
    await shop.tell(id_, _pause_until="2026-07-01 00:00")
    await shop.wait_until("2026-05-02 12:00")
    assert (await shop.tell(id_, _resume=True))["next_run_at"] == said(on("2026-05-31 09:00"))
    await shop.wait_until("2026-05-03 12:00")
    assert (await shop.ledger(id_))[:4] == [
        ("2026-02-28 09:00", "completed", "clamped"),
        ("2026-03-31 09:00", "skipped", "paused"),
        ("2026-04-30 09:00", "skipped", "paused"),
        ("2026-05-31 09:00", "planned", None),
    ]
    assert len(await shop.ordered(id_)) == 1
    assert await offences(shop.connection, shop.store) == []


@pytest.mark.rule("FM-103")
async def test_a_pause_that_is_made_shorter_runs_nothing_of_the_past(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY)
    await shop.tell(id_, _pause_until="2026-07-01 00:00")
    await shop.wait_until("2026-05-02 12:00")
    await shop.tell(id_, _pause_until="2026-05-02 13:00")
    await shop.wait_until("2026-06-01 12:00")
    assert await shop.ordered(id_) == ["2026-05-31 09:00"]


@pytest.mark.rule("FM-103", "FM-116")
@pytest.mark.parametrize(
    ("end", "extended"),
    [
        ({"expires_at": said(on("2026-03-01 00:00"))}, {"expires_at": None}),
        ({"expires_at": said(on("2026-03-01 00:00"))}, {"expires_at": said(on("2027-01-01 00:00"))}),
        ({"max_occurrences": 1}, {"max_occurrences": 2}),
    ],
)
async def test_an_end_shows_and_extending_it_runs_nothing_of_the_past(
    shop: Shop, end: dict[str, Any], extended: dict[str, Any]
) -> None:
    id_ = await shop.subscribe(JANUARY, catchup_policy="run_all", **end)
    await shop.wait_until("2026-05-02 12:00")
    ended = await shop.look(id_)
    assert (ended["status"], ended["next_run_at"], ended["ended_at"]) == ("active", None, said(on("2026-02-28 09:00")))
    assert (await names_of(shop.connection, shop.store, id_)).count("order_subscriptions.end") == 1
    answer = await shop.api.update("order_subscriptions", id_, extended)
    assert answer.status_code == 200, answer.text
    going_on = answer.json()["data"]["attributes"]
    assert (going_on["next_run_at"], going_on["ended_at"]) == (said(on("2026-05-31 09:00")), None)
    assert (await shop.ledger(id_))[1:4] == [
        ("2026-03-31 09:00", "skipped", "ended"),
        ("2026-04-30 09:00", "skipped", "ended"),
        ("2026-05-31 09:00", "planned", None),
    ]
    await shop.wait_until("2026-06-01 12:00")
    assert await shop.ordered(id_) == ["2026-02-28 09:00", "2026-05-31 09:00"]
    assert await offences(shop.connection, shop.store) == []


@pytest.mark.rule("FM-104")
@pytest.mark.parametrize(
    ("edit", "next_run"),
    [
        ({"timezone": "America/New_York"}, "2026-03-15 13:00"),  # 9:00 there
        ({"last_day": True}, "2026-03-31 09:00"),
        ({"frequency": "weekly"}, "2026-02-22 09:00"),
        ({"frequency": "two-month"}, "2026-04-15 09:00"),
        ({"frequency": "0 9 * * *"}, "2026-02-16 09:00"),
        ({"max_occurrences": 9}, "2026-03-15 09:00"),
    ],
)
async def test_a_run_that_was_pulled_forward_does_not_come_again(
    shop: Shop, edit: dict[str, Any], next_run: str
) -> None:
    id_ = await shop.subscribe("2026-01-15 09:00")
    await shop.tell(id_, next_run_at="2026-02-05 09:00")
    await shop.wait_until("2026-02-06 12:00")
    assert (await shop.tell(id_, **edit))["next_run_at"] == said(on(next_run))
    await shop.wait_until("2026-02-15 12:00")
    assert await shop.ordered(id_) == ["2026-02-05 09:00"]


@pytest.mark.rule("FM-104")
async def test_nothing_comes_again_when_the_clock_steps_back(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    shop = await Shop.open(api, database, connection, store, "2040-01-15 09:00")
    id_ = await shop.subscribe("2040-01-15 09:00")
    await shop.wait_until("2040-03-16 12:00")
    off = await api.update("stores", str(store.id), None, {"test_clock": to("test_clocks", None)})
    assert off.status_code == 200, off.text
    for edit in ({"timezone": "Asia/Kathmandu"}, {"last_day": True}, {"frequency": "weekly", "last_day": False}):
        following = (await shop.tell(id_, **edit))["next_run_at"]
        assert following > said(on("2040-03-15 09:00"))
    assert [one["scheduled_at"] for one in await shop.occurrences(id_)][1] == said(on("2040-03-15 09:00"))


@pytest.mark.rule("FM-105")
async def test_the_31st_stays_the_31st(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY)
    await shop.wait_until("2026-03-01 12:00")
    await shop.tell(id_, timezone="Europe/Lisbon")
    assert await shop.dates(id_, 3) == ["2026-03-31 08:00", "2026-04-30 08:00", "2026-05-31 08:00"]
    await shop.tell(id_, frequency="two-month")
    assert await shop.dates(id_, 3) == ["2026-04-30 08:00", "2026-06-30 08:00", "2026-08-31 08:00"]
    await shop.tell(id_, frequency="weekly")
    await shop.tell(id_, frequency="monthly")
    assert await shop.dates(id_, 1) == ["2026-03-31 08:00"]
    assert (await shop.look(id_))["anchor_at"] == said(on(JANUARY))
    await shop.tell(id_, anchor_at="2026-03-12 10:00")
    assert await shop.dates(id_, 3) == ["2026-03-12 10:00", "2026-04-12 09:00", "2026-05-12 09:00"]


@pytest.mark.rule("FM-105")
async def test_a_leap_day_stays_a_leap_day(api: Api, database: Database, connection: Connection, store: Store) -> None:
    shop = await Shop.open(api, database, connection, store, "2028-02-29 09:00")
    id_ = await shop.subscribe("2028-02-29 09:00", frequency="yearly")
    await shop.wait_until("2029-03-01 12:00")
    await shop.tell(id_, timezone="Africa/Abidjan")
    assert await shop.dates(id_, 3) == ["2030-02-28 09:00", "2031-02-28 09:00", "2032-02-29 09:00"]


@pytest.mark.rule("FM-105")
@pytest.mark.parametrize("edit", [{"frequency": "weekly"}, {"timezone": "America/Detroit"}])
async def test_half_past_two_stays_half_past_two(
    *, api: Api, database: Database, connection: Connection, store: Store, edit: dict[str, str]
) -> None:
    shop = await Shop.open(api, database, connection, store, "2026-03-07 07:30")  # 2:30 in New York
    id_ = await shop.subscribe("2026-03-07 07:30", frequency="daily", timezone="America/New_York")
    await shop.wait_until("2026-03-08 12:00")  # at 7:00, 3:00 in New York
    await shop.tell(id_, **edit)
    assert (await shop.dates(id_, 1))[0][11:] == "06:30"  # 2:30 in New York


@pytest.mark.rule("FM-106")
@pytest.mark.parametrize("edit", [{"timezone": "America/New_York"}, {"last_day": True}])
async def test_what_was_skipped_or_moved_stays_so(shop: Shop, edit: dict[str, Any]) -> None:
    id_ = await shop.subscribe("2026-01-15 09:00")
    first, second, third = await shop.occurrences(id_)
    await shop.api.update("occurrences", first["id"], {"_skip": True})
    moved = await shop.api.update("occurrences", second["id"], {"scheduled_at": said(on("2026-03-20 10:00"))})
    assert moved.status_code == 200, moved.text
    after = await shop.tell(id_, **edit)
    rows = await shop.occurrences(id_)
    assert [one["id"] for one in rows] == [first["id"], second["id"], third["id"]]
    assert [one["status"] for one in rows] == ["skipped", "planned", "planned"]
    assert (rows[1]["scheduled_at"], rows[1]["reason"]) == (said(on("2026-03-20 10:00")), "moved")
    assert after["next_run_at"] == said(on("2026-03-20 10:00"))
    assert await offences(shop.connection, shop.store) == []


@pytest.mark.rule("FM-106")
@pytest.mark.parametrize(
    "edit",
    [
        {"frequency": "weekly"},
        {"anchor_at": said(on("2026-02-03 10:00"))},
        {"expires_at": said(on("2026-03-19 10:00"))},
    ],
)
async def test_what_can_not_keep_them_names_them(shop: Shop, edit: dict[str, Any]) -> None:
    id_ = await shop.subscribe("2026-01-15 09:00")
    _, second, _ = await shop.occurrences(id_)
    await shop.api.update("occurrences", second["id"], {"scheduled_at": said(on("2026-03-20 10:00"))})
    before = await shop.ledger(id_)
    refused = await shop.api.update("order_subscriptions", id_, edit)
    assert refused.status_code == 409, refused.text
    (problem,) = refused.json()["errors"]
    assert problem["meta"]["occurrences"] == [
        {"id": second["id"], "occurrence_index": 2, "status": "planned", "scheduled_at": said(on("2026-03-20 10:00"))}
    ]
    assert second["id"] in problem["detail"]
    assert pointers(refused) == [f"/data/attributes/{next(iter(edit))}"]
    assert await shop.ledger(id_) == before


@pytest.mark.rule("FM-110")
async def test_a_run_that_fails_does_not_count(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY, max_occurrences=1)
    await shop.connection.execute("update skus set disabled_at = $2 where store_id = $1", shop.store.id, on(JANUARY))
    await shop.wait_until("2026-03-01 12:00")
    failed = await shop.look(id_)
    assert (failed["errors_count"], failed["ended_at"]) == (1, None)
    assert failed["next_run_at"] == said(on("2026-03-31 09:00"))
    await shop.connection.execute("update skus set disabled_at = null where store_id = $1", shop.store.id)
    await shop.wait_until("2026-06-01 12:00")
    assert await shop.ordered(id_) == ["2026-03-31 09:00"]
    assert (await shop.look(id_))["ended_at"] == said(on("2026-03-31 09:00"))
    assert await offences(shop.connection, shop.store) == []


@pytest.mark.rule("FM-111")
async def test_a_next_run_can_not_be_taken_away(shop: Shop) -> None:
    for status in ("active", "inactive"):
        id_ = await shop.subscribe(JANUARY)
        if status == "inactive":
            await shop.tell(id_, _deactivate=True)
        refused = await shop.edit(id_, next_run_at=None)
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/next_run_at"])
    draft = await shop.subscribe(JANUARY, activate_by_source_order=False, starts_at=said(on("2026-02-10 09:00")))
    assert (await shop.tell(draft, next_run_at=None))["next_run_at"] is None
    refused = await shop.edit(draft, next_run_at="2026-02-20 09:00")
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/next_run_at"])


@pytest.mark.rule("FM-111")
@pytest.mark.parametrize("why", ["paused", "expires"])
async def test_a_run_is_not_moved_to_where_nothing_runs(shop: Shop, why: str) -> None:
    id_ = await shop.subscribe(JANUARY)
    if why == "paused":
        await shop.tell(id_, _pause_until="2026-03-05 09:00")
        to = "2026-03-04 09:00"
    else:
        await shop.tell(id_, expires_at="2026-03-05 09:00")
        to = "2026-03-05 09:00"
    refused = await shop.edit(id_, next_run_at=to)
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/next_run_at"])
    first = (await shop.occurrences(id_))[0]
    refused = await shop.api.update("occurrences", first["id"], {"scheduled_at": said(on(to))})
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/scheduled_at"])


@pytest.mark.rule("FM-112")
async def test_a_date_that_is_sent_wins_when_it_is_activated_again(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY, catchup_policy="run_all")
    await shop.tell(id_, _deactivate=True)
    await shop.wait_until("2026-05-02 12:00")
    again = await shop.tell(id_, _activate=True, next_run_at="2026-05-10 08:00")
    assert again["next_run_at"] == said(on("2026-05-10 08:00"))
    await shop.wait_until("2026-06-01 12:00")
    assert await shop.ordered(id_) == ["2026-05-10 08:00", "2026-05-31 09:00"]
    assert (await shop.ledger(id_))[:4] == [
        ("2026-02-28 09:00", "skipped", "passed_over"),
        ("2026-03-31 09:00", "skipped", "passed_over"),
        ("2026-05-10 08:00", "completed", "moved"),
        ("2026-05-31 09:00", "completed", None),
    ]


@pytest.mark.rule("FM-112")
async def test_without_a_date_what_is_overdue_runs_at_once(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY)
    await shop.tell(id_, _deactivate=True)
    await shop.wait_until("2026-05-02 12:00")
    assert short((await shop.tell(id_, _activate=True))["next_run_at"]) == "2026-05-02 12:00"
    await shop.wait_until("2026-05-02 12:01")
    assert await shop.ordered(id_) == ["2026-05-02 12:00"]


@pytest.mark.rule("FM-116")
async def test_a_failed_occurrence_is_tried_again(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY)
    await shop.connection.execute("update skus set disabled_at = $2 where store_id = $1", shop.store.id, on(JANUARY))
    await shop.wait_until("2026-03-01 12:00")
    first, second, *_ = await shop.occurrences(id_)
    assert first["status"] == "failed"
    early = await shop.api.update("occurrences", second["id"], {"_retry": True})
    assert (early.status_code, pointers(early)) == (409, ["/data/attributes/_retry"])
    await shop.connection.execute("update skus set disabled_at = null where store_id = $1", shop.store.id)
    answer = await shop.api.update("occurrences", first["id"], {"_retry": True})
    assert (answer.status_code, answer.json()["data"]["attributes"]["status"]) == (200, "due")
    await shop.wait_until("2026-03-02 12:00")
    assert await shop.ordered(id_) == ["2026-03-01 12:00"]
    assert (await shop.occurrences(id_))[0]["status"] == "completed"
    assert "occurrences.retry" in await names_of(shop.connection, shop.store, first["id"])
    assert await offences(shop.connection, shop.store) == []


@pytest.mark.rule("FM-116", "FM-110")
async def test_what_is_tried_again_counts(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY, max_occurrences=1)
    await shop.connection.execute("update skus set disabled_at = $2 where store_id = $1", shop.store.id, on(JANUARY))
    await shop.wait_until("2026-03-01 12:00")
    await shop.connection.execute("update skus set disabled_at = null where store_id = $1", shop.store.id)
    (failed, *_) = await shop.occurrences(id_)
    assert (await shop.api.update("occurrences", failed["id"], {"_retry": True})).status_code == 200
    assert (await shop.look(id_))["ended_at"] is not None
    await shop.wait_until("2026-06-01 12:00")
    assert await shop.ordered(id_) == ["2026-03-01 12:00"]
    assert await shop.ledger(id_) == [("2026-02-28 09:00", "completed", "clamped")]


@pytest.mark.rule("FM-116")
async def test_the_last_item_stays(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY)
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    refused = await shop.api.send("DELETE", f"order_subscription_items/{item['id']}")
    assert (refused.status_code, pointers(refused)) == (422, [None])
    more = {"order_subscription": to("order_subscriptions", id_), "item": to("skus", shop.sku.id)}
    await shop.api.create("order_subscription_items", {"quantity": 1}, more)
    assert (await shop.api.send("DELETE", f"order_subscription_items/{item['id']}")).status_code == 204


@pytest.mark.rule("FM-106")
async def test_the_next_run_is_not_moved_past_one_that_was_skipped(shop: Shop) -> None:
    """It would never come up: what is before it has its time later."""
    id_ = await shop.subscribe(JANUARY)
    await shop.tell(id_, _skip_next=True)
    before = await shop.ledger(id_)
    for at in ("2026-02-10 09:00", "2026-02-28 09:00", "2026-04-30 09:00"):
        refused = await shop.edit(id_, next_run_at=at)
        assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/next_run_at"])
    assert await shop.ledger(id_) == before
    await shop.tell(id_, next_run_at="2026-03-01 09:00")
    await shop.wait_until("2026-03-02 09:00")
    assert await shop.ordered(id_) == ["2026-03-01 09:00"]
    assert await offences(shop.connection, shop.store) == []


@pytest.mark.rule("FM-106")
async def test_a_moved_run_that_is_overdue_is_not_cut_off_by_an_end(shop: Shop) -> None:
    id_ = await shop.subscribe(JANUARY)
    await shop.tell(id_, next_run_at="2026-02-10 09:00")
    await shop.tell(id_, _deactivate=True)
    await shop.wait_until("2026-02-20 09:00")
    refused = await shop.edit(id_, expires_at="2026-02-05 09:00")
    assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/expires_at"])
    assert (await shop.ledger(id_))[0] == ("2026-02-10 09:00", "planned", "moved")


@pytest.mark.rule("FM-103")
async def test_what_came_up_after_the_end_does_not_run_when_that_is_extended(shop: Shop) -> None:
    """Nobody had noticed the end: what was due before it was still waiting for the subscription to go on."""
    id_ = await shop.subscribe(JANUARY, expires_at=said(on("2026-03-15 09:00")), catchup_policy="run_all")
    await shop.tell(id_, _deactivate=True)
    await shop.wait_until("2026-05-10 09:00")
    await shop.tell(id_, expires_at=None)
    await shop.tell(id_, _activate=True)
    await shop.wait_until("2026-05-11 09:00")
    assert (await shop.ledger(id_))[:4] == [
        ("2026-02-28 09:00", "completed", "clamped"),
        ("2026-03-31 09:00", "skipped", "ended"),
        ("2026-04-30 09:00", "skipped", "ended"),
        ("2026-05-31 09:00", "planned", None),
    ]


@pytest.mark.rule("FM-106")
@pytest.mark.parametrize("end", [{"expires_at": said(on("2026-03-15 09:00"))}, {"max_occurrences": 1}])
async def test_a_skipped_run_does_not_come_back_after_the_end(shop: Shop, end: dict[str, Any]) -> None:
    id_ = await shop.subscribe(JANUARY)
    later = (await shop.occurrences(id_))[1]["id"]
    assert (await shop.api.update("occurrences", later, {"_skip": True})).status_code == 200
    assert (await shop.api.update("order_subscriptions", id_, end)).status_code == 200
    refused = await shop.api.update("occurrences", later, {"_unskip": True})
    assert (refused.status_code, pointers(refused)) == (409, ["/data/attributes/_unskip"])
    assert [row["status"] for row in await shop.occurrences(id_) if row["id"] == later] == ["skipped"]
