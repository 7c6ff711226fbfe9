"""The generic coroutines that change resources and relationships, and delete resources.

A request goes the way of `service.http.api.handlers`; the resource is locked before anything about it is decided.
What a type doesn't let clients change is 403 (JSON:API 1.1, "Updating Resources"), what can't be deleted 405.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http.api import conditions, idempotency, prefer
from service.http.api.answers import VARY, Document
from service.http.api.handlers import (
    check_no_parameters,
    entry_of,
    id_of,
    negotiate,
    not_allowed,
    rendering_of,
    single,
    within_of,
)
from service.http.auth import forget_store, identify
from service.http.exchange import exchange_of
from service.jsonapi import body
from service.jsonapi.document import VERSION
from service.jsonapi.query import parameters, parse
from service.operations.generic.phases import Interlude, Work
from service.principal import Principal
from service.resources import METHOD_CODES, Entry, visible_to
from service.store import read
from service.store.pool import Connection


async def update(request: Request) -> Response:
    """PATCH /api/{type}/{id}: the fields that were sent; answers with the resource as it is then."""
    entry = entry_of(request)
    writer = entry.changer()
    raw, principal = await _sender(request, entry)
    pairs = parameters(request.scope["query_string"])
    query = parse(entry.resource, pairs, shape="single", visible=visible_to(principal))
    id_ = id_of(request, entry)
    draft = body.update(entry.resource, id_, body.loads(raw), customer=principal.owner is not None)
    rendering = rendering_of(request, principal)
    draft = replace(draft, rendering=rendering)

    async def work(connection: Connection) -> Response | Interlude[Response]:
        locked = await writer.lock(connection, principal, entry.resource, id_)
        conditions.check_if_match(request, locked.version)
        return await answer(connection, lambda held: writer.update_in_steps(held, principal, locked, draft))

    async def answer(connection: Connection, change: Work[None]) -> Response | Interlude[Response]:
        changed = await change(connection)
        if changed is not None:
            return changed.around(answer)
        row = await read.one(connection, principal.viewer, query.selection, id_)
        if row is None:
            raise body.not_found(entry.resource.type_)
        exchange_of(request).timing.mark("database")
        return single(request, rendering, pairs, query, row)

    done = await idempotency.once(request, principal, work)
    forget_store(request, principal, entry.resource)
    return done


async def remove(request: Request) -> Response:
    """DELETE /api/{type}/{id}: 204, or what `Prefer` asks for. A body is not looked at; some clients send one."""
    entry = entry_of(request)
    if entry.remove is None:
        raise not_allowed(request, entry)
    _, principal = await _sender(request, entry)
    check_no_parameters(request)
    id_ = id_of(request, entry)
    writer = entry.remove

    async def work(connection: Connection) -> Response:
        locked = await writer.lock(connection, principal, entry.resource, id_)
        conditions.check_if_match(request, locked.version)
        await writer.remove(connection, principal, locked)
        if prefer.wanted(request) == prefer.REPRESENTATION:
            return _nothing_left(request)
        return no_content(request)

    return await idempotency.once(request, principal, work)


async def relationship(request: Request) -> Response:
    """PATCH, POST and DELETE /api/{type}/{id}/relationships/{relationship}: replace, add and remove; 204."""
    entry = entry_of(request)
    within = within_of(request, entry)
    code = METHOD_CODES[request.method]
    writer = entry.relater(within.name, code)
    raw, principal = await _sender(request, entry)
    check_no_parameters(request)
    linked = body.linkage(within.relationship, body.loads(raw))

    async def work(connection: Connection) -> Response:
        locked = await writer.lock(connection, principal, entry.resource, within.id)
        conditions.check_if_match(request, locked.version)
        await writer.relate(connection, principal, locked, within.name, linked, code=code)
        return no_content(request)

    done = await idempotency.once(request, principal, work)
    forget_store(request, principal, entry.resource)
    return done


routes = [
    Route("/api/{type}/{id}", update, methods=["PATCH"]),
    Route("/api/{type}/{id}", remove, methods=["DELETE"]),
    Route("/api/{type}/{id}/relationships/{relationship}", relationship, methods=["PATCH", "POST", "DELETE"]),
]


async def _sender(request: Request, entry: Entry) -> tuple[bytes, Principal]:
    """The body of a request and who sent it. Raises ApiError unless they may write this type."""
    raw = await request.body()
    negotiate(request, body=bool(raw) or request.method != "DELETE")
    principal = await identify(request)
    entry.require_write(principal)
    return raw, principal


def no_content(request: Request) -> Response:
    """204 has neither body nor Content-Type."""
    preferred = prefer.headers(request, prefer.MINIMAL)
    return Response(
        status_code=204, headers={"Vary": f"{VARY}, Prefer", "Cache-Control": "private, no-cache", **preferred}
    )


def _nothing_left(request: Request) -> Response:
    """200 with `meta` alone, for clients that can't do without a document (JSON:API 1.1, "Deleting Resources")."""
    headers = {"Vary": f"{VARY}, Prefer", **prefer.headers(request, prefer.REPRESENTATION)}
    return Document({"jsonapi": VERSION, "meta": {}}, headers=headers)
