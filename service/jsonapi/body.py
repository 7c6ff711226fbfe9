"""A request body becomes a `Draft`, or every problem it has with a pointer that resolves in it.

The rules are those of JSON:API 1.1, "Creating Resources", "Updating Resources" and "Updating Relationships".

marshmallow-jsonapi 0.24 crashes on malformed envelopes (`{"data": null}`, `[]`, `attributes: []`) and stops at the
first wrong type, so the envelope is checked here and the Schema's fields are asked one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from marshmallow import ValidationError

from schemas.fields import Write
from schemas.kinds import ID, UNGUESSABLE
from schemas.kinds.kind import WrongEntry
from schemas.relationships import ToMany, ToOne
from schemas.rendering import Rendering
from schemas.resource import Resource
from service import clock
from service.errors import (
    MOST_PROBLEMS,
    ApiError,
    Forbidden,
    Invalid,
    InvalidDocument,
    NotFound,
    ReadOnly,
    TypeMismatch,
    raise_all,
)
from service.jsonapi.nearness import nearest
from service.texts import Either, Phrase

MAX_MEMBERS = 500
"""How many attributes, or relationships, a resource object in a request may have: far more than any type has."""
MAX_LINKAGE = 1000
"""How many identifiers a relationship in a request may hold."""

Linked = str | tuple[str, ...] | None
"""Ids as a relationship holds them: one or None for to-one, a tuple as it was sent for to-many."""
Lids = Mapping[tuple[str, str], str]
"""The ids of resources that a request knows by type and local id so far."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A field that was sent though its sender can't set it: fine as long as it says what is so anyway.

    Clients that keep whole resources send them back whole. `value` is the attribute's JSON, or the relationship's ids.
    """

    name: str
    value: Any
    pointer: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What a client wants a resource to be: checked and converted, only what was sent.

    `attributes` and `triggers` hold Python values by name, `relationships` ids by name, `echoes` what can't be set but
    may be repeated. `chosen` says that the client chose the id of a new resource. `number` is the running number set
    aside for a new resource of a type that has one, `locale` the language of texts that are made for the client (None:
    the store's), `rendering` how it sees resources. `alone` says that it was sent to the URL of its one relationship.
    """

    resource: type[Resource]
    id: str | None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    relationships: Mapping[str, Linked] = field(default_factory=dict)
    triggers: Mapping[str, Any] = field(default_factory=dict)
    echoes: tuple[Echo, ...] = ()
    chosen: bool = False
    number: int | None = None
    locale: str | None = None
    rendering: Rendering | None = None
    alone: bool = False

    def related(self, name: str) -> str | None:
        """The id that a to-one relationship was sent with, or None."""
        id_ = self.relationships.get(name)
        return id_ if isinstance(id_, str) else None

    def pointer(self, *names: str) -> str:
        """Where in the document the first of these fields that was sent is; the resource object when none was.

        A document that holds one relationship `alone` has its linkage there.
        """
        for name in names if not self.alone else ():
            if name in self.attributes or name in self.triggers:
                return f"/data/attributes/{escape(name)}"
            if name in self.relationships:
                return f"/data/relationships/{escape(name)}/data"
        return "/data"


@contextmanager
def located(draft: Draft | None) -> Iterator[None]:
    """Say of problems where in the document of a draft the fields are that they name."""
    try:
        yield
    except ApiError as error:
        if draft is not None:
            error.locate(draft.pointer)
        raise


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a resource object is read: for which verb, and whether a customer sent it; its problems so far."""

    resource: type[Resource]
    verb: Write
    customer: bool
    lids: Lids
    problems: list[ApiError] = field(default_factory=list)

    def may_set(self, field: Any) -> bool:
        return bool(field.write & self.verb) and not (self.customer and field.guarded)

    def nearest(self, name: str, known: Iterable[str]) -> str | None:
        """What was meant by an unknown name, as long as its problem is one of those that are told."""
        return nearest(name, known) if len(self.problems) < MOST_PROBLEMS else None

    def may_repeat(self, field: Any) -> bool:
        """A new resource has nothing to repeat yet, but for a guarded field: a customer may say who they are."""
        return self.verb is Write.UPDATE or bool(field.write & self.verb)


@cache
def _fields(resource: type[Resource]) -> Mapping[str, Any]:
    """The bound fields of one Schema instance; making one costs far more than using it."""
    fields: Mapping[str, Any] = resource().fields
    return fields


def creation(
    resource: type[Resource],
    document: Any,
    *,
    customer: bool = False,
    lids: Lids | None = None,
    type_: str | None = None,
) -> Draft:
    """Read the document of a POST to a collection; `customer` says that a customer sent it.

    `lids` are the local ids that linkage may use beside the resource's own, which may be among them with the id that it
    stands for. `type_` is what such documents go by where they are sent for something else than to create the resource.
    Raises ApiError subclasses, all problems of the values at once.
    """
    data = _envelope(type_ or resource.type_, document)
    id_, lid = data.get("id"), data.get("lid")
    known = lids or {}
    if lid is not None:
        id_ = id_ or known.get((resource.type_, lid)) or clock.new_id()
        known = {**known, (resource.type_, lid): id_}
    reading = _Reading(resource, Write.CREATE, customer, known)
    if id_ is not None and not ID.fullmatch(id_):
        reading.problems.append(
            Invalid("id must be 1 to 64 letters, digits, hyphens or underscores.", pointer="/data/id")
        )
    elif customer and "id" in data and not UNGUESSABLE.fullmatch(data["id"]):
        # Else whether an id is free would tell customers what there is of others.
        reading.problems.append(
            Forbidden("Customers and guests choose ids that nobody can guess: a ULID or a UUID.", pointer="/data/id")
        )
    draft = _fields_of(reading, id_, data)
    _missing(reading, data)
    raise_all(reading.problems)
    return replace(draft, chosen="id" in data)


def update(
    resource: type[Resource], id_: str, document: Any, *, customer: bool = False, lids: Lids | None = None
) -> Draft:
    """Read the document of a PATCH to the resource of an id. Raises as `creation` does.

    What is absent is left as it is; null is a value (JSON:API 1.1, "Updating a Resource's Attributes").
    """
    data, known = _envelope(resource.type_, document), lids or {}
    if "id" not in data and "lid" not in data:
        raise InvalidDocument("The resource object has no `id`.", pointer="/data")
    member = "id" if "id" in data else "lid"
    sent = data["id"] if "id" in data else named(resource.type_, data["lid"], known, "/data/lid")
    if sent != id_:
        raise TypeMismatch("This URL belongs to a resource with another id.", pointer=f"/data/{member}")
    reading = _Reading(resource, Write.UPDATE, customer, known)
    draft = _fields_of(reading, id_, data)
    raise_all(reading.problems)
    return draft


def rehearsal(
    type_: str, subjects: Mapping[str, type[Resource]], document: Any, *, customer: bool = False
) -> tuple[type[Resource], Draft]:
    """Read a document that says of its relationship `subject` what a PATCH to that resource would.

    It goes by `type_`; `subjects` are the types that it may be about. Raises as `creation` does.
    """
    data = _envelope(type_, document)
    pointer = "/data/relationships/subject"
    others = dict(data.get("relationships", {}))
    subject = others.pop("subject", None)
    if subject is None:
        raise blank("subject", "/data")
    named = subject.get("data") if isinstance(subject, dict) else None
    if not isinstance(named, dict) or not isinstance(named.get("type"), str) or not isinstance(named.get("id"), str):
        raise InvalidDocument("{name} must be an object with a member `data`.", name="subject", pointer=pointer)
    resource = subjects.get(named["type"])
    if resource is None:
        raise TypeMismatch(
            "subject takes {type}, not {sent}.", type=Either(sorted(subjects)), sent=named["type"], pointer=pointer
        )
    reading = _Reading(resource, Write.UPDATE, customer, {})
    draft = _fields_of(reading, named["id"], data | {"relationships": others})
    raise_all(reading.problems)
    return resource, draft


def linkage(relationship: ToOne | ToMany, document: Any, *, lids: Lids | None = None) -> Linked:
    """Read the document of a request to a relationship's own URL. Raises ApiError subclasses, all problems at once."""
    if not isinstance(document, dict) or "data" not in document:
        raise InvalidDocument("The request body must be an object with a member `data`.", pointer="")
    problems: list[ApiError] = []
    linked = _linked(relationship, document["data"], "/data", lids or {}, problems)
    raise_all(problems)
    return linked


def _envelope(type_: str, document: Any) -> dict[str, Any]:
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
        raise InvalidDocument("`{name}` must be a string.", name="type", pointer="/data/type")
    if data["type"] != type_:
        raise TypeMismatch("This URL takes {type}, not {sent}.", type=type_, sent=data["type"], pointer="/data/type")
    for member in ("attributes", "relationships"):
        if not isinstance(data.get(member, {}), dict):
            raise InvalidDocument("`{name}` must be an object.", name=member, pointer=f"/data/{member}")
    for member in ("id", "lid"):
        if member in data and not isinstance(data[member], str):
            raise InvalidDocument("`{name}` must be a string.", name=member, pointer=f"/data/{member}")
    _check_size(data)
    return data


def _check_size(data: Mapping[str, Any]) -> None:
    """Raise InvalidDocument for more members than a resource has, before each of them is looked at."""
    for member in ("attributes", "relationships"):
        amount = len(data.get(member, ()))
        if amount > MAX_MEMBERS:
            raise InvalidDocument(
                "`{name}` holds {amount} members, the maximum is {most}.",
                name=member,
                amount=amount,
                most=MAX_MEMBERS,
                pointer=f"/data/{member}",
            )


def _fields_of(reading: _Reading, id_: str | None, data: Mapping[str, Any]) -> Draft:
    echoes: list[Echo] = []
    attributes, triggers = _attributes(reading, data.get("attributes", {}), echoes)
    relationships = _relationships(reading, data.get("relationships", {}), echoes)
    return Draft(reading.resource, id_, attributes, relationships, triggers, tuple(echoes))


def _attributes(
    reading: _Reading, sent: Mapping[str, Any], echoes: list[Echo]
) -> tuple[dict[str, Any], dict[str, Any]]:
    resource, problems = reading.resource, reading.problems
    attributes: dict[str, Any] = {}
    triggers: dict[str, Any] = {}
    for name, value in sent.items():
        pointer = f"/data/attributes/{escape(name)}"
        if name.startswith("@"):
            continue
        known = name in resource.attributes or name in resource.triggers
        declared = _fields(resource)[name] if known else None
        if name in ("id", "type"):
            problems.append(InvalidDocument("`{name}` can't be an attribute.", name=name, pointer=pointer))
        elif declared is None and name.startswith("_"):
            problems.append(
                InvalidDocument(
                    "{type} have no trigger {name}; theirs are: {triggers}.",
                    type=resource.type_,
                    name=name,
                    triggers=", ".join(resource.triggers) or "-",
                    pointer=pointer,
                    suggestion=reading.nearest(name, resource.triggers),
                )
            )
        elif declared is None:
            problems.append(
                Invalid(
                    "{name} is not an attribute of {type}.",
                    name=name,
                    type=resource.type_,
                    pointer=pointer,
                    meta={"error": "unknown"},
                    suggestion=reading.nearest(name, resource.attributes),
                )
            )
        elif reading.may_set(declared):
            kept = triggers if declared.trigger else attributes
            try:
                kept[name] = declared.deserialize(value)
            except ValidationError as error:
                problems += _unreadable(name, value, error, pointer=pointer)
        elif declared.trigger or not reading.may_repeat(declared):
            problems.append(read_only(name, pointer))
        else:
            echoes.append(Echo(name, value, pointer))
    return attributes, triggers


def columns(resource: type[Resource], values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of values of attributes that were typed into a form, each as its kind reads it.

    Raises Invalid, all problems at once, which name their attributes.
    """
    problems: list[ApiError] = []
    found: dict[str, Any] = {}
    for name, value in values.items():
        try:
            found[resource.attributes[name].column] = _fields(resource)[name].deserialize(value)
        except ValidationError as error:
            problems += _unreadable(name, value, error, fields=(name,))
    raise_all(problems)
    return found


def _unreadable(name: str, value: Any, error: ValidationError, **where: Any) -> list[ApiError]:
    """The problems of a value that its kind can't read."""
    kind = "blank" if value is None else "invalid"
    if isinstance(error, WrongEntry) and "pointer" in where:
        where["pointer"] = f"{where['pointer']}/{error.number}"
    return [
        Invalid("{name} - {message}", name=name, message=Phrase(said), meta={"error": kind}, **where)
        for said in error.messages
    ]


def read_only(name: str, pointer: str) -> ReadOnly:
    """The problem of a field that its sender can't set."""
    return ReadOnly("{name} can't be set by the sender of this request.", name=name, pointer=pointer)


def blank(name: str, pointer: str) -> Invalid:
    """The problem of a field that must have a value and has none."""
    return Invalid("{name} - can't be blank", name=name, pointer=pointer, meta={"error": "blank"})


def _relationships(reading: _Reading, sent: Mapping[str, Any], echoes: list[Echo]) -> dict[str, Linked]:
    resource, problems = reading.resource, reading.problems
    linked: dict[str, Linked] = {}
    for name, value in sent.items():
        pointer = f"/data/relationships/{escape(name)}"
        relationship = resource.relationships.get(name)
        if name.startswith("@"):
            continue
        if relationship is None:
            problems.append(
                Invalid(
                    "{name} is not a relationship of {type}.",
                    name=name,
                    type=resource.type_,
                    pointer=pointer,
                    meta={"error": "unknown"},
                    suggestion=reading.nearest(name, resource.relationships),
                )
            )
        elif _says_nothing(value) and reading.verb is Write.UPDATE:
            continue
        elif not isinstance(value, dict) or "data" not in value:
            problems.append(
                InvalidDocument("{name} must be an object with a member `data`.", name=name, pointer=pointer)
            )
        elif not reading.may_set(relationship) and not reading.may_repeat(relationship):
            problems.append(read_only(name, pointer))
        else:
            before = len(problems)
            ids = _linked(relationship, value["data"], f"{pointer}/data", reading.lids, problems)
            if len(problems) > before:
                continue
            if not reading.may_set(relationship):
                echoes.append(Echo(name, ids, pointer))
            elif ids is None and reading.verb is Write.UPDATE and relationship.required:
                problems.append(blank(name, f"{pointer}/data"))
            else:
                linked[name] = ids
    return linked


def _says_nothing(value: Any) -> bool:
    """Whether a relationship object is one of ours without linkage: clients send whole resources back as they came."""
    return isinstance(value, dict) and "data" not in value and isinstance(value.get("links"), dict)


def _linked(relationship: ToOne | ToMany, data: Any, pointer: str, lids: Lids, problems: list[ApiError]) -> Linked:
    """The ids of linkage, or problems noted (JSON:API 1.1, "Resource Linkage")."""
    type_ = relationship.type_
    if isinstance(relationship, ToOne):
        return None if data is None else _identifier(type_, data, pointer, lids, problems)
    if not isinstance(data, list) or len(data) > MAX_LINKAGE:
        problems.append(
            InvalidDocument(
                "Linkage must be an array of at most {most} resource identifiers.", most=MAX_LINKAGE, pointer=pointer
            )
        )
        return ()
    ids = [_identifier(type_, one, f"{pointer}/{i}", lids, problems) for i, one in enumerate(data)]
    return tuple(id_ for id_ in ids if id_ is not None)


def _identifier(type_: str, value: Any, pointer: str, lids: Lids, problems: list[ApiError]) -> str | None:
    """The id of a resource identifier object, or None with a problem noted."""
    if not isinstance(value, dict):
        problems.append(
            InvalidDocument("A resource identifier must be an object with `type` and `id`.", pointer=pointer)
        )
        return None
    local = "id" not in value and isinstance(value.get("lid"), str)
    if not isinstance(value.get("type"), str) or not (local or isinstance(value.get("id"), str)):
        problems.append(InvalidDocument("A resource identifier needs `type` and `id`, both strings.", pointer=pointer))
    elif not isinstance(value.get("meta", {}), dict):
        problems.append(InvalidDocument("`{name}` must be an object.", name="meta", pointer=f"{pointer}/meta"))
    elif value["type"] != type_:
        problems.append(
            TypeMismatch(
                "This relationship holds {type}, not {sent}.", type=type_, sent=value["type"], pointer=f"{pointer}/type"
            )
        )
    elif local:
        try:
            return named(type_, value["lid"], lids, pointer)
        except InvalidDocument as problem:
            problems.append(problem)
    elif not ID.fullmatch(value["id"]):
        problems.append(not_found(type_, pointer))
    else:
        id_: str = value["id"]
        return id_
    return None


def named(type_: str, lid: str, lids: Lids, pointer: str) -> str:
    """The id that a local id stands for. Raises InvalidDocument for one that no resource of the request has so far."""
    if (type_, lid) not in lids:
        raise InvalidDocument(
            "No resource of the type {type} has this lid in this request.", type=type_, pointer=pointer
        )
    return lids[type_, lid]


def not_found(type_: str, pointer: str | None = None) -> NotFound:
    """The problem of linkage, or a URL, to a resource that isn't there for the asker."""
    return NotFound("No resource of the type {type} has this id.", type=type_, pointer=pointer)


def _missing(reading: _Reading, data: Mapping[str, Any]) -> None:
    """Required fields that were not sent; the pointer is the nearest member that exists, so that it resolves.

    What a customer may not set is the service's to find.
    """
    resource = reading.resource
    attributes = {**resource.attributes, **resource.triggers}
    for member, fields in (("attributes", attributes), ("relationships", resource.relationships)):
        sent = data.get(member, {})
        pointer = f"/data/{member}" if member in data else "/data"
        for name, declared in fields.items():
            empty = (
                isinstance(sent.get(name), dict) and member == "relationships" and sent[name].get("data", "") is None
            )
            if declared.required and reading.may_set(declared) and (name not in sent or empty):
                reading.problems.append(blank(name, f"{pointer}/{name}/data" if empty else pointer))


def escape(name: str) -> str:
    """A member name as one reference token of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
