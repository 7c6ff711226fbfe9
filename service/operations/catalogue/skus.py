"""Skus: numbered, unless the client does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from service.operations.generic import numbers
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import OnlyValue, Value, Values

_TAKE_NUMBER = OnlyValue("catalogue/skus.take_sku_number", int)
_BY_CODE = Value("catalogue/skus.sku_by_code", str)
_CODE = Value("catalogue/skus.code_of_sku", str)
_BESIDE = Values("catalogue/skus.codes_beside", str)


class Skus(Writer):
    """Skus: numbered, unless the client does."""

    async def before_write(self, change: Change) -> None:
        """Take the next number, or keep the one that was given from being handed out again."""
        if not change.new:
            return
        if "number" in change.columns:
            await numbers.use(change.connection, change.store.id, {"skus": change.columns["number"]})
        else:
            change.columns["number"] = await _TAKE_NUMBER(change.connection, store=change.store.id)


async def id_of(connection: Connection, store: Store, code: str) -> str | None:
    """The id of the sku that a shop calls so; None when there is none."""
    return await _BY_CODE(connection, store=store.id, code=code)


async def code_of(connection: Connection, store: Store, sku_id: str) -> str | None:
    """What a shop calls a sku; None when there is no such sku."""
    return await _CODE(connection, store=store.id, sku=sku_id)


async def beside(connection: Connection, store: Store, code: str, at: datetime) -> Sequence[str]:
    """Codes on sale at an instant among those next to one in their order: what somebody may have meant who mistyped."""
    return await _BESIDE(connection, store=store.id, code=code, at=at)
