"""Ways to ship and to pay that can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.errors import Invalid
from service.operations.generic.change import Change
from service.rules.states import UNAVAILABLE
from service.store.statements import Many


class Method(NamedTuple):
    """A way to ship or to pay, by the name of the relationship to it."""

    name: str
    id: str
    currency_code: str
    disabled: bool
    price: int


_METHODS = Many("catalogue/methods.methods", Method)
_NAMES = ("shipping_method", "payment_method")

METHODS = "methods"
"""Under which name a change keeps the ways to ship and to pay that were read with something else."""


async def check_methods(change: Change) -> None:
    """Note ways to ship and to pay that were sent but can't be chosen; those that were read already are at hand."""
    names = [name for name in _NAMES if change.sets(f"{name}_id")]
    if not names:
        return
    chosen: Sequence[Method] | None = change.kept.get(METHODS)
    if chosen is None:
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
        if name not in names or method.id != change.value(f"{name}_id"):
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
