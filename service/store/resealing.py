"""Seal secrets anew that an older key of the settings has sealed: a batch at a time, while everything goes on.

Whatever the newest key has sealed is passed over, so that one who was stopped goes on where it was. A secret that
somebody changes meanwhile stays as they leave it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from service.store.pool import Connection
from service.store.statements import Values
from service.store.vault import SEALED, vault_of

BATCH: Final = 500
"""How many secrets are sealed anew at a time."""

_STORES = Values("tenant/stores.numbers", int)


class Resealed(NamedTuple):
    """How many secrets were sealed anew, and how many could not be opened by any key of the settings."""

    done: int
    lost: int


class _Kept(NamedTuple):
    id: str
    text: str
    copy_of: str | None


async def stale(connection: Connection) -> int:
    """How many secrets another than the newest key has sealed."""
    number = 0
    for store_id in await _STORES(connection):
        for column in SEALED:
            table, newest = column.partition(".")[0], vault_of(connection).newest(column)
            text = f"select count(*) from {table} where {_which(column)}"
            number += await connection.fetchval(text, store_id, newest)
    return number


async def unopened(connection: Connection) -> list[str]:
    """The columns in which keys that aren't known have sealed something: `webhooks.shared_secret`."""
    foreign: set[str] = set()
    for store_id in await _STORES(connection):
        for column in SEALED.keys() - foreign:
            table, known = column.partition(".")[0], vault_of(connection).known(column)
            text = f"select exists (select from {table} where store_id = $1 and not {_text(column)} ^@ any($2::text[]))"
            if await connection.fetchval(text, store_id, known):
                foreign.add(column)
    return sorted(foreign)


async def reseal(
    connection: Connection, progress: Callable[[int], None] = lambda _: None, *, batch: int = BATCH
) -> Resealed:
    """Seal all secrets with the newest key, each batch in a transaction of its own.

    `progress` is told how many were looked at. Raises StartupError where no keys are known.
    """
    looked, done = 0, 0
    for store_id in await _STORES(connection):
        for column in SEALED:
            async for found in _batches(connection, store_id, column, batch):
                done += await _reseal(connection, store_id, column, found)
                looked += len(found)
                progress(looked)
    return Resealed(done, looked - done)


async def _batches(connection: Connection, store_id: int, column: str, batch: int) -> AsyncIterator[list[_Kept]]:
    table, after, sealed = column.partition(".")[0], "", SEALED[column]
    text = (
        f"select id, {_text(column)}, {sealed.names_original or 'null'} from {table}"
        f" where {_which(column)} and id > $3 order by id limit $4"
    )
    newest = vault_of(connection).newest(column)
    while found := [_Kept(*row) for row in await connection.fetch(text, store_id, newest, after, batch)]:
        yield found
        after = found[-1].id


async def _reseal(connection: Connection, store_id: int, column: str, found: list[_Kept]) -> int:
    """Seal secrets of a column anew, unless they have changed meanwhile; returns how many could be opened."""
    vault, sealed = vault_of(connection), SEALED[column]
    table, _, name = column.partition(".")
    opened = [(kept, vault.open(column, store_id, kept.id, kept.text, copy_of=kept.copy_of)) for kept in found]
    known = [(kept, text) for kept, text in opened if text is not None]
    digest = f", {sealed.digest} = given.digest" if sealed.digest else ""
    await connection.execute(
        f"update {table} set {name} = {sealed.value.format(sealed='given.made')}{digest}"
        " from unnest($2::text[], $3::text[], $4::text[], $5::text[]) as given (id, was, made, digest)"
        f" where {table}.store_id = $1 and {table}.id = given.id and {_text(column)} = given.was",
        store_id,
        [kept.id for kept, _ in known],
        [kept.text for kept, _ in known],
        [vault.seal(column, store_id, kept.id, text) for kept, text in known],
        [vault.digest(column, store_id, text) if sealed.digest else None for _, text in known],
    )
    return len(known)


def _which(column: str) -> str:
    """Which rows of a store, $1, have a secret that another than the newest key, $2, has sealed."""
    return f"store_id = $1 and not starts_with({_text(column)}, $2)"


def _text(column: str) -> str:
    return SEALED[column].text.format(column=column)
