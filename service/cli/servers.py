"""The database of a command: the one of the settings, or an embedded one that is shared with whoever else uses it."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from pydantic import ValidationError

from service.errors import StartupError
from service.jsonapi.nearness import nearest
from service.settings import Settings
from service.store import embedded, schema
from service.store.pool import Connection, connect, is_pooled

_PREFIX = "REPRISE_"
LOOK_SECONDS = 1.0
"""How often a process looks whether the embedded server that it uses is there."""


def _warn(event: str, **words: object) -> None:
    """Log a warning; structlog, which loads rich, is loaded only then."""
    import structlog  # noqa: PLC0415

    structlog.get_logger(part="cli").warning(event, **words)


def read_settings(database_url: str | None = None) -> Settings:
    """The settings of the environment, with the database of the command line.

    Raises StartupError for a wrong one, and for a name that is none: a setting with a typo would go unnoticed.
    """
    _check_names(os.environ)
    try:
        settings = Settings()
    except ValidationError as error:
        problem = error.errors()[0]
        name = "_".join(str(part) for part in problem["loc"]).upper()
        raise StartupError(
            "The setting REPRISE_{name} can't be used: {reason}.", name=name, reason=problem["msg"]
        ) from None
    # A database of the command line is another one than that which the direct URL leads to.
    direct_url = None if database_url not in (None, settings.database_url) else settings.direct_url or None
    named = {"database_url": database_url or settings.database_url or None, "direct_url": direct_url}
    return settings.model_copy(update=named)


def _check_names(names: Iterable[str]) -> None:
    """Raise StartupError for a name in the environment that begins as ours do and is no setting."""
    known = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields if name != "database_url"]
    unknown = sorted(name for name in names if name.upper().startswith(_PREFIX) and name not in known)
    if not unknown:
        return
    meant = nearest(unknown[0].upper(), known)
    if meant is None:
        raise StartupError("There is no setting {name}.", name=unknown[0])
    raise StartupError("There is no setting {name}; did you mean {meant}?", name=unknown[0], meant=meant)


@contextmanager
def server(settings: Settings, *, make: bool = False) -> Iterator[str]:
    """The URL of the database for a session of our own: a server's as it is, an embedded one's while it is held.

    Raises StartupError, also where there is no embedded one yet and the command doesn't `make` one.
    """
    if settings.database_url is not None:
        yield settings.session_url or settings.database_url
        return
    if not make and not embedded.exists(settings.data_dir):
        raise StartupError(
            "There is no database in {folder}: run `reprise up` here, or name one with --database-url or DATABASE_URL.",
            folder=settings.data_dir.absolute(),
        )
    with embedded.start(settings.data_dir) as running, _kept_up(settings.data_dir):
        yield running.url


@contextmanager
def _kept_up(data_dir: Path) -> Iterator[None]:
    """Meanwhile an embedded server that was killed, or that ran out of disk or memory, is started again."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            try:
                if embedded.revive(data_dir):
                    _warn("the embedded Postgres was gone, and has been started again", folder=str(data_dir))
            except StartupError as error:
                _warn("the embedded Postgres is gone", reason=str(error))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        done.set()
        looking.join()


async def require_session(settings: Settings) -> None:
    """Raise StartupError where a pooler stands before the database and nothing says how to go around it.

    It would hand the session on, in the middle of a migration and with its lock.
    """
    if settings.database_url is not None and settings.direct_url is None:
        async with connect(settings.database_url) as connection:
            if await is_pooled(connection):
                raise StartupError(
                    "The database's URL leads through a pooler: name the server itself in REPRISE_DIRECT_URL (or "
                    "once more what DATABASE_URL says, where each client keeps its session)."
                )


def keys_of(settings: Settings) -> Sequence[str]:
    """The keys that secrets are sealed with: none where a given database came without any, which its data may not need.

    Raises what `Settings.with_keys` raises.
    """
    return () if settings.database_url is not None and not settings.keys else settings.with_keys().keys


async def require_schema(connection: Connection) -> None:
    """Raise StartupError unless the database has every migration that this code needs."""
    missing = await schema.pending(connection)
    if missing:
        raise StartupError("The database lacks {missing}: run `reprise migrate`.", missing=", ".join(missing))
    newer = await schema.unknown(connection)
    if newer:
        _warn("the database was migrated by a newer release", versions=newer)


@asynccontextmanager
async def migrated(url: str, keys: Sequence[str] = ()) -> AsyncIterator[Connection]:
    """A connection with these keys to a database that has every migration. Raises StartupError for any other."""
    async with connect(url, keys) as connection:
        await require_schema(connection)
        yield connection
