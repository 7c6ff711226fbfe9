"""Errors of the database as they may be logged: without the values that were in the way.

What Postgres says of a constraint names the row that broke it, and what it can't read it repeats. Both may be a
person's own words, and log lines and the queue's tracebacks outlive whoever is erased.
"""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg

LEFT_OUT = "what it was about is left out"

_REPEATING = (asyncpg.DataError, asyncpg.exceptions.InvalidTextRepresentationError, asyncpg.InterfaceError)
"""What repeats in its message the value that it can't read."""


def without_values(error: BaseException) -> BaseException:
    """Take the values out of an error, and out of those that led to it. Returns it."""
    for one in _chain(error, set()):
        if isinstance(one, asyncpg.PostgresError):
            for said in ("detail", "hint", "context", "query", "internal_query"):
                if getattr(one, said, None) is not None:
                    setattr(one, said, None)
        if isinstance(one, _REPEATING):
            one.args = (LEFT_OUT,)
    return error


def _chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    yield from _chain(error.__cause__, seen)
    yield from _chain(error.__context__, seen)
    for inner in getattr(error, "exceptions", ()):
        yield from _chain(inner, seen)
