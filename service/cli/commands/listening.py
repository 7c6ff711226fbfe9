"""The command that listens to events while developing."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Annotated

import typer

from service.cli import listening
from service.cli.commands.options import DatabaseUrl
from service.cli.console import told
from service.cli.loops import run
from service.cli.within import in_store, new_token
from service.gateways.listening import Stream
from service.principal import Store
from service.store.pool import Connection
from service.texts import Phrase

app = typer.Typer()

LIFETIME = timedelta(hours=12)
"""How long a token works that the command makes for itself."""


@app.command()
def listen(
    *,
    store: Annotated[int | None, typer.Option(min=1, max=2**53 - 1, help="The number of the store.")] = None,
    token: Annotated[str | None, typer.Option(help="A token of an integration, instead of a new one.")] = None,
    url: Annotated[str, typer.Option(help="Where the service answers.")] = "http://127.0.0.1:8000",
    topics: Annotated[str, typer.Option(help="What to be told of, as webhooks name it.")] = "*",
    thin: Annotated[bool, typer.Option("--thin", help="Resources by their type and id alone.")] = False,
    include_resources: Annotated[str, typer.Option(help="Relationships whose resources are sent along.")] = "",
    after: Annotated[str, typer.Option(help="The id of the event after which to begin, or start.")] = "",
    forward_to: Annotated[str | None, typer.Option(help="The URL of a receiver to pass events on to.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Print events as they happen, or pass them on to a receiver as a webhook does, until Ctrl-C."""
    if token is None and store is None:
        raise typer.BadParameter(told(Phrase("send a token or name a store")), param_hint="--token / --store")
    known = token or in_store(database_url, store or 0, _new_token)
    payload = "thin" if thin else "full"
    stream = Stream(url.rstrip("/"), known, topics, payload, include_resources, after)
    with suppress(KeyboardInterrupt):
        run(listening.listen(stream, forward_to))


async def _new_token(connection: Connection, store: Store) -> str:
    """A token for this command alone."""
    return await new_token(connection, store, name="reprise listen", lifetime=LIFETIME)
