"""Sources in wallets as clients write them: what is owed is asked for at once from one that can pay again."""

from __future__ import annotations

from service.operations.generic.change import Change
from service.operations.parties import wallets
from service.operations.payments import dunning


class PaymentSources(wallets.PaymentSources):
    """What is in wallets, and what is owed for runs that are paid from it."""

    async def before_write(self, change: Change) -> None:
        """Take another token, or another end, for another card: one that was not refused yet."""
        await super().before_write(change)
        if not change.new and change.sets("payment_source_token", "expires_at"):
            change.columns["refused_at"] = None

    async def after_write(self, change: Change) -> None:
        """Ask at once for what is owed where a source got another token, or another end."""
        if not change.new and change.sets("payment_source_token", "expires_at"):
            await dunning.hurry(change.connection, change.store, source_id=change.id)
