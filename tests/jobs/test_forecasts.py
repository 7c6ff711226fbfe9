"""Forecasts are held to what then happens: time is played with a test clock, by the code that runs on real time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.factories import Line
from tests.jobs.playing import advance, freeze, said
from tests.jobs.steps import offences
from tests.jobs.test_worker import working
from tests.spec.writing import Api, offenders, to
from tests.support import Grant

START = datetime(2026, 1, 31, 1, 30, tzinfo=UTC)
DAY = timedelta(days=1)


async def forecast(api: Api, subscription: Any, query: str = "page[size]=12") -> Any:
    return await api.get(f"order_subscriptions/{subscription['id']}/forecast?{query}")


async def subscribe(api: Api, order_id: str, **attributes: Any) -> Any:
    sent = {"allow_duplicate": True} | attributes
    return await api.create("order_subscriptions", sent, {"source_order": to("orders", order_id)})


async def tell(api: Api, type_: str, id_: str, **attributes: Any) -> None:
    answer = await api.update(type_, id_, attributes)
    assert answer.status_code == 200, answer.text


async def happened(connection: Connection, store: Store, subscription: Any, most: int) -> list[tuple[Any, ...]]:
    """Index, status, instant, reason and total of the occurrences that have rows."""
    rows = await connection.fetch(
        """
        select occurrences.occurrence_index, occurrences.status, occurrences.scheduled_at, occurrences.reason,
            orders.total_amount_cents
        from occurrences
        left join orders on orders.store_id = occurrences.store_id and orders.occurrence_id = occurrences.id
        where occurrences.store_id = $1 and occurrences.order_subscription_id = $2
            and occurrences.occurrence_index <= $3
        order by occurrences.occurrence_index
        """,
        store.id,
        subscription["id"],
        most,
    )
    return [(row[0], row[1], said(row[2]), row[3] or "anchor", row[4]) for row in rows]


def predicted(document: Any) -> list[tuple[Any, ...]]:
    """The same of a forecast; what is planned is expected to be completed."""
    found = [one["attributes"] for one in document["data"]]
    return [
        (
            one["occurrence_index"],
            {"planned": "completed"}.get(one["status"], one["status"]),
            one["scheduled_at"],
            one["reason"],
            one["total_amount_cents"],
        )
        for one in found
    ]


@pytest.mark.rule("FM-69")
async def test_a_year_happens_as_it_was_forecast(
    api: Api, database_url: str, connection: Connection, store: Store
) -> None:
    frozen = await freeze(api, store, START)
    shirt = await factories.sku(connection, store, price=1900)
    mug = await factories.sku(connection, store, price=850)
    order_id = await factories.full_order(connection, store, [Line(shirt, 2), Line(mug)], placed_at=START)
    # From May to September another price is the lowest.
    await factories.insert(
        connection,
        "prices",
        store,
        sku_id=shirt.id,
        currency_code="EUR",
        amount_cents=1500,
        starts_at=datetime(2026, 5, 1, tzinfo=UTC),
        expires_at=datetime(2026, 9, 1, tzinfo=UTC),
    )
    made = [
        await subscribe(api, order_id, frequency="monthly", timezone="Europe/Amsterdam", price_mode="current"),
        await subscribe(api, order_id, frequency="monthly", timezone="Europe/Amsterdam", price_mode="fixed"),
        # Sundays at 02:30 in Amsterdam, which is left out on 29 March and comes twice on 25 October.
        await subscribe(
            api,
            order_id,
            frequency="weekly",
            timezone="Europe/Amsterdam",
            starts_at=said(START + DAY),
            expires_at=said(START + 300 * DAY),
        ),
        await subscribe(api, order_id, frequency="weekly", timezone="UTC", max_occurrences=9),
        await subscribe(
            api,
            order_id,
            frequency="monthly",
            price_mode="current",
            pricing_phases=[{"occurrences": 4, "percentage": 12.5}, {"occurrences": 2, "amount_cents": 333}],
        ),
        await subscribe(api, order_id, frequency="monthly", pricing_phases=[{"occurrences": None, "percentage": 5}]),
    ]
    await tell(api, "order_subscriptions", made[5]["id"], cancel_at_period_end=True)
    rows = (await api.get(f"order_subscriptions/{made[0]['id']}/occurrences?sort=occurrence_index"))["data"]
    await tell(api, "occurrences", rows[1]["id"], _skip=True)
    await tell(api, "occurrences", rows[2]["id"], scheduled_at=said(datetime(2026, 5, 3, tzinfo=UTC)))
    await tell(api, "order_subscriptions", made[1]["id"], _pause_until=said(datetime(2026, 6, 15, tzinfo=UTC)))
    before = [await forecast(api, one) for one in made[:2]]
    sundays = [await forecast(api, made[2], f"page[size]=20&page[number]={page}") for page in (1, 2, 3)]
    weekly = await forecast(api, made[3], "page[size]=50")
    phases = [await forecast(api, one) for one in made[4:]]
    async with working(database_url):
        await advance(api, frozen, START + 366 * DAY)
    for one, document in zip(made[:2], before, strict=True):
        assert await happened(connection, store, one, 12) == predicted(document)
    assert {one[3] for one in predicted(before[0])} == {"clamped", "asked", "moved", "anchor"}
    assert {one[1] for one in predicted(before[1])} == {"skipped", "completed"}
    assert {one[4] for one in predicted(before[0])} == {None, 2 * 1900 + 850 + 495, 2 * 1500 + 850 + 495}
    days = [one for document in sundays for one in predicted(document)]
    assert await happened(connection, store, made[2], 1000) == days
    assert len(days) == 43
    assert {one[3] for one in days} == {"anchor", "clock_forward", "clock_back"}
    assert "next" in sundays[1]["links"]
    assert "next" not in sundays[2]["links"]
    assert await happened(connection, store, made[3], 1000) == predicted(weekly)
    assert len(weekly["data"]) == 9
    for one, document in zip(made[4:], phases, strict=True):
        assert await happened(connection, store, one, 12) == predicted(document)
    assert [len(document["data"]) for document in phases] == [12, 1]
    off = [one["attributes"]["discount_amount_cents"] for one in phases[0]["data"]]
    # An eighth of 4650, and of 3850 from May on.
    assert off == [-581, -581, -581, -481, -333, -333, *[0] * 6]
    assert await offences(connection, store) == []


async def test_it_tells_lines_prices_and_why_something_could_not_be_had(
    api: Api, connection: Connection, store: Store
) -> None:
    shirt, mug = [await factories.sku(connection, store, price=1000) for _ in range(2)]
    order_id = await factories.full_order(connection, store, [Line(shirt, 2), Line(mug)])
    made = await subscribe(api, order_id, frequency="monthly", price_mode="current")
    await factories.set_price(connection, store, shirt, 1200)
    document = await forecast(api, made, "page[size]=1")
    (one,) = document["data"]
    assert one["id"] == f"{made['id']}:1"
    assert [
        (line["sku_code"], line["quantity"], line["status"], line["code"]) for line in one["attributes"]["lines"]
    ] == [
        (shirt.code, 2, "added", None),
        (mug.code, 1, "added", None),
    ]
    line = one["attributes"]["lines"][0]
    assert (line["previous_unit_amount_cents"], line["current_unit_amount_cents"]) == (1000, 1200)
    assert line["notices"] == ["price_increased"]
    assert one["attributes"]["total_amount_cents"] == 2 * 1200 + 1000 + 495
    assert one["attributes"]["formatted_total_amount"] == "€38.95"
    await connection.execute(
        "update skus set disabled_at = $3 where store_id = $1 and id = $2",
        store.id,
        mug.id,
        datetime(2020, 1, 1, tzinfo=UTC),
    )
    attributes = (await forecast(api, made, "page[size]=1"))["data"][0]["attributes"]
    assert attributes["total_amount_cents"] is None
    assert attributes["errors_log"] == {"line_items": [f"{mug.code} - product_disabled"]}
    assert [line["code"] for line in attributes["lines"]] == [None, "product_disabled"]
    assert await offenders(connection, store) == []


async def test_it_goes_on_by_pages_and_no_further_than_it_can(api: Api, connection: Connection, store: Store) -> None:
    order_id = await factories.full_order(connection, store, [Line(await factories.sku(connection, store))])
    made = await subscribe(api, order_id, frequency="yearly")
    whole = await forecast(api, made, "page[size]=20")
    parts = [await forecast(api, made, query) for query in ("page[size]=10", "page[offset]=10&page[limit]=10")]
    assert [one for part in parts for one in part["data"]] == whole["data"]
    assert (await api.send("GET", parts[0]["links"]["next"].partition("/api/")[2])).json()["data"] == parts[1]["data"]
    last = await forecast(api, made, "page[size]=100&page[number]=10")
    assert len(last["data"]) == 100
    assert "next" not in last["links"]
    for wrong in (
        "page[number]=101",
        "page[size]=101",
        "page[after]=start",
        "sort=status",
        "page[size]=5&page[size]=5",
    ):
        answer = await api.send("GET", f"order_subscriptions/{made['id']}/forecast?{wrong}")
        assert answer.status_code == 400, wrong
        assert answer.json()["errors"][0]["source"]["parameter"] == wrong.partition("=")[0]
    assert (await api.send("POST", f"order_subscriptions/{made['id']}/forecast", {})).status_code == 405


async def test_what_does_not_run_has_nothing_to_come(api: Api, connection: Connection, store: Store) -> None:
    order_id = await factories.full_order(connection, store, [Line(await factories.sku(connection, store))])
    made = await subscribe(api, order_id, frequency="daily")
    for verb in ("_deactivate", "_cancel"):
        await tell(api, "order_subscriptions", made["id"], **{verb: True})
        assert (await forecast(api, made))["data"] == []


async def test_customers_see_the_forecasts_of_their_own(
    api: Api, client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store
) -> None:
    customer_id, other = [await factories.customer(connection, store) for _ in range(2)]
    lines = [Line(await factories.sku(connection, store))]
    made = await subscribe(
        api, await factories.full_order(connection, store, lines, customer_id=customer_id), frequency="daily"
    )
    own = Api(client, await grant(customer_id=customer_id))
    assert len((await forecast(own, made, "page[size]=3"))["data"]) == 3
    url = f"order_subscriptions/{made['id']}/forecast"
    assert (await Api(client, await grant(customer_id=other)).send("GET", url)).status_code == 404
    assert (await Api(client, await grant(scopes=["read_orders"])).send("GET", url)).status_code == 403
    assert (await api.send("GET", "order_subscriptions/nothing/forecast")).status_code == 404
