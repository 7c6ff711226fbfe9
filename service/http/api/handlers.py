"""The generic coroutines: every JSON:API route of every type is one of these.

A request goes left to right: who asks and may they (auth, scope), what is asked (negotiation, query, body: pure), one
read or operation on one connection, a compiled document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from schemas.graph import RESERVED_TYPES, graph
from schemas.kinds import ID
from schemas.relationships import ToMany, ToOne
from schemas.rendering import Rendering
from schemas.resource import Resource
from service import clock
from service.contract import openapi
from service.errors import Forbidden, InvalidInclude, InvalidParameter, MethodNotAllowed
from service.http import languages, limits, repeat_urls, urls
from service.http.api import idempotency, prefer
from service.http.api.answers import VARY, Document
from service.http.auth import counted, identify
from service.http.exchange import exchange_of
from service.http.pages import calendars
from service.http.state import service_of
from service.jsonapi import body, links
from service.jsonapi.document import VERSION, Object, Row, collect, counts, document, identifier
from service.jsonapi.negotiation import check_accept, check_content_type
from service.jsonapi.pagination import PROFILE, Page
from service.jsonapi.query import Parameters, Query, Selection, Shape, parameters, parse
from service.jsonapi.unknown import no_relationship, no_type
from service.operations.generic.created import Created
from service.operations.generic.phases import Interlude, Work
from service.operations.generic.writing import Writer
from service.principal import Principal, Viewer
from service.resources import RESOURCES, Entry, visible_to
from service.store import read
from service.store.pool import Connection
from service.store.read import Rows, Within


async def entry_point(request: Request) -> Response:
    """GET /api: the types and their URLs, in `meta` (top-level `links` may hold only the spec's own keys)."""
    negotiate(request)
    check_no_parameters(request)
    base = urls.api(request)
    types = {name: f"{base}/{name}" for name in RESOURCES}
    contract = {"href": f"{urls.origin(request)}/openapi.yaml", "type": openapi.YAML}
    around = {"self": base, "describedby": contract}
    return Document({"jsonapi": VERSION, "links": around, "meta": {"types": types}})


async def collection(request: Request) -> Response:
    """GET and POST /api/{type}."""
    entry = entry_of(request)
    if request.method == "POST":
        return await _create(request, entry)
    principal, viewer = await _reader(request, entry)
    pairs = parameters(request.scope["query_string"])
    query = parse(entry.resource, pairs, shape="many", visible=visible_to(principal), cursors=_cursors(request))
    rendering = rendering_of(request, principal)
    async with service_of(request).database.connection() as connection:
        rows = await read.page(connection, viewer, query)
    return _many(request, rendering, pairs, query, rows)


async def resource(request: Request) -> Response:
    """GET /api/{type}/{id}."""
    entry = entry_of(request)
    principal, viewer = await _reader(request, entry)
    pairs = parameters(request.scope["query_string"])
    query = parse(entry.resource, pairs, shape="single", visible=visible_to(principal))
    rendering = rendering_of(request, principal)
    async with service_of(request).database.connection() as connection:
        row = await read.one(connection, viewer, query.selection, id_of(request, entry))
    if row is None:
        raise body.not_found(entry.resource.type_)
    return single(request, rendering, pairs, query, row)


async def related(request: Request) -> Response:
    """GET /api/{type}/{id}/{relationship}: the related resource, null, or a page of related resources."""
    entry = entry_of(request)
    principal, viewer = await _reader(request, entry)
    within = within_of(request, entry)
    target, many = _target(within.relationship, principal), isinstance(within.relationship, ToMany)
    pairs = parameters(request.scope["query_string"])
    shape: Shape = "many" if many else "single"
    query = parse(target, pairs, shape=shape, visible=visible_to(principal), cursors=_cursors(request))
    rendering = rendering_of(request, principal)
    async with service_of(request).database.connection() as connection:
        rows = await read.related(connection, viewer, within, query)
    if rows is None:
        raise body.not_found(entry.resource.type_)
    if many:
        return _many(request, rendering, pairs, query, rows)
    return single(request, rendering, pairs, query, rows.rows[0] if rows.rows else None)


async def relationship(request: Request) -> Response:
    """GET /api/{type}/{id}/relationships/{relationship}: identifiers.

    With `include`, whose paths begin with the relationship's own name, the resources come along.
    """
    entry = entry_of(request)
    principal, viewer = await _reader(request, entry)
    within = within_of(request, entry)
    target, many = _target(within.relationship, principal), isinstance(within.relationship, ToMany)
    pairs = parameters(request.scope["query_string"])
    query, coming = _linkage_query(within, target, pairs, visible=visible_to(principal), cursors=_cursors(request))
    rendering = rendering_of(request, principal)
    async with service_of(request).database.connection() as connection:
        rows = await read.related(connection, viewer, within, query)
    if rows is None:
        raise body.not_found(entry.resource.type_)
    exchange_of(request).timing.mark("database")
    resources, included = collect(rows.rows, query.selection, rendering)
    along = ([*resources, *included] if coming else []) if query.included else None
    identifiers = [identifier(target.type_, row[0]) for row in rows.rows]
    url = f"{rendering.base}/{entry.resource.type_}/{within.id}/{within.name}"
    there = {"related": url, **_described(rendering, query)}
    if many:
        return _page(request, pairs, query, rows, identifiers, included=along, also=there)
    around = {"self": links.url(_url(request), pairs), **there}
    return Document(document(identifiers[0] if identifiers else None, around, included=along))


async def _create(request: Request, entry: Entry) -> Response:
    """POST /api/{type}: the resource's own operation, in one transaction, and its resource read back in it."""
    if entry.create is None:
        raise not_allowed(request, entry)
    raw = await request.body()
    negotiate(request, body=True)
    limited = entry.limited and limits.of_class(request, entry.resource.type_)
    principal = await (counted(request, limited, guests=True) if limited else identify(request))
    entry.require_write(principal)
    pairs = parameters(request.scope["query_string"])
    query = parse(entry.resource, pairs, shape="single", visible=visible_to(principal))
    draft = body.creation(entry.resource, body.loads(raw), customer=principal.owner is not None)
    if entry.numbers:
        draft = replace(draft, number=await service_of(request).numbers.take(principal.store.id, entry.numbers))
    rendering = rendering_of(request, principal)
    locale = languages.negotiate(request, principal.store.locale)
    draft = replace(draft, locale=locale, rendering=rendering)
    make = entry.create.create_in_steps if isinstance(entry.create, Writer) else entry.create

    async def work(connection: Connection) -> Response | Interlude[Response]:
        return await answer(connection, lambda held: make(held, principal, draft))

    async def answer(connection: Connection, making: Work[str | Created]) -> Response | Interlude[Response]:
        made = await making(connection)
        if isinstance(made, Interlude):
            return made.around(answer)
        created = Created.of(made)
        row = await read.one(connection, principal.viewer, query.selection, created.id)
        if row is None:
            raise body.not_found(entry.resource.type_)
        exchange_of(request).timing.mark("database")
        return _created(request, rendering, query, row, created.disclosed)

    return await idempotency.once(request, principal, work)


def _created(request: Request, rendering: Rendering, query: Query, row: Row, disclosed: Mapping[str, Any]) -> Response:
    """201 with the new resource. What is disclosed is in this one answer, and not in what is kept of it."""
    resources, included = collect([row], query.selection, rendering)
    url = resources[0]["links"]["self"]
    around = {"self": url, **_described(rendering, query)}
    answer = document(resources[0], around, included=included if query.included else None)
    headers = {"Location": url, "Vary": f"{VARY}, Prefer", **prefer.headers(request, prefer.REPRESENTATION)}
    kept = Document(answer, 201, headers)
    if not disclosed:
        return kept
    resources[0].setdefault("attributes", {}).update(disclosed)
    return Document(answer, 201, headers, kept=kept)


def _cursors(request: Request) -> bool:
    """Whether the Accept header asks for the cursor profile."""
    return PROFILE in check_accept(request.headers.get("accept")).profiles


def negotiate(request: Request, *, body: bool = False) -> None:
    """Check Content-Type and Accept. Raises UnsupportedMediaType and NotAcceptable."""
    check_content_type(request.headers.get("content-type"), body=body)
    check_accept(request.headers.get("accept"))


def check_no_parameters(request: Request) -> None:
    """Raise InvalidParameter for any query parameter, where an answer leaves nothing to shape."""
    for name, _ in parameters(request.scope["query_string"]):
        raise InvalidParameter("{name} is not a query parameter of this URL.", name=name, parameter=name)


def entry_of(request: Request) -> Entry:
    """The registry's line of the type in the URL. Raises NotFound; below the names of other contracts no type is."""
    entry = RESOURCES.get(request.path_params["type"])
    if request.path_params["type"] in RESERVED_TYPES:
        raise HTTPException(404)
    if entry is None:
        raise no_type(request.path_params["type"])
    return entry


async def _reader(request: Request, entry: Entry) -> tuple[Principal, Viewer]:
    """Negotiate, authenticate and check that the asker may read this type."""
    if request.method not in ("GET", "HEAD"):
        raise not_allowed(request, entry)
    negotiate(request)
    principal = await identify(request)
    _may_read(entry.resource, principal)
    return principal, principal.viewer


def _may_read(resource: type[Resource], principal: Principal) -> None:
    """Raise Forbidden, with the reason, unless the token may read a type."""
    principal.require(RESOURCES[resource.type_].reads)
    if resource.type_ not in visible_to(principal):
        if principal.cart_id is not None:
            raise Forbidden("{type} are not for guests.", type=resource.type_)
        raise Forbidden("{type} are not for customers.", type=resource.type_)


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


def within_of(request: Request, entry: Entry) -> Within:
    """The relationship that the URL names. Raises NotFound for one that the type doesn't have."""
    name = request.path_params["relationship"]
    if name not in entry.resource.relationships:
        raise no_relationship(entry.resource, name)
    return Within(entry.resource, id_of(request, entry), name)


def id_of(request: Request, entry: Entry) -> str:
    """The id in the URL. What can't be an id is not found, without asking the database."""
    id_: str = request.path_params["id"]
    if not ID.fullmatch(id_):
        raise body.not_found(entry.resource.type_)
    return id_


def _target(relationship: ToOne | ToMany, principal: Principal) -> type[Resource]:
    target = graph[relationship.type_]
    _may_read(target, principal)
    return target


def rendering_of(request: Request, principal: Principal) -> Rendering:
    """What the documents of a request depend on besides their rows."""
    exchange_of(request).timing.mark("parse")
    store = principal.store
    return Rendering(
        urls.api(request),
        store.mode,
        store.locale,
        clock.now(store),
        repeat_urls.of(request, store),
        calendars.url_of(request, store),
    )


def _url(request: Request) -> str:
    """The request's own URL without its query, its path as the client sent it."""
    raw: bytes = request.scope["raw_path"]
    return urls.origin(request) + raw.decode("ascii")


def _described(rendering: Rendering, query: Query) -> Object:
    """The link of a document to the JSON Schema of its type."""
    return {"describedby": links.described_by(rendering.base, query.selection.resource.type_)}


def _many(request: Request, rendering: Rendering, pairs: Parameters, query: Query, rows: Rows) -> Response:
    exchange_of(request).timing.mark("database")
    resources, included = collect(rows.rows, query.selection, rendering)
    along = included if query.included else None
    return _page(request, pairs, query, rows, resources, included=along, also=_described(rendering, query))


def _page(
    request: Request,
    pairs: Parameters,
    query: Query,
    rows: Rows,
    data: list[Object],
    *,
    included: list[Object] | None,
    also: Mapping[str, Any],
) -> Response:
    """A page of resources or identifiers: with its links and counts, and by cursor as the profile has it.

    `also` holds top-level links beside those to pages.
    """
    url, meta = _url(request), counts(query, rows.total) if rows.total is not None else {}
    if isinstance(query.page, Page):
        around = links.pages(url, pairs, query.page, rows.total or 0)
        return Document(document(data, {**around, **also}, included=included, meta=meta))
    for item, cursor in zip(data, rows.cursors, strict=True):
        item.setdefault("meta", {})["page"] = {"cursor": cursor}
    if query.page.is_range and rows.more:
        meta.setdefault("page", {})["rangeTruncated"] = True
    around = links.windows(url, pairs, query.page, rows.cursors, more=rows.more)
    return Document(document(data, {**around, **also}, included=included, meta=meta or None, profiles=[PROFILE]))


def single(request: Request, rendering: Rendering, pairs: Parameters, query: Query, row: Row | None) -> Response:
    """A document of one resource, or of null."""
    exchange_of(request).timing.mark("database")
    resources, included = collect([] if row is None else [row], query.selection, rendering)
    own = {"self": links.url(_url(request), pairs), **_described(rendering, query)}
    return Document(document(resources[0] if resources else None, own, included=included if query.included else None))


def _linkage_query(
    within: Within, target: type[Resource], pairs: Parameters, *, visible: frozenset[str], cursors: bool
) -> tuple[Query, bool]:
    """The query of a relationship URL, and whether the related resources come along with their identifiers.

    Its include paths begin with the relationship itself (JSON:API 1.1, "Inclusion of Related Resources").
    """
    many, name = isinstance(within.relationship, ToMany), within.name
    outer = [(key, value) for key, value in pairs if key == "include" or key.startswith("fields[")]
    inner = [pair for pair in pairs if pair not in outer]
    asked = parse(within.parent, outer, shape="single", visible=visible)
    paths = dict(asked.selection.include)
    for other in paths.keys() - {name}:
        raise InvalidInclude(
            "Include paths of this URL begin with {name}; {other!r} does not.",
            name=name,
            other=other,
            parameter="include",
        )
    query = parse(target, inner, shape="many" if many else "single", visible=visible, cursors=cursors)
    selection = paths.get(name) or Selection(target, frozenset())
    return replace(query, selection=selection, included=asked.included), name in paths
