"""The command that shows who did what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from service import clock
from service.cli.commands.options import DatabaseUrl
from service.cli.console import answer, told
from service.cli.loops import run
from service.cli.servers import migrated, read_settings, server
from service.cli.within import duration, in_store
from service.operations.access import refusals
from service.operations.events import trail
from service.principal import Store
from service.store.pool import Connection
from service.texts import Phrase

app = typer.Typer()

MOST_LISTED = 10_000

StoreNumber = Annotated[
    int | None, typer.Option("--store", min=1, max=2**53 - 1, help="The number of the store; none: --refused alone.")
]


@app.command()
def audit(
    *,
    store: StoreNumber = None,
    since: Annotated[str, typer.Option(help="From how long ago: 3600, 12h or 7d.")] = "1d",
    refused: Annotated[bool, typer.Option("--refused", help="Who was refused, instead of who did what.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Print who did what in a store, or who was refused, the newest first, a line each."""
    length = duration(since)
    if not length or length > timedelta(days=36_500):
        reason = Phrase("must be a number followed by s, m, h or d, such as 12h")
        raise typer.BadParameter(told(reason), param_hint="--since")
    if store is None and not refused:
        raise typer.BadParameter(told(Phrase("is needed, unless --refused is there")), param_hint="--store")
    if refused:
        for row in _refusals(database_url, store, clock.now() - length):
            answer(_line(row.started_at, str(row.refusals_count), row.kind, row.address))
        return

    async def find(connection: Connection, held: Store) -> list[trail.Listed]:
        return await trail.listed(connection, held.id, since=clock.now(held) - length, most=MOST_LISTED)

    for one in in_store(database_url, store or 0, find):
        where = (one.token_id, one.address, one.request_id)
        answer(_line(one.created_at, one.name, one.resource_id, one.actor, *where))


def _refusals(database_url: str | None, store: int | None, since: datetime) -> list[refusals.Listed]:
    """Those of a store, or without one those that named no store that there is."""

    async def find(connection: Connection, store_id: int) -> list[refusals.Listed]:
        return await refusals.listed(connection, store_id, since=since, most=MOST_LISTED)

    if store is not None:
        return in_store(database_url, store, lambda connection, held: find(connection, held.id))

    async def of_none(url: str) -> list[refusals.Listed]:
        async with migrated(url) as connection:
            return await find(connection, refusals.NO_STORE)

    with server(read_settings(database_url)) as url:
        return run(of_none(url))


def _line(at: datetime, *cells: str | None) -> str:
    return "  ".join((f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}", *(cell or "-" for cell in cells)))
