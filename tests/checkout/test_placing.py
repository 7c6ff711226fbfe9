"""An order is placed: everything is checked, stock is taken, the gateway is asked, and told once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import counted, factories
from tests.checkout.conftest import Ready, events_of, order_row, ordered, placed, placing, ready
from tests.factories import Line
from tests.spec.writing import Api, offenders, pointers, resource, to
from tests.support import Grant


async def attempts(connection: Connection, store: Store, order_id: str) -> list[Any]:
    return await connection.fetch(
        "select * from payment_attempts where store_id = $1 and order_id = $2 order by id", store.id, order_id
    )


def errors(answer: httpx2.Response) -> list[str]:
    return [error["meta"].get("field") or error["meta"]["error"] for error in answer.json()["errors"]]


async def test_an_order_is_placed_with_its_stock_and_its_payment(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    answer = await placed(buyer, order["id"])
    assert answer.status_code == 200, answer.text
    shown = answer.json()["data"]["attributes"]
    assert (shown["status"], shown["payment_status"]) == ("placed", "authorized")
    assert shown["placed_at"] == shown["payment_updated_at"] is not None
    assert await factories.stock(connection, store, cart.shirt) == 8
    (attempt,) = await attempts(connection, store, order["id"])
    assert (attempt["status"], attempt["amount_cents"], attempt["gateway"]) == ("authorized", 5495, "test")
    assert attempt["gateway_reference"].startswith("test_")
    assert await events_of(connection, store, order["id"]) == [
        "orders.create", "orders.pending", "orders.placing", "orders.place",
    ]  # fmt: skip
    assert await offenders(connection, store) == []


async def test_placing_again_changes_nothing(buyer: Api, connection: Connection, store: Store, cart: Ready) -> None:
    order = await ordered(buyer, cart)
    first = await placed(buyer, order["id"])
    again = await placed(buyer, order["id"])
    assert again.status_code == 200
    assert again.json()["data"] == first.json()["data"]
    assert len(await attempts(connection, store, order["id"])) == 1


async def test_twenty_at_once_charge_once(buyer: Api, connection: Connection, store: Store, cart: Ready) -> None:
    order = await ordered(buyer, cart)
    answers = await asyncio.gather(*(placed(buyer, order["id"]) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert any(answer.status_code == 200 for answer in answers)
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["errors"][0]["code"] == "REQUEST_IN_PROGRESS"
            assert answer.headers["retry-after"] == "1"
    assert len(await attempts(connection, store, order["id"])) == 1
    assert await factories.stock(connection, store, cart.shirt) == 8
    assert (await order_row(connection, store, order["id"]))["status"] == "placed"


async def test_the_last_pieces_go_to_one_of_many(api: Api, connection: Connection, store: Store) -> None:
    first = await ready(connection, store, stock=100, quantity=2)
    orders = [await ordered(api, first)]
    for _ in range(5):
        id_ = await factories.cart(
            connection, store, customer_email="x@example.com", shipping_method_id=first.shipping_id,
            payment_method_id=first.payment_id, billing_address_id=await factories.address(connection, store),
            shipping_address_id=await factories.address(connection, store),
        )  # fmt: skip
        await connection.execute(
            "insert into cart_items (store_id, id, cart_id, sku_id, sku_code, name, quantity, currency_code,"
            " unit_amount_cents, total_amount_cents, created_at, updated_at)"
            " values ($1, $2, $3, $4, $5, 'Shirt', 2, 'EUR', 2500, 5000, $6, $6)",
            store.id, clock.new_id(), id_, first.shirt.id, first.shirt.code, clock.now(),
        )  # fmt: skip
        await counted.anew(connection, store)
        answer = await api.send("POST", "orders", resource("orders", None, {"cart": to("carts", id_)}))
        orders.append(answer.json()["data"])
    await connection.execute("update stock_items set quantity = 5 where store_id = $1", store.id)
    answers = await asyncio.gather(*(placed(api, order["id"]) for order in orders))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 422, 422, 422, 422]
    assert await factories.stock(connection, store, first.shirt) == 1
    assert await offenders(connection, store) == []


async def test_a_declined_payment_gives_everything_back(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    answer = await placed(buyer, order["id"], "tok_decline")
    assert answer.status_code == 402
    (error,) = answer.json()["errors"]
    assert error["code"] == "PAYMENT_NOT_APPROVED_FOR_EXECUTION"
    assert error["meta"] == {"error": "card_declined"}
    assert error["source"] == {"pointer": "/data/attributes/_place"}
    assert await factories.stock(connection, store, cart.shirt) == 10
    row = await order_row(connection, store, order["id"])
    assert (row["status"], row["payment_status"], row["placed_at"]) == ("pending", "unpaid", None)
    assert (await placed(buyer, order["id"])).status_code == 200
    kept = await attempts(connection, store, order["id"])
    assert [attempt["status"] for attempt in kept] == ["declined", "authorized"]
    assert kept[0]["key"] != kept[1]["key"]
    assert await factories.stock(connection, store, cart.shirt) == 8
    assert (await events_of(connection, store, order["id"]))[2:] == [
        "orders.placing", "orders.pending", "orders.placing", "orders.place",
    ]  # fmt: skip


async def test_a_gateway_that_never_heard_of_it_is_told_to_drop_it(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    answer = await placed(buyer, order["id"], "tok_timeout")
    assert answer.status_code == 402
    assert answer.json()["errors"][0]["meta"] == {"error": "gateway_timeout"}
    assert await factories.stock(connection, store, cart.shirt) == 10
    (attempt,) = await attempts(connection, store, order["id"])
    assert attempt["status"] == "failed"


async def test_a_gateway_whose_answer_got_lost_is_asked_what_became_of_it(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    assert (await placed(buyer, order["id"], "tok_lost_answer")).status_code == 200
    (attempt,) = await attempts(connection, store, order["id"])
    assert attempt["status"] == "authorized"


async def test_everything_that_is_missing_is_told_at_once(api: Api, connection: Connection, store: Store) -> None:
    shirt = await factories.sku(connection, store, stock=1, name="Shirt")
    order_id = await factories.order(
        connection, store, [Line(shirt, 2)], status="draft", payment_status="unpaid",
        expires_at=clock.now() - timedelta(minutes=1),
    )  # fmt: skip
    answer = await api.send("PATCH", f"orders/{order_id}", placing(order_id))
    assert answer.status_code == 422
    assert sorted(errors(answer)) == [
        "billing_address", "customer_email", "expires_at", "payment_method", "quantity_reduced_stock",
        "shipping_address", "shipping_method",
    ]  # fmt: skip
    assert set(pointers(answer)) == {"/data/attributes/_place"}
    assert await factories.stock(connection, store, shirt) == 1
    assert await attempts(connection, store, order_id) == []


async def test_a_problem_with_a_field_that_was_sent_points_to_it(buyer: Api, cart: Ready) -> None:
    order = await ordered(buyer, cart)
    document = placing(order["id"])
    document["data"]["relationships"] = {"billing_address": to("addresses", None)}
    answer = await buyer.send("PATCH", f"orders/{order['id']}", document)
    assert answer.status_code == 422
    assert sorted(zip(errors(answer), pointers(answer), strict=True)) == [
        ("billing_address", "/data/relationships/billing_address/data"),
        ("customer_payment_source", "/data/attributes/_place"),
    ]
    kept = await buyer.get(f"orders/{order['id']}")
    assert kept["data"]["relationships"]["billing_address"]["data"] is not None


async def test_fields_and_trigger_work_together(buyer: Api, cart: Ready) -> None:
    order = await ordered(buyer, cart)
    document = placing(order["id"], _payment_source_token="tok_approve", customer_email="new@example.com")
    shown = (await buyer.send("PATCH", f"orders/{order['id']}", document)).json()["data"]["attributes"]
    assert (shown["status"], shown["customer_email"]) == ("placed", "new@example.com")


async def test_methods_that_are_gone_and_foreign_gateways_are_refused(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    await connection.execute("update shipping_methods set disabled_at = $2 where store_id = $1", store.id, clock.now())
    await connection.execute("update payment_methods set gateway = 'external' where store_id = $1", store.id)
    answer = await placed(buyer, order["id"])
    assert errors(answer) == ["shipping_method", "payment_method"]


async def test_a_live_store_takes_no_test_payments(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    await connection.execute("update stores set mode = 'live' where store_id = $1", store.id)
    assert errors(await placed(buyer, order["id"])) == ["payment_method"]


async def test_prices_that_changed_are_told_and_taken_over_when_asked(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    await factories.set_price(connection, store, cart.shirt, 2750)
    answer = await placed(buyer, order["id"])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["meta"]["unit_amount_cents"] == 2750
    assert await factories.stock(connection, store, cart.shirt) == 10
    fresh = await buyer.update("orders", order["id"], {"_refresh_prices": True})
    shown = fresh.json()["data"]["attributes"]
    assert (shown["subtotal_amount_cents"], shown["total_amount_cents"]) == (5500, 5995)
    assert shown["subtotal_tax_amount_cents"] == 955
    assert (await placed(buyer, order["id"])).status_code == 200
    assert await offenders(connection, store) == []


async def test_orders_that_are_of_no_cart_keep_the_prices_agreed_on(
    api: Api, connection: Connection, store: Store
) -> None:
    shirt = await factories.sku(connection, store, price=None, stock=5)
    order_id = await factories.full_order(
        connection, store, [Line(shirt, 2, 1200)], status="pending", payment_status="unpaid"
    )
    assert (await api.update("orders", order_id, {"_refresh_prices": True})).status_code == 409
    answer = await api.send("PATCH", f"orders/{order_id}", placing(order_id))
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["attributes"]["total_amount_cents"] == 2895


async def test_taxes_on_top_are_paid_too(api: Api, connection: Connection, store: Store) -> None:
    await connection.execute("update stores set prices_include_tax = false where store_id = $1", store.id)
    cart = await ready(connection, store, tax_included=False)
    order = await ordered(api, cart)
    assert (await placed(api, order["id"])).status_code == 200
    (attempt,) = await attempts(connection, store, order["id"])
    assert attempt["amount_cents"] == 5495 + 1050


async def test_what_costs_nothing_asks_no_gateway(api: Api, connection: Connection, store: Store) -> None:
    cart = await ready(connection, store)
    await factories.set_price(connection, store, cart.shirt, 0)
    await connection.execute("update shipping_methods set price_amount_cents = 0 where store_id = $1", store.id)
    order = await ordered(api, cart)
    answer = await api.send("PATCH", f"orders/{order['id']}", placing(order["id"]))
    shown = answer.json()["data"]["attributes"]
    assert (shown["status"], shown["payment_status"]) == ("placed", "free")
    assert await attempts(connection, store, order["id"]) == []


async def test_nobody_else_pays_from_the_wallet(
    client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    customer_id = await factories.customer(connection, store)
    source = await factories.payment_source(connection, store, customer_id, gateway="test")
    cart = await ready(connection, store, customer_id=customer_id, customer_payment_source_id=source)
    guest = Api(client, cart.guest)
    order = await ordered(guest, cart)
    assert order["relationships"]["customer_payment_source"]["data"] is None
    await connection.execute("update orders set customer_payment_source_id = $2 where store_id = $1", store.id, source)
    assert errors(await placed(guest, order["id"])) == ["customer_payment_source"]


async def test_if_match_and_a_key_hold_for_placing(buyer: Api, cart: Ready) -> None:
    order = await ordered(buyer, cart)
    stale = await placed(buyer, order["id"], **{"If-Match": '"99-x"'})
    assert stale.status_code == 412
    version = order["meta"]["version"]
    headers = {"If-Match": f'"{version}-x"', "Idempotency-Key": "place-once"}
    first = await placed(buyer, order["id"], **headers)
    again = await placed(buyer, order["id"], **headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    other = await placed(buyer, order["id"], "tok_decline", **headers)
    assert other.json()["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_the_key_of_a_declined_payment_is_free_again(buyer: Api, cart: Ready) -> None:
    order = await ordered(buyer, cart)
    key = {"Idempotency-Key": "pay"}
    assert (await placed(buyer, order["id"], "tok_decline", **key)).status_code == 402
    assert (await placed(buyer, order["id"], "tok_approve", **key)).status_code == 200


@pytest.mark.parametrize(
    ("attributes", "status"),
    [({"_place": True, "_cancel": True}, 422), ({"_payment_source_token": "x"}, 422), ({"_place": False}, 200)],
)
async def test_triggers_that_make_no_sense(buyer: Api, cart: Ready, attributes: dict[str, Any], status: int) -> None:
    order = await ordered(buyer, cart)
    answer = await buyer.update("orders", order["id"], attributes)
    assert answer.status_code == status
    assert (await buyer.get(f"orders/{order['id']}"))["data"]["attributes"]["status"] == "pending"


# --- cancelling and approving ------------------------------------------------------------------------------------


async def test_cancelling_gives_the_stock_back_and_voids_the_payment(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    await placed(buyer, order["id"])
    answer = await buyer.update("orders", order["id"], {"_cancel": True})
    shown = answer.json()["data"]["attributes"]
    assert (shown["status"], shown["payment_status"]) == ("cancelled", "voided")
    assert shown["cancelled_at"] is not None
    assert await factories.stock(connection, store, cart.shirt) == 10
    (attempt,) = await attempts(connection, store, order["id"])
    assert attempt["status"] == "voided"
    assert (await events_of(connection, store, order["id"]))[-2:] == ["orders.cancel", "orders.void"]
    again = await buyer.update("orders", order["id"], {"_cancel": True})
    assert again.status_code == 200
    assert await factories.stock(connection, store, cart.shirt) == 10
    assert (await placed(buyer, order["id"])).status_code == 409
    assert await offenders(connection, store) == []


async def test_cancelling_what_was_not_placed_touches_no_stock(
    buyer: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    answer = await buyer.update("orders", order["id"], {"_cancel": True})
    shown = answer.json()["data"]["attributes"]
    assert (shown["status"], shown["payment_status"]) == ("cancelled", "unpaid")
    assert await factories.stock(connection, store, cart.shirt) == 10


async def test_twenty_cancel_at_once_and_the_stock_goes_back_once(
    api: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(api, cart)
    await placed(api, order["id"])
    answers = await asyncio.gather(*(api.update("orders", order["id"], {"_cancel": True}) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert await factories.stock(connection, store, cart.shirt) == 10


async def test_approved_orders_are_cancelled_by_the_shop_only(
    buyer: Api, api: Api, connection: Connection, store: Store, cart: Ready
) -> None:
    order = await ordered(buyer, cart)
    assert (await api.update("orders", order["id"], {"_approve": True})).status_code == 409
    await placed(buyer, order["id"])
    assert (await buyer.update("orders", order["id"], {"_approve": True})).status_code == 403
    answer = await api.update("orders", order["id"], {"_approve": True})
    shown = answer.json()["data"]["attributes"]
    assert (shown["status"], shown["approved_at"] is not None) == ("approved", True)
    assert (await api.update("orders", order["id"], {"_approve": True})).status_code == 200
    assert (await events_of(connection, store, order["id"])).count("orders.approve") == 1
    assert (await buyer.update("orders", order["id"], {"_cancel": True})).status_code == 403
    assert (await api.update("orders", order["id"], {"_cancel": True})).status_code == 200


async def test_an_order_without_a_gateways_payment_is_cancelled_too(
    grant: Grant, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    shirt = await factories.sku(connection, store, stock=5)
    customer_id = await factories.customer(connection, store)
    order_id = await factories.full_order(connection, store, [Line(shirt, 2)], customer_id=customer_id)
    await connection.execute("update line_items set stock_taken = quantity where store_id = $1", store.id)
    buyer = Api(client, await grant(customer_id=customer_id))
    shown = (await buyer.update("orders", order_id, {"_cancel": True})).json()["data"]["attributes"]
    assert (shown["status"], shown["payment_status"]) == ("cancelled", "voided")
    assert await factories.stock(connection, store, shirt) == 7
