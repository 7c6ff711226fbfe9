"""Instants that are no dates of a shop: refused wherever they are sent, and nobody else's trouble where they are."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from marshmallow import ValidationError

import schemas  # noqa: F401 -- declares the graph
from schemas.graph import graph
from schemas.kinds import Timestamp
from service import clock
from service.jobs.sweep import sweep_store
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.faults.playing import Shop, on
from tests.jobs.playing import freeze, said
from tests.jobs.steps import names_of
from tests.spec.writing import Api, pointers, resource, to

ODD = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z")

WRITTEN = [
    (type_, name)
    for type_ in sorted(graph)
    for name, kind in graph[type_].attributes.items()
    if isinstance(kind, Timestamp) and kind.write
]


@pytest.mark.rule("FM-113")
@pytest.mark.parametrize(("type_", "name"), WRITTEN)
def test_every_instant_that_is_sent_is_one_of_1970_to_9999(type_: str, name: str) -> None:
    for odd in ODD:
        with pytest.raises(ValidationError, match="from 1970 to 9999"):
            graph[type_].attributes[name].deserialize(odd)
    for fine in ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"):
        assert said(graph[type_].attributes[name].deserialize(fine)) == fine.replace("00Z", "00.000Z")


@pytest.mark.rule("FM-113")
@pytest.mark.parametrize("odd", ODD)
async def test_the_zero_time_of_others_is_refused(api: Api, connection: Connection, store: Store, odd: str) -> None:
    order_id = await factories.full_order(connection, store, [])
    subscription_id = await factories.subscription(connection, store, order_id)
    for attributes in ({"expires_at": odd}, {"_pause_until": odd}, {"next_run_at": odd}, {"anchor_at": odd}):
        refused = await api.update("order_subscriptions", subscription_id, attributes)
        assert (refused.status_code, pointers(refused)) == (422, [f"/data/attributes/{next(iter(attributes))}"])
    document = resource("test_clocks", {"frozen_at": odd})
    assert (await api.send("POST", "test_clocks", document)).status_code == 422


@pytest.mark.rule("FM-113")
async def test_a_date_that_would_pass_the_end_of_time_is_refused(
    api: Api, connection: Connection, store: Store
) -> None:
    await freeze(api, store, on("9997-06-01 09:00"))
    sku = await factories.sku(connection, store, price=1900, stock=100)
    order_id = await factories.full_order(connection, store, [factories.Line(sku)], placed_at=on("9997-06-01 09:00"))

    def subscription(frequency: str) -> Any:
        return resource("order_subscriptions", {"frequency": frequency}, {"source_order": to("orders", order_id)})

    refused = await api.send("POST", "order_subscriptions", subscription("yearly"))
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/frequency"])
    taken = await api.send("POST", "order_subscriptions", subscription("monthly"))
    assert taken.status_code == 201, taken.text
    id_ = taken.json()["data"]["id"]
    refused = await api.update("order_subscriptions", id_, {"frequency": "yearly"})
    assert (refused.status_code, pointers(refused)) == (422, ["/data/attributes/frequency"])
    assert (await api.get(f"order_subscriptions/{id_}/forecast?page[size]=50"))["data"]
    for attributes in ({"_pause_until": said(on("9999-12-31 23:00"))}, {"next_run_at": said(on("9999-12-31 23:00"))}):
        assert (await api.update("order_subscriptions", id_, attributes)).status_code == 422


@pytest.mark.rule("FM-113")
async def test_time_goes_on_until_its_end(api: Api, database: Database, connection: Connection, store: Store) -> None:
    shop = await Shop.open(api, database, connection, store, "9999-12-20 09:00")
    id_ = await shop.subscribe("9999-12-20 09:00", frequency="daily")
    await shop.wait_until("9999-12-31 12:00")
    assert len(await shop.ordered(id_)) >= 7  # until three dates are no longer to be had
    assert (await api.get(f"test_clocks/{shop.clock_id}"))["data"]["attributes"]["status"] == "ready"


@pytest.mark.rule("FM-113")
async def test_the_trouble_of_one_subscription_is_not_that_of_others(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    shop = await Shop.open(api, database, connection, store, "2026-01-31 09:00")
    poisoned, healthy = [await shop.subscribe("2026-01-31 09:00", frequency="daily") for _ in range(2)]
    wallets = await shop.subscribe("2026-01-31 09:00", frequency="daily")
    customer_id = await connection.fetchval(
        "select customer_id from order_subscriptions where store_id = $1 and id = $2", store.id, wallets
    )
    wallet = await factories.payment_source(connection, store, customer_id)
    await connection.execute(
        "update order_subscriptions set expires_at = '-infinity', starts_at = null where store_id = $1 and id = $2",
        store.id, poisoned,
    )  # fmt: skip
    await connection.execute(
        "update order_subscriptions set customer_payment_source_id = $3 where store_id = $1 and id = $2",
        store.id, wallets, wallet,
    )  # fmt: skip
    await connection.execute(
        "update customer_payment_sources set expires_at = '0001-01-01T00:00:00Z' where store_id = $1 and id = $2",
        store.id, wallet,
    )  # fmt: skip
    await shop.wait_until("2026-02-01 08:30")
    assert "order_subscriptions.renewal" in await names_of(connection, store, healthy)
    await shop.wait_until("2026-02-02 12:00")
    assert await shop.ordered(healthy) == ["2026-02-01 09:00", "2026-02-02 09:00"]
    assert (await shop.look(poisoned))["parked_at"] is not None
    assert (await shop.look(wallets))["errors_count"] == 2
    assert await sweep_store(database, store.id) == 0
    assert clock.now() > on("2026-01-01 00:00")


@pytest.mark.rule("FM-113")
async def test_one_that_the_database_refuses_is_parked_and_the_others_of_its_batch_run(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    shop = await Shop.open(api, database, connection, store, "2026-01-31 09:00")
    first, refused, last = [await shop.subscribe("2026-01-31 09:00", frequency="daily") for _ in range(3)]
    await connection.execute(
        # Occurrences are counted further than a number of the database goes.
        "update order_subscriptions set next_index = $3, anchor_index = $4 where store_id = $1 and id = $2",
        store.id, refused, 2**63 - 2, 2**63 - 3,
    )  # fmt: skip
    await shop.wait_until("2026-02-02 12:00")
    for healthy in (first, last):
        assert await shop.ordered(healthy) == ["2026-02-01 09:00", "2026-02-02 09:00"]
    parked = await shop.look(refused)
    assert (parked["parked_at"], parked["next_run_at"]) == (said(on("2026-02-01 09:00")), None)
    assert parked["parked_reason"] == "its next run can't be written"
    assert (await names_of(connection, store, refused))[-1] == "order_subscriptions.park"
    assert await shop.ordered(refused) == []
    assert await sweep_store(database, store.id) == 0


@pytest.mark.rule("FM-113")
async def test_one_that_can_not_be_announced_keeps_no_other_from_it(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    shop = await Shop.open(api, database, connection, store, "2026-01-31 09:00")
    first, refused, last = [await shop.subscribe("2026-01-31 09:00", renewal_alert_period=72) for _ in range(3)]
    await connection.execute(
        "update occurrences set version = $3 where store_id = $1 and order_subscription_id = $2",
        store.id, refused, 2**63 - 1,
    )  # fmt: skip
    await shop.wait_until("2026-02-27 12:00")
    for healthy in (first, last):
        assert "order_subscriptions.renewal" in await names_of(connection, store, healthy)
    assert "order_subscriptions.renewal" not in await names_of(connection, store, refused)
    looked = "select next_alert_at from order_subscriptions where store_id = $1 and id = $2"
    assert await connection.fetchval(looked, store.id, refused) > on("2026-02-27 12:00"), "it is looked at later"


@pytest.mark.rule("FM-113")
@pytest.mark.parametrize("odd", [*ODD, "9999-12-31T23:59:59-14:00"])
async def test_filters_take_the_same_instants(api: Api, odd: str) -> None:
    for parameter in ("filter[placed_at][gteq]", "filter[q][updated_at_lt]", "filter[customer.created_at]"):
        refused = await api.send("GET", f"orders?{urlencode({parameter: odd})}")
        assert refused.status_code == 400
        (error,) = refused.json()["errors"]
        assert (error["code"], error["source"]) == ("INVALID_FILTER_VALUE", {"parameter": parameter})
        assert "from 1970 to 9999" in error["detail"]
