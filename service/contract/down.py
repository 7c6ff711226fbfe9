"""OpenAPI 3.0 of an OpenAPI 3.1 document, for importers that know no 3.1: the same, less exact where 3.0 can't be.

What 3.0 has no words for is left out (`patternProperties`, `propertyNames`) and so never wrong; the scopes of tokens,
which it takes for OAuth alone, stand in `x-scopes`. Links are left out: to what reads schemas as draft 4 has them, the
`id` that they send is a schema's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.contract.wholes import whole, wholes

Object = dict[str, Any]

VERSION = "3.0.3"
"""The last one that importers of 3.0 all know."""

_SCHEMAS = ("items", "not", "additionalProperties")
_LISTS = ("allOf", "anyOf", "oneOf")
_UNKNOWN = ("patternProperties", "propertyNames")
_NULL = {"type": "null"}
_ONLY_NULL = {"type": "object", "nullable": True, "enum": [None]}


def convert(document: Mapping[str, Any]) -> Object:
    """The same contract as OpenAPI 3.0."""
    shared = document["components"]["schemas"]
    document = whole(document, shared)
    document["components"]["schemas"] = wholes(shared)
    found: Object = {"openapi": VERSION} | {
        key: _convert(value) for key, value in document.items() if key not in ("openapi", "webhooks")
    }
    about = document["info"]
    found["info"] = {key: value for key, value in about.items() if key != "summary"}
    found["info"]["license"] = {"name": about["license"]["name"]}
    for response in found["components"]["responses"].values():
        response.pop("links", None)
    found["components"]["schemas"] = {name: schema(value) for name, value in document["components"]["schemas"].items()}
    return found


def _convert(value: Any) -> Any:
    """Anything outside of schemas."""
    if isinstance(value, list):
        return [_convert(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {key: _of_key(key, inner) for key, inner in value.items()}
    if value.get("security"):
        scopes = dict.fromkeys(scope for kind in value["security"] for needed in kind.values() for scope in needed)
        found |= {"x-scopes": list(scopes)} if scopes else {}
    return found


def _of_key(key: str, value: Any) -> Any:
    if key == "schema":
        return schema(value)
    if key == "security":
        return [{name: [] for name in kind} for kind in value]
    return value if key in ("example", "examples") else _convert(value)


def schema(value: Any) -> Any:
    """A JSON Schema (2020-12) as a Schema Object of 3.0."""
    if isinstance(value, bool):
        return value or {"not": {}}
    if "$ref" in value:
        reference = {"$ref": value["$ref"]}
        beside = {key: inner for key, inner in value.items() if key != "$ref"}
        return {"allOf": [reference], **schema(beside)} if beside else reference
    found = {key: _of_keyword(key, inner) for key, inner in value.items() if key not in _UNKNOWN}
    if "patternProperties" in value:
        found.pop("additionalProperties", None)
    for step in (_const, _types, _alternatives, _examples):
        step(found)
    return found


def _of_keyword(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: schema(inner) for name, inner in value.items()}
    if key in _LISTS:
        return [inner if inner == _NULL else schema(inner) for inner in value]
    if key in _SCHEMAS:
        return value if key == "additionalProperties" and isinstance(value, bool) else schema(value)
    return value


def _const(found: Object) -> None:
    if "const" in found:
        value = found.pop("const")
        found.setdefault("type", {bool: "boolean", str: "string", int: "integer"}[type(value)])
        found["enum"] = [value]


def _types(found: Object) -> None:
    """One type at most; null is a word of its own."""
    types = found.get("type")
    if not isinstance(types, list):
        return
    plain = [name for name in types if name != "null"]
    nullable = {"nullable": True} if len(plain) < len(types) else {}
    del found["type"]
    if len(plain) == 1:
        found |= {"type": plain[0]} | nullable
    else:
        found.setdefault("anyOf", [_alone(name, found) | nullable for name in plain])
        found.pop("items", None)


def _alone(name: str, found: Object) -> Object:
    return {"type": name} | ({"items": found["items"]} if name == "array" else {})


def _alternatives(found: Object) -> None:
    """Null as an alternative: 3.0 has it as a value alone, of a type that may be null."""
    for key in _LISTS:
        if _NULL in found.get(key, ()):
            found[key] = [dict(_ONLY_NULL) if inner == _NULL else inner for inner in found[key]]


def _examples(found: Object) -> None:
    if "examples" in found:
        found["example"] = found.pop("examples")[0]
