"""What the service asks of a payment gateway, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from service.translations import Phrase

SECONDS = 12.0
"""How long a gateway has for one answer; it is asked for four at most, within the lease of who asks."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Payment:
    """Money to be taken: `key` stands for one payment, however often it is asked for.

    `amount_cents` is in minor units; `source_token` is the gateway's own name of what is paid with.
    """

    key: str
    currency_code: str
    amount_cents: int
    source_token: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway says of a payment. `failed`: it never said, and was told to refuse the payment."""

    status: Literal["authorized", "declined", "failed", "voided"]
    reference: str | None = None
    decline_code: str | None = None
    detail: str | None = None


class NoAnswer(Exception):
    """The gateway didn't answer in time, so nobody knows yet whether it did what it was asked."""


class Gateway(Protocol):
    """What every gateway does. All three may be asked again for the same payment, and do it once."""

    needs_source: bool
    """Whether a payment has to name what it is paid with."""

    async def authorize(self, payment: Payment) -> Answer:
        """Reserve the money. Raises NoAnswer."""

    async def find(self, payment: Payment) -> Answer | None:
        """What became of a payment, by its key; None when the gateway never heard of it. Raises NoAnswer."""

    async def void(self, payment: Payment) -> None:
        """Let go of the money, and refuse the payment should it still arrive. Raises NoAnswer."""


async def settle(gateway: Gateway, payment: Payment, *, again: bool = False) -> Answer | None:
    """Get to know whether the money is reserved; None while the gateway doesn't say.

    `again`: somebody has asked before, and didn't live to see the answer. A gateway that doesn't answer is asked what
    became of the payment; one that has not heard of it is told to refuse it, so that it can be tried anew.
    """
    try:
        known = await _in_time(gateway.find(payment)) if again else None
        return known or await _in_time(gateway.authorize(payment))
    except NoAnswer:
        pass
    try:
        known = await _in_time(gateway.find(payment))
        if known is None:
            await _in_time(gateway.void(payment))
    except NoAnswer:
        return None
    return known or Answer("failed", decline_code="gateway_timeout", detail=Phrase("The gateway did not answer."))


async def release(gateway: Gateway, payment: Payment) -> bool:
    """Let go of the money; False while the gateway doesn't confirm that."""
    try:
        await _in_time(gateway.void(payment))
    except NoAnswer:
        return False
    return True


async def _in_time(answer: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(SECONDS):
            return await answer
    except TimeoutError:
        raise NoAnswer from None
