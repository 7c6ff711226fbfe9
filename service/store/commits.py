"""What follows a transaction once it is committed, such as counts for Prometheus: nothing can take them back.

A savepoint that is rolled back takes with it what was to follow from within it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from asyncpg.transaction import Transaction, TransactionState

Following: TypeAlias = "list[Callable[[], None]]"
"""What a connection does after its transaction, in that order."""


def after_commit(connection: Any, what: Callable[[], None]) -> None:
    """Do something once the transaction of a connection is committed, and never where it isn't; at once without one.

    It must be quick. What it follows is done: should it fail, that is logged and keeps nothing else from being done.
    """
    following: Following | None = getattr(connection, "following", None)
    if following is None or not connection.is_in_transaction():
        _do(what)
    else:
        following.append(what)


def _do(what: Callable[[], None]) -> None:
    try:
        what()
    except Exception:
        import structlog  # noqa: PLC0415 -- it loads rich, and hardly any command has something to log here

        log = structlog.get_logger(part="store")
        log.exception("what follows a transaction failed")


NUMBER_OF_ALL_NODES = """
    do $$
    begin
        set local citus.propagate_set_commands to 'local';
        execute format('set local reprise.transaction_id to %L', pg_current_xact_id()::text);
    end
    $$
"""
"""Has all nodes of Citus number what a transaction writes as the coordinator does, which knows when it is over."""


class Followed(Transaction):
    """A transaction, or a savepoint within one, of a connection that knows what is to be done after it."""

    __slots__ = ("_before",)
    _connection: Any
    _nested: bool
    _readonly: bool
    _state: TransactionState
    _before: int

    async def start(self) -> None:
        """Begin it."""
        await super().start()
        if not self._nested:
            # Left by one whose connection was lost before it came to its end.
            self._connection.following.clear()
            if self._connection.is_spread and not self._readonly:
                await self._connection.execute(NUMBER_OF_ALL_NODES)
        self._before = len(self._connection.following)

    async def commit(self) -> None:
        """Commit it, and do what follows."""
        await super().commit()
        self._follow()

    async def rollback(self) -> None:
        """Roll it back, and with it what was to follow."""
        await super().rollback()
        self._follow()

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await super().__aexit__(kind, error, trace)
        self._follow()

    def _follow(self) -> None:
        following: Following = self._connection.following
        if self._state is not TransactionState.COMMITTED:
            del following[self._before :]
        elif not self._nested:
            done = following[:]
            following.clear()
            for what in done:
                _do(what)
