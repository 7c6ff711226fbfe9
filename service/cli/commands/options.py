"""The options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

DatabaseUrl = Annotated[
    str | None, typer.Option("--database-url", help="Postgres to use instead of DATABASE_URL or the embedded one.")
]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 for any that is free.")]
StoreNumber = Annotated[int, typer.Option("--store", min=1, max=2**53 - 1, help="The number of the store.")]
MetricsHost = Annotated[
    str | None, typer.Option(help="The address to tell health and metrics at; by default REPRISE_METRICS_HOST.")
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0, max=65_535, help="The port for that, 0 for any that is free; by default REPRISE_METRICS_PORT, else none."
    ),
]
