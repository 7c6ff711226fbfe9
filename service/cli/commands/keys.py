"""Commands about the keys that sign tokens."""

from __future__ import annotations

import typer

from service.cli.commands.options import DatabaseUrl
from service.cli.console import answer
from service.cli.loops import run
from service.cli.servers import migrated, read_settings, server
from service.cli.within import operator
from service.operations.access import keyring
from service.operations.access.keyring import SIGNING_KEYS
from service.rules.sealing import Seals
from service.texts import Phrase

app = typer.Typer(help="The keys that sign the tokens of clients.", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """The keys that sign the tokens of clients."""


@app.command()
def rotate(*, database_url: DatabaseUrl = None) -> None:
    """Sign with a new key from now on; the one before verifies until the last token that it signed has ended."""
    settings = read_settings(database_url).with_keys()
    seals = Seals(settings.keys, SIGNING_KEYS)

    async def change(url: str) -> str:
        async with migrated(url) as connection:
            await keyring.reseal(connection, seals)
            return await keyring.rotate(connection, seals, actor=operator())

    with server(settings) as url:
        id_ = run(change(url))
    answer(Phrase("The key {id} signs from now on.", id=id_))
