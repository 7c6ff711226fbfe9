"""What the contract needs to know of a type."""

from __future__ import annotations

from typing import Protocol

from schemas.resource import Resource


class Described(Protocol):
    """What the registry says of a type: its Schema, the scopes that it asks for, and how clients write it."""

    @property
    def resource(self) -> type[Resource]:
        """The type."""

    @property
    def reads(self) -> str:
        """The scope that reading asks for."""

    @property
    def writes(self) -> str:
        """The scope that writing asks for."""

    @property
    def create(self) -> object | None:
        """What creates one; None when clients can't."""

    @property
    def on_resource(self) -> tuple[str, ...]:
        """The methods of a resource's URL."""

    def on_relationship(self, name: str) -> tuple[str, ...]:
        """The methods of a relationship's own URL."""
