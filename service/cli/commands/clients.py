"""Commands about clients, which fetch their own tokens."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from schemas.access import MOST_OVERLAP
from service.cli.commands.options import DatabaseUrl, StoreNumber
from service.cli.console import answer, told
from service.cli.within import duration, in_store, operator, words
from service.errors import Invalid
from service.operations.access import clients
from service.principal import Store
from service.store.pool import Connection
from service.texts import Phrase

app = typer.Typer(help="Clients of the API, which fetch their own tokens.", no_args_is_help=True)

MOST_LISTED = 1_000

Id = Annotated[str, typer.Argument(help="The id of the client, as `reprise client list` prints it.")]


class Kind(StrEnum):
    """What a client is."""

    integration = clients.INTEGRATION
    sales_channel = clients.SALES_CHANNEL


@app.command(name="create")
def create_client(
    *,
    store: StoreNumber,
    name: Annotated[str, typer.Option(help="What it is for.")],
    kind: Annotated[Kind, typer.Option(help="A sales channel may sit in a browser.")] = Kind.integration,
    scopes: Annotated[str | None, typer.Option(help="What its tokens allow, in one text; all by default.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a client and print its id and secret, a line each; only the secret's hash is kept."""
    if not name.strip():
        raise typer.BadParameter(told(Phrase("can't be blank")), param_hint="--name")

    async def create(connection: Connection, held: Store) -> tuple[str, str, str]:
        return await clients.make(
            connection,
            held,
            kind=kind.value,
            name=name,
            scopes=None if scopes is None else words(scopes),
            actor=operator(),
        )

    try:
        _, client_id, secret = in_store(database_url, store, create)
    except Invalid as error:
        raise typer.BadParameter(told(error.detail), param_hint="--scopes") from None
    _show("client_id", client_id)
    _show("client_secret", secret)


@app.command(name="list")
def list_clients(*, store: StoreNumber, database_url: DatabaseUrl = None) -> None:
    """Print a store's clients, the newest first, a line each: id, state, kind, client id, name."""

    async def find(connection: Connection, held: Store) -> list[clients.Listed]:
        return await clients.listed(connection, held.id, most=MOST_LISTED)

    for client in in_store(database_url, store, find):
        state = "live" if client.revoked_at is None else "revoked"
        answer(f"{client.id}  {state:<7}  {client.kind:<13}  {client.client_id}  {client.name}")


@app.command(name="rotate")
def rotate_secret(
    id: Id,
    *,
    store: StoreNumber,
    overlap: Annotated[str, typer.Option(help="For how long the one before works on: 3600, 12h or 7d.")] = "0",
    database_url: DatabaseUrl = None,
) -> None:
    """Give a client another secret and print it; the one before works no more, its tokens do."""
    lasting = duration(overlap)
    if lasting is None or lasting > timedelta(seconds=MOST_OVERLAP):
        reason = Phrase("must be a number followed by s, m, h or d, such as 12h, and at most 7d")
        raise typer.BadParameter(told(reason), param_hint="--overlap")

    async def rotate(connection: Connection, held: Store) -> str:
        return await clients.rotate_secret(connection, held, id, overlap=lasting, actor=operator())

    _show("client_secret", in_store(database_url, store, rotate))


@app.command(name="revoke")
def revoke_client(id: Id, *, store: StoreNumber, database_url: DatabaseUrl = None) -> None:
    """End a client, and all its tokens with it."""

    async def revoke(connection: Connection, held: Store) -> None:
        await clients.revoke(connection, held, id, actor=operator())

    in_store(database_url, store, revoke)
    answer(Phrase("The client {id} and its tokens are refused from now on.", id=id))


def _show(*words: str) -> None:
    """Print what a program reads: a name and its value on a line."""
    answer(" ".join(words))
