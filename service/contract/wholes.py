"""Objects that are described in parts, made whole for who knows no `unevaluatedProperties`.

What a type's resources, creations and changes have in common is described once, in parts that are open; what is made of
them is closed with a keyword that OpenAPI 3.0, JSON Schema's draft 7 and generators of requests don't know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.contract.refs import SCHEMAS

Object = dict[str, Any]

CLOSED = "unevaluatedProperties"


def whole(value: Any, schemas: Mapping[str, Object]) -> Any:
    """A value in which every object that is made of parts is one, closed. `schemas` are the shared ones."""
    if isinstance(value, list):
        return [whole(inner, schemas) for inner in value]
    if not isinstance(value, dict):
        return value
    if value.get(CLOSED) is False:
        value = _joined(value, schemas)
    return {key: whole(inner, schemas) for key, inner in value.items()}


def wholes(schemas: Mapping[str, Object]) -> Object:
    """The shared schemas made whole, without the parts, which nothing else refers to."""
    parts = {part.get("$ref") for found in _made_of_parts(list(schemas.values())) for part in found["allOf"]}
    return {name: whole(found, schemas) for name, found in schemas.items() if f"{SCHEMAS}{name}" not in parts}


def _made_of_parts(value: Any) -> list[Object]:
    if isinstance(value, list):
        return [found for inner in value for found in _made_of_parts(inner)]
    if not isinstance(value, dict):
        return []
    if value.get(CLOSED) is False:
        return [value]
    return _made_of_parts(list(value.values()))


def _joined(value: Object, schemas: Mapping[str, Object]) -> Object:
    parts = [schemas[part["$ref"].removeprefix(SCHEMAS)] if "$ref" in part else part for part in value["allOf"]]
    properties = {name: found for part in parts for name, found in part.get("properties", {}).items()}
    required = [name for part in parts for name in part.get("required", ())]
    rest = {key: inner for key, inner in value.items() if key not in ("allOf", CLOSED)}
    needed = {"required": required} if required else {}
    return rest | needed | {"properties": properties, "additionalProperties": False}
