"""The generic coroutines: every JSON:API route of every type is one of these.

A request goes left to right: who asks and may they (auth, scope), what is asked (negotiation, query, body: pure), one
read or operation on one connection, a compiled document.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from schemas.base import Rendering, Resource, ToMany, ToOne, graph
from schemas.kinds import ID
from service.errors import Forbidden, InvalidInclude, InvalidParameter, MethodNotAllowed, NotFound
from service.http import urls
from service.http.answers import Document
from service.http.auth import authenticate
from service.jsonapi import body, links
from service.jsonapi.document import Row, collect, counts, document, identifier
from service.jsonapi.negotiation import check_accept, check_content_type
from service.jsonapi.query import Parameters, Query, Selection, parameters, parse
from service.operations.outcome import Created
from service.principal import Principal
from service.resources import RESOURCES, Entry, visible_to
from service.store import read
from service.store.read import Rows, Viewer, Within


async def entry_point(request: Request) -> Response:
    """GET /api: the types and their URLs, in `meta` (top-level `links` may hold only the spec's own keys)."""
    _negotiate(request)
    for name, _ in parameters(request.scope["query_string"]):
        raise InvalidParameter(f"{name} is not a query parameter of this URL.", parameter=name)
    base = urls.api(request)
    types = {name: f"{base}/{name}" for name in RESOURCES}
    return Document({"jsonapi": {"version": "1.1"}, "links": {"self": base}, "meta": {"types": types}})


async def collection(request: Request) -> Response:
    """GET and POST /api/{type}."""
    entry = _entry(request)
    if request.method == "POST":
        return await _create(request, entry)
    principal, viewer = await _reader(request, entry)
    pairs = parameters(request.scope["query_string"])
    query = parse(entry.resource, pairs, shape="many", visible=visible_to(principal))
    rendering = _rendering(request, principal)
    async with request.app.state.database.connection() as connection:
        rows = await read.page(connection, viewer, query)
    return _many(request, rendering, pairs, query, rows)


async def resource(request: Request) -> Response:
    """GET /api/{type}/{id}."""
    entry = _entry(request)
    principal, viewer = await _reader(request, entry)
    pairs = parameters(request.scope["query_string"])
    query = parse(entry.resource, pairs, shape="single", visible=visible_to(principal))
    rendering = _rendering(request, principal)
    async with request.app.state.database.connection() as connection:
        row = await read.one(connection, viewer, query.selection, _id(request, entry))
    if row is None:
        raise _missing(entry.resource)
    return _single(request, rendering, pairs, query, row)


async def related(request: Request) -> Response:
    """GET /api/{type}/{id}/{relationship}: the related resource, null, or a page of related resources."""
    entry = _entry(request)
    principal, viewer = await _reader(request, entry)
    within = _within(request, entry)
    target, many = _target(within.relationship, principal), isinstance(within.relationship, ToMany)
    pairs = parameters(request.scope["query_string"])
    query = parse(target, pairs, shape="many" if many else "single", visible=visible_to(principal))
    rendering = _rendering(request, principal)
    async with request.app.state.database.connection() as connection:
        rows = await read.related(connection, viewer, within, query)
    if rows is None:
        raise _missing(entry.resource)
    if many:
        return _many(request, rendering, pairs, query, rows)
    return _single(request, rendering, pairs, query, rows.rows[0] if rows.rows else None)


async def relationship(request: Request) -> Response:
    """GET /api/{type}/{id}/relationships/{relationship}: identifiers.

    With `include`, whose paths begin with the relationship's own name, the resources come along.
    """
    entry = _entry(request)
    principal, viewer = await _reader(request, entry)
    within = _within(request, entry)
    target, many = _target(within.relationship, principal), isinstance(within.relationship, ToMany)
    pairs = parameters(request.scope["query_string"])
    query = _linkage_query(within, target, pairs, visible=visible_to(principal))
    rendering = _rendering(request, principal)
    async with request.app.state.database.connection() as connection:
        rows = await read.related(connection, viewer, within, query)
    if rows is None:
        raise _missing(entry.resource)
    resources, included = collect(rows.rows, query.selection, rendering)
    along = [*resources, *included] if query.included else None
    identifiers = [identifier(target.type_, row[0]) for row in rows.rows]
    there = {"related": f"{rendering.base}/{entry.resource.type_}/{within.id}/{within.name}"}
    if many:
        around = links.pages(_url(request), pairs, query.page, rows.total)
        return Document(document(identifiers, around | there, included=along, meta=counts(query, rows.total)))
    own = {"self": links.url(_url(request), pairs)}
    return Document(document(identifiers[0] if identifiers else None, own | there, included=along))


async def _create(request: Request, entry: Entry) -> Response:
    """POST /api/{type}: the resource's own operation, in one transaction, and its resource read back in it."""
    if entry.create is None:
        raise _not_allowed(request, entry)
    raw = await request.body()
    _negotiate(request, body=True)
    principal = await authenticate(request)
    principal.require(entry.writes)
    pairs = parameters(request.scope["query_string"])
    query = parse(entry.resource, pairs, shape="single", visible=visible_to(principal))
    draft = body.creation(entry.resource, body.loads(raw), customer=principal.customer_id is not None)
    if entry.numbers:
        draft = replace(draft, number=await request.app.state.numbers.take(principal.store.id, entry.numbers))
    rendering = _rendering(request, principal)
    async with request.app.state.database.transaction() as connection:
        created = Created.of(await entry.create(connection, principal, draft))
        row = await read.one(connection, Viewer(principal.store.id, principal.customer_id), query.selection, created.id)
        if row is None:
            raise _missing(entry.resource)
    resources, included = collect([row], query.selection, rendering)
    if created.disclosed:
        resources[0].setdefault("attributes", {}).update(created.disclosed)
    url = resources[0]["links"]["self"]
    answer = document(resources[0], {"self": url}, included=included if query.included else None)
    return Document(answer, 201, {"Location": url})


def _negotiate(request: Request, *, body: bool = False) -> None:
    check_content_type(request.headers.get("content-type"), body=body)
    check_accept(request.headers.get("accept"))


def _entry(request: Request) -> Entry:
    entry = RESOURCES.get(request.path_params["type"])
    if entry is None:
        raise NotFound("There is no such resource type; GET /api lists them.")
    return entry


async def _reader(request: Request, entry: Entry) -> tuple[Principal, Viewer]:
    """Negotiate, authenticate and check that the asker may read this type."""
    if request.method not in ("GET", "HEAD"):
        raise _not_allowed(request, entry)
    _negotiate(request)
    principal = await authenticate(request)
    _may_read(entry.resource, principal)
    return principal, Viewer(principal.store.id, principal.customer_id)


def _may_read(resource: type[Resource], principal: Principal) -> None:
    """Raise Forbidden, with the reason, unless the token may read a type."""
    principal.require(RESOURCES[resource.type_].reads)
    if resource.type_ not in visible_to(principal):
        raise Forbidden(f"{resource.type_} are not for customers.")


def _not_allowed(request: Request, entry: Entry) -> MethodNotAllowed:
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
    return MethodNotAllowed(f"{request.method} is not offered here; {allowed} are.", headers={"Allow": allowed})


def _within(request: Request, entry: Entry) -> Within:
    """The relationship that the URL names. Raises NotFound for one that the type doesn't have."""
    name = request.path_params["relationship"]
    if name not in entry.resource.relationships:
        raise NotFound(f"{entry.resource.type_} have no relationship of this name.")
    return Within(entry.resource, _id(request, entry), name)


def _id(request: Request, entry: Entry) -> str:
    """The id in the URL. What can't be an id is not found, without asking the database."""
    id_: str = request.path_params["id"]
    if not ID.fullmatch(id_):
        raise _missing(entry.resource)
    return id_


def _target(relationship: ToOne | ToMany, principal: Principal) -> type[Resource]:
    target = graph[relationship.type_]
    _may_read(target, principal)
    return target


def _missing(resource: type[Resource]) -> NotFound:
    return NotFound(f"There is no {resource.type_} of this id.")


def _rendering(request: Request, principal: Principal) -> Rendering:
    return Rendering(urls.api(request), principal.store.mode, principal.store.locale)


def _url(request: Request) -> str:
    """The request's own URL without its query, its path as the client sent it."""
    raw: bytes = request.scope["raw_path"]
    return urls.origin(request) + raw.decode("ascii")


def _many(request: Request, rendering: Rendering, pairs: Parameters, query: Query, rows: Rows) -> Response:
    resources, included = collect(rows.rows, query.selection, rendering)
    around = links.pages(_url(request), pairs, query.page, rows.total)
    return Document(
        document(resources, around, included=included if query.included else None, meta=counts(query, rows.total))
    )


def _single(request: Request, rendering: Rendering, pairs: Parameters, query: Query, row: Row | None) -> Response:
    resources, included = collect([] if row is None else [row], query.selection, rendering)
    own = {"self": links.url(_url(request), pairs)}
    return Document(document(resources[0] if resources else None, own, included=included if query.included else None))


def _linkage_query(within: Within, target: type[Resource], pairs: Parameters, *, visible: frozenset[str]) -> Query:
    """The query of a relationship URL.

    Its include paths begin with the relationship itself (JSON:API 1.1, "Inclusion of Related Resources").
    """
    many, name = isinstance(within.relationship, ToMany), within.name
    outer = [(key, value) for key, value in pairs if key == "include" or key.startswith("fields[")]
    inner = [pair for pair in pairs if pair not in outer]
    asked = parse(within.parent, outer, shape="single", visible=visible)
    paths = dict(asked.selection.include)
    for other in paths.keys() - {name}:
        raise InvalidInclude(f"Include paths of this URL begin with {name}; {other!r} does not.", parameter="include")
    query = parse(target, inner, shape="many" if many else "single", visible=visible)
    selection = paths.get(name) or Selection(target, frozenset())
    return Query(selection, query.filters, query.sort, query.page, included=asked.included)
