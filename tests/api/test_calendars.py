"""A subscription's calendar: an iCalendar feed behind a URL that its owner hands to a calendar program."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from icalendar import Calendar
from structlog.testing import capture_logs

from service.principal import Store
from service.rules.named_tokens import NamedKeys
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.jobs.steps import make
from tests.jobs.test_sweep import due, swept
from tests.spec.writing import Api, to


@pytest.fixture
async def order_id(connection: Connection, store: Store) -> str:
    lines = [
        Line(await factories.sku(connection, store, name="Coffee, dark"), 2),
        Line(await factories.sku(connection, store, name="Mug")),
    ]
    return await factories.full_order(connection, store, lines)


async def calendar_url(api: Api, subscription_id: str) -> str:
    shown = await api.get(f"order_subscriptions/{subscription_id}?fields[order_subscriptions]=calendar_url")
    return str(shown["data"]["attributes"]["calendar_url"])


async def read(client: httpx2.AsyncClient, url: str, **headers: str) -> tuple[httpx2.Response, list[Any]]:
    answer = await client.get(urlsplit(url).path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer, list(Calendar.from_ical(answer.text).walk("VEVENT"))


async def test_it_has_past_and_coming_runs_under_names_that_stay(
    *,
    api: Api,
    client: httpx2.AsyncClient,
    order_id: str,
    database: Database,
    connection: Connection,
    store: Store,
) -> None:
    id_ = await factories.subscription(connection, store, order_id, **due())
    (copy_id,) = (await swept(database, store)).copies
    await make(database, store, copy_id)
    await api.update("order_subscriptions", id_, {"frequency": "weekly"})
    url = await calendar_url(api, id_)
    answer, events = await read(client, url)
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    rows = await connection.fetch(
        "select occurrence_index, scheduled_at from occurrences where store_id = $1 and occurrence_index > 0"
        " order by occurrence_index",
        store.id,
    )
    assert len(rows) > 1
    shown = [(str(event["uid"]), event.decoded("dtstart")) for event in events]
    assert shown[: len(rows)] == [
        (f"{id_}-{row['occurrence_index']}@{store.id}.reprise", row["scheduled_at"].replace(microsecond=0))
        for row in rows
    ]
    assert 50 < len(events) < 55
    assert {str(event["summary"]) for event in events} == {f"{store.name}: 2 x Coffee, dark and 1 x Mug"}
    assert {str(event["status"]) for event in events} == {"CONFIRMED"}
    email = await connection.fetchval("select customer_email from orders where store_id = $1", store.id)
    assert email not in answer.text
    _, dutch = await read(client, url, **{"Accept-Language": "nl"})
    assert str(dutch[0]["summary"]) == f"{store.name}: 2 x Coffee, dark en 1 x Mug"


async def test_what_is_left_out_is_cancelled_and_nothing_new_is_not_sent_again(
    api: Api, client: httpx2.AsyncClient, order_id: str
) -> None:
    made = await api.create("order_subscriptions", {"frequency": "weekly"}, {"source_order": to("orders", order_id)})
    url = made["attributes"]["calendar_url"]
    answer, before = await read(client, url)
    again = await client.get(urlsplit(url).path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    await api.update("order_subscriptions", made["id"], {"_skip_next": True})
    changed = await client.get(urlsplit(url).path, headers={"If-None-Match": answer.headers["etag"]})
    assert changed.status_code == 200
    after = Calendar.from_ical(changed.text).walk("VEVENT")
    assert [str(event["status"]) for event in after[:3]] == ["CANCELLED", "CONFIRMED", "CONFIRMED"]
    assert [event["uid"] for event in after] == [event["uid"] for event in before]
    assert after[0]["sequence"] > before[0]["sequence"]


async def test_what_is_in_the_runs_is_another_sequence(
    api: Api, client: httpx2.AsyncClient, connection: Connection, store: Store, order_id: str
) -> None:
    """Whatever changes what a run orders, or when it comes: a program that goes by the sequence takes it over."""
    whose = {"source_order": to("orders", order_id)}
    made = await api.create("order_subscriptions", {"frequency": "weekly"}, whose, id="Mine-1")
    tea = await factories.sku(connection, store, name="Tea")
    of = {"order_subscription": to("order_subscriptions", made["id"])}
    seen: list[tuple[int, list[Any]]] = []

    async def look() -> None:
        _, (first, *events) = await read(client, made["attributes"]["calendar_url"])
        shown = [(str(event["summary"]), event.decoded("dtstart")) for event in (first, *events)]
        seen.append((int(first["sequence"]), [*shown, str(events[0]["status"])]))

    await look()
    line = await api.create("occurrence_items", {"sku_code": tea.code, "quantity": 1, "occurrence_index": 3}, of)
    await look()
    assert (await api.update("occurrence_items", line["id"], {"quantity": 2})).is_success
    await look()
    assert (await api.send("DELETE", f"occurrence_items/{line['id']}")).is_success
    await look()
    (item, *_) = (await api.get(f"order_subscriptions/{made['id']}/order_subscription_items"))["data"]
    assert (await api.update("order_subscription_items", item["id"], {"quantity": 7})).is_success
    await look()
    added = await api.create("order_subscription_items", {"sku_code": tea.code, "quantity": 1}, of)
    await look()
    assert (await api.send("DELETE", f"order_subscription_items/{added['id']}")).is_success
    await look()
    rows = (await api.get(f"order_subscriptions/{made['id']}/occurrences?sort=occurrence_index"))["data"]
    assert (await api.update("occurrences", rows[-1]["id"], {"_skip": True})).is_success
    await look()
    sequences = [sequence for sequence, _ in seen]
    assert sequences == sorted(set(sequences))
    assert sequences[-1] < 2**31
    assert all(one != other for (_, one), (_, other) in pairwise(seen[:-1]))


async def test_every_url_that_opens_none_is_the_same_410_and_is_counted(
    api: Api, client: httpx2.AsyncClient, order_id: str, store: Store
) -> None:
    made = await api.create("order_subscriptions", {"frequency": "weekly"}, {"source_order": to("orders", order_id)})
    path = urlsplit(made["attributes"]["calendar_url"]).path
    token = path.removeprefix("/calendars/").removesuffix(".ics")
    foreign = NamedKeys(["another-key"], "calendar").token(store.id, made["id"])
    # Not the last letter: some of its bits belong to no byte of the signature.
    changed = f"{token[:-2]}{'A' if token[-2] != 'A' else 'B'}{token[-1]}"
    wrong = ["nothing", foreign, changed, f"1{token}"]
    with capture_logs() as logged:
        answers = [await client.get(f"/calendars/{one}.ics") for one in wrong]
        await client.get(path)
    assert {answer.status_code for answer in answers} == {410}
    assert len({answer.json()["errors"][0]["detail"] for answer in answers}) == 1
    assert logged
    assert not [line for line in logged if token in str(line)]
    for _ in range(60 - len(wrong)):
        await client.get("/calendars/nothing.ics")
    assert (await client.get("/calendars/nothing.ics")).status_code == 429
    assert (await client.get(path)).status_code == 200, "a URL that opens one is never limited by others that don't"


async def test_the_url_outlives_a_new_key_and_ends_with_its_own(store: Store) -> None:
    token = NamedKeys(["old"], "calendar").token(store.id, "abc")
    named = NamedKeys(["new", "old"], "calendar").verify(token)
    assert named == (store.id, "abc")
    assert NamedKeys(["new"], "calendar").verify(token) is None
