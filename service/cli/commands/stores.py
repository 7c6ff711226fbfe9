"""Commands about stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from marshmallow import ValidationError

from schemas.kinds import CurrencyCode, Kind, LocaleCode, TimeZone
from service import clock
from service.cli.commands.options import DatabaseUrl
from service.cli.console import answer, told
from service.cli.loops import run
from service.cli.servers import migrated, read_settings, server
from service.cli.within import operator
from service.operations.tenant import tenants
from service.principal import Store
from service.texts import Phrase

app = typer.Typer(help="Stores, the tenants.", no_args_is_help=True)


def _checked(kind: Kind) -> Callable[[str], str]:
    """A typer callback that takes what the kind of attribute takes."""

    def check(value: str) -> str:
        try:
            return str(kind.deserialize(value))
        except ValidationError as error:
            raise typer.BadParameter("; ".join(told(Phrase(message)) for message in error.messages)) from None

    return check


def _slug(value: str | None) -> str | None:
    if value is not None and tenants.slugify(value) != value:
        raise typer.BadParameter(told(Phrase("must be up to 63 lower-case letters, digits and hyphens")))
    return value


@app.command(name="create")
def create_store(
    *,
    id: Annotated[int, typer.Option(min=1, max=2**53 - 1, help="The store's number, which is in its URLs and tokens.")],
    name: Annotated[str, typer.Option(help="The name that customers see.")],
    slug: Annotated[
        str | None, typer.Option(callback=_slug, help="Its name in URLs; made of the name by default.")
    ] = None,
    currency: Annotated[str, typer.Option(callback=_checked(CurrencyCode()), help="An ISO 4217 code.")] = "EUR",
    timezone: Annotated[str, typer.Option(callback=_checked(TimeZone()), help="An IANA name.")] = "UTC",
    locale: Annotated[str, typer.Option(callback=_checked(LocaleCode()), help="How amounts are written.")] = "en_US",
    live: Annotated[bool, typer.Option("--live", help="In live mode, instead of test mode.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a store."""

    async def create(url: str) -> Store:
        async with migrated(url) as connection, connection.transaction():
            return await tenants.create(
                connection,
                store_id=id,
                name=name,
                slug=slug,
                currency_code=currency,
                timezone=timezone,
                locale=locale,
                mode="live" if live else "test",
                at=clock.now(),
                actor=operator(),
            )

    with server(read_settings(database_url)) as url:
        store = run(create(url))
    answer(
        Phrase(
            "Made store {store} ({slug}). Its first token: `reprise token create --store {store}`.",
            store=store.id,
            slug=store.slug,
        )
    )
