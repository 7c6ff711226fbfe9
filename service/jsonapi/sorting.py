"""`sort`: attributes of the type, and a short list of attributes that its to-one relationships lead to."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.graph import graph
from schemas.kinds import Kind, Text
from schemas.relationships import ToOne
from schemas.resource import Resource
from service.errors import InvalidSort
from service.jsonapi.nearness import nearest
from service.jsonapi.sight import EVERYTHING, Sight
from service.texts import Either

IDENTIFIER = Text(nullable=False)
"""What an id is to sorting and filtering: text that is never null."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One sort criterion: `path` is an attribute or `id`, or a to-one relationship and an attribute beyond it."""

    path: tuple[str, ...]
    descending: bool

    def __str__(self) -> str:
        """The criterion as clients write it."""
        return f"{'-' if self.descending else ''}{'.'.join(self.path)}"


def sortable(resource: type[Resource], visible: Sight = EVERYTHING) -> list[str]:
    """What collections of a type can be sorted by; `visible` is what the asker sees."""
    own = [name for name, attribute in resource.attributes.items() if attribute.sort and visible.shows(resource, name)]
    beyond = [
        f"{name}.{key}"
        for name, relationship in resource.relationships.items()
        if isinstance(relationship, ToOne) and relationship.type_ in visible and visible.shows(resource, name)
        for key in relationship.sort
        if visible.shows(graph[relationship.type_], key)
    ]
    return ["id", *own, *beyond]


def kind_of(resource: type[Resource], path: tuple[str, ...]) -> Kind:
    """What kind of value a sort key compares."""
    *relationships, name = path
    for relationship in relationships:
        resource = graph[resource.relationships[relationship].type_]
    kind: Kind = IDENTIFIER if name == "id" else resource.attributes[name]
    return kind


def parse(resource: type[Resource], value: str, visible: Sight = EVERYTHING) -> tuple[SortKey, ...]:
    """Read the value of `sort`. Raises InvalidSort for what can't be sorted by."""
    known, keys = sortable(resource, visible), []
    for part in value.split(","):
        name = part.removeprefix("-")
        if name not in known:
            raise InvalidSort(
                "{type} can't be sorted by {name!r}; it can by {known}.",
                type=resource.type_,
                name=name,
                known=Either(known),
                parameter="sort",
                suggestion=nearest(name, known),
            )
        keys.append(SortKey(tuple(name.split(".")), part.startswith("-")))
    return tuple(keys)
