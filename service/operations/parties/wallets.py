"""Customers' wallets."""

from __future__ import annotations

from service.errors import Invalid
from service.operations.generic.change import Change
from service.store.statements import Value

_PAYER = Value("parties/wallets.payer", str)


async def check_wallet(change: Change) -> None:
    """Nobody pays from somebody else's wallet."""
    if not change.sets("customer_payment_source_id", "customer_id"):
        return
    source_id = change.value("customer_payment_source_id")
    if source_id is None:
        return
    payer = await _PAYER(change.connection, store=change.store.id, source=source_id)
    if payer != change.value("customer_id"):
        pointer = change.draft.pointer("customer_payment_source", "customer")
        change.problems.append(Invalid("customer_payment_source - is another customer's", pointer=pointer))
