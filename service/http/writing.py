"""The generic coroutines that change resources and relationships, and delete resources.

A request goes the way of `service.http.handlers`; the resource is locked before anything about it is decided. What a
type doesn't let clients change is 403 (JSON:API 1.1, "Updating Resources"), what can't be deleted 405.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service.errors import ApiError, Forbidden
from service.http import conditional, idempotency, prefer
from service.http.answers import VARY, Document
from service.http.auth import authenticate
from service.http.handlers import (
    check_no_parameters,
    entry_of,
    id_of,
    negotiate,
    not_allowed,
    rendering_of,
    single,
    within_of,
)
from service.http.timing import mark
from service.jsonapi import body
from service.jsonapi.body import Draft
from service.jsonapi.document import version
from service.jsonapi.query import parameters, parse
from service.principal import Principal
from service.resources import Entry, visible_to
from service.store import read
from service.store.pool import Connection


async def update(request: Request) -> Response:
    """PATCH /api/{type}/{id}: the fields that were sent; answers with the resource as it is then."""
    entry = entry_of(request)
    if entry.update is None:
        raise Forbidden("{type} can't be changed by clients.", type=entry.resource.type_)
    raw, principal = await _sender(request, entry)
    pairs = parameters(request.scope["query_string"])
    query = parse(entry.resource, pairs, shape="single", visible=visible_to(principal))
    id_ = id_of(request, entry)
    draft = body.update(entry.resource, id_, body.loads(raw), customer=principal.customer_id is not None)
    rendering = rendering_of(request, principal)
    writer = entry.update

    async def work(connection: Connection) -> Response:
        locked = await writer.lock(connection, principal, entry.resource, id_)
        conditional.require(request, locked.version)
        await writer.update(connection, principal, locked, draft)
        row = await read.one(connection, principal.viewer, query.selection, id_)
        if row is None:
            raise body.not_found(entry.resource.type_)
        mark(request.scope, "database")
        return single(request, rendering, pairs, query, row)

    return await idempotency.once(request, principal, work)


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
        conditional.require(request, locked.version)
        await writer.remove(connection, principal, locked)
        if prefer.wanted(request) == prefer.REPRESENTATION:
            return _nothing_left(request)
        return _no_content(request)

    return await idempotency.once(request, principal, work)


async def relationship(request: Request) -> Response:
    """PATCH, POST and DELETE /api/{type}/{id}/relationships/{relationship}: replace, add and remove; 204."""
    entry = entry_of(request)
    within = within_of(request, entry)
    declared, writer = within.relationship, entry.update
    if writer is None or request.method not in entry.on_relationship(within.name):
        allowed = {"Allow": ", ".join(entry.on_relationship(within.name))}
        raise Forbidden(
            "{name} of {type} can't be changed in this way.",
            name=within.name,
            type=entry.resource.type_,
            headers=allowed,
        )
    raw, principal = await _sender(request, entry)
    check_no_parameters(request)
    if principal.customer_id is not None and declared.guarded:
        raise Forbidden(
            "{name} of {type} is changed by integrations only.", name=within.name, type=entry.resource.type_
        )
    linked = body.linkage(declared, body.loads(raw))

    async def work(connection: Connection) -> Response:
        locked = await writer.lock(connection, principal, entry.resource, within.id)
        conditional.require(request, locked.version)
        with _pointing_at_linkage(within.name):
            if request.method == "PATCH":
                draft = Draft(entry.resource, within.id, relationships={within.name: linked})
                await writer.update(connection, principal, locked, draft)
            elif request.method == "POST":
                await writer.link(connection, principal, locked, within.name, _members(linked))
            else:
                await writer.unlink(connection, principal, locked, within.name, _members(linked))
        return _no_content(request)

    return await idempotency.once(request, principal, work)


routes: list[BaseRoute] = [
    Route("/api/{type}/{id}", update, methods=["PATCH"]),
    Route("/api/{type}/{id}", remove, methods=["DELETE"]),
    Route("/api/{type}/{id}/relationships/{relationship}", relationship, methods=["PATCH", "POST", "DELETE"]),
]


async def _sender(request: Request, entry: Entry) -> tuple[bytes, Principal]:
    """The body of a request and who sent it. Raises ApiError unless they may write this type."""
    raw = await request.body()
    negotiate(request, body=bool(raw) or request.method != "DELETE")
    principal = await authenticate(request)
    principal.require(entry.writes)
    return raw, principal


def _members(linked: body.Linked) -> tuple[str, ...]:
    assert isinstance(linked, tuple)  # noqa: S101 -- only to-many relationships are added to
    return linked


@contextmanager
def _pointing_at_linkage(name: str) -> Iterator[None]:
    """Make pointers into a resource object, which the writer speaks of, ones into the document of a relationship."""
    prefix = f"/data/relationships/{name}/data"
    try:
        yield
    except ApiError as error:
        for problem in error.problems:
            pointer = problem.source.get("pointer")
            if pointer is not None:
                problem.source["pointer"] = "/data" + (pointer.removeprefix(prefix) if prefix in pointer else "")
        raise


def _no_content(request: Request) -> Response:
    """204 has neither body nor Content-Type."""
    preferred = prefer.headers(request, prefer.MINIMAL)
    return Response(
        status_code=204, headers={"Vary": f"{VARY}, Prefer", "Cache-Control": "private, no-cache", **preferred}
    )


def _nothing_left(request: Request) -> Response:
    """200 with `meta` alone, for clients that can't do without a document (JSON:API 1.1, "Deleting Resources")."""
    headers = {"Vary": f"{VARY}, Prefer", **prefer.headers(request, prefer.REPRESENTATION)}
    return Document({"jsonapi": version(), "meta": {}}, headers=headers)
