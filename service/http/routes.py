"""Every route of the service, in one list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from service.http.api import atomic, forecasts, reading, reorder_previews, repeat_links, writing
from service.http.facades import ecwid, wemasy
from service.http.pages import api_reference, calendars, demo_checkout, demo_pictures, docs, repeat_page
from service.http.watch import health, metrics
from service.resources import RESOURCES


def _any(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    """A route that leaves methods to its handler, which knows what it offers and answers 405 with that."""
    route = Route(path, endpoint)
    route.methods = set()
    return route


class _Resources(BaseRoute):
    """The URLs of resource types, in the place of all routes: most requests go there, and need look at no others."""

    def __init__(self, own: Sequence[Route]) -> None:
        # A template matches paths of as many segments as its own alone.
        self._own: dict[int, list[Route]] = {}
        for route in own:
            self._own.setdefault(route.path.count("/"), []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match what one of its own routes matches, below the URL of a type that there is."""
        path: str = scope["path"]
        if scope["type"] == "http" and path.startswith("/api/") and path.split("/", 3)[2] in RESOURCES:
            for route in self._own.get(path.count("/"), ()):
                match, child = route.matches(scope)
                if match is Match.FULL:
                    return match, {**child, "route": route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the route that matched."""
        await scope["route"].handle(scope, receive, send)


_resources: list[Route] = [
    *writing.routes,
    *forecasts.routes,
    _any("/api/{type}", reading.collection),
    _any("/api/{type}/{id}", reading.resource),
    _any("/api/{type}/{id}/relationships/{relationship}", reading.relationship),
    _any("/api/{type}/{id}/{relationship}", reading.related),
]

routes: list[BaseRoute] = [
    _Resources(_resources),
    *health.routes,
    *metrics.routes,
    *ecwid.routes,
    _any(wemasy.PATH, wemasy.reorder),
    *repeat_page.routes,
    *repeat_links.routes,
    *demo_checkout.routes,
    *demo_pictures.routes,
    *api_reference.routes,
    *calendars.routes,
    *docs.routes,
    Route("/api", reading.entry_point),
    _any("/api/operations", atomic.operations),
    *reorder_previews.routes,
    *_resources,
]
