"""Secrets that are used again: sealed as they go into the database, and opened where they are needed.

Each is bound to its store, its column and the id of its row, so that it opens in no other place. What is looked for by
its value has a digest beside it, which takes a key to be worked out. A connection knows the keys of its pool, as it
knows the database's constraints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from service.errors import StartupError
from service.rules.sealing import Digests, Seals, Unreadable

if TYPE_CHECKING:
    from service.store.pool import Connection


class Sealed(NamedTuple):
    """How a column is sealed: for which purpose, which has a key of its own, and where its digest stands, if any.

    Without `along` it is opened by who needs it, and not along with its row. It may be a copy of what is sealed for
    another column (`original`), of the row that `names_original` names. `text` and `value` are SQL: the sealed text in
    a column, and what a column holds of a sealed text.
    """

    purpose: str
    digest: str = ""
    along: bool = True
    original: str = ""
    names_original: str = ""
    text: str = "{column}"
    value: str = "{sealed}"


_TOKENS: Final = "wallet tokens"

SEALED: Final[Mapping[str, Sealed]] = {
    "stores.gateway_secret": Sealed("gateway secrets"),
    "webhooks.shared_secret": Sealed("webhook secrets", along=False),
    "webhooks.previous_secret": Sealed("webhook secrets", along=False),
    "customer_payment_sources.payment_source_token": Sealed(_TOKENS, "payment_source_digest"),
    "customer_payment_sources.customer_token": Sealed(_TOKENS),
    "payment_attempts.source_token": Sealed(
        _TOKENS,
        along=False,
        original="customer_payment_sources.payment_source_token",
        names_original="customer_payment_source_id",
    ),
    "carts.session": Sealed("cart sessions", "session_digest", along=False),
    "export_chunks.data": Sealed("exports"),
    "imports.inputs": Sealed(
        "imports", text="{column} ->> 'sealed'", value="jsonb_build_object('sealed', {sealed}::text)"
    ),
}
"""The columns that hold sealed texts."""


class Vault:
    """The keys of the settings, the newest first, and what is done with them."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self._seals: Callable[[str], Seals] = cache(lambda purpose: Seals(self._given(), purpose))
        self._digests: Callable[[str], Digests] = cache(lambda purpose: Digests(self._given(), purpose))

    def seal(self, column: str, store_id: int, id_: str, text: str) -> str:
        """Return a secret sealed for a column of a row. Raises StartupError where no keys are known."""
        return self._seals(SEALED[column].purpose).seal(text, _place(column, store_id, id_))

    def open(
        self, column: str, store_id: int, id_: str, sealed: str | None, *, copy_of: str | None = None
    ) -> str | None:
        """Return the secret in a column of a row; None where there is none, or none that our keys open there.

        `copy_of` is the id of the row that it may have been copied from.
        """
        if sealed is None:
            return None
        seals = self._seals(SEALED[column].purpose)
        places = [_place(column, store_id, id_)]
        if copy_of is not None:
            places.append(_place(SEALED[column].original, store_id, copy_of))
        for place in places:
            with suppress(Unreadable):
                return seals.open(sealed, place)
        import structlog  # noqa: PLC0415 -- it loads rich, and hardly any command has something to log here

        log = structlog.get_logger(part="secrets")
        log.warning("a secret is sealed with a key that the settings lack", column=column, store=store_id, id=id_)
        return None

    def digest(self, column: str, store_id: int, text: str) -> str:
        """Return what stands for a secret where it is looked for, by the newest key."""
        return self._digests(SEALED[column].purpose).digest(f"{store_id}/{text}")

    def digests(self, column: str, store_id: int, text: str) -> list[str]:
        """Return what may stand for a secret, by each of our keys."""
        return self._digests(SEALED[column].purpose).all(f"{store_id}/{text}")

    def seal_row(self, table: str, store_id: int, id_: object, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return columns of a row as the database gets them: secrets sealed, with their digests."""
        columns = _of_table(table)
        if columns.keys().isdisjoint(row):
            return row
        made = dict(row)
        for name in columns.keys() & row.keys():
            column, text, digest = f"{table}.{name}", row[name], columns[name].digest
            made[name] = None if text is None else self.seal(column, store_id, str(id_), text)
            if digest:
                made[digest] = None if text is None else self.digest(column, store_id, text)
        return made

    def open_row(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        """Open the secrets of a whole row, but for those that only who needs them opens."""
        for name in (name for name, sealed in _of_table(table).items() if sealed.along):
            row[name] = self.open(f"{table}.{name}", row["store_id"], row["id"], row[name])
        return row

    def newest(self, column: str) -> str:
        """Return what a text begins with that the newest key has sealed."""
        return self._seals(SEALED[column].purpose).newest

    def known(self, column: str) -> list[str]:
        """Return what texts begin with that one of our keys has sealed."""
        return self._seals(SEALED[column].purpose).known

    def _given(self) -> Sequence[str]:
        if not self._keys:
            raise StartupError("Set REPRISE_SECRET_KEYS: secrets in the database are sealed with them.")
        return self._keys


def vault_of(connection: Connection) -> Vault:
    """The keys that a connection's pool knows; one on its own knows none but those that it was opened with."""
    known: Vault | None = getattr(connection, "vault", None)
    return _EMPTY if known is None else known


_EMPTY: Final = Vault(())


@cache
def _of_table(table: str) -> Mapping[str, Sealed]:
    """The sealed columns of a table whose rows are written by their Schema."""
    found = (name.partition(".") for name in SEALED if not name.startswith("imports."))
    return {column: SEALED[f"{of}.{column}"] for of, _, column in found if of == table}


def _place(column: str, store_id: int, id_: str) -> str:
    return f"{store_id}/{column}/{id_}"
