"""The query parameters of JSON:API routes, with the values they take."""

from __future__ import annotations

from typing import Any

from schemas.base import Resource, graph
from schemas.kinds import Enum, Kind, Number
from service.jsonapi.filters import filterable
from service.jsonapi.pagination import DEFAULT_SIZE, MAX_SIZE
from service.jsonapi.query import MAX_DEPTH, includable
from service.jsonapi.sorting import sortable

Object = dict[str, Any]


def parameter(name: str) -> Object:
    """A reference to a shared parameter."""
    return {"$ref": f"#/components/parameters/{name}"}


def described(resource: type[Resource]) -> dict[str, Object]:
    """The shared parameters that a type brings: its include paths, fieldset, sort keys and filters."""
    name = resource.__name__
    found = {f"{name}.include": _include(resource, _includable(resource)), f"{name}.fields": _fields(resource)}
    keys = [key for name_ in sortable(resource) for key in (name_, f"-{name_}")]
    found[f"{name}.sort"] = _listed(
        "sort",
        "What to sort by, the first key first; `-` sorts downwards.",
        {"type": "string", "enum": keys},
        minItems=1,
    )
    return found | {f"{name}.filter.{key}": _filter(resource, key) for key in filterable(resource)}


def paging() -> dict[str, Object]:
    """The shared parameters of all collections."""
    return {
        "page.number": {
            "name": "page[number]",
            "in": "query",
            "description": "Which page, from 1.",
            "schema": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 9_999_999_999, "default": 1},
        },
        "page.size": {
            "name": "page[size]",
            "in": "query",
            "description": "How many resources a page has.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE},
        },
    }


def identifier() -> dict[str, Object]:
    """The shared path parameter."""
    schema = {"$ref": "#/components/schemas/Id"}
    return {"id": {"name": "id", "in": "path", "required": True, "description": "The resource's id.", "schema": schema}}


def of_one(resource: type[Resource]) -> list[Object]:
    """What a URL takes that answers with one resource: `include`, and fieldsets of what may be in the answer."""
    return [parameter(f"{resource.__name__}.include"), *_fieldsets(resource)]


def of_many(resource: type[Resource]) -> list[Object]:
    """What a URL takes that answers with a page of resources."""
    return [*of_one(resource), *selecting(resource)]


def selecting(resource: type[Resource]) -> list[Object]:
    """What chooses, sorts and pages the resources of a collection."""
    name = resource.__name__
    filters = [parameter(f"{name}.filter.{key}") for key in filterable(resource)]
    return [*filters, parameter(f"{name}.sort"), parameter("page.number"), parameter("page.size")]


def of_linkage(resource: type[Resource], relationship: str, *, many: bool) -> list[Object]:
    """What the URL of a relationship itself takes; its include paths begin with the relationship's own name."""
    target = graph[resource.relationships[relationship].type_]
    # Whoever can't include it gets the bare identifiers.
    along = [_include(resource, [relationship]), *_fieldsets(target)] if _can_include(resource, relationship) else []
    return [*along, *(selecting(target) if many else [])]


def _can_include(resource: type[Resource], relationship: str) -> bool:
    return includable(resource, relationship) is not None


def _includable(resource: type[Resource]) -> list[str]:
    return [name for name in resource.relationships if _can_include(resource, name)]


def _fieldsets(resource: type[Resource]) -> list[Object]:
    """The fieldsets of a type and of those that its own relationships can include."""
    targets = (graph[resource.relationships[name].type_] for name in _includable(resource))
    return [parameter(f"{type_.__name__}.fields") for type_ in dict.fromkeys((resource, *targets))]


def _listed(name: str, description: str, items: Object, **limits: int) -> Object:
    """A query parameter that takes values with commas between them."""
    schema = {"type": "array", "items": items} | limits
    return {
        "name": name,
        "in": "query",
        "description": description,
        "style": "form",
        "explode": False,
        "schema": schema,
    }


def _include(resource: type[Resource], names: list[str]) -> Object:
    further = f"^({'|'.join(names)})(\\.[a-z0-9_]+){{1,{MAX_DEPTH - 1}}}$"
    paths = [{"enum": names}, {"pattern": further}] if names else [{"maxLength": 0}]
    return _listed(
        "include",
        f"Related resources to send along: relationships of `{resource.type_}`, or paths of up to {MAX_DEPTH}"
        " relationships with dots between. `fields[type]` works for every type on the way.",
        {"type": "string", "anyOf": paths},
    )


def _fields(resource: type[Resource]) -> Object:
    names = [*resource.attributes, *resource.relationships]
    return _listed(
        f"fields[{resource.type_}]",
        f"The only fields of `{resource.type_}` to answer with.",
        {"type": "string", "enum": names},
    )


def _filter(resource: type[Resource], key: str) -> Object:
    kind = resource.attributes.get(key)
    what = "One of these values." if kind is not None else "One of these ids."
    items = _value(kind) if kind is not None else {"type": "string"}
    return _listed(f"filter[{key}]", what, items, minItems=1)


def _value(kind: Kind) -> Object:
    """The values that an attribute can be compared with, as JSON Schema."""
    if isinstance(kind, Enum):
        return {"type": "string", "enum": list(kind.choices)}
    if isinstance(kind, Number):
        return {"type": "string", "pattern": "^-?[0-9]{1,19}$"}
    return dict(kind.json_type)
