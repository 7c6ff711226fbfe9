"""Secrets as the database keeps them, for tests that look at them there or put others in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncpg import Record

from service.operations.payments import attempts
from service.principal import Store
from service.store.pool import Connection
from service.store.vault import SEALED, vault_of

HASHED = {
    "access_tokens.hash": "of the token",
    "api_clients.hash": "of the secret",
    "api_clients.previous_hash": "of the secret before",
    "refresh_tokens.hash": "of the token",
    "carts.browser": "of the cookie, or of what a client calls the browser",
}
"""Secret columns that hold a SHA-256, and of what."""

_DIGESTS = {f"{column.partition('.')[0]}.{found.digest}" for column, found in SEALED.items() if found.digest}
_BY_THE_KEYRING = {"signing_keys.private_key"}


def kept_as(column: str) -> str:
    """How a secret column keeps it: `sealed`, as a `hash` or as a `digest`. Raises KeyError for one that is neither."""
    if column in SEALED or column in _BY_THE_KEYRING:
        return "sealed"
    if column in HASHED:
        return "hash"
    if column in _DIGESTS:
        return "digest"
    raise KeyError(column)


def opened(connection: Connection, table: str, row: Mapping[str, Any] | Record) -> dict[str, Any]:
    """A row with its secrets as they were before they were sealed."""
    return vault_of(connection).open_row(table, dict(row))


def opened_attempt(connection: Connection, store: Store, row: Mapping[str, Any] | Record) -> dict[str, Any]:
    """A payment with what it is paid with."""
    source_id = row["customer_payment_source_id"]
    token = attempts.token(connection, store, row["id"], source_id, row["source_token"])
    return {**dict(row), "source_token": token}


def with_session(connection: Connection, store: Store, cart: Mapping[str, Any] | Record) -> dict[str, Any]:
    """A cart with its session."""
    session = vault_of(connection).open("carts.session", store.id, cart["id"], cart["session"])
    return {**dict(cart), "session": session}


async def session_of(connection: Connection, store: Store, cart_id: str) -> str:
    """The session of a cart."""
    cart = await connection.fetchrow("select * from carts where store_id = $1 and id = $2", store.id, cart_id)
    assert cart is not None
    return str(with_session(connection, store, cart)["session"])


async def put(connection: Connection, store: Store, table: str, id_: str, **secrets: str) -> None:
    """Put secrets into columns of a row."""
    columns = vault_of(connection).seal_row(table, store.id, id_, secrets)
    sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, 3))
    await connection.execute(
        f"update {table} set {sets} where store_id = $1 and id = $2", store.id, id_, *columns.values()
    )
