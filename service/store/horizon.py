"""How far a log can be read: rows of transactions that go on may still come before those that are there.

Both numbers are asked for by themselves and bound: where rows lie on other nodes, these know other transactions.
"""

from __future__ import annotations

from service.store.pool import Connection
from service.store.statements import OnlyValue

_HORIZON = OnlyValue("events/events.horizon", int)
_AHEAD = OnlyValue("events/events.ahead", int)


async def horizon(connection: Connection) -> int:
    """Return the oldest transaction that may still commit."""
    return await _HORIZON(connection)


async def ahead(connection: Connection) -> int:
    """Return the first transaction that is still to begin."""
    return await _AHEAD(connection)
