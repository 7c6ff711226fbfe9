"""What somebody sees of the graph: which types, and which of their fields as they are stored.

Nobody includes, filters or sorts by what they don't see: an order tells of the values that it follows, a filter of the
ones that it lets through, and a cursor holds them.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from schemas.graph import graph
from schemas.resource import Resource


@dataclass(frozen=True, slots=True)
class Sight:
    """The types that somebody may read, and of whose rows those are (`carts`, `customers`, None for all).

    `everything` says that there are no other types.
    """

    types: Container[str]
    owner: str | None = None
    everything: bool = False

    def __contains__(self, type_: str) -> bool:
        """Whether a type may be read."""
        return type_ in self.types

    def shows(self, resource: type[Resource], name: str) -> bool:
        """Whether an attribute or relationship is seen as it is stored, in every row that is seen."""
        repeats = getattr(resource.attributes.get(name), "repeats", False)
        return not resource.masks(resource.column_of(name), self.owner) and (self.everything or not repeats)


EVERYTHING = Sight(graph, everything=True)
"""What an integration with all scopes sees."""
