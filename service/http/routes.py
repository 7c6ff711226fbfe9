"""Every route of the service, in one list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service.http import (
    atomic,
    calendars,
    demo_checkout,
    docs,
    forecasts,
    handlers,
    health,
    reorder_previews,
    repeat_api,
    repeat_page,
    writing,
)
from service.http.facades import ecwid, wemasy


def _any(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    """A route that leaves methods to its handler, which knows what it offers and answers 405 with that."""
    route = Route(path, endpoint)
    route.methods = set()
    return route


routes: list[BaseRoute] = [
    *health.routes,
    *ecwid.routes,
    _any(wemasy.PATH, wemasy.reorder),
    *repeat_page.routes,
    *repeat_api.routes,
    *demo_checkout.routes,
    *calendars.routes,
    *docs.routes,
    Route("/api", handlers.entry_point),
    _any("/api/operations", atomic.operations),
    *writing.routes,
    *reorder_previews.routes,
    *forecasts.routes,
    _any("/api/{type}", handlers.collection),
    _any("/api/{type}/{id}", handlers.resource),
    _any("/api/{type}/{id}/relationships/{relationship}", handlers.relationship),
    _any("/api/{type}/{id}/{relationship}", handlers.related),
]
