"""Commands that bring a shop's history in, and take it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli import history
from service.cli.commands.options import DatabaseUrl, StoreNumber
from service.cli.loops import run
from service.cli.servers import keys_of, read_settings, server
from service.operations.data.importing import Policy
from service.operations.data.profiles import Platform

app = typer.Typer()


@app.command(name="import")
def import_history(
    *,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Files with a record on each line."),
    ],
    store: StoreNumber,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at everything and write nothing.")] = False,
    on_conflict: Annotated[
        Policy, typer.Option(help="What becomes of a record whose resource is there already.")
    ] = "refuse",
    profile: Annotated[
        Platform | None, typer.Option(help="The platform whose exports these are; none for records.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Write nothing, and show the dates of subscriptions there and here.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Where refused records go: beside the first file by default."),
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Bring a shop's history into a store: customers, catalogue, orders and subscriptions, as they were."""
    settings = read_settings(database_url)
    with server(settings) as url:
        wanted = history.Wanted(paths, on_conflict, profile, dry_run, compare, report)
        refused = run(history.bring(url, store, wanted, keys_of(settings)))
    if refused:
        raise typer.Exit(1)


@app.command(name="export")
def export_history(
    *,
    store: StoreNumber,
    customer: Annotated[str | None, typer.Option(help="The id of a customer: only what is theirs.")] = None,
    to: Annotated[Path | None, typer.Option(dir_okay=False, help="A file, instead of standard output.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write a store's history as records that `reprise import` reads, gateways' tokens among them."""
    settings = read_settings(database_url)
    with server(settings) as url:
        run(history.take_out(url, store, customer, to, keys_of(settings)))
