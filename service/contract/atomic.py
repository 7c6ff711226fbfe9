"""POST /api/operations: what Atomic Operations look like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.resource import Resource
from service.contract import documents, errors
from service.contract.operations import REPLAYED, SENDING
from service.contract.refs import headers, parameter, response, schema
from service.jsonapi.atomic import CODES, MAX_OPERATIONS, MEMBER, RESULTS
from service.jsonapi.negotiation import ATOMIC, Media

Object = dict[str, Any]

MEDIA_TYPE = Media((ATOMIC,)).content_type


def path() -> Object:
    """The operation of the URL."""
    return {
        "parameters": [parameter("Accept-Language")],
        "post": {
            "tags": ["api"],
            "operationId": "changeMany",
            "summary": "Make many changes at once, all or none",
            "description": "Each operation asks for the scope of the request that it stands for.",
            "security": [{"integrationToken": []}, {"customerToken": []}, {"cartSession": []}],
            "parameters": [*SENDING],
            "requestBody": {
                "required": True,
                "content": {MEDIA_TYPE: {"schema": schema("AtomicOperations")}},
            },
            "responses": {
                "200": {
                    "description": "All is done; one result for each operation, in the same order.",
                    "headers": headers("Cache-Control", *REPLAYED),
                    "content": {MEDIA_TYPE: {"schema": schema("AtomicResults")}},
                },
                "204": response("NoContent"),
            }
            | errors.of_operations(),
        },
    }


def schemas(types: Iterable[type[Resource]]) -> dict[str, Object]:
    """The documents that are sent and answered with, and their parts; `types` are all that there are."""
    shown = [schema("AnyResource"), *(documents.disclosing(type_) for type_ in types if type_.disclosed)]
    type_: Object = {"type": "string", "description": "A resource type."}
    lid: Object = {"type": "string", "description": "The local id that an earlier operation gave its resource."}
    return {
        "AtomicOperations": {
            "type": "object",
            "required": [MEMBER],
            "properties": {
                MEMBER: {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_OPERATIONS,
                    "items": schema("AtomicOperation"),
                }
            },
            "not": {"anyOf": [{"required": [member]} for member in ("data", "included", "errors", RESULTS)]},
        },
        "AtomicOperation": {
            "type": "object",
            "required": ["op"],
            "properties": {
                "op": {"type": "string", "enum": list(CODES)},
                "ref": schema("AtomicRef"),
                "href": {
                    "type": "string",
                    "format": "uri-reference",
                    "description": "The URL of the target, such as `orders`, `/api/orders/1` or the whole of it.",
                },
                "data": {
                    "type": ["object", "array", "null"],
                    "items": {"type": "object"},
                    "description": "A resource object, as for POST and PATCH of its type, or a relationship's linkage.",
                },
                "meta": {
                    "type": "object",
                    "properties": {
                        "version": {
                            "type": "integer",
                            "format": "int64",
                            "description": "The version that the target must be at, as with If-Match.",
                        }
                    },
                },
            },
            "not": {"required": ["ref", "href"]},
        },
        "AtomicRef": {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": type_,
                "id": schema("Id"),
                "lid": lid,
                "relationship": {"type": "string", "description": "The relationship, where that is the target."},
            },
            "oneOf": [{"required": ["id"]}, {"required": ["lid"]}],
        },
        "AtomicResults": {
            "type": "object",
            "required": ["jsonapi", RESULTS],
            "properties": {
                "jsonapi": {
                    "type": "object",
                    "required": ["version", "ext"],
                    "properties": {"version": {"const": "1.1"}, "ext": documents.only(ATOMIC)},
                },
                "meta": {
                    "type": "object",
                    "properties": {
                        "abridged": {
                            "type": "boolean",
                            "const": True,
                            "description": "The results show identities alone: they are large, and given again.",
                        }
                    },
                    "additionalProperties": False,
                },
                RESULTS: {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_OPERATIONS,
                    "items": {
                        "type": "object",
                        "description": "Empty for what is removed, and for relationships.",
                        "properties": {
                            "data": {"anyOf": shown},
                            "meta": {
                                "type": "object",
                                "properties": {
                                    "warnings": {
                                        "type": "array",
                                        "minItems": 1,
                                        "items": {"type": "string"},
                                        "description": "What follows from the change, though it was taken as it is.",
                                    }
                                },
                                "additionalProperties": False,
                            },
                        },
                        "additionalProperties": False,
                    },
                },
            },
            "additionalProperties": False,
        },
    }
