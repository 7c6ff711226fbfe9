"""JSON Schemas (2020-12) of documents, one file for each type, made of the contract's own schemas.

A file stands alone but for the resources that a document may include, which are described in the files of their types,
beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.resource import Resource
from service.contract.refs import SCHEMAS

Object = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANSWERS = (
    "Document",
    "OrNullDocument",
    "Created",
    "Collection",
    "CollectionByCursor",
    "Linkage",
    "Linkages",
    "LinkagesByCursor",
)
"""What follows a type's name in the names of the schemas of answers."""


def of_type(
    resource: type[Resource], types: Mapping[str, Mapping[str, Object]], shared: Mapping[str, Object]
) -> Object:
    """The schema of every document whose primary data is of a type, with all its schemas by name in `$defs`.

    `types` holds the schemas of every type, `shared` those that they have in common.
    """
    own = types[resource.type_]
    elsewhere = {name: f"{type_}.json" for type_, found in types.items() if type_ != resource.type_ for name in found}
    names = [f"{resource.__name__}{kind}" for kind in _ANSWERS]
    return {
        "$schema": _DIALECT,
        "title": resource.type_,
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in names if name in own],
        "$defs": _closure(own, shared, elsewhere),
    }


def of_errors(shared: Mapping[str, Object]) -> Object:
    """The schema of error documents."""
    own = {"Errors": shared["Errors"]}
    return {"$schema": _DIALECT, "title": "errors", "$ref": "#/$defs/Errors", "$defs": _closure(own, shared, {})}


def _closure(own: Mapping[str, Object], shared: Mapping[str, Object], elsewhere: Mapping[str, str]) -> Object:
    """Schemas and all shared ones that they lead to; those of other types are found in their files."""
    found: Object = {}
    todo = list(own.items())
    while todo:
        name, described = todo.pop(0)
        if name not in found:
            found[name] = _relocated(described, elsewhere)
            todo += [(other, shared[other]) for other in named(described) if other in shared]
    return found


def named(value: Any) -> Iterator[str]:
    """The names of the schemas that a schema refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix(SCHEMAS)
        for inner in value.values():
            yield from named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner)


def _relocated(value: Any, elsewhere: Mapping[str, str]) -> Any:
    """A schema with references for its file, and without OpenAPI's discriminators."""
    if isinstance(value, list):
        return [_relocated(inner, elsewhere) for inner in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        name = value["$ref"].removeprefix(SCHEMAS)
        return {**value, "$ref": f"{elsewhere.get(name, '')}#/$defs/{name}"}
    discriminating = "discriminator" in value and "oneOf" in value
    return {
        key: _relocated(inner, elsewhere)
        for key, inner in value.items()
        if not (discriminating and key == "discriminator")
    }
