"""What a type's documents look like: its resource object, its create request and its answers, as JSON Schema 2020-12.

Envelopes are open, since JSON:API lets members be added to them; `attributes` and `relationships` are closed. A
fieldset can leave any attribute or relationship out of an answer, so none of them is required there.
"""

from __future__ import annotations

from collections.abc import Iterable
from inspect import getdoc
from typing import Any

from schemas.base import Resource, ToMany, ToOne, Write, graph
from schemas.kinds import ID

Object = dict[str, Any]


def schema(name: str) -> Object:
    """A reference to a shared schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def prose(resource: type[Resource]) -> str:
    """A type's docstring."""
    return getdoc(resource) or ""


def shared(types: Iterable[type[Resource]]) -> dict[str, Object]:
    """What all documents have in common; `types` are those that can be included."""
    mapping = {resource.type_: f"#/components/schemas/{resource.__name__}" for resource in types}
    url = {"type": "string", "format": "uri"}
    count = {"type": "integer", "minimum": 0}
    return {
        "Id": {"type": "string", "pattern": f"^{ID.pattern}$", "examples": ["01JD8R6Q0VN3T5W7Y9ABCDEFGH"]},
        "JsonApi": {"type": "object", "required": ["version"], "properties": {"version": {"const": "1.1"}}},
        "OwnLinks": {"type": "object", "required": ["self"], "properties": {"self": url}},
        "RelationshipLinks": {
            "type": "object",
            "required": ["self", "related"],
            "properties": {
                "self": url | {"description": "The relationship itself."},
                "related": url | {"description": "What it leads to."},
            },
        },
        "PageLinks": {
            "type": "object",
            "description": "The pages around this one; `prev` and `next` are left out at the ends.",
            "required": ["self", "first", "last"],
            "properties": {"self": url, "related": url, "first": url, "last": url, "prev": url, "next": url},
        },
        "ResourceMeta": {
            "type": "object",
            "required": ["mode", "version"],
            "properties": {
                "mode": {"type": "string", "enum": ["test", "live"], "description": "The store's mode."},
                "version": {"type": "integer", "format": "int64", "description": "Rises with every change."},
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
        "ErrorSource": {
            "type": "object",
            "description": "Where the mistake is, by one of these.",
            "properties": {
                "pointer": {"type": "string", "format": "json-pointer", "description": "Into the request's document."},
                "parameter": {"type": "string", "description": "The query parameter."},
                "header": {"type": "string", "description": "The request header."},
            },
        },
        "AnyResource": {
            "oneOf": [schema(name.rpartition("/")[2]) for name in mapping.values()],
            "discriminator": {"propertyName": "type", "mapping": mapping},
        },
        "Deleted": {
            "type": "object",
            "required": ["jsonapi", "meta"],
            "properties": {"jsonapi": schema("JsonApi"), "meta": {"type": "object"}},
        },
        "EntryPoint": {
            "type": "object",
            "required": ["jsonapi", "links", "meta"],
            "properties": {
                "jsonapi": schema("JsonApi"),
                "links": schema("OwnLinks"),
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
        f"{name}Attributes": _closed({key: field.schema() for key, field in resource.attributes.items()}),
        f"{name}Relationships": _closed(
            {key: _described(_relationship(found), found) for key, found in resource.relationships.items()}
        ),
        f"{name}Document": _document(schema(name), "OwnLinks"),
        f"{name}Collection": _document({"type": "array", "items": schema(name)}, "PageLinks", counts=True),
    }


def linked_schemas(resource: type[Resource], *, to_one: bool, to_many: bool) -> dict[str, Object]:
    """The schemas of relationships that lead to a type, of those kinds that there are."""
    name = resource.__name__
    found: dict[str, Object] = {}
    if to_one or to_many:
        found[f"{name}Identifier"] = {
            "type": "object",
            "required": ["type", "id"],
            "properties": {"type": _type(resource), "id": schema("Id")},
        }
    if to_one:
        linkage = _or_null(schema(f"{name}Identifier"))
        found[f"{name}ToOne"] = _relationship_object(linkage, ["links", "data"])
        found[f"{name}OrNullDocument"] = _document(_or_null(schema(name)), "OwnLinks")
        found[f"{name}Linkage"] = _document(linkage, "RelationshipLinks")
    if to_many:
        linkage = {"type": "array", "items": schema(f"{name}Identifier")}
        # Linkage of a to-many relationship is sent only along the include path.
        found[f"{name}ToMany"] = _relationship_object(linkage, ["links"])
        found[f"{name}Linkages"] = _document(linkage, "PageLinks", counts=True)
    return found


def creation_schemas(resource: type[Resource]) -> dict[str, Object]:
    """The document that creates a resource of a type, and the one that answers it: only there are secrets disclosed."""
    fields = {**resource.attributes, **resource.triggers}
    attributes = {key: field.schema() for key, field in fields.items() if field.write & Write.CREATE}
    relationships = {
        key: _described(sent(found), found)
        for key, found in resource.relationships.items()
        if found.write & Write.CREATE
    }
    required = [key for key in attributes if fields[key].required]
    linked = [key for key in relationships if resource.relationships[key].required]
    members = {"attributes": _closed(attributes, required), "relationships": _closed(relationships, linked)}
    data = {
        "type": "object",
        "required": ["type", *(["attributes"] if required else []), *(["relationships"] if linked else [])],
        "properties": {
            "type": _type(resource),
            "id": schema("Id") | {"description": "An id of the client's own; the service makes one otherwise."},
            **{member: value for member, value in members.items() if value["properties"]},
        },
    }
    document = {"type": "object", "required": ["data"], "properties": {"data": data}}
    return {
        f"{resource.__name__}Create": document,
        f"{resource.__name__}Created": _document(_disclosing(resource), "OwnLinks"),
    }


def update_schemas(resource: type[Resource]) -> dict[str, Object]:
    """The document that changes a resource: what it sends of read-only fields must be what they are."""
    attributes = {key: field.schema() for key, field in {**resource.attributes, **resource.triggers}.items()}
    relationships = {key: _described(sent(found), found) for key, found in resource.relationships.items()}
    members = {"attributes": _closed(attributes), "relationships": _closed(relationships)}
    data = {
        "type": "object",
        "required": ["type", "id"],
        "properties": {
            "type": _type(resource),
            "id": schema("Id"),
            **{member: value for member, value in members.items() if value["properties"]},
        },
    }
    return {f"{resource.__name__}Update": {"type": "object", "required": ["data"], "properties": {"data": data}}}


def _disclosing(resource: type[Resource]) -> Object:
    """A type's resource object as the answer to its creation shows it."""
    if not resource.disclosed:
        return schema(resource.__name__)
    attributes = {key: field.schema() for key, field in resource.attributes.items()}
    attributes |= {key: {"type": "string", "description": text} for key, text in resource.disclosed.items()}
    found = _object(resource)
    return found | {"properties": found["properties"] | {"attributes": _closed(attributes, resource.disclosed)}}


def _object(resource: type[Resource]) -> Object:
    name = resource.__name__
    return {
        "type": "object",
        "description": prose(resource),
        "required": ["type", "id", "links", "meta"],
        "properties": {
            "type": _type(resource),
            "id": schema("Id"),
            "attributes": schema(f"{name}Attributes"),
            "relationships": schema(f"{name}Relationships"),
            "links": schema("OwnLinks"),
            "meta": schema("ResourceMeta"),
        },
    }


def _type(resource: type[Resource]) -> Object:
    return {"type": "string", "const": resource.type_}


def _closed(properties: dict[str, Object], required: Iterable[str] = ()) -> Object:
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    named = list(required)
    return found | ({"required": named} if named else {})


def _or_null(found: Object) -> Object:
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


def sent(found: ToOne | ToMany) -> Object:
    """A relationship object of a request, or the document of one to its own URL: linkage alone."""
    one = schema(f"{graph[found.type_].__name__}Identifier")
    data: Object = {"type": "array", "items": one} if isinstance(found, ToMany) else one
    if isinstance(found, ToOne) and not found.required:
        data = _or_null(one)
    return {"type": "object", "required": ["data"], "properties": {"data": data}}


def _document(data: Object, links: str, *, counts: bool = False) -> Object:
    included = {
        "type": "array",
        "description": "There whenever `include` was sent.",
        "items": schema("AnyResource"),
    }
    properties = {"jsonapi": schema("JsonApi"), "links": schema(links), "data": data, "included": included}
    required = ["jsonapi", "links", "data"]
    if counts:
        properties["meta"] = schema("Counts")
        required.append("meta")
    return {"type": "object", "required": required, "properties": properties}
