"""Skus: numbered, unless the client does."""

from __future__ import annotations

from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from sql import queries

SKUS = queries("catalogue/skus")


class Skus(Writer):
    """Skus: numbered, unless the client does."""

    async def before_write(self, change: Change) -> None:
        """Take the next number, or keep the one that was given from being handed out again."""
        if not change.new:
            return
        if "number" in change.columns:
            await change.connection.execute(SKUS["reserve_sku_number"], change.store.id, change.columns["number"])
        else:
            change.columns["number"] = await change.connection.fetchval(SKUS["take_sku_number"], change.store.id)
