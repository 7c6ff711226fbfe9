"""`asyncapi.yaml`: what others are told of, made from the topics and from the resources' declarations.

A message for each topic, with a schema of its own for its payload; what topics have in common is said once. Schemas are
those of `openapi.yaml`, in JSON Schema draft 7, which is AsyncAPI's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.graph import graph
from schemas.resource import Resource
from service.contract import documents, json_schemas, openapi
from service.contract.described import Described
from service.contract.refs import schema
from service.contract.wholes import wholes
from service.rules import cloudevents, topics
from service.rules.occasions import when
from service.settings import Settings

Object = dict[str, Any]

VERSION: Final = "3.0.0"
_TOLD: Final = ("name", "sequence", "payload", "changes", "actor_type", "actor_id", "created_at")
"""The attributes of an event that `meta.event` has."""
_HEADERS: Final[Mapping[str, str]] = {
    "webhook-id": "The event's id, the same at every attempt and in every replay.",
    "webhook-timestamp": "When it was sent, in seconds.",
    "webhook-signature": "One signature for each secret, as Standard Webhooks makes them.",
    "X-CommerceLayer-Topic": "The name of the event.",
    "X-CommerceLayer-Signature": "Base64 of HMAC-SHA256 over the body, with `shared_secret` as it is written.",
}

_CLOUD_EVENT: Final[Object] = {
    "name": "cloudEvent",
    "summary": "An event as a CloudEvent; its data is what `thin` sends of the topic that `type` names.",
    "contentType": cloudevents.STRUCTURED,
    "payload": {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {
                "type": "string",
                "description": "The event's id, and the message's: JetStream drops repeats by it.",
            },
            "source": {"type": "string", "description": "The URL of the store."},
            "type": {"type": "string", "description": "The topic."},
            "subject": {"type": "string", "description": "The resource: `<type>/<id>`."},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/vnd.api+json"},
            "data": {"type": "object"},
        },
    },
}


def build(entries: Mapping[str, Described]) -> Object:
    """The AsyncAPI 3.0 document of all topics. `entries` holds what the registry says of each type."""
    contract = openapi.build(entries)
    names = sorted(topics.NAMES)
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in names}
    about = contract["info"]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": about["title"],
            "version": about["version"],
            "description": "What happens in a store, told to webhooks and to readers of the stream. "
            "Requests are described in `openapi.yaml`.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "api": {
                "host": "127.0.0.1:8000",
                "protocol": "http",
                "description": "Where the service answers; `REPRISE_PUBLIC_URL` says it of yours.",
                "security": [{"$ref": "#/components/securitySchemes/integrationToken"}],
            }
        },
        "channels": {
            "webhooks": {
                "address": None,
                "description": "The `callback_url` of a webhook: each event is a POST to it, signed.",
                "messages": messages,
            },
            "stream": {
                "address": "/api/events/stream",
                "description": "Server-Sent Events: `id` is the event's, `event` its topic, `data` the payload.",
                "servers": [{"$ref": "#/servers/api"}],
                "messages": messages,
            },
            "jetstream": {
                "address": Settings.model_fields["nats_subject"].default,
                "description": "Subjects of NATS JetStream, as `REPRISE_NATS_SUBJECT` makes them: a CloudEvent each.",
                "parameters": {
                    "store": {"description": "The number of the store."},
                    "topic": {"description": "The name of the event: `orders.place`."},
                },
                "messages": {"cloudEvent": {"$ref": "#/components/messages/cloudEvent"}},
            },
        },
        "operations": {
            name: {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}, "summary": text}
            for name, channel, text in (
                ("tellWebhooks", "webhooks", "Every event of a webhook's topics, until it is answered with 2xx."),
                ("publishEvents", "jetstream", "Every event, at least once, in the order of `position`."),
                ("streamEvents", "stream", "Every event of the topics that were asked for, once."),
            )
        },
        "components": {
            "securitySchemes": {"integrationToken": {"type": "http", "scheme": "bearer"}},
            "messages": {name: _message(name) for name in names} | {"cloudEvent": _CLOUD_EVENT},
            "schemas": _schemas(wholes(contract["components"]["schemas"]), names, list(entries)),
        },
    }


def _message(name: str) -> Object:
    """What is sent of a topic."""
    return {
        "name": name,
        "summary": when(name),
        "headers": schema("Headers"),
        "payload": schema(name),
    }


def _schemas(known: Mapping[str, Object], names: list[str], types: list[str]) -> Object:
    """A schema for each topic, and all that those lead to."""
    event = known["EventAttributes"]["properties"]
    own: Object = {name: _of_topic(name) for name in names}
    own |= {_told(graph[type_]): _of_type(graph[type_]) for type_ in topics.TOPICS}
    own["Headers"] = {
        "type": "object",
        "description": "Those of a webhook; a stream has none.",
        "properties": {name: {"type": "string", "description": text} for name, text in _HEADERS.items()},
    }
    own["Happened"] = {
        "type": "object",
        "description": documents.prose(graph["events"]),
        "required": ["id", *_TOLD],
        "properties": {"id": schema("Id"), **{name: event[name] for name in _TOLD}},
    }
    own["Included"] = {
        "type": "object",
        "description": "A resource of any type, as `openapi.yaml` describes it.",
        "required": ["type", "id", "attributes"],
        "properties": {"type": {"enum": types}, "id": schema("Id"), "attributes": {"type": "object"}},
    }
    own["ToldLinks"] = {"type": "object", "required": ["self"], "properties": {"self": {"type": "string"}}}
    found: Object = {}
    todo = list(own.items())
    while todo:
        name, described = todo.pop(0)
        if name not in found:
            found[name] = _in_draft_7(described)
            todo += [(other, known[other]) for other in json_schemas.named(described) if other not in own]
    return found


def _of_topic(name: str) -> Object:
    """The payload of a topic: what its type's have in common, with what is the topic's own."""
    event: Object = {"name": {"const": name}}
    status = topics.LEADS_TO.get(name)
    if status is not None:
        settled = {side: {"const": value} for side, value in status.items()}
        event["changes"] = {"properties": {"status": {"properties": settled}}}
    own = {"properties": {"meta": {"properties": {"event": {"properties": event}}}}}
    return {"description": when(name), "allOf": [schema(_told(graph[name.partition(".")[0]])), own]}


def _of_type(resource: type[Resource]) -> Object:
    """The payload of any topic of a type."""
    alone = {
        "type": "object",
        "description": "All that `thin` sends, and what is sent of one that is gone or too large.",
        "required": ["type", "id"],
        "properties": {"type": {"const": resource.type_}, "id": schema("Id")},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "required": ["jsonapi", "links", "data", "meta"],
        "properties": {
            "jsonapi": schema("JsonApi"),
            "links": schema("ToldLinks"),
            "data": {"anyOf": [schema(resource.__name__), alone]},
            "included": {"type": "array", "items": schema("Included")},
            "meta": {"type": "object", "required": ["event"], "properties": {"event": schema("Happened")}},
        },
    }


def _told(resource: type[Resource]) -> str:
    """The name of the schema that the payloads of a type's topics have in common."""
    return f"{resource.__name__}Told"


def _in_draft_7(value: Any) -> Any:
    """A schema as draft 7 has it: nothing counts beside a reference there, and a discriminator is a name alone."""
    if isinstance(value, list):
        return [_in_draft_7(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {key: _in_draft_7(inner) for key, inner in value.items() if key != "discriminator"}
    if isinstance(value.get("$ref"), str) and len(value) > 1:
        return {"allOf": [{"$ref": found.pop("$ref")}], **found}
    return found
