"""What the service asks of a payment gateway, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from service.texts import Phrase

SECONDS = 12.0
"""How long a gateway has for one answer; it is asked for four at most, within the lease of who asks."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a store's own gateway is asked, and by which secret it knows that it is us."""

    store_id: int
    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Payment:
    """Money to be taken: `key` stands for one payment, however often it is asked for.

    `amount_cents` is in minor units; `source_token` is the gateway's own name of what is paid with, `endpoint` where
    that gateway is, for those that stores have of their own. `customer_id` is who pays, `source_id` what of the wallet
    it is paid with, None for something else, `customer_token` the gateway's own name of the customer. `saves_source`:
    what it is paid with goes into the wallet, so it has to be good for further payments.
    """

    key: str
    currency_code: str
    amount_cents: int
    source_token: str | None = None
    order_id: str | None = None
    endpoint: Endpoint | None = None
    customer_id: str | None = None
    source_id: str | None = None
    customer_token: str | None = None
    saves_source: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway says of a payment.

    `pending`: it doesn't know itself yet. `failed`: it never said, and was told to refuse the payment, or it was never
    reached. `hard`: a decline that asking again later won't change. `source_token` is what to keep in the wallet in
    place of what was paid with, where the gateway has another name for it from now on.
    """

    status: Literal["authorized", "declined", "pending", "failed", "voided"]
    reference: str | None = None
    decline_code: str | None = None
    detail: str | None = None
    hard: bool = False
    source_token: str | None = None


class NoAnswer(Exception):
    """The gateway didn't answer in time, so nobody knows yet whether it did what it was asked."""


class Unreachable(NoAnswer):
    """The gateway wasn't even asked: what it did before, if it was asked before, nobody knows still."""


class Gateway(Protocol):
    """What every gateway does. All three may be asked again for the same payment, and do it once."""

    needs_source: bool
    """Whether a payment has to name what it is paid with."""
    asks_nobody: bool
    """Whether it says yes to everything, so that a run needn't wait for it."""

    async def authorize(self, payment: Payment) -> Answer:
        """Reserve the money. Raises NoAnswer."""

    async def find(self, payment: Payment) -> Answer | None:
        """What became of a payment, by its key; None when the gateway never heard of it. Raises NoAnswer."""

    async def void(self, payment: Payment) -> None:
        """Let go of the money, and refuse the payment should it still arrive. Raises NoAnswer."""


async def settle(gateway: Gateway, payment: Payment, *, again: bool = False, patient: bool = False) -> Answer | None:
    """Get to know whether the money is reserved; None while the gateway doesn't say.

    `again`: somebody has asked before, and didn't live to see the answer, or there was none. A gateway that doesn't
    answer is asked what became of the payment; one that has not heard of it is told to refuse it, so that it can be
    tried anew. `patient`: nobody waits, so that a gateway that doesn't answer is asked for the same payment later.
    """
    try:
        known = await _in_time(gateway.find(payment)) if again else None
        answer: Answer | None = known or await _in_time(gateway.authorize(payment))
    except NoAnswer as error:
        unreached = isinstance(error, Unreachable) and not again and not patient
        answer = _GIVEN_UP if unreached else await _found(gateway, payment, drop=not patient)
    if answer is None or answer.status == "pending":
        return None
    # A payment that it was told to refuse, though it never confirmed that.
    return _GIVEN_UP if answer.status == "voided" else answer


async def _found(gateway: Gateway, payment: Payment, *, drop: bool) -> Answer | None:
    """What became of a payment; one that it never heard of may be dropped."""
    try:
        known = await _in_time(gateway.find(payment))
        if known is None and drop:
            await _in_time(gateway.void(payment))
            known = _GIVEN_UP
    except NoAnswer:
        return None
    return known


_GIVEN_UP = Answer("failed", decline_code="gateway_timeout", detail=Phrase("The gateway did not answer."))


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
