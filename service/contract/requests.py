"""What requests send of a type: the document that creates one, the one that changes one, and linkage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.fields import Write
from schemas.graph import graph
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service.contract import documents
from service.contract.refs import schema

Object = dict[str, Any]

_IGNORED = {"patternProperties": {"^@": True}}
"""What a request may hold beside fields: members that begin with `@`, which are ignored ("@-Members")."""


def creation_schemas(resource: type[Resource]) -> dict[str, Object]:
    """The document that creates a resource of a type, and the one that answers it where secrets are disclosed."""
    name = resource.__name__
    fields = {**resource.attributes, **resource.triggers}
    creating = {key: field for key, field in fields.items() if field.write & Write.CREATE}
    linked = {key: found for key, found in resource.relationships.items() if found.write & Write.CREATE}
    attributes = documents.made_of(
        [part for part in documents.parts(resource) if part == documents.sent_part(resource)],
        {key: field.schema() for key, field in creating.items() if key in resource.triggers},
        [key for key, field in creating.items() if field.required],
    )
    relationships = _sendable(
        {key: sent(found) for key, found in linked.items()}, [key for key, found in linked.items() if found.required]
    )
    members = {"attributes": attributes | _IGNORED} if creating else {}
    members |= {"relationships": relationships} if linked else {}
    needed = {
        "attributes": any(field.required for field in creating.values()),
        "relationships": "required" in relationships,
    }
    data = {
        "type": "object",
        "required": ["type", *(member for member, one in needed.items() if one)],
        "properties": {
            "type": documents.type_of(resource),
            "id": schema("Id") | {"description": "An id of the client's own; the service makes one otherwise."},
            **members,
        },
    }
    document = {f"{name}Create": {"type": "object", "required": ["data"], "properties": {"data": data}}}
    if resource.disclosed:
        document[f"{name}Created"] = documents.document(documents.disclosing(resource))
    return document


def update_schemas(resource: type[Resource]) -> dict[str, Object]:
    """The document that changes a resource: what it sends of read-only fields must be what they are."""
    name = resource.__name__
    triggers = {key: field.schema() for key, field in resource.triggers.items()}
    relationships = {key: _resent(found) for key, found in resource.relationships.items()}
    members = {"attributes": documents.made_of(documents.parts(resource), triggers) | _IGNORED}
    members |= {"relationships": _sendable(relationships)} if relationships else {}
    data = {
        "type": "object",
        "required": ["type", "id"],
        "properties": {
            "type": documents.type_of(resource),
            "id": schema("Id"),
            **members,
        },
    }
    return {f"{name}Update": {"type": "object", "required": ["data"], "properties": {"data": data}}}


def linkage_schemas(resources: Iterable[type[Resource]]) -> dict[str, Object]:
    """The schemas of what requests send of the relationships of types: linkage, and as it was read."""
    found: dict[str, Object] = {}
    for relationship in (one for resource in resources for one in resource.relationships.values()):
        data = _sent(relationship)
        found[linkage(relationship)] = {
            "type": "object",
            "required": ["data"],
            "properties": {"data": data},
        }
        # Or the links alone, as they were read: they change nothing.
        read = {"anyOf": [{"required": ["data"]}, {"required": ["links"]}]}
        found[f"{linkage(relationship)}AsRead"] = {"type": "object", "properties": {"data": data}, **read}
    return found


def linkage(found: ToOne | ToMany) -> str:
    """The name of what is sent of a relationship."""
    form = "Links" if isinstance(found, ToMany) else "Link" if found.required else "LinkOrNull"
    return f"{graph[found.type_].__name__}{form}"


def sent(found: ToOne | ToMany) -> Object:
    """A relationship object of a request, or the document of one to its own URL: linkage alone."""
    return schema(linkage(found))


def _resent(found: ToOne | ToMany) -> Object:
    """A relationship object of a change."""
    return schema(f"{linkage(found)}AsRead")


def _sent(found: ToOne | ToMany) -> Object:
    one = schema(f"{graph[found.type_].__name__}Identifier")
    if isinstance(found, ToMany):
        return {"type": "array", "items": one}
    return one if found.required else documents.or_null(one)


def _sendable(properties: dict[str, Object], required: Iterable[str] = ()) -> Object:
    return documents.closed(properties, required) | _IGNORED
