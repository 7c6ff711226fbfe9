"""Ways to ship and to pay that can be chosen."""

from __future__ import annotations

from service.errors import Invalid
from service.operations.generic.change import Change
from service.rules.states import UNAVAILABLE
from sql import queries

METHODS = queries("catalogue/methods")


async def check_methods(change: Change) -> None:
    """Note ways to ship and to pay that were sent but can't be chosen."""
    names = [name for name in ("shipping_method", "payment_method") if change.sets(f"{name}_id")]
    if not names:
        return
    rows = await change.connection.fetch(
        METHODS["methods"],
        change.store.id,
        change.value("shipping_method_id"),
        change.value("payment_method_id"),
        change.at,
    )
    currency = change.value("currency_code")
    for row in rows:
        name = row["name"]
        if name not in names:
            continue
        pointer = change.draft.pointer(name)
        if row["currency_code"] != currency:
            change.problems.append(
                Invalid(
                    "{name} - is in {currency}, not in {wanted}",
                    name=name,
                    currency=row["currency_code"],
                    wanted=currency,
                    pointer=pointer,
                )
            )
        if row["disabled"]:
            change.problems.append(Invalid("{name} - {message}", name=name, message=UNAVAILABLE, pointer=pointer))
