"""Commands about the keys that sign tokens, and those that secrets are sealed with."""

from __future__ import annotations

import typer

from service.cli.commands.options import DatabaseUrl
from service.cli.console import answer, say
from service.cli.loops import run
from service.cli.progress import progress
from service.cli.servers import migrated, read_settings, server
from service.cli.within import operator
from service.operations.access import keyring
from service.operations.access.keyring import SIGNING_KEYS
from service.rules.sealing import Seals
from service.store import resealing
from service.store.resealing import Resealed
from service.texts import Phrase

app = typer.Typer(help="The keys that sign tokens, and that secrets are sealed with.", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """The keys that sign tokens, and that secrets are sealed with."""


@app.command()
def rotate(*, database_url: DatabaseUrl = None) -> None:
    """Seal every secret with the newest key of REPRISE_SECRET_KEYS, and sign tokens with a new key from now on.

    The key before verifies until the last token that it signed has ended.
    """
    settings = read_settings(database_url).with_keys()
    seals = Seals(settings.keys, SIGNING_KEYS)

    async def change(url: str) -> tuple[Resealed, str]:
        async with migrated(url, settings.keys) as connection:
            number = await resealing.stale(connection)
            with progress(Phrase("secrets"), number) as tell:
                resealed = await resealing.reseal(connection, lambda done: tell(done, number))
            await keyring.reseal(connection, seals)
            return resealed, await keyring.rotate(connection, seals, actor=operator())

    with server(settings) as url:
        resealed, id_ = run(change(url))
    if resealed.done:
        sealed = Phrase("Sealed {count} secret anew.", plural="Sealed {count} secrets anew.", count=resealed.done)
        answer(sealed)
    if resealed.lost:
        say(Phrase("Secrets that no key of the settings opens: {count}.", count=resealed.lost))
    answer(Phrase("The key {id} signs from now on.", id=id_))
