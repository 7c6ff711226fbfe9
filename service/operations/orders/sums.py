"""What an order comes to, until it is placed."""

from __future__ import annotations

from typing import Any

from service import clock
from service.errors import Invalid
from service.operations.events import outbox
from service.principal import Store
from service.rules.states import OPEN_ORDERS, resting
from service.rules.totals import MAX_CENTS
from service.store.pool import Connection
from sql import queries

ORDERS = queries("orders/orders")


async def recalculate(connection: Connection, store: Store, order_id: str, *, actor: str) -> None:
    """Bring the amounts and the resting status of an order that was not placed up to date; it is locked by the caller.

    Raises Invalid when an amount is larger than can be kept, or the total less than zero.
    """
    row = await connection.fetchrow(ORDERS["order_sums"], store.id, order_id)
    if row is None or row["status"] not in OPEN_ORDERS:
        return
    status = resting(has_customer=bool(row["customer_id"] or row["customer_email"]), has_lines=bool(row["line_number"]))
    amounts = {
        "subtotal_amount_cents": int(row["subtotal"]),
        "shipping_amount_cents": row["shipping_price_cents"] if row["ships"] else 0,
        "payment_method_amount_cents": row["payment_price_cents"],
        "adjustment_amount_cents": int(row["adjustment"]),
        "subtotal_tax_amount_cents": int(row["tax"]),
        "total_tax_amount_cents": int(row["tax"]) + row["shipping_tax_amount_cents"],
    }
    added = ("subtotal", "shipping", "payment_method", "adjustment")
    kept = row["discount_amount_cents"] + row["gift_card_amount_cents"]
    amounts["total_amount_cents"] = sum(amounts[f"{name}_amount_cents"] for name in added) + kept
    if any(abs(amount) > MAX_CENTS for amount in amounts.values()):
        raise Invalid("An amount of the order would be too large to be stored.")
    if amounts["total_amount_cents"] < 0 or amounts["total_tax_amount_cents"] < 0:
        raise Invalid("The total of the order would be less than zero.")
    fulfillment = "unfulfilled" if row["ships"] or not row["line_number"] else "not_required"
    wanted: dict[str, Any] = {"status": status, "fulfillment_status": fulfillment, **amounts}
    if any(row[column] != value for column, value in wanted.items()):
        await connection.execute(ORDERS["save_order_sums"], store.id, order_id, *wanted.values(), clock.now(store))
        if row["status"] != status:
            await outbox.record(connection, store, f"orders.{status}", order_id, actor=actor)
