"""Ways to ship and to pay that can be chosen."""

from __future__ import annotations

from typing import NamedTuple

from service.errors import Invalid
from service.operations.generic.change import Change
from service.rules.states import UNAVAILABLE
from service.store.statements import Many


class Method(NamedTuple):
    """A way to ship or to pay, by the name of the relationship to it."""

    name: str
    currency_code: str
    disabled: bool


_METHODS = Many("catalogue/methods.methods", Method)


async def check_methods(change: Change) -> None:
    """Note ways to ship and to pay that were sent but can't be chosen."""
    names = [name for name in ("shipping_method", "payment_method") if change.sets(f"{name}_id")]
    if not names:
        return
    chosen = await _METHODS(
        change.connection,
        store=change.store.id,
        shipping_method=change.value("shipping_method_id"),
        payment_method=change.value("payment_method_id"),
        at=change.at,
    )
    currency = change.value("currency_code")
    for method in chosen:
        name = method.name
        if name not in names:
            continue
        pointer = change.draft.pointer(name)
        if method.currency_code != currency:
            change.problems.append(
                Invalid(
                    "{name} - is in {currency}, not in {wanted}",
                    name=name,
                    currency=method.currency_code,
                    wanted=currency,
                    pointer=pointer,
                )
            )
        if method.disabled:
            change.problems.append(Invalid("{name} - {message}", name=name, message=UNAVAILABLE, pointer=pointer))
