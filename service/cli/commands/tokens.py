"""Commands about access tokens."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from service import clock
from service.cli.commands.options import DatabaseUrl, StoreNumber
from service.cli.console import answer, told
from service.cli.loops import run
from service.cli.servers import migrated, read_settings, server
from service.errors import Invalid, StartupError
from service.operations.access import tokens
from service.operations.tenant import stores
from service.principal import CUSTOMER_SCOPES, SCOPES
from service.texts import Phrase

app = typer.Typer(help="Access tokens.", no_args_is_help=True)


def _duration(text: str | None) -> timedelta | None:
    """A time from now: a number of seconds, or of minutes (m), hours (h) or days (d)."""
    if text is None:
        return None
    parts = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", text)
    if parts is None:
        raise typer.BadParameter(told(Phrase("must be a number followed by s, m, h or d, such as 90d")))
    unit = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[parts[2]]
    return min(timedelta(**{unit: int(parts[1])}), timedelta(days=36_500))


@app.command(name="create")
def create_token(
    *,
    store: StoreNumber,
    customer: Annotated[str | None, typer.Option(help="The id of a customer, for a customer's token.")] = None,
    scopes: Annotated[str | None, typer.Option(help="What it allows, in one text; all by default.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    expires_in: Annotated[str | None, typer.Option(help="When it ends: 3600, 12h or 90d; never by default.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an access token and print it alone; only its hash is kept."""
    lifetime = _duration(expires_in)
    wanted = (SCOPES if customer is None else CUSTOMER_SCOPES) if scopes is None else scopes.replace(",", " ").split()

    async def create(url: str) -> str:
        at = clock.now()
        async with migrated(url) as connection, connection.transaction():
            if await stores.find(connection, store) is None:
                raise StartupError("There is no store {store}.", store=store)
            _, token = await tokens.issue(
                connection,
                store,
                customer_id=customer,
                scopes=wanted,
                name=name,
                expires_at=None if lifetime is None else at + lifetime,
                at=at,
            )
        return token

    with server(read_settings(database_url)) as url:
        try:
            token = run(create(url))
        except Invalid as error:
            raise typer.BadParameter(told(error.detail), param_hint="--scopes") from None
    answer(token)
