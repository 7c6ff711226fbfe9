"""The gateway of a shop's own: an HTTP endpoint that the shop runs in front of whoever takes its money.

docs/reference/external-gateway.md describes what is asked and answered. Every request is signed as Standard Webhooks
1.0 signs messages, for which receivers have libraries, and names the payment's key, by which the shop does it once.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson
import structlog

from service.gateways import outbound
from service.gateways.circuits import Circuits
from service.gateways.outbound import Limits, NotSent, Silence
from service.gateways.port import Answer, NoAnswer, Payment, Unreachable
from service.gateways.signing import signed

log = structlog.get_logger(part="gateways")

Action = Literal["authorize", "find", "void"]

_LONGEST = 255
"""Characters of a reference or a code that are kept, twice as many of a reason."""


class ExternalGateway:
    """Asks the endpoint that a payment names, within limits. Anything but a proper answer is none."""

    needs_source = True
    asks_nobody = False

    def __init__(self, limits: Limits, circuits: Circuits | None = None) -> None:
        self._limits = limits
        self._circuits = circuits or Circuits()

    async def authorize(self, payment: Payment) -> Answer:
        """Reserve the money. Raises NoAnswer."""
        answer = await self._ask("authorize", payment)
        if answer is None:
            raise NoAnswer
        return answer

    async def find(self, payment: Payment) -> Answer | None:
        """What became of a payment, by its key; None when the gateway never heard of it. Raises NoAnswer."""
        return await self._ask("find", payment)

    async def void(self, payment: Payment) -> None:
        """Let go of the money, and refuse the payment should it still arrive. Raises NoAnswer."""
        answer = await self._ask("void", payment)
        if answer is None or answer.status not in ("declined", "voided"):
            raise NoAnswer

    async def _ask(self, action: Action, payment: Payment) -> Answer | None:
        endpoint = payment.endpoint
        if endpoint is None:
            raise Unreachable
        whom = (endpoint.store_id, endpoint.url)
        if not self._circuits.lets_through(whom):
            raise Unreachable
        body = orjson.dumps(
            {
                "action": action,
                "key": payment.key,
                "order_id": payment.order_id,
                "currency_code": payment.currency_code,
                "amount_cents": payment.amount_cents,
                "source_token": payment.source_token,
                "customer_id": payment.customer_id,
                "customer_payment_source_id": payment.source_id,
                "customer_token": payment.customer_token,
                "save_source": payment.saves_source,
            }
        )
        headers = {"Idempotency-Key": payment.key, **signed([endpoint.secret], f"{payment.key}/{action}", body)}
        try:
            answered = await outbound.post(endpoint.url, body, headers, self._limits)
            answer = _read(answered.status, answered.body)
        except (NotSent, Silence, ValueError) as error:
            self._circuits.failed(whom)
            log.warning("no answer", store_id=endpoint.store_id, action=action, key=payment.key, error=repr(error))
            raise (Unreachable if isinstance(error, NotSent) else NoAnswer) from error
        self._circuits.answered(whom)
        return answer


def _read(status: int, body: bytes) -> Answer | None:
    """What an answer says; None for a payment that it doesn't know. Raises ValueError for one that says nothing."""
    if status != 200:
        raise ValueError(f"status {status}")
    document = orjson.loads(body)
    said = document.get("status") if isinstance(document, dict) else None
    if said == "unknown":
        return None
    if said not in _STATUSES:
        raise ValueError(f"no such answer: {said!r}")
    reference = _text(document, "reference", _LONGEST)
    if said == "declined":
        code = _text(document, "decline_code", _LONGEST) or "declined"
        detail = _text(document, "detail", _LONGEST * 2)
        return Answer(said, reference, code, detail, hard=document.get("hard") is True)
    return Answer(said, reference, source_token=_token(document))


_STATUSES: Final = ("authorized", "declined", "pending", "voided")


def _text(document: dict[str, Any], name: str, longest: int) -> str | None:
    """A text of an answer as it can be kept. What else is there doesn't take from what the answer says."""
    value = document.get(name)
    return value.replace("\0", "")[:longest] or None if isinstance(value, str) else None


def _token(document: dict[str, Any]) -> str | None:
    """The token of an answer to pay with from now on. One that can't be kept whole is none."""
    token = _text(document, "source_token", _LONGEST + 1)
    return token if token and len(token) <= _LONGEST else None
