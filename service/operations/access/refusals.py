"""Who was refused for what they showed: summed by minute, address and reason, so that nobody fills the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from service.store.pool import Connection
from service.store.statements import Command, Many, OnlyValue, Values

_BATCH = 1_000
"""How many rows one statement deletes at most."""

NO_STORE = 0
"""The number under which those stand that are of no store."""


class Refused(NamedTuple):
    """A minute in which somebody was refused for a reason; the address is None where many are told as one."""

    started_at: datetime
    kind: str
    address: str | None

    @property
    def id(self) -> str:
        """The id under which every process counts it."""
        digest = hashlib.sha256((self.address or "").encode()).hexdigest()
        return f"{self.started_at:%Y%m%d%H%M}-{self.kind}-{digest[:24]}"


class Listed(NamedTuple):
    """A row as an operator reads it."""

    started_at: datetime
    kind: str
    address: str | None
    refusals_count: int


_RECORD = OnlyValue("access/refusals.record", int)
_STORES_WITH_PAST = Values("access/refusals.stores_with_past_refusals", int)
_DELETE_PAST = Command("access/refusals.delete_past")
_LISTED = Many("access/refusals.listed", Listed)


async def record(connection: Connection, store_id: int, refused: Mapping[Refused, int], at: datetime) -> bool:
    """Add to what was counted of a store; False for a store that isn't there. `at` is real time."""
    rows = list(refused.items())
    number = await _RECORD(
        connection,
        store=store_id,
        ids=[one.id for one, _ in rows],
        kinds=[one.kind for one, _ in rows],
        addresses=[one.address for one, _ in rows],
        minutes=[one.started_at for one, _ in rows],
        numbers=[count for _, count in rows],
        at=at,
    )
    return number > 0


async def clean(connection: Connection, *, before: datetime) -> None:
    """Delete what was counted before an instant."""
    for store_id in await _STORES_WITH_PAST(connection, before=before):
        deleted = _BATCH
        while deleted == _BATCH:
            deleted = await _DELETE_PAST(connection, store=store_id, before=before, most=_BATCH)


async def listed(connection: Connection, store_id: int, *, since: datetime, most: int) -> list[Listed]:
    """What was counted of a store since an instant, the newest first, at most so many rows."""
    return await _LISTED(connection, store=store_id, since=since, most=most)
