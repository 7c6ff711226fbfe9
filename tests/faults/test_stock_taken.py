"""What was taken out of the stock for an order goes back: exactly that, and once."""

from __future__ import annotations

import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.checkout.conftest import ordered, placed, ready
from tests.factories import Line
from tests.jobs.steps import ask, bearer, make
from tests.spec.writing import Api

pytestmark = pytest.mark.rule("FM-94")

TRACK = "update skus set do_not_track = $2 where store_id = $1"
UNTRACKED = "update skus set do_not_track = true where store_id = $1"


@pytest.mark.parametrize("tracked", [True, False])
async def test_cancelling_returns_what_was_taken_whatever_is_tracked_by_then(
    *, api: Api, connection: Connection, store: Store, tracked: bool
) -> None:
    cart = await ready(connection, store, stock=5)
    await connection.execute(TRACK, store.id, not tracked)
    order = await ordered(api, cart)
    assert (await placed(api, order["id"])).status_code == 200
    assert await factories.stock(connection, store, cart.shirt) == (3 if tracked else 5)
    await connection.execute(TRACK, store.id, tracked)
    assert (await api.update("orders", order["id"], {"_cancel": True})).status_code == 200
    assert await factories.stock(connection, store, cart.shirt) == 5


async def test_an_order_that_was_put_in_without_taking_stock_returns_none(
    api: Api, connection: Connection, store: Store
) -> None:
    shirt = await factories.sku(connection, store, stock=5)
    order_id = await factories.full_order(connection, store, [Line(shirt, 2)])
    assert (await api.update("orders", order_id, {"_cancel": True})).status_code == 200
    assert await factories.stock(connection, store, shirt) == 5


async def test_a_declined_payment_gives_back_once_and_the_next_try_takes_again(
    api: Api, connection: Connection, store: Store
) -> None:
    cart = await ready(connection, store, stock=5)
    order = await ordered(api, cart)
    for _ in range(2):
        assert (await placed(api, order["id"], "tok_decline")).status_code == 402
        assert await factories.stock(connection, store, cart.shirt) == 5
    assert (await placed(api, order["id"])).status_code == 200
    assert await factories.stock(connection, store, cart.shirt) == 3


async def test_copies_remember_what_they_took_too(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    shirt = await factories.sku(connection, store, stock=5)
    order_id = await factories.full_order(connection, store, [Line(shirt, 2)])
    subscription_id = await factories.subscription(connection, store, order_id)
    copy_id = await ask(database, bearer(store), order_id, subscription_id, place_target_order=True)
    target_id = await make(database, store, copy_id)
    assert await factories.stock(connection, store, shirt) == 3
    await connection.execute(UNTRACKED, store.id)
    assert (await api.update("orders", target_id, {"_cancel": True})).status_code == 200
    assert await factories.stock(connection, store, shirt) == 5
