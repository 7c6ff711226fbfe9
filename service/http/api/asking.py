"""Who sends a request of the JSON:API, and what it asks for: all that is settled before anything is read or written.

Each step raises the error that its answer is. They come in one order in every handler: the type in the URL, media
types, token and scopes, query string, body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial

from starlette.requests import Request

from schemas.graph import RESERVED_TYPES, graph
from schemas.kinds import ID
from schemas.relationships import ToMany, ToOne
from schemas.rendering import Rendering
from schemas.resource import Resource
from service import clock
from service.errors import Forbidden, InvalidInclude, InvalidParameter, MethodNotAllowed, NotFound
from service.http import languages, limits, repeat_urls, urls
from service.http.auth import counted, identify, known
from service.http.exchange import exchange_of
from service.http.hearing import Head
from service.http.pages import actions, attachments, calendars
from service.http.state import UrlKeys, service_of
from service.jsonapi import body, links
from service.jsonapi.body import Draft
from service.jsonapi.negotiation import Media, check_accept, check_content_type
from service.jsonapi.pagination import PROFILE
from service.jsonapi.query import Parameters, Query, Selection, Shape, parameters, parse
from service.jsonapi.sight import Sight
from service.jsonapi.unknown import no_relationship, no_type
from service.principal import Principal, Store
from service.resources import RESOURCES, Entry, visible_to
from service.store.read import Within
from service.store.vault import Vault


@dataclass(slots=True)
class Asked:
    """What the query string of a request asks for: its `pairs` as they were sent, and the `query` that they make.

    `tail` is the query string as links have it.
    """

    request: Request
    pairs: Parameters
    query: Query
    tail: str

    @property
    def url(self) -> str:
        """The request's own URL without its query string, its path as the client sent it."""
        raw: bytes = self.request.scope["raw_path"]
        return urls.origin(self.request) + raw.decode("ascii")

    @property
    def self(self) -> str:
        """The request's own URL."""
        return self.url + self.tail


def entry_of(request: Request) -> Entry:
    """The registry's line of the type in the URL. Raises NotFound, also for the names of other contracts."""
    name = request.scope["path_params"]["type"]
    entry = RESOURCES.get(name)
    if entry is None:
        raise NotFound("There is nothing at this URL.") if name in RESERVED_TYPES else no_type(name)
    return entry


def id_of(request: Request, entry: Entry) -> str:
    """The id in the URL. Raises NotFound for what can't be an id, without a look at the database."""
    id_: str = request.scope["path_params"]["id"]
    if not ID.fullmatch(id_):
        raise body.not_found(entry.resource.type_)
    return id_


def within_of(request: Request, entry: Entry) -> Within:
    """The relationship in the URL. Raises NotFound for one that the type doesn't have."""
    name = request.path_params["relationship"]
    if name not in entry.resource.relationships:
        raise no_relationship(entry.resource, name)
    return Within(entry.resource, id_of(request, entry), name)


def not_allowed(request: Request, entry: Entry) -> MethodNotAllowed:
    """The error of a method that the URL doesn't offer; `Allow` lists those it does."""
    params = request.path_params
    if "id" not in params:
        methods = entry.on_collection
    elif "relationship" not in params:
        methods = entry.on_resource
    elif "/relationships/" in request.scope["path"] and params["relationship"] in entry.resource.relationships:
        methods = entry.on_relationship(params["relationship"])
    else:
        methods = ("GET", "HEAD")
    allowed = ", ".join(methods)
    return MethodNotAllowed("{method} is not offered here.", method=request.method, headers={"Allow": allowed})


def negotiate(request: Request, *, body: bool = False, extensions: tuple[str, ...] = ()) -> None:
    """Check Content-Type and Accept, with the `extensions` that the URL speaks.

    Raises UnsupportedMediaType and NotAcceptable.
    """
    head = exchange_of(request).head
    if not body and not extensions:
        if head.media is None:
            head.media = _agreed(head, body=False)
    else:
        _agreed(head, body=body, extensions=extensions)


def _agreed(head: Head, *, body: bool, extensions: tuple[str, ...] = ()) -> Media:
    sent, accepted = head.heard.get(b"content-type"), head.heard.get(b"accept", b"")
    if body or sent is not None:
        check_content_type(*([] if sent is None else [sent.decode("latin-1")]), body=body, extensions=extensions)
    return check_accept(accepted.decode("latin-1"), extensions=extensions)


async def reader(request: Request, entry: Entry) -> Principal:
    """Who sends a request to read. Raises ApiError unless it is a read, and its sender may read this type."""
    if request.scope["method"] not in ("GET", "HEAD"):
        raise not_allowed(request, entry)
    negotiate(request)
    principal = known(request) or await identify(request)
    check_may_read(entry.resource, principal)
    return principal


async def sender(request: Request, entry: Entry, *, creating: bool = False) -> tuple[bytes, Principal]:
    """The body of a request to write, and who sends it. Raises ApiError unless the sender may write this type.

    A request that creates a resource is counted first, where the type is limited. The body is read last: a stranger
    isn't waited for.
    """
    negotiate(request, body=request.method != "DELETE" or _has_body(request))
    if creating and entry.limited:
        principal = await counted(request, limits.of_class(request, entry.resource.type_), guests=True)
    else:
        principal = await identify(request)
        if creating and principal.is_channel:
            await limits.count_carts(request)
    entry.require_write(principal)
    return await request.body(), principal


def _has_body(request: Request) -> bool:
    """Whether a request has a body (RFC 9112, section 6.3)."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def target_of(relationship: ToOne | ToMany, principal: Principal) -> type[Resource]:
    """The type that a relationship leads to. Raises Forbidden unless the sender may read it."""
    target = graph[relationship.type_]
    check_may_read(target, principal)
    return target


def check_may_read(resource: type[Resource], principal: Principal) -> None:
    """Raise Forbidden, with the reason, unless the sender may read a type."""
    principal.require(RESOURCES[resource.type_].reads)
    if resource.type_ not in visible_to(principal):
        if principal.cart_id is not None:
            raise Forbidden("{type} are not for guests.", type=resource.type_)
        raise Forbidden("{type} are not for customers.", type=resource.type_)


def check_no_parameters(request: Request) -> None:
    """Raise InvalidParameter for any query parameter, where an answer leaves nothing to shape."""
    for name, _ in parameters(request.scope["query_string"]):
        raise InvalidParameter("{name} is not a query parameter of this URL.", name=name, parameter=name)


def ask(request: Request, principal: Principal, resource: type[Resource], shape: Shape) -> Asked:
    """What a request asks for whose URL answers with one resource of a type, or with many. Raises InvalidParameter."""
    sent: bytes = request.scope["query_string"]
    cursors = shape == "many" and _wants_cursors(request)
    read = _remembered if len(sent) <= _MOST_REMEMBERED else _read
    return Asked(request, *read(resource, sent, shape, visible_to(principal), cursors=cursors))


def _read(
    resource: type[Resource], sent: bytes, shape: Shape, visible: Sight, *, cursors: bool
) -> tuple[Parameters, Query, str]:
    pairs = parameters(sent)
    query = parse(resource, pairs, shape=shape, visible=visible, cursors=cursors)
    return pairs, query, links.url("", pairs)


_MOST_REMEMBERED = 4_096
"""Bytes of a query string that is remembered."""
_remembered = lru_cache(maxsize=512)(_read)
"""Clients send the same few query strings again and again."""


def ask_for_linkage(
    request: Request, principal: Principal, within: Within, target: type[Resource]
) -> tuple[Asked, bool]:
    """What a request asks for whose URL answers with identifiers, and whether it includes the resources themselves.

    Its include paths begin with the relationship's own name (JSON:API 1.1, "Inclusion of Related Resources"). Raises
    InvalidParameter.
    """
    pairs, visible, name = parameters(request.scope["query_string"]), visible_to(principal), within.name
    shape: Shape = "many" if isinstance(within.relationship, ToMany) else "single"
    outer = [(key, value) for key, value in pairs if key == "include" or key.startswith("fields[")]
    inner = [pair for pair in pairs if pair not in outer]
    around = parse(within.parent, outer, shape="single", visible=visible)
    paths = dict(around.selection.include)
    for other in paths.keys() - {name}:
        raise InvalidInclude(
            "Include paths of this URL begin with {name}; {other!r} does not.",
            name=name,
            other=other,
            parameter="include",
        )
    cursors = shape == "many" and _wants_cursors(request)
    query = parse(target, inner, shape=shape, visible=visible, cursors=cursors)
    selection = paths.get(name) or Selection(target, frozenset())
    whole = replace(query, selection=selection, included=around.included)
    return Asked(request, pairs, whole, links.url("", pairs)), name in paths


def _wants_cursors(request: Request) -> bool:
    """Whether the Accept header asks for the cursor profile."""
    head = exchange_of(request).head
    return PROFILE in (head.media or _agreed(head, body=False)).profiles


def rendering_of(request: Request, principal: Principal) -> Rendering:
    """What the documents of a request depend on besides their rows. Ends the request's step `parse`."""
    exchange_of(request).timing.mark("parse")
    service = service_of(request)
    lasting = _lasting(principal.store, urls.origin(request), visible_to(principal), service.url_keys, service.vault)
    return lasting if lasting.at is not None else Rendering._make((*lasting[:3], clock.now(), *lasting[4:]))


@lru_cache(maxsize=512)
def _lasting(store: Store, origin: str, visible: Sight, keys: UrlKeys, vault: Vault) -> Rendering:
    """What documents of a store depend on for longer than a request; all but the instant, unless its clock stands."""
    return Rendering(
        f"{origin}/api",
        store.mode,
        store.locale,
        store.frozen_at,
        repeat_urls.of(keys.links, store, origin),
        calendars.url_of(keys.calendars, store, origin),
        actions.url_of(keys.actions, store, origin),
        partial(vault.open, "webhooks.shared_secret", store.id),
        everything=visible.everything,
        attachment_url=partial(attachments.url_of, keys.exports, attachments.Reader(store.id, origin, visible)),
    )


def for_sender(request: Request, principal: Principal, draft: Draft, rendering: Rendering) -> Draft:
    """A draft that knows its sender's language, and how its sender sees resources."""
    return replace(draft, locale=languages.negotiate(request, principal.store.locale), rendering=rendering)


async def numbered(request: Request, principal: Principal, entry: Entry, draft: Draft) -> Draft:
    """The draft of a new resource with its running number, if resources of its type have one.

    Call it ahead of the transaction, as `Numbers.take` says.
    """
    if not entry.numbers:
        return draft
    return replace(draft, number=await service_of(request).numbers.take(principal.store.id, entry.numbers))
