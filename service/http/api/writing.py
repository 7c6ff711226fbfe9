"""The coroutines that write: create, update, delete, and the writes of relationships.

Each goes from top to bottom: what the URL names, who sends what, the change as a step of work, and where the answer
shows the resource, a step that reads it back in the transaction of its change. The resource is locked before anything
about it is decided. A type that clients don't change is 403 (JSON:API 1.1, "Updating Resources"), one that they don't
create or delete 405.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http import guessing
from service.http.api import answers, conditions, idempotency, prefer
from service.http.api.asking import (
    Asked,
    ask,
    check_no_parameters,
    entry_of,
    for_sender,
    id_of,
    not_allowed,
    numbered,
    rendering_of,
    sender,
    within_of,
)
from service.http.auth import forget_written
from service.http.exchange import exchange_of
from service.jsonapi import body, decoding
from service.jsonapi.layout import Row
from service.operations.generic.created import Created
from service.operations.generic.phases import Interlude, chain
from service.principal import Principal
from service.resources import METHOD_CODES
from service.store import read
from service.store.pool import Connection


async def create(request: Request) -> Response:
    """POST /api/{type}: 201 with the new resource."""
    entry = entry_of(request)
    if entry.create is None:
        raise not_allowed(request, entry)
    raw, principal = await sender(request, entry, creating=True)
    asked = ask(request, principal, entry.resource, "single")
    sent = body.creation(entry.resource, decoding.loads(raw), customer=principal.owner is not None)
    sent = await numbered(request, principal, entry, sent)
    rendering = rendering_of(request, principal)
    draft = for_sender(request, principal, sent, rendering)

    async def show(connection: Connection, created: Created) -> Response:
        owner = principal.holding(created.id) if entry.resource.type_ == "carts" else principal
        row = await _read_back(connection, asked, owner, created.id)
        writer = entry.update
        warnings = await writer.remarks(connection, principal, created.id, draft, new=True) if writer else ()
        return answers.created(asked, rendering, row, created.disclosed, warnings)

    with body.located(draft):
        async with guessing.guarded(request, principal, guessing.tries_of(draft)):
            return await idempotency.once(request, principal, chain(entry.making(principal, draft), show))


async def update(request: Request) -> Response:
    """PATCH /api/{type}/{id}: 200 with the resource as it is once the fields that were sent are set."""
    entry = entry_of(request)
    writer = entry.changer()
    raw, principal = await sender(request, entry)
    asked = ask(request, principal, entry.resource, "single")
    id_ = id_of(request, entry)
    sent = body.update(entry.resource, id_, decoding.loads(raw), customer=principal.owner is not None)
    rendering = rendering_of(request, principal)
    draft = for_sender(request, principal, sent, rendering)

    disclosed: dict[str, Any] = {}

    async def change(connection: Connection) -> Interlude[None] | None:
        nonlocal disclosed
        locked = await writer.lock(connection, principal, entry.resource, id_)
        conditions.check_conditions(request, locked.version)
        disclosed = locked.disclosed
        return await writer.update_in_steps(connection, principal, locked, draft)

    async def show(connection: Connection, _: None) -> Response:
        row = await _read_back(connection, asked, principal, id_)
        warnings = await writer.remarks(connection, principal, id_, draft, new=False)
        return answers.single(asked, rendering, row, warnings, disclosed)

    with body.located(draft):
        async with guessing.guarded(request, principal, guessing.tries_of(draft)):
            done = await idempotency.once(request, principal, chain(change, show))
    forget_written(request, principal, entry.resource)
    return done


async def remove(request: Request) -> Response:
    """DELETE /api/{type}/{id}: 204, or 200 when `Prefer` asks for a document. The request's body is ignored."""
    entry = entry_of(request)
    writer = entry.remove
    if writer is None:
        raise not_allowed(request, entry)
    _, principal = await sender(request, entry)
    check_no_parameters(request)
    id_ = id_of(request, entry)

    async def delete(connection: Connection) -> Response:
        locked = await writer.lock(connection, principal, entry.resource, id_)
        conditions.check_conditions(request, locked.version)
        await writer.remove(connection, principal, locked)
        wanted = prefer.wanted(request) == prefer.REPRESENTATION
        return answers.nothing_left(request) if wanted else answers.no_content(request)

    done = await idempotency.once(request, principal, delete)
    forget_written(request, principal, entry.resource)
    return done


async def relationship(request: Request) -> Response:
    """PATCH, POST and DELETE /api/{type}/{id}/relationships/{relationship}: replace, add to and take from it; 204."""
    entry = entry_of(request)
    within = within_of(request, entry)
    code = METHOD_CODES[request.method]
    writer = entry.relater(within.name, code)
    raw, principal = await sender(request, entry)
    check_no_parameters(request)
    linked = body.linkage(within.relationship, decoding.loads(raw))

    async def relate(connection: Connection) -> Response:
        locked = await writer.lock(connection, principal, entry.resource, within.id)
        conditions.check_conditions(request, locked.version)
        await writer.relate(connection, principal, locked, within.name, linked, code=code)
        return answers.no_content(request)

    done = await idempotency.once(request, principal, relate)
    forget_written(request, principal, entry.resource)
    return done


routes = [
    Route("/api/{type}", create, methods=["POST"]),
    Route("/api/{type}/{id}", update, methods=["PATCH"]),
    Route("/api/{type}/{id}", remove, methods=["DELETE"]),
    Route("/api/{type}/{id}/relationships/{relationship}", relationship, methods=["PATCH", "POST", "DELETE"]),
]


async def _read_back(connection: Connection, asked: Asked, principal: Principal, id_: str) -> Row:
    """The row of a resource that was written. Raises NotFound when its sender can't see it any more."""
    row = await read.one(connection, principal.viewer, asked.query.selection, id_)
    if row is None:
        raise body.not_found(asked.query.selection.resource.type_)
    exchange_of(asked.request).timing.mark("database")
    return row
