"""The gateway of stores in test mode: what it answers is told by the source that is paid with.

It remembers nothing, and needn't: what becomes of a payment follows from its key and its source, so that the same
payment, asked for again by another process, is the same one.
"""

from __future__ import annotations

import hashlib

from service.gateways.port import Answer, NoAnswer, Payment
from service.texts import Phrase

APPROVES = "tok_approve"
DECLINES = "tok_decline"
DECLINES_FOR_GOOD = "tok_decline_hard"
TIMES_OUT = "tok_timeout"
"""Never answers, and never took the payment."""
LOSES_ITS_ANSWER = "tok_lost_answer"
"""Never answers, but did take the payment."""

ANSWERS = frozenset({APPROVES, DECLINES, DECLINES_FOR_GOOD, TIMES_OUT, LOSES_ITS_ANSWER})
"""The tokens that anybody may pay with, each of which stands for an answer."""


class TestGateway:
    """Approves any source but those that stand for something else."""

    __test__ = False
    needs_source = True
    asks_nobody = False

    async def authorize(self, payment: Payment) -> Answer:
        """Approve, decline, or not answer. Raises NoAnswer."""
        if payment.source_token in (TIMES_OUT, LOSES_ITS_ANSWER):
            raise NoAnswer
        return self._decided(payment)

    async def find(self, payment: Payment) -> Answer | None:
        """What became of a payment; one that timed out never arrived."""
        return None if payment.source_token == TIMES_OUT else self._decided(payment)

    async def void(self, payment: Payment) -> None:
        """There is no money to let go of."""

    def _decided(self, payment: Payment) -> Answer:
        reference = f"test_{hashlib.sha256(payment.key.encode()).hexdigest()[:16]}"
        if payment.source_token == DECLINES:
            return Answer("declined", reference, "card_declined", Phrase("The card was declined."))
        if payment.source_token == DECLINES_FOR_GOOD:
            return Answer("declined", reference, "stolen_card", Phrase("The card can't be charged."), hard=True)
        return Answer("authorized", reference)
