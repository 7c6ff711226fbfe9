"""Commands about access tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from service import clock
from service.cli.commands.options import DatabaseUrl, StoreNumber
from service.cli.console import answer, told
from service.cli.within import duration, in_store, new_token, operator, words
from service.errors import Invalid
from service.operations.access import tokens
from service.principal import CUSTOMER_SCOPES, SCOPES, Store
from service.store.pool import Connection
from service.texts import Phrase

app = typer.Typer(help="Access tokens.", no_args_is_help=True)

LIFETIME = "90d"
NEVER = "never"
MOST_LISTED = 1_000


def _lifetime(text: str) -> timedelta | None:
    """A time from now; None for never."""
    if text == NEVER:
        return None
    lifetime = duration(text)
    if not lifetime:
        raise typer.BadParameter(told(Phrase("must be a number followed by s, m, h or d, such as 90d, or never")))
    return min(lifetime, timedelta(days=36_500))


@app.command(name="create")
def create_token(
    *,
    store: StoreNumber,
    customer: Annotated[str | None, typer.Option(help="The id of a customer, for a customer's token.")] = None,
    scopes: Annotated[str | None, typer.Option(help="What it allows, in one text; all by default.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    expires_in: Annotated[str, typer.Option(help="When it ends: 3600, 12h, 90d or never.")] = LIFETIME,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an access token and print it alone; only its hash is kept."""
    lifetime = _lifetime(expires_in)
    wanted = (SCOPES if customer is None else CUSTOMER_SCOPES) if scopes is None else words(scopes)

    async def create(connection: Connection, held: Store) -> str:
        return await new_token(connection, held, customer_id=customer, scopes=wanted, name=name, lifetime=lifetime)

    try:
        answer(in_store(database_url, store, create))
    except Invalid as error:
        raise typer.BadParameter(told(error.detail), param_hint="--scopes") from None


@app.command(name="list")
def list_tokens(*, store: StoreNumber, database_url: DatabaseUrl = None) -> None:
    """Print a store's tokens, the newest first, a line each: id, state, kind, last characters, end, last use, name."""

    async def find(connection: Connection, held: Store) -> list[tokens.Listed]:
        return await tokens.listed(connection, held.id, most=MOST_LISTED)

    at = clock.now()
    for token in in_store(database_url, store, find):
        ends = "never" if token.expires_at is None else f"{token.expires_at:%Y-%m-%d}"
        used = "-" if token.last_used_at is None else f"{token.last_used_at:%Y-%m-%d}"
        whose = token.kind if token.customer_id is None else f"{token.kind}:{token.customer_id}"
        cells = (token.id, f"{token.state(at):<7}", f"{whose:<11}", f"...{token.hint}", f"{ends:<10}", f"{used:<10}")
        answer("  ".join((*cells, token.name or "")).rstrip())


@app.command(name="revoke")
def revoke_token(
    id: Annotated[str, typer.Argument(help="The id of the token, as `reprise token list` prints it.")],
    *,
    store: StoreNumber,
    database_url: DatabaseUrl = None,
) -> None:
    """End a token: processes that serve refuse it from now on."""
    from service.operations.access import access_tokens  # noqa: PLC0415 -- making a token needs no writer

    async def revoke(connection: Connection, held: Store) -> None:
        await access_tokens.revoke(connection, held, id, actor=operator())

    in_store(database_url, store, revoke)
    answer(Phrase("The token {id} is refused from now on.", id=id))
