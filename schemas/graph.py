"""The graph that all resource types form by their relationships."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from schemas.relationships import PEOPLE, ToMany, ToOne

if TYPE_CHECKING:
    from schemas.resource import Resource

MEMBER_NAME = re.compile(r"[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?")
"""Member names we use: the ASCII part of JSON:API 1.1, section "Member Names"."""

RESERVED_TYPES = frozenset(
    {
        "v3", "services", "operations", "application", "organization", "docs", "openapi", "schemas", "errors",
        "reorder_previews", "repeat_link_preview", "repeat_link_commits", "forecasts",
        "subscription_previews",
    }
)  # fmt: skip
"""First path segments under /api, and names of schemas, that are no resource types."""

PUBLIC = "*"
"""`Meta.owner` of types that every customer of the store may read, such as the catalogue; `Meta.guest` likewise."""


class Graph(Mapping[str, "type[Resource]"]):
    """All resource types by their JSON:API type name, in the order of their declaration."""

    def __init__(self) -> None:
        self._types: dict[str, type[Resource]] = {}

    def __getitem__(self, type_: str) -> type[Resource]:
        return self._types[type_]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def add(self, resource: type[Resource]) -> None:
        """Register a type. Raises TypeError when its name is taken or reserved."""
        name = resource.type_
        if name in self._types:
            other = self._types[name].__name__
            raise TypeError(f"{resource.__name__}: the type {name!r} is already declared by {other}")
        if name in RESERVED_TYPES or not MEMBER_NAME.fullmatch(name):
            raise TypeError(f"{resource.__name__}: {name!r} can't be a type name")
        self._types[name] = resource

    def remove(self, type_: str) -> None:
        """Forget a type again; for tests that declare types of their own."""
        del self._types[type_]

    def check(self) -> None:
        """Check what one class alone can't know: that relationships and owners lead somewhere.

        Raises TypeError naming the culprit.
        """
        for resource in self.values():
            for name, relationship in resource.relationships.items():
                where = f"{resource.__name__}.{name}"
                target = self._types.get(relationship.type_)
                if target is None:
                    raise TypeError(f"{where} leads to {relationship.type_!r}, which no Schema declares")
                if isinstance(relationship, ToMany) and relationship.via and not relationship.where:
                    known = {r.column for r in target.relationships.values() if isinstance(r, ToOne)}
                    if relationship.via not in known:
                        via = f"{relationship.via!r}, which is no to-one relationship of {target.type_}"
                        raise TypeError(f"{where} goes via {via}")
                for key in getattr(relationship, "sort", ()):
                    if not getattr(target.attributes.get(key), "sort", False):
                        raise TypeError(f"{where} sorts by {key!r}, which {target.type_} can't be sorted by")
            for root in OWNERS:
                resource.owner_path(self, root)
            resource.check_what_is_seen(self)


graph = Graph()

OWNERS = (PEOPLE, "carts")
"""The types that rows belong to: a customer sees what is the customer's, a guest what is of the guest's cart.

`Resource.owners` says how: by a path, `id` for the owner itself, `PUBLIC`, or None for not at all.
"""
