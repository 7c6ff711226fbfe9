"""What webhooks are told, as OpenAPI describes it: one entry for each type; `asyncapi.yaml` has one for each topic."""

from __future__ import annotations

from typing import Any

from schemas.resource import Resource
from service.contract.refs import schema
from service.rules import topics

Object = dict[str, Any]


def told(resource: type[Resource]) -> Object:
    """What is sent of the events of a type."""
    names = ", ".join(topics.TOPICS[resource.type_])
    return {
        "post": {
            "tags": [resource.type_],
            "operationId": f"tellOf{resource.__name__}",
            "summary": f"What happened to one: {names}",
            "requestBody": {"content": {"application/json": {"schema": _body(resource)}}},
            "responses": {"2XX": {"description": "It is taken."}},
        }
    }


def _body(resource: type[Resource]) -> Object:
    """A document with the whole resource or its id alone, and in `meta.event` what happened."""
    return {
        "type": "object",
        "required": ["data", "meta"],
        "properties": {"data": {"anyOf": [schema(resource.__name__), schema("Told")]}, "meta": {"type": "object"}},
    }
