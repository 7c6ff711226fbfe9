"""What a customer can choose for a subscription by a link: an address and a source of payment, masked; how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from service.operations.subscriptions import overviews
from service.principal import Principal
from service.rules import masks
from service.store.pool import Connection
from service.store.statements import Many, One

_MOST: Final = 10
"""How many there are to choose from, the latest first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several, and whether it is what the subscription has."""

    id: str
    label: str
    chosen: bool


class _Address(NamedTuple):
    id: str
    first_name: str | None
    last_name: str | None
    company: str | None
    line_1: str
    zip_code: str | None
    chosen: bool


class _Card(NamedTuple):
    id: str
    name: str | None
    method: str | None
    chosen: bool


class _Offered(NamedTuple):
    frequencies: list[str] | None


_FREQUENCIES = One("subscriptions/choices.frequencies", _Offered)
_ADDRESSES = Many("subscriptions/choices.addresses", _Address)
_CARDS = Many("subscriptions/choices.cards", _Card)


async def addresses(connection: Connection, principal: Principal, subscription_id: str) -> Sequence[Choice]:
    """Return where a customer can have a subscription sent."""
    store, customer = principal.store.id, principal.customer_id
    rows = await _ADDRESSES(connection, store=store, customer=customer, subscription=subscription_id, most=_MOST)
    return [
        Choice(
            row.id,
            masks.address(
                first_name=row.first_name,
                last_name=row.last_name,
                company=row.company,
                line_1=row.line_1,
                zip_code=row.zip_code,
            ),
            row.chosen,
        )
        for row in rows
    ]


async def cards(connection: Connection, principal: Principal, subscription_id: str) -> Sequence[Choice]:
    """Return what a customer can have a subscription paid with."""
    store, customer = principal.store.id, principal.customer_id
    rows = await _CARDS(connection, store=store, customer=customer, subscription=subscription_id, most=_MOST)
    return [Choice(row.id, masks.source(row.name, row.method), row.chosen) for row in rows]


async def paid_with(connection: Connection, principal: Principal, subscription_id: str) -> str | None:
    """Return what a customer's subscription is paid with from the wallet, masked; None for nothing there."""
    found = await cards(connection, principal, subscription_id)
    return next((card.label for card in found if card.chosen), None)


async def frequencies(connection: Connection, principal: Principal, subscription_id: str) -> Sequence[str] | None:
    """Return how often a customer can have a subscription come: what its model offers; None without one: any."""
    store, customer = principal.store.id, principal.customer_id
    found = await _FREQUENCIES(connection, store=store, customer=customer, subscription=subscription_id)
    return None if found is None else found.frequencies


async def send_to(connection: Connection, principal: Principal, subscription_id: str, address_id: str) -> None:
    """Have a subscription sent to an address of its customer. Raises as the API's write does."""
    await overviews.change(connection, principal, subscription_id, {"shipping_address_id": address_id})


async def pay_with(connection: Connection, principal: Principal, subscription_id: str, source_id: str) -> None:
    """Have a subscription paid with a source in its customer's wallet. Raises as the API's write does."""
    await overviews.change(connection, principal, subscription_id, {"customer_payment_source_id": source_id})
