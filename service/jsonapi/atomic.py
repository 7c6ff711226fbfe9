"""A document of Atomic Operations becomes a list of `Operation`s, or every problem that it has (ext/atomic, 1.1).

What an operation wants is read by the same functions as a request to the URL that it stands for; their pointers get
the operation's own in front. Local ids are settled here: an operation may name what an earlier one makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urljoin, urlsplit

from schemas.graph import graph
from schemas.kinds import ID
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service import clock
from service.errors import ApiError, InvalidDocument, NotFound, TooLarge, raise_all
from service.jsonapi import body
from service.jsonapi.body import Draft, Lids, Linked
from service.jsonapi.unknown import no_relationship, no_type
from service.texts import Either

Code = Literal["add", "update", "remove"]
CODES: tuple[Code, ...] = ("add", "update", "remove")

MEMBER = "atomic:operations"
RESULTS = "atomic:results"

MAX_OPERATIONS = 1_000
"""How many operations a request may hold."""

_NEVER_BESIDE = ("data", "included", "errors", RESULTS)
"""Top-level members that a document with operations can't have."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, checked and converted.

    Its target is a resource (`id` is None for a new one that gets its id from the service), or one's `relationship`.
    `draft` is what a resource is to be, `linked` what a relationship is to hold, get or lose; `version` the one that
    the target must have, if the client named it in `meta`.
    """

    code: Code
    resource: type[Resource]
    id: str | None
    relationship: str = ""
    draft: Draft | None = None
    linked: Linked = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    """What an operation is about: a collection (without id), a resource, or a relationship."""

    resource: type[Resource]
    id: str | None = None
    relationship: str = ""

    @property
    def declared(self) -> ToOne | ToMany:
        return self.resource.relationships[self.relationship]


def parse(document: Any, base: str, *, customer: bool = False) -> tuple[Operation, ...]:
    """Read the operations of a document.

    `base` is the URL of the API (`https://shop.example/api`), which `href` is resolved against; `customer` says that a
    customer sent it. Raises ApiError subclasses, the problems of all operations at once.
    """
    lids: dict[tuple[str, str], str] = {}
    problems: list[ApiError] = []
    operations: list[Operation] = []
    for position, sent in enumerate(_sent(document)):
        try:
            with pointing(position):
                operations.append(_operation(sent, base, lids, customer=customer))
        except ApiError as error:
            problems += error.problems
    raise_all(problems)
    return tuple(operations)


@contextmanager
def pointing(position: int) -> Iterator[None]:
    """Make pointers into an operation ones into the whole document; a problem without one is the operation's."""
    try:
        yield
    except ApiError as error:
        for problem in error.problems:
            problem.source = {"pointer": f"/{MEMBER}/{position}{problem.source.get('pointer', '')}"}
        raise


def _sent(document: Any) -> list[Any]:
    if not isinstance(document, dict) or MEMBER not in document:
        raise InvalidDocument("The request body must be an object with a member `{member}`.", member=MEMBER, pointer="")
    for other in _NEVER_BESIDE:
        if other in document:
            raise InvalidDocument(
                "`{other}` can't stand beside `{member}`.", other=other, member=MEMBER, pointer=f"/{other}"
            )
    sent = document[MEMBER]
    if not isinstance(sent, list) or not sent:
        raise InvalidDocument(
            "`{member}` must be an array of one or more operations.", member=MEMBER, pointer=f"/{MEMBER}"
        )
    if len(sent) > MAX_OPERATIONS:
        raise TooLarge(
            "A request holds at most {limit} operations; this one has {value}.",
            limit=MAX_OPERATIONS,
            value=len(sent),
            pointer=f"/{MEMBER}",
            meta={"limit": MAX_OPERATIONS, "value": len(sent)},
        )
    return sent


def _operation(sent: Any, base: str, lids: dict[tuple[str, str], str], *, customer: bool) -> Operation:
    if not isinstance(sent, dict):
        raise InvalidDocument("An operation must be an object.")
    if "op" not in sent:
        raise InvalidDocument("The operation has no `op`.")
    code = next((code for code in CODES if code == sent["op"]), None)
    if code is None:
        raise InvalidDocument("`op` must be one of: {codes}.", codes=Either(CODES), pointer="/op")
    target = _target(code, sent, base, lids)
    version = _version(sent)
    if code == "remove" and not target.relationship:
        return Operation(code, target.resource, target.id, version=version)
    if "data" not in sent:
        raise InvalidDocument("The operation has no `data`.")
    if target.relationship:
        linked = body.linkage(target.declared, sent, lids=lids)
        return Operation(code, target.resource, target.id, target.relationship, linked=linked, version=version)
    if target.id is not None:
        draft = body.update(target.resource, target.id, sent, customer=customer, lids=lids)
    else:
        _define(target.resource, sent["data"], lids)
        draft = body.creation(target.resource, sent, customer=customer, lids=lids)
    return Operation(code, target.resource, draft.id, draft=draft, version=version)


def _target(code: Code, sent: Mapping[str, Any], base: str, lids: Lids) -> _Target:
    """The target of an operation, of a sort that its code can be about."""
    if "ref" in sent and "href" in sent:
        raise InvalidDocument("An operation has `ref` or `href`, not both.")
    if "ref" in sent:
        target, pointer = _ref(sent["ref"], lids), "/ref"
    elif "href" in sent:
        target, pointer = _href(sent["href"], base), "/href"
    elif code == "remove":
        raise InvalidDocument("Name what to remove with `ref` or `href`.")
    else:
        return _of_data(code, sent, lids)
    if code == "add" and target.id is not None and not target.relationship:
        raise InvalidDocument("Add resources to a collection, and members to a relationship.", pointer=pointer)
    if code != "add" and target.id is None:
        raise InvalidDocument("The only operation on a collection is `add`.", pointer=pointer)
    return target


def _ref(ref: Any, lids: Lids) -> _Target:
    if not isinstance(ref, dict):
        raise InvalidDocument("`ref` must be an object.", pointer="/ref")
    if "id" in ref and "lid" in ref:
        raise InvalidDocument("`ref` has `id` or `lid`, not both.", pointer="/ref")
    resource = _resource(ref, "/ref")
    id_ = _identity(resource.type_, ref, lids, "/ref")
    if "relationship" not in ref:
        return _Target(resource, id_)
    return _Target(resource, id_, _relationship(resource, ref["relationship"], "/ref/relationship"))


def _of_data(code: Code, sent: Mapping[str, Any], lids: Lids) -> _Target:
    if "data" not in sent:
        raise InvalidDocument("The operation has no `data`.")
    data = sent["data"]
    if not isinstance(data, dict):
        raise InvalidDocument("`data` must be one resource object.", pointer="/data")
    resource = _resource(data, "/data")
    return _Target(resource, None if code == "add" else _identity(resource.type_, data, lids, "/data"))


def _href(href: Any, base: str) -> _Target:
    """What a URL leads to: `orders`, `/api/orders/1` or the whole `https://shop.example/api/orders/1/...`."""
    if not isinstance(href, str):
        raise InvalidDocument("`href` must be a string.", pointer="/href")
    nothing = NotFound("There is nothing at this URL.", pointer="/href")
    own = urlsplit(f"{base}/")
    try:
        url = urlsplit(urljoin(own.geturl(), href))
    except ValueError:
        raise nothing from None
    if url.query or url.fragment:
        raise InvalidDocument("`href` must have neither a query nor a fragment.", pointer="/href")
    if (url.scheme, url.netloc.lower()) != (own.scheme, own.netloc.lower()) or not url.path.startswith(own.path):
        raise nothing
    type_, *rest = [unquote(segment) for segment in url.path.removeprefix(own.path).rstrip("/").split("/")]
    resource = graph.get(type_)
    if resource is None or (rest and not ID.fullmatch(rest[0])):
        raise nothing
    match rest:
        case []:
            return _Target(resource)
        case [id_]:
            return _Target(resource, id_)
        case [id_, "relationships", name]:
            return _Target(resource, id_, _relationship(resource, name, "/href"))
    raise nothing


def _resource(named: Mapping[str, Any], pointer: str) -> type[Resource]:
    """The type that `ref` or `data`, which stand at a pointer, are of."""
    if not isinstance(named.get("type"), str):
        raise InvalidDocument("`type` is missing or not a string.", pointer=pointer)
    if named["type"] not in graph:
        raise no_type(named["type"], f"{pointer}/type")
    return graph[named["type"]]


def _identity(type_: str, named: Mapping[str, Any], lids: Lids, pointer: str) -> str:
    """The id that `ref` or `data` name, themselves or by a local id."""
    member = "id" if "id" in named else "lid"
    value = named.get(member)
    if not isinstance(value, str):
        raise InvalidDocument("`id` or `lid` is missing or not a string.", pointer=pointer)
    if member == "lid":
        return body.named(type_, value, lids, f"{pointer}/lid")
    if not ID.fullmatch(value):
        raise body.not_found(type_, f"{pointer}/id")
    return value


def _relationship(resource: type[Resource], name: Any, pointer: str) -> str:
    if not isinstance(name, str):
        raise InvalidDocument("`relationship` must be a string.", pointer=pointer)
    if name not in resource.relationships:
        raise no_relationship(resource, name, pointer)
    return name


def _define(resource: type[Resource], data: Any, lids: dict[tuple[str, str], str]) -> None:
    """Settle the id of a new resource that later operations may know by its local id."""
    lid = data.get("lid") if isinstance(data, dict) else None
    if not isinstance(lid, str):
        return
    if (resource.type_, lid) in lids:
        raise InvalidDocument(
            "Another resource of the type {type} has this lid in this request.",
            type=resource.type_,
            pointer="/data/lid",
        )
    given = data.get("id")
    lids[resource.type_, lid] = given if isinstance(given, str) else clock.new_id()


def _version(sent: Mapping[str, Any]) -> int | None:
    """The version that the client asks for in the `meta` of an operation."""
    meta = sent.get("meta", {})
    if not isinstance(meta, dict):
        raise InvalidDocument("`meta` must be an object.", pointer="/meta")
    version = meta.get("version")
    if version is not None and type(version) is not int:
        raise InvalidDocument("`version` must be an integer.", pointer="/meta/version")
    return version
