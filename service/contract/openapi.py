"""`openapi.yaml`: the contract of every route, made from the same declarations that route the requests.

What the registry lists is described here, type by type; routes that other services' documents decide, and pages, are
written down by hand in `fixed.yaml`, beside their own schemas.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache, reduce
from importlib.resources import files
from operator import getitem
from typing import Any

import yaml

from schemas.relationships import ToMany, ToOne
from service.contract import (
    atomic,
    documents,
    errors,
    examples,
    json_schemas,
    operations,
    parameters,
    requests,
    webhooks,
)
from service.contract.described import Described
from service.contract.down import convert
from service.contract.refs import SCHEMAS, headers, parameter, request_body, schema
from service.contract.wholes import wholes
from service.jsonapi.negotiation import MEDIA_TYPE
from service.rules import topics

__all__ = ["JSON", "YAML", "build", "convert", "dump", "json_schema"]

Object = dict[str, Any]

YAML = documents.YAML
JSON = "application/json"
"""The media type of openapi.json."""

_SHORT = 110
"""What is shorter is written on one line."""

_WIDTH = 160
"""Where lines are folded. What folds them is indented, and references are long."""

_EVERYWHERE = {
    "*": (
        *("X-Request-Id", "traceparent", "Server-Timing", "Vary"),
        *("X-RateLimit-Limit", "X-RateLimit-Remaining", "RateLimit", "RateLimit-Policy", "X-Reprise-Position"),
    ),
    MEDIA_TYPE: ("Cache-Control",),
}
"""Media type -> the headers of every answer of that type, whatever the route; `*` stands for all of them."""

_READ_WITH = ("X-Reprise-Position",)
"""The headers that every GET may be sent, whatever the route."""


def build(entries: Mapping[str, Described]) -> Object:
    """The OpenAPI 3.1 document of these types and of the fixed routes.

    `entries` holds what the registry says of each type, in the order in which the types are to appear. Raises TypeError
    when two types would share the name of a schema.
    """
    fixed = deepcopy(_fixed())
    types = [entry.resource for entry in entries.values()]
    paths: Object = {operations.ROOT: operations.entry_point(), f"{operations.ROOT}/operations": atomic.path()}
    for entry in entries.values():
        paths |= operations.paths(entry, entries)
    document = {
        "openapi": "3.1.0",
        "info": fixed["info"],
        "servers": fixed["servers"],
        "tags": [*fixed["tags"], *({"name": type_.type_, "description": documents.prose(type_)} for type_ in types)],
        "x-headers": {media_type: headers(*names) for media_type, names in _EVERYWHERE.items()},
        "x-parameters": {"get": [parameter(name) for name in _READ_WITH]},
        "paths": fixed["paths"] | paths,
        "webhooks": {type_.type_: webhooks.told(type_) for type_ in types if type_.type_ in topics.TOPICS},
        "components": _components(entries, fixed["components"], set(_references(fixed["paths"] | paths))),
    }
    flat: Object = _flat(document, wholes(document["components"]["schemas"]))
    examples.attach(flat)
    return flat


def json_schema(entries: Mapping[str, Described], name: str) -> Object | None:
    """The JSON Schema of the documents about a type, or of `errors`; None where the name is neither."""
    shared = _merged([documents.shared([entry.resource for entry in entries.values()]), errors.shared()])
    of_types = {entry.resource.type_: _schemas_of(entry, entries) for entry in entries.values()}
    if name == "errors":
        return json_schemas.of_errors(shared)
    entry = entries.get(name)
    return None if entry is None else json_schemas.of_type(entry.resource, of_types, shared)


def dump(document: Mapping[str, Any]) -> str:
    """A document as YAML: always the same text for the same document, no anchors, lines of about 160 characters."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes paragraphs as blocks, what is short on one line, examples compactly, and what occurs twice twice.

    Many tools that read OpenAPI know no YAML aliases.
    """

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- YAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _mapping(dumper: yaml.SafeDumper, value: Object) -> yaml.MappingNode:
    compact = _length(value) < _SHORT or all(isinstance(inner, dict) and _plain(inner) for inner in value.values())
    node = dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=compact)
    for key, inner in node.value:
        if key.value == "value" and "summary" in value:
            inner.flow_style = True
    return node


def _sequence(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    compact = all(_plain(inner) for inner in value) or _length(value) < _SHORT
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=compact)


def _plain(value: Any) -> bool:
    """Whether a value is a leaf, or refers to one."""
    return value.keys() == {"$ref"} if isinstance(value, dict) else not isinstance(value, list)


def _length(value: Any) -> int:
    """About how long a value is on one line, which paragraphs never are."""
    if isinstance(value, dict):
        return sum(len(str(key)) + len(": , ") + _length(inner) for key, inner in value.items())
    if isinstance(value, list):
        return sum(len(", ") + _length(inner) for inner in value)
    return _SHORT if "\n" in str(value) else len(str(value))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _sequence)


@cache
def _fixed() -> Object:
    text = (files(__package__) / "fixed.yaml").read_text()
    document: Object = yaml.safe_load(text)
    return document


def _references(value: Any) -> Iterator[str]:
    """What is referred to anywhere in a value."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _flat(value: Any, schemas: Object) -> Any:
    """A value with what it refers to inside of a shared schema in place: generators of clients find whole ones only."""
    if isinstance(value, list):
        return [_flat(inner, schemas) for inner in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    inside = reference.removeprefix(SCHEMAS).split("/") if isinstance(reference, str) else []
    if reference is None or not reference.startswith(SCHEMAS) or len(inside) == 1:
        return {key: _flat(inner, schemas) for key, inner in value.items()}
    return _flat(reduce(getitem, inside, schemas), schemas)


def _components(entries: Mapping[str, Described], fixed: Mapping[str, Object], asked: Collection[str]) -> Object:
    """The shared parts; `asked` is what paths refer to."""
    types = [entry.resource for entry in entries.values()]
    refusals = errors.named(asked)
    schemas = [documents.shared(types), atomic.schemas(types), errors.shared(), errors.schemas(refusals)]
    schemas += [_schemas_of(entry, entries) for entry in entries.values()]
    bodies = {name: found for name, found in operations.bodies(types).items() if request_body(name)["$ref"] in asked}
    linked = set(_references([schemas, *bodies.values()]))
    schemas.append(
        {name: found for name, found in requests.linkage_schemas(types).items() if schema(name)["$ref"] in linked}
    )
    responses = [operations.shared_responses(), errors.responses(refusals, MEDIA_TYPE)]
    responses += [operations.responses(entry, **_ends(entry, entries)) for entry in entries.values()]
    shared = [parameters.identifier(), parameters.paging(), parameters.filtering(), parameters.fieldsets(types)]
    return {
        "securitySchemes": fixed["securitySchemes"],
        "parameters": _merged([*shared, parameters.shared(types), fixed["parameters"]]),
        "headers": fixed["headers"],
        "requestBodies": bodies,
        "responses": _merged([*responses, fixed["responses"]]),
        "schemas": _merged([*schemas, fixed["schemas"]]),
    }


def _schemas_of(entry: Described, entries: Mapping[str, Described]) -> Object:
    """The schemas that a type brings."""
    type_ = entry.resource
    found = [documents.resource_schemas(type_), documents.linked_schemas(type_, **_ends(entry, entries))]
    found += [requests.creation_schemas(type_)] if entry.create else []
    found += [requests.update_schemas(type_)] if "PATCH" in entry.on_resource else []
    return _merged(found)


def _ends(entry: Described, entries: Mapping[str, Described]) -> dict[str, bool]:
    """Which kinds of relationships lead to a type."""
    type_ = entry.resource.type_
    linked = [
        found for other in entries.values() for found in other.resource.relationships.values() if found.type_ == type_
    ]
    kinds = (("to_one", ToOne), ("to_many", ToMany))
    return {name: any(isinstance(found, kind) for found in linked) for name, kind in kinds}


def _merged(parts: Iterable[Mapping[str, Object]]) -> Object:
    merged: Object = {}
    for part in parts:
        for name, value in part.items():
            if name in merged:
                raise TypeError(f"openapi.yaml: two types would share the component {name}")
            merged[name] = value
    return merged
