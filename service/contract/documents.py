"""What a type's documents look like: its resource object, its create request and its answers, as JSON Schema 2020-12.

Envelopes are open, since JSON:API lets members be added to them; `attributes` and `relationships` are closed. A
fieldset can leave any attribute or relationship out of an answer, so none of them is required there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import getdoc
from types import MappingProxyType
from typing import Any

from schemas.fields import Write
from schemas.graph import graph
from schemas.kinds import ID, Standard
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service.contract.refs import SCHEMAS, schema
from service.contract.wholes import CLOSED
from service.jsonapi.links import JSON_SCHEMA
from service.jsonapi.pagination import PROFILE

Object = dict[str, Any]

YAML = "application/yaml"
"""The media type of openapi.yaml (RFC 9512)."""
_INCLUDED = schema("Included")


def prose(resource: type[Resource]) -> str:
    """A type's docstring."""
    return getdoc(resource) or ""


def shared(types: Iterable[type[Resource]]) -> dict[str, Object]:
    """What all documents have in common; `types` are those that can be included."""
    mapping = {resource.type_: f"{SCHEMAS}{resource.__name__}" for resource in types}
    url = {"type": "string", "format": "uri"}
    count = {"type": "integer", "minimum": 0}
    return {
        "Id": {"type": "string", "pattern": f"^{ID.pattern}$", "examples": ["01JD8R6Q0VN3T5W7Y9ABCDEFGH"]},
        "JsonApi": {"type": "object", "required": ["version"], "properties": {"version": {"const": "1.1"}}},
        "OwnLinks": {"type": "object", "required": ["self"], "properties": {"self": url}},
        "DescribedBy": _link(url, JSON_SCHEMA) | {"description": "The JSON Schema of the document."},
        "DocumentLinks": _links({"self": url}),
        "LinkageLinks": _links({"self": url, "related": url}),
        "RelationshipLinks": {
            "type": "object",
            "required": ["self", "related"],
            "properties": {
                "self": url | {"description": "The relationship itself."},
                "related": url | {"description": "What it leads to."},
            },
        },
        "PageLinks": _links(
            {"self": url, "first": url, "last": url},
            {"related": url, "prev": url, "next": url},
            description="The pages around this one; `prev` and `next` are left out at the ends.",
        ),
        "CursorPageLinks": _links(
            {"self": _link(url), "first": url, "last": url, "prev": or_null(url), "next": or_null(url)},
            {"related": url},
            description="The pages around this one; `prev` and `next` are null at the ends.",
        ),
        "ResourceMeta": {
            "type": "object",
            "required": ["mode", "version"],
            "properties": {
                "mode": {"type": "string", "enum": ["test", "live"], "description": "The store's mode."},
                "version": {"type": "integer", "format": "int64", "description": "Rises with every change."},
                "page": schema("ItemCursor"),
            },
        },
        "Counts": {
            "type": "object",
            "required": ["record_count", "page_count", "total", "page"],
            "properties": {
                "record_count": count | {"description": "How many resources all pages have together."},
                "page_count": count | {"description": "How many pages there are."},
                "total": count | {"description": "The same as `record_count`."},
                "page": {"type": "object", "required": ["total"], "properties": {"total": count}},
            },
        },
        "ItemCursor": {
            "type": "object",
            "description": "On pages by cursor: the place of this one.",
            "required": ["cursor"],
            "properties": {"cursor": {"type": "string"}},
        },
        **{_common(key): found for key, found in Standard.described().items()},
        "Document": _kind("DocumentLinks"),
        "LinkageDocument": _kind("LinkageLinks"),
        "Page": _kind("PageLinks", "Counts"),
        "CursorPage": _cursor_page(count),
        "AnyResource": {
            "oneOf": [schema(name.rpartition("/")[2]) for name in mapping.values()],
            "discriminator": {"propertyName": "type", "mapping": mapping},
        },
        "Included": {
            "type": "array",
            "description": "There whenever `include` was sent.",
            "items": schema("AnyResource"),
        },
        "Deleted": {
            "type": "object",
            "required": ["jsonapi", "meta"],
            "properties": {"jsonapi": schema("JsonApi"), "meta": {"type": "object"}},
        },
        "Told": {
            "type": "object",
            "description": "A resource that is gone or too large, or told of by its id alone.",
            "required": ["type", "id"],
            "properties": {"type": {"type": "string"}, "id": schema("Id")},
        },
        "EntryPoint": {
            "type": "object",
            "required": ["jsonapi", "links", "meta"],
            "properties": {
                "jsonapi": schema("JsonApi"),
                "links": {
                    "type": "object",
                    "required": ["self", "describedby"],
                    "properties": {"self": url, "describedby": _link(url, YAML)},
                },
                "meta": {
                    "type": "object",
                    "required": ["types"],
                    "properties": {
                        "types": {
                            "type": "object",
                            "description": "The URL of each type's collection.",
                            "required": list(mapping),
                            "properties": dict.fromkeys(mapping, url),
                        }
                    },
                },
            },
        },
    }


def resource_schemas(resource: type[Resource]) -> dict[str, Object]:
    """The schemas that every type has: its resource object, the parts of that, documents with one and with many."""
    name = resource.__name__
    return {
        name: _object(resource),
        **parts(resource),
        f"{name}Attributes": _attributes(resource),
        f"{name}Relationships": closed(
            {key: _described(_relationship(found), found) for key, found in resource.relationships.items()}
        ),
        f"{name}Document": document(schema(name)),
        **_pages(f"{name}Collection", name),
    }


def linked_schemas(resource: type[Resource], *, to_one: bool, to_many: bool) -> dict[str, Object]:
    """The schemas of relationships that lead to a type, of those kinds that there are."""
    name = resource.__name__
    found: dict[str, Object] = {}
    if to_one or to_many:
        found[f"{name}Identifier"] = {
            "type": "object",
            "required": ["type", "id"],
            "properties": {"type": type_of(resource), "id": schema("Id"), "meta": {"type": "object"}},
        }
    if to_one:
        linkage = or_null(schema(f"{name}Identifier"))
        found[f"{name}ToOne"] = _relationship_object(linkage, ["links", "data"])
        found[f"{name}OrNullDocument"] = document(or_null(schema(name)))
        found[f"{name}Linkage"] = document(linkage, "LinkageDocument")
    if to_many:
        linkage = {"type": "array", "items": schema(f"{name}Identifier")}
        # Linkage of a to-many relationship is sent only along the include path.
        found[f"{name}ToMany"] = _relationship_object(linkage, ["links"])
        found |= _pages(f"{name}Linkages", f"{name}Identifier")
    return found


def created(resource: type[Resource]) -> str:
    """The name of the document that answers the creation of a resource of a type."""
    return f"{resource.__name__}{'Created' if resource.disclosed else 'Document'}"


def only(value: str) -> Object:
    """An array that holds one value; generators of clients know no `const` that is a list."""
    return {"type": "array", "items": {"type": "string", "const": value}, "minItems": 1, "maxItems": 1}


def disclosing(resource: type[Resource]) -> Object:
    """A type's resource object as the answer to its creation shows it, secrets included the first time it is given."""
    if not resource.disclosed:
        return schema(resource.__name__)
    disclosed = {key: field.schema() for key, field in resource.disclosed.items()}
    found = _object(resource)
    return found | {"properties": found["properties"] | {"attributes": _attributes(resource, disclosed)}}


def sent_part(resource: type[Resource]) -> str:
    """The name of the part of a type's attributes that creations send too; the others are `...Facts`."""
    return f"{resource.__name__}Fields"


def parts(resource: type[Resource]) -> dict[str, Object]:
    """The attributes of a type, in those parts that it has."""
    common = Standard.described()
    found: dict[str, Object] = {}
    for key, field in resource.attributes.items():
        part = sent_part(resource) if field.write & Write.CREATE else f"{resource.__name__}Facts"
        described = schema(_common(key)) if common.get(key) == field.schema() else field.schema()
        found.setdefault(part, {"type": "object", "properties": {}})["properties"][key] = described
    return found


def _common(key: str) -> str:
    """The name of the schema of an attribute that every type has."""
    return "".join(word.capitalize() for word in key.split("_"))


def _attributes(resource: type[Resource], further: Object | None = None) -> Object:
    return made_of(parts(resource), further or {})


def made_of(parts: Iterable[str], further: Object, required: Iterable[str] = ()) -> Object:
    """A closed object of shared parts and further properties, of which some must be there.

    What is further is a part too: a generator of Python clients takes an object with one part for that part. Where that
    part says nothing it has no type either: one of TypeScript takes an object without properties for one that has none.
    """
    named = list(required)
    said = {**({"required": named} if named else {}), **({"properties": further} if further else {})}
    own = {"type": "object", **said} if said else {}
    return {"type": "object", "allOf": [*(schema(part) for part in parts), own], CLOSED: False}


def _object(resource: type[Resource]) -> Object:
    name = resource.__name__
    return {
        "type": "object",
        "description": prose(resource),
        "required": ["type", "id", "links", "meta"],
        "properties": {
            "type": type_of(resource),
            "id": schema("Id"),
            "attributes": schema(f"{name}Attributes"),
            "relationships": schema(f"{name}Relationships"),
            "links": schema("OwnLinks"),
            "meta": schema("ResourceMeta"),
        },
    }


def type_of(resource: type[Resource]) -> Object:
    """The member `type` of what is of a type."""
    return {"type": "string", "const": resource.type_}


def closed(properties: dict[str, Object], required: Iterable[str] = ()) -> Object:
    """An object with these properties and no others."""
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    named = list(required)
    return found | ({"required": named} if named else {})


def or_null(found: Object) -> Object:
    """Something, or null."""
    return {"oneOf": [found, {"type": "null"}]}


def _described(found: Object, relationship: ToOne | ToMany) -> Object:
    text = relationship.metadata.get("description")
    return found | ({"description": text} if text else {})


def _relationship(found: ToOne | ToMany) -> Object:
    name = graph[found.type_].__name__
    return schema(f"{name}ToMany" if isinstance(found, ToMany) else f"{name}ToOne")


def _relationship_object(linkage: Object, required: list[str]) -> Object:
    return {
        "type": "object",
        "required": required,
        "properties": {"links": schema("RelationshipLinks"), "data": linkage},
    }


def _link(url: Object, media_type: str = "") -> Object:
    """A link object that says what media type it leads to."""
    named = {"const": media_type} if media_type else {"type": "string"}
    return {"type": "object", "required": ["href", "type"], "properties": {"href": url, "type": named}}


def _links(
    there: dict[str, Object], maybe: Mapping[str, Object] = MappingProxyType({}), *, description: str = ""
) -> Object:
    """The top-level links of a document: those that are always there, and those that may be."""
    always = {**there, "describedby": schema("DescribedBy")}
    found = {"type": "object", "required": list(always), "properties": {**always, **maybe}}
    return found | ({"description": description} if description else {})


def document(data: Object, kind: str = "Document") -> Object:
    """A document with some primary data; `kind` names what it has in common with others."""
    return {"allOf": [schema(kind), {"type": "object", "required": ["data"], "properties": {"data": data}}]}


def _pages(name: str, item: str) -> dict[str, Object]:
    """The documents with a page of something: by number or offset, and by cursor."""
    data = {"type": "array", "items": schema(item)}
    return {name: document(data, "Page"), f"{name}ByCursor": document(data, "CursorPage")}


def _kind(links: str, meta: str = "") -> Object:
    """What documents of a kind have in common: all but their primary data."""
    properties = {"jsonapi": schema("JsonApi"), "links": schema(links), "included": _INCLUDED}
    required = ["jsonapi", "links"]
    if meta:
        properties["meta"] = schema(meta)
        required.append("meta")
    return {"type": "object", "required": required, "properties": properties}


def _cursor_page(count: Object) -> Object:
    """What all documents with a page by cursor have in common (the profile, "Document Structure")."""
    meta = {"required": ["page"], "properties": {"page": schema("ItemCursor")}}
    item = {"required": ["meta"], "properties": {"meta": meta}}
    return {
        "type": "object",
        "required": ["jsonapi", "links", "data"],
        "properties": {
            "jsonapi": {
                "type": "object",
                "required": ["version", "profile"],
                "properties": {"version": {"const": "1.1"}, "profile": only(PROFILE)},
            },
            "links": schema("CursorPageLinks"),
            "data": {"type": "array", "items": item},
            "included": _INCLUDED,
            "meta": {
                "type": "object",
                "description": "Counts, with `page[total]=true`.",
                "properties": {
                    "record_count": count,
                    "page_count": count,
                    "total": count,
                    "page": {
                        "type": "object",
                        "properties": {
                            "total": count,
                            "rangeTruncated": {
                                "type": "boolean",
                                "description": "There when more lies between the cursors than the page holds.",
                            },
                        },
                    },
                },
            },
        },
    }
