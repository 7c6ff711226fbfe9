"""Rows of statements, by the names of their columns."""

from __future__ import annotations

from typing import Any, Protocol


class Row(Protocol):
    """A row of a statement, by the names of its columns."""

    def __getitem__(self, column: str, /) -> Any: ...
