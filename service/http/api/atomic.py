"""POST /api/operations: Atomic Operations (https://jsonapi.org/ext/atomic)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from schemas.rendering import Rendering
from service.errors import ApiError, MethodNotAllowed, PreconditionFailed, raise_all
from service.http import guessing, limits, urls
from service.http.api import idempotency, prefer
from service.http.api.answers import VARY, Document, no_content, warned
from service.http.api.asking import check_no_parameters, for_sender, negotiate, numbered, rendering_of
from service.http.auth import forget_written, identify
from service.http.exchange import exchange_of
from service.jsonapi import atomic, decoding
from service.jsonapi.atomic import Operation, pointing
from service.jsonapi.document import VERSION
from service.jsonapi.negotiation import ATOMIC, Media
from service.jsonapi.renderers import renderer
from service.operations.generic.batches import Shown, Step, run
from service.principal import Principal
from service.resources import RESOURCES
from service.store.pool import Connection

EXTENSIONS = (ATOMIC,)


async def operations(request: Request) -> Response:
    """All operations of a document, in one transaction: 200 with their results, 204 when none has anything to show."""
    if request.method != "POST":
        media_type = Media(EXTENSIONS).content_type
        allowed = {"Allow": "POST", "Accept-Post": media_type}
        raise MethodNotAllowed("{method} is not offered here.", method=request.method, headers=allowed)
    negotiate(request, body=True, extensions=EXTENSIONS)
    principal = await identify(request)
    check_no_parameters(request)
    if "if-match" in request.headers:
        raise PreconditionFailed(
            "Several resources have no common version: send each one's as `version` in the `meta` of its operation.",
            header="If-Match",
        )
    customer, sent = principal.owner is not None, decoding.loads(await request.body())
    steps = _steps(atomic.parse(sent, urls.api(request), customer=customer), principal)
    if len(steps) > 1:
        # The request itself was counted as one.
        await limits.count_request(request, limits.WRITING, principal, number=len(steps) - 1)
    rendering = rendering_of(request, principal)
    steps = [await _prepared(request, step, principal, rendering) for step in steps]

    async def work(connection: Connection) -> Response:
        shown = await run(connection, principal, steps)
        exchange_of(request).timing.mark("database")
        return _answer(request, rendering, shown) if any(shown) else no_content(request)

    drafts = [step.operation.draft for step in steps if step.operation.draft is not None]
    async with guessing.guarded(request, principal, *map(guessing.tries_of, drafts)):
        done = await idempotency.once(request, principal, work)
    forget_written(request, principal, *(step.operation.resource for step in steps))
    return done


def _steps(sent: Sequence[Operation], principal: Principal) -> list[Step]:
    """Who carries out each operation. Raises Forbidden, for all of them at once, where the token may not."""
    steps: list[Step] = []
    problems: list[ApiError] = []
    for position, operation in enumerate(sent):
        try:
            with pointing(position):
                steps.append(_step(operation, principal))
        except ApiError as error:
            problems += error.problems
    for problem in problems:
        # What a URL of its own would allow says nothing about this one.
        problem.headers.pop("Allow", None)
    raise_all(problems)
    return steps


def _step(operation: Operation, principal: Principal) -> Step:
    entry = RESOURCES[operation.resource.type_]
    entry.require_write(principal)
    if operation.relationship:
        return Step(operation, entry.relater(operation.relationship, operation.code))
    match operation.code:
        case "add":
            return Step(operation, entry.maker(), entry.update)
        case "update":
            return Step(operation, entry.changer(), entry.update)
        case "remove":
            return Step(operation, entry.remover())


async def _prepared(request: Request, step: Step, principal: Principal, rendering: Rendering) -> Step:
    """A step with its draft as a request of its own would have it. What is limited at its own URL is counted here too.

    Raises TooManyRequests.
    """
    if step.operation.draft is None:
        return step
    draft = for_sender(request, principal, step.operation.draft, rendering)
    if step.operation.code == "add":
        entry = RESOURCES[step.operation.resource.type_]
        await limits.count_creation(request, entry, principal)
        draft = await numbered(request, principal, entry, draft)
    return replace(step, operation=replace(step.operation, draft=draft))


def _answer(request: Request, rendering: Rendering, shown: Sequence[Shown | None]) -> Response:
    """200 with a result for each operation. What is disclosed is in this one answer, and not in what is kept of it."""
    results = [{} if one is None else _result(request, rendering, one) for one in shown]
    answer = {"jsonapi": {**VERSION, "ext": list(EXTENSIONS)}, atomic.RESULTS: results}
    headers = {"Vary": f"{VARY}, Prefer", **prefer.headers(request, prefer.REPRESENTATION)}
    return Document(answer, headers=headers, keep=lambda: _answer(request, rendering._replace(secrets=False), shown))


def _result(request: Request, rendering: Rendering, one: Shown) -> dict[str, Any]:
    """A resource, and what its sender is warned of."""
    disclosed = one.created.disclosed if rendering.secrets else {}
    data = orjson.Fragment(renderer(one.selection)([one.row], rendering, {}, disclosed)[0])
    meta = warned(request, one.warnings)
    return {"data": data} if meta is None else {"data": data, "meta": meta}
