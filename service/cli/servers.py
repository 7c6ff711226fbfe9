"""The database of a command: the one of the settings, or an embedded one that is shared with whoever else uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
from pydantic import ValidationError

from service.errors import StartupError
from service.settings import Settings
from service.store import embedded, migrate
from service.store.pool import Connection, connect

log = structlog.get_logger(part="cli")


def read_settings(database_url: str | None = None) -> Settings:
    """The settings of the environment, with the database of the command line. Raises StartupError for a wrong one."""
    try:
        settings = Settings()
    except ValidationError as error:
        problem = error.errors()[0]
        name = "_".join(str(part) for part in problem["loc"]).upper()
        raise StartupError(
            "The setting REPRISE_{name} can't be used: {reason}.", name=name, reason=problem["msg"]
        ) from None
    return settings.model_copy(update={"database_url": database_url or settings.database_url or None})


@contextmanager
def server(settings: Settings) -> Iterator[str]:
    """The URL of the database: a server's as it is, an embedded one's while it is held. Raises StartupError."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded.start(settings.data_dir) as running:
        yield running.url


async def require_schema(connection: Connection) -> None:
    """Raise StartupError unless the database has every migration that this code needs."""
    missing = await migrate.pending(connection)
    if missing:
        raise StartupError("The database lacks {missing}: run `reprise migrate`.", missing=", ".join(missing))
    newer = await migrate.unknown(connection)
    if newer:
        log.warning("the database was migrated by a newer release", versions=newer)


@asynccontextmanager
async def migrated(url: str) -> AsyncIterator[Connection]:
    """A connection to a database that has every migration. Raises StartupError for any other."""
    async with connect(url) as connection:
        await require_schema(connection)
        yield connection
