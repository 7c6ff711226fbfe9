"""A request body becomes a `Draft`, or every problem it has with a pointer that resolves in it.

The rules are those of JSON:API 1.1, "Creating Resources".

marshmallow-jsonapi 0.24 crashes on malformed envelopes (`{"data": null}`, `[]`, `attributes: []`) and stops at the
first wrong type, so the envelope is checked here and the Schema's fields are asked one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from marshmallow import ValidationError

from schemas.base import Resource, ToOne, Write
from schemas.kinds import ID
from service.errors import ApiError, Invalid, InvalidDocument, NotFound, ReadOnly, TypeMismatch, raise_all

MAX_LINKAGE = 1000
"""How many identifiers a relationship in a request may hold."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a client wants a resource to be: checked and converted, only what was sent.

    `attributes` holds Python values by attribute name, `relationships` ids by relationship name (None for an emptied
    to-one, a tuple for to-many).
    """

    resource: type[Resource]
    id: str | None
    attributes: Mapping[str, Any]
    relationships: Mapping[str, str | tuple[str, ...] | None]

    def related(self, name: str) -> str | None:
        """The id that a to-one relationship was sent with, or None."""
        id_ = self.relationships.get(name)
        return id_ if isinstance(id_, str) else None


def loads(body: bytes) -> Any:
    """A request body as JSON.

    Raises InvalidDocument for what is no JSON: NaN, lone surrogates, nesting bombs and a BOM included.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidDocument(f"The request body is not valid JSON: {error}.") from None


@cache
def _fields(resource: type[Resource]) -> Mapping[str, Any]:
    """The bound fields of one Schema instance; making one costs far more than using it."""
    fields: Mapping[str, Any] = resource().fields
    return fields


def creation(resource: type[Resource], document: Any) -> Draft:
    """Read the document of a POST to a collection. Raises ApiError subclasses, all problems of the values at once."""
    data = _envelope(resource, document)
    problems: list[ApiError] = []
    id_ = _id(data, problems)
    attributes = _attributes(resource, data, problems)
    relationships = _relationships(resource, data, problems)
    _missing(resource, data, problems)
    raise_all(problems)
    return Draft(resource, id_, attributes, relationships)


def _envelope(resource: type[Resource], document: Any) -> dict[str, Any]:
    """The resource object of a document.

    What is wrong with its shape is reported alone, since nothing inside can be trusted then.
    """
    if not isinstance(document, dict) or "data" not in document:
        raise InvalidDocument("The request body must be an object with a member `data`.", pointer="")
    data = document["data"]
    if not isinstance(data, dict):
        raise InvalidDocument("`data` must be one resource object.", pointer="/data")
    if "type" not in data:
        raise InvalidDocument("The resource object has no `type`.", pointer="/data")
    if not isinstance(data["type"], str):
        raise InvalidDocument("`type` must be a string.", pointer="/data/type")
    if data["type"] != resource.type_:
        raise TypeMismatch(f"This URL takes {resource.type_}, not {data['type']}.", pointer="/data/type")
    for member in ("attributes", "relationships"):
        if not isinstance(data.get(member, {}), dict):
            raise InvalidDocument(f"`{member}` must be an object.", pointer=f"/data/{member}")
    for member in ("id", "lid"):
        if member in data and not isinstance(data[member], str):
            raise InvalidDocument(f"`{member}` must be a string.", pointer=f"/data/{member}")
    return data


def _id(data: Mapping[str, Any], problems: list[ApiError]) -> str | None:
    id_: str | None = data.get("id")
    if id_ is not None and not ID.fullmatch(id_):
        problems.append(Invalid("id must be 1 to 64 letters, digits, hyphens or underscores.", pointer="/data/id"))
    return id_


def _attributes(resource: type[Resource], data: Mapping[str, Any], problems: list[ApiError]) -> dict[str, Any]:
    values = {}
    for name, value in data.get("attributes", {}).items():
        pointer = f"/data/attributes/{escape(name)}"
        field = _fields(resource).get(name) if name in resource.attributes else None
        if name.startswith("@"):
            continue
        if name in ("id", "type"):
            problems.append(InvalidDocument(f"`{name}` can't be an attribute.", pointer=pointer))
        elif field is None:
            problems.append(
                Invalid(f"{name} is not an attribute of {resource.type_}.", pointer=pointer, meta={"error": "unknown"})
            )
        elif not field.write & Write.CREATE:
            problems.append(ReadOnly(f"{name} is set by the service.", pointer=pointer))
        else:
            try:
                values[name] = field.deserialize(value)
            except ValidationError as error:
                problems += [
                    Invalid(
                        f"{name} - {message}", pointer=pointer, meta={"error": "blank" if value is None else "invalid"}
                    )
                    for message in _messages(error)
                ]
    return values


def _messages(error: ValidationError) -> list[str]:
    messages = error.messages
    plain = messages if isinstance(messages, list) else [str(messages)]
    return ["can't be blank" if message == "Field may not be null." else str(message) for message in plain]


def _relationships(
    resource: type[Resource], data: Mapping[str, Any], problems: list[ApiError]
) -> dict[str, str | tuple[str, ...] | None]:
    linked: dict[str, str | tuple[str, ...] | None] = {}
    for name, value in data.get("relationships", {}).items():
        pointer = f"/data/relationships/{escape(name)}"
        relationship = resource.relationships.get(name)
        if name.startswith("@"):
            continue
        if relationship is None:
            problems.append(
                Invalid(
                    f"{name} is not a relationship of {resource.type_}.", pointer=pointer, meta={"error": "unknown"}
                )
            )
        elif not isinstance(value, dict) or "data" not in value:
            problems.append(InvalidDocument(f"{name} must be an object with a member `data`.", pointer=pointer))
        elif not relationship.write & Write.CREATE:
            problems.append(ReadOnly(f"{name} is set by the service.", pointer=pointer))
        elif isinstance(relationship, ToOne):
            linked[name] = (
                _identifier(relationship.type_, value["data"], f"{pointer}/data", problems)
                if value["data"] is not None
                else None
            )
        elif not isinstance(value["data"], list) or len(value["data"]) > MAX_LINKAGE:
            problems.append(
                InvalidDocument(
                    f"{name} takes an array of at most {MAX_LINKAGE} resource identifiers.", pointer=f"{pointer}/data"
                )
            )
        else:
            ids = [
                _identifier(relationship.type_, one, f"{pointer}/data/{i}", problems)
                for i, one in enumerate(value["data"])
            ]
            linked[name] = tuple(id_ for id_ in dict.fromkeys(ids) if id_ is not None)
    return linked


def _identifier(type_: str, value: Any, pointer: str, problems: list[ApiError]) -> str | None:
    """The id of a resource identifier object, or None with a problem noted."""
    if not isinstance(value, dict):
        problems.append(InvalidDocument("A resource identifier is an object with `type` and `id`.", pointer=pointer))
    elif not isinstance(value.get("type"), str) or not isinstance(value.get("id"), str):
        problems.append(InvalidDocument("A resource identifier needs `type` and `id`, both strings.", pointer=pointer))
    elif value["type"] != type_:
        problems.append(
            TypeMismatch(f"This relationship holds {type_}, not {value['type']}.", pointer=f"{pointer}/type")
        )
    elif not ID.fullmatch(value["id"]):
        problems.append(NotFound(f"There is no {type_} of this id.", pointer=pointer))
    else:
        id_: str = value["id"]
        return id_
    return None


def _missing(resource: type[Resource], data: Mapping[str, Any], problems: list[ApiError]) -> None:
    """Required fields that were not sent; the pointer is the nearest member that exists, so that it resolves."""
    for member, fields in (("attributes", resource.attributes), ("relationships", resource.relationships)):
        sent = data.get(member, {})
        pointer = f"/data/{member}" if member in data else "/data"
        for name, field in fields.items():
            empty = (
                isinstance(sent.get(name), dict) and member == "relationships" and sent[name].get("data", "") is None
            )
            if field.required and (name not in sent or empty):
                where = f"{pointer}/{name}/data" if empty else pointer
                problems.append(Invalid(f"{name} - can't be blank", pointer=where, meta={"error": "blank"}))


def escape(name: str) -> str:
    """A member name as one reference token of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
