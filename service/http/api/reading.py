"""The coroutines that read: collections, resources, what is related to a resource, and the entry point.

Each goes from top to bottom: what the URL names, who asks, what for, one read on one connection, a document.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from schemas.relationships import ToMany
from service.contract import openapi
from service.http import urls
from service.http.api import answers
from service.http.api.answers import Document
from service.http.api.asking import (
    ask,
    ask_for_linkage,
    check_no_parameters,
    entry_of,
    id_of,
    negotiate,
    reader,
    rendering_of,
    target_of,
    within_of,
)
from service.http.exchange import exchange_of
from service.http.state import service_of
from service.jsonapi import body
from service.jsonapi.document import VERSION
from service.resources import RESOURCES
from service.store import read


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
    """GET /api/{type}: a page of resources."""
    entry = entry_of(request)
    principal = await reader(request, entry)
    asked = ask(request, principal, entry.resource, "many")
    rendering = rendering_of(request, principal)
    async with service_of(request).reads.connection() as connection:
        rows = await read.page(connection, principal.viewer, asked.query)
    exchange_of(request).timing.mark("database")
    return answers.bounded(answers.many(asked, rendering, rows))


async def resource(request: Request) -> Response:
    """GET /api/{type}/{id}: one resource."""
    entry = entry_of(request)
    principal = await reader(request, entry)
    asked = ask(request, principal, entry.resource, "single")
    rendering, id_ = rendering_of(request, principal), id_of(request, entry)
    async with service_of(request).reads.connection() as connection:
        row = await read.one(connection, principal.viewer, asked.query.selection, id_)
        warnings = await entry.update.warnings(connection, principal, id_) if entry.update else ()
    if row is None:
        raise body.not_found(entry.resource.type_)
    exchange_of(request).timing.mark("database")
    return answers.bounded(answers.single(asked, rendering, row, warnings))


async def related(request: Request) -> Response:
    """GET /api/{type}/{id}/{relationship}: the related resource, null, or a page of related resources."""
    entry = entry_of(request)
    principal = await reader(request, entry)
    within = within_of(request, entry)
    target, many = target_of(within.relationship, principal), isinstance(within.relationship, ToMany)
    asked = ask(request, principal, target, "many" if many else "single")
    rendering = rendering_of(request, principal)
    async with service_of(request).reads.connection() as connection:
        rows = await read.related(connection, principal.viewer, within, asked.query)
    if rows is None:
        raise body.not_found(entry.resource.type_)
    exchange_of(request).timing.mark("database")
    if many:
        return answers.bounded(answers.many(asked, rendering, rows))
    return answers.bounded(answers.single(asked, rendering, rows.rows[0] if rows.rows else None))


async def relationship(request: Request) -> Response:
    """GET /api/{type}/{id}/relationships/{relationship}: identifiers, and with `include` the resources themselves."""
    entry = entry_of(request)
    principal = await reader(request, entry)
    within = within_of(request, entry)
    target = target_of(within.relationship, principal)
    asked, including = ask_for_linkage(request, principal, within, target)
    rendering = rendering_of(request, principal)
    async with service_of(request).reads.connection() as connection:
        rows = await read.related(connection, principal.viewer, within, asked.query)
    if rows is None:
        raise body.not_found(entry.resource.type_)
    exchange_of(request).timing.mark("database")
    return answers.bounded(answers.linkage(asked, rendering, within, rows, including=including))
