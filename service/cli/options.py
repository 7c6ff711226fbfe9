"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

DatabaseUrl = Annotated[
    str | None, typer.Option("--database-url", help="Postgres to use instead of DATABASE_URL or the embedded one.")
]
StoreNumber = Annotated[int, typer.Option("--store", min=1, max=2**53 - 1, help="The number of the store.")]
