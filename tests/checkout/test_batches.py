"""Atomic Operations of guests, and what takes a request of its own."""

from __future__ import annotations

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests.checkout.conftest import Ready, ready
from tests.pages import digest
from tests.spec.operating import Batches, add, update
from tests.spec.writing import pointers, to


@pytest.fixture
async def cart(connection: Connection, store: Store) -> Ready:
    """The cart of a guest."""
    return await ready(connection, store)


@pytest.fixture
def guest(client: httpx2.AsyncClient, cart: Ready) -> Batches:
    return Batches(client, cart.guest)


async def test_a_guest_changes_the_cart_and_orders_it_in_one_go(guest: Batches, cart: Ready) -> None:
    changed, order = await guest.results(
        update("carts", {"customer_email": "new@example.com"}, id=cart.id),
        add("orders", None, {"cart": to("carts", cart.id)}),
    )
    assert changed["attributes"]["customer_email"] == order["attributes"]["customer_email"] == "new@example.com"
    assert (changed["attributes"]["status"], order["attributes"]["status"]) == ("converted", "pending")


async def test_a_guest_changes_nothing_else(guest: Batches, connection: Connection, store: Store, cart: Ready) -> None:
    other = await ready(connection, store)
    before = await digest(connection, store)
    foreign = await guest.run(
        update("carts", {"customer_email": "new@example.com"}, id=cart.id),
        update("carts", {"customer_email": "new@example.com"}, id=other.id),
    )
    assert (foreign.status_code, pointers(foreign)) == (404, ["/atomic:operations/1"])
    refused = await guest.run(add("tags", {"name": "a"}))
    assert refused.status_code == 403
    assert await digest(connection, store) == before


@pytest.mark.parametrize("trigger", ["_place", "_cancel"])
async def test_what_takes_several_transactions_is_refused(
    guest: Batches, connection: Connection, store: Store, cart: Ready, trigger: str
) -> None:
    (order,) = await guest.results(add("orders", None, {"cart": to("carts", cart.id)}))
    before = await digest(connection, store)
    refused = await guest.run(update("orders", {trigger: True}, id=order["id"]))
    assert refused.status_code == 422
    assert pointers(refused) == [f"/atomic:operations/0/data/attributes/{trigger}"]
    assert "takes a request of its own" in refused.json()["errors"][0]["detail"]
    assert await digest(connection, store) == before


async def test_so_is_a_guess_at_what_a_links_customer_knows(
    guest: Batches, connection: Connection, store: Store, cart: Ready
) -> None:
    sent = add("orders", {"_repeat_link_factor": "3511 AA"}, {"cart": to("carts", cart.id)})
    refused = await guest.run(sent)
    assert refused.status_code == 422
    assert pointers(refused) == ["/atomic:operations/0/data/attributes/_repeat_link_factor"]
    assert await connection.fetchval("select status from carts where store_id = $1", store.id) == "active"
