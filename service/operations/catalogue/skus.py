"""Skus: numbered, unless the client does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from service.errors import Invalid
from service.jsonapi.nearness import nearest
from service.operations.generic import numbers
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Many, OnlyValue, Value, Values


class _Coded(NamedTuple):
    code: str
    id: str


class _Replaceable(NamedTuple):
    sku_id: str
    substitutes: Sequence[str]


_TAKE_NUMBER = OnlyValue("catalogue/skus.take_sku_number", int)
_BY_CODE = Value("catalogue/skus.sku_by_code", str)
_CODE = Value("catalogue/skus.code_of_sku", str)
_BY_CODES = Many("catalogue/skus.skus_by_code", _Coded)
_SUBSTITUTES = Many("catalogue/skus.substitutes", _Replaceable)
_BESIDE = Values("catalogue/skus.codes_beside", str)


class Skus(Writer):
    """Skus: numbered, unless the client does."""

    async def validate(self, change: Change) -> None:
        """What may come in its place are other skus, each once."""
        if change.sets("substitute_sku_codes"):
            await _check_substitutes(change)

    async def before_write(self, change: Change) -> None:
        """Take the next number, or keep the one that was given from being handed out again."""
        if not change.new:
            return
        if "number" in change.columns:
            await numbers.use(change.connection, change.store.id, {"skus": change.columns["number"]})
        else:
            change.columns["number"] = await _TAKE_NUMBER(change.connection, store=change.store.id)


async def _check_substitutes(change: Change) -> None:
    codes: Sequence[str] = change.columns["substitute_sku_codes"]
    known = await ids_of(change.connection, change.store, codes) if codes else {}
    pointer = change.draft.pointer("substitute_sku_codes")
    for position, code in enumerate(codes):
        if code not in known:
            near = nearest(code, await beside(change.connection, change.store, code, change.at))
            change.problems.append(
                Invalid("no sku has the code {code}", code=code, pointer=f"{pointer}/{position}", suggestion=near)
            )
        elif known[code] == change.id or code in codes[:position]:
            change.problems.append(Invalid("must be another sku, and each once", pointer=f"{pointer}/{position}"))


async def id_of(connection: Connection, store: Store, code: str) -> str | None:
    """The id of the sku that a shop calls so; None when there is none."""
    return await _BY_CODE(connection, store=store.id, code=code)


async def code_of(connection: Connection, store: Store, sku_id: str) -> str | None:
    """What a shop calls a sku; None when there is no such sku."""
    return await _CODE(connection, store=store.id, sku=sku_id)


async def beside(connection: Connection, store: Store, code: str, at: datetime) -> Sequence[str]:
    """Codes on sale at an instant among those next to one in their order: what somebody may have meant who mistyped."""
    return await _BESIDE(connection, store=store.id, code=code, at=at)


async def substitutes(connection: Connection, store: Store, sku_ids: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """The ids of what may come in the place of skus, the best first, by their ids: of those that have any."""
    found = await _SUBSTITUTES(connection, store=store.id, skus=sorted(sku_ids))
    return {row.sku_id: row.substitutes for row in found}


async def ids_of(connection: Connection, store: Store, codes: Sequence[str]) -> Mapping[str, str]:
    """The ids of skus by their codes: of those that there are."""
    return {row.code: row.id for row in await _BY_CODES(connection, store=store.id, codes=codes)}
