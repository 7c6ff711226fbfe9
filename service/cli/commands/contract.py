"""Commands about the contract."""

from __future__ import annotations

import typer

from service.cli.commands.options import DatabaseUrl
from service.cli.console import answer
from service.contract import asyncapi as told
from service.contract import openapi as contract
from service.resources import RESOURCES

app = typer.Typer()


@app.command()
def openapi(*, database_url: DatabaseUrl = None) -> None:  # noqa: ARG001 -- every command takes it; this one needs no database
    """Print the contract, openapi.yaml."""
    answer(contract.dump(contract.build(RESOURCES)).rstrip("\n"))


@app.command()
def asyncapi(*, database_url: DatabaseUrl = None) -> None:  # noqa: ARG001 -- every command takes it; this one needs no database
    """Print what others are told of, asyncapi.yaml."""
    answer(contract.dump(told.build(RESOURCES)).rstrip("\n"))
