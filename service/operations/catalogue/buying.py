"""Whether what somebody is about to buy can be had as it is: today's catalogue against the lines of a cart or order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from service.errors import ApiError, Invalid
from service.operations.catalogue import pricing
from service.principal import Store
from service.rules.outcome_texts import phrase
from service.rules.outcomes import CatalogueItem, Outcome, Policy, Price, SourceLine, decide
from service.store.pool import Connection

_ANY = Price(1, 0)
"""Stands in for the prices of a product whose line brings its own."""


async def today(
    connection: Connection,
    store: Store,
    lines: Sequence[SourceLine],
    *,
    currency: str,
    customer_group_id: str | None,
    at: datetime,
    priced: bool = False,
) -> list[Outcome]:
    """What each line would come to if it were bought now, in their order; one statement.

    `priced` says that the lines bring prices and quantities that were agreed on, which today's don't bind.
    """
    found = await pricing.catalogue(
        connection,
        store,
        (line.sku_id for line in lines if line.sku_id is not None),
        currency=currency,
        customer_group_id=customer_group_id,
        at=at,
    )
    offered: Mapping[str, CatalogueItem] = {
        # Whether it may come along when an order is repeated doesn't matter to who buys it.
        id_: replace(item, reorderable=True, prices=[_ANY] if priced else item.prices)
        for id_, item in found.items()
    }
    return decide(lines, offered, {}, Policy(stock="partial", limits=not priced, merge=False))


def check(outcomes: Sequence[Outcome], pointer: str, kind: str) -> list[ApiError]:
    """A problem for each line that can't be bought as it is; `kind` names what the lines are (`line_item`)."""
    return [
        Invalid(
            "{name}: {reason}",
            name=outcome.line.name,
            reason=reason,
            pointer=pointer,
            meta={"error": outcome.code, f"{kind}_id": outcome.line.id, "sku_code": outcome.line.sku_code},
        )
        for outcome in outcomes
        if (reason := phrase(outcome)) is not None
    ]
