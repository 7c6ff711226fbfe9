"""The query parameters of JSON:API routes, with the values they take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.graph import graph
from schemas.kinds import Enum, Kind, Number
from schemas.resource import Resource
from service.contract.refs import parameter, schema
from service.jsonapi.filters import MATCHERS, MAX_STEPS, filterable
from service.jsonapi.pagination import DEFAULT_SIZE, MAX_SIZE
from service.jsonapi.query import MAX_DEPTH, includable
from service.jsonapi.sorting import sortable

Object = dict[str, Any]
_MEMBER = "[A-Za-z0-9_]+"


def shared(types: Iterable[type[Resource]]) -> dict[str, Object]:
    """The shared parameters of types: include paths, fieldsets, sort keys and filters.

    What is the same for several types has one name: `created_at` is compared alike everywhere, `status` is not.
    """
    found: dict[str, Object] = {}
    for resource in types:
        found |= _described(resource)
    return found


def _described(resource: type[Resource]) -> dict[str, Object]:
    name = resource.__name__
    found = {f"{name}.include": _include(_includable(resource)), f"{name}.fields": _fields(resource)}
    keys = [key for name_ in sortable(resource) for key in (name_, f"-{name_}")]
    found[f"{name}.sort"] = _listed(
        "sort",
        "By which keys; `-` sorts downwards.",
        {"type": "string", "enum": keys},
        minItems=1,
    )
    found |= {_filter_name(resource, key): _filter(resource, key) for key in filterable(resource)}
    return found | {f"include.{key}": _include([key]) for key in _includable(resource)}


def paging() -> dict[str, Object]:
    """The shared parameters of all collections: three ways to page, of which a request uses one."""
    size = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE}
    cursor = {"in": "query", "schema": {"type": "string"}, "example": "start"}
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
            "schema": size | {"default": DEFAULT_SIZE},
        },
        "page.offset": {
            "name": "page[offset]",
            "in": "query",
            "description": "How many resources come before the page: another way to say which.",
            "schema": {"type": "integer", "format": "int64", "minimum": 0, "maximum": 9_999_999_999, "default": 0},
        },
        "page.limit": {
            "name": "page[limit]",
            "in": "query",
            "description": "With `page[offset]`, how many resources a page has.",
            "schema": size | {"default": DEFAULT_SIZE},
        },
        "page.after": cursor | {"name": "page[after]", "description": "The cursor that the page begins after."},
        "page.before": cursor | {"name": "page[before]", "description": "The cursor that the page ends before."},
        "page.total": {
            "name": "page[total]",
            "in": "query",
            "description": "Whether a page by cursor says how many resources there are.",
            "schema": {"type": "boolean", "default": False},
        },
    }


def filtering() -> dict[str, Object]:
    """The shared parameter for all filters that a type's own ones don't tell of: matchers, paths, Commerce Layer's."""
    value = {"type": "string"}
    matched = {"type": "object", "propertyNames": {"enum": list(MATCHERS)}, "additionalProperties": value}
    ends = "|".join(MATCHERS)
    predicates = {
        "type": "object",
        "propertyNames": {"pattern": f"^[A-Za-z0-9_.]+_({ends})$"},
        "additionalProperties": value,
    }
    return {
        "filter": {
            "name": "filter",
            "in": "query",
            "description": (
                "Further filters: `filter[name][matcher]=value`, with `name` an attribute, a relationship, or a path of"
                f" up to {MAX_STEPS} relationships to either with dots between; `filter[name][]=value` for values with"
                " commas; `filter[q][names_matcher]=value` as Commerce Layer has it. The grammar is at"
                " `/docs/filtering`."
            ),
            "style": "deepObject",
            "explode": True,
            "schema": {
                "type": "object",
                "properties": {"q": predicates},
                "patternProperties": {f"^(?!q$){_MEMBER}(\\.{_MEMBER}){{0,{MAX_STEPS}}}$": {"oneOf": [value, matched]}},
                "additionalProperties": False,
            },
            "examples": {
                "matcher": {"value": {"reference": {"i_cont": "shop"}}},
                "query": {"value": {"q": {"id_or_reference_start": "A"}}},
            },
        }
    }


def fieldsets(types: Iterable[type[Resource]]) -> dict[str, Object]:
    """The shared parameter for fieldsets of all types, since any of them may be on the way of `include`."""
    return {
        "fields": {
            "name": "fields",
            "in": "query",
            "description": "The only fields of further types to answer with: `fields[type]=name,name` for every type of"
            " the answer. Which fields a type has is said at its own URL.",
            "style": "deepObject",
            "explode": True,
            "schema": {
                "type": "object",
                "propertyNames": {"enum": [resource.type_ for resource in types]},
                "additionalProperties": {"type": "string", "pattern": f"^({_MEMBER}(,{_MEMBER})*)?$"},
            },
            "examples": {"customers": {"value": {"customers": "email,reference"}}},
        }
    }


def identifier() -> dict[str, Object]:
    """The shared path parameter."""
    about = {"name": "id", "in": "path", "required": True, "description": "The resource's id."}
    return {"id": about | {"schema": schema("Id")}}


def of_one(resource: type[Resource]) -> list[Object]:
    """What a URL takes that answers with one resource: `include`, and fieldsets of what may be in the answer."""
    return [parameter(f"{resource.__name__}.include"), *_fieldsets(resource)]


def of_many(resource: type[Resource]) -> list[Object]:
    """What the URL of a type takes that answers with a page of its resources."""
    filters = [parameter(_filter_name(resource, key)) for key in filterable(resource)]
    return [*of_one(resource), *filters, *_selecting(resource)]


def of_related(resource: type[Resource], *, many: bool) -> list[Object]:
    """What a URL takes that answers with what a relationship leads to.

    The filters are those of the type's own URL, where they are described one by one.
    """
    return [*of_one(resource), *(_selecting(resource) if many else [])]


def of_linkage(resource: type[Resource], relationship: str, *, many: bool) -> list[Object]:
    """What the URL of a relationship itself takes; its include paths begin with the relationship's own name."""
    target = graph[resource.relationships[relationship].type_]
    # Whoever can't include it gets the bare identifiers.
    can_include = includable(resource, relationship) is not None
    along = [parameter(f"include.{relationship}"), *_fieldsets(target)] if can_include else []
    return [*along, *(_selecting(target) if many else [])]


def _selecting(resource: type[Resource]) -> list[Object]:
    """What chooses, sorts and pages the resources of a collection, with its filters all in one."""
    return [parameter("filter"), parameter(f"{resource.__name__}.sort"), *(parameter(key) for key in paging())]


def _includable(resource: type[Resource]) -> list[str]:
    return [name for name in resource.relationships if includable(resource, name) is not None]


def _fieldsets(resource: type[Resource]) -> list[Object]:
    return [parameter(f"{resource.__name__}.fields"), parameter("fields")]


def _listed(name: str, description: str, items: Object, **limits: int) -> Object:
    """A query parameter that takes values with commas between them."""
    return {
        "name": name,
        "in": "query",
        "description": description,
        "explode": False,
        "schema": {"type": "array", "items": items} | limits,
    }


def _include(names: list[str]) -> Object:
    path = {"pattern": f"^({'|'.join(names)})(\\.[a-z0-9_]+){{0,{MAX_DEPTH - 1}}}$"} if names else {"maxLength": 0}
    return _listed(
        "include",
        "Related resources to send along.",
        {"type": "string", **path},
    )


def _fields(resource: type[Resource]) -> Object:
    names = [*resource.attributes, *resource.relationships]
    return _listed(
        f"fields[{resource.type_}]",
        "Only these fields.",
        {"type": "string", "enum": names},
    )


def _filter_name(resource: type[Resource], key: str) -> str:
    """The name of a filter's description, which tells how its values look."""
    if key not in resource.attributes:
        return f"filter.{key}" if key == "id" else f"filter.{key}.id"
    value = _value(resource.attributes[key])
    if "enum" in value:
        return f"{resource.__name__}.filter.{key}"
    form = value.get("format") or ("number" if "pattern" in value else value["type"])
    return f"filter.{key}.{form}"


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
    # Text is compared as it is; only instants have a form that they must be sent in.
    unchecked = kind.json_type["type"] == "string" and kind.json_type.get("format") != "date-time"
    return {"type": "string"} if unchecked else dict(kind.json_type)
