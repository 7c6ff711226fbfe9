"""Every route of the service: `resources`, which the line asks first, and `routes` for all other URLs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from service.http.agents import endpoint as agents
from service.http.api import (
    atomic,
    event_stream,
    forecasts,
    reading,
    reorder_previews,
    repeat_links,
    subscription_previews,
    writing,
)
from service.http.facades import ecwid, oauth, wemasy
from service.http.pages import (
    actions,
    api_reference,
    attachments,
    calendars,
    contracts,
    demo_checkout,
    demo_pictures,
    demo_shop,
    docs,
    docs_files,
    home,
    portal,
    repeat_page,
)
from service.http.watch import health, metrics
from service.resources import RESOURCES

Endpoint = Callable[[Request], Awaitable[Response]]


def _any(path: str, endpoint: Endpoint) -> Route:
    """A route that leaves methods to its handler, which knows what it offers and answers 405 with that."""
    route = Route(path, endpoint)
    route.methods = set()
    return route


_READS = ("GET", "HEAD")


class Resources:
    """The URLs of resource types, in the place of all routes: most requests go there, and need look at no others.

    Their endpoints are called at once. Starlette's way to one is for endpoints of any kind, and answers errors, which
    the line does.
    """

    def __init__(self, own: Sequence[Route]) -> None:
        # A template matches paths of as many segments as its own alone. "" stands for all methods that none is for.
        methods = {method for route in own for method in route.methods or ()}
        self._own: dict[tuple[int, str], list[_Template]] = {}
        for route in own:
            for method in route.methods or {*methods, *_READS, ""}:
                self._own.setdefault((route.path.count("/"), method), []).append(_Template(route))

    def endpoint(self, scope: Scope) -> Endpoint | None:
        """What answers a request, below the URL of a type that there is; None for what none of its own routes matches.

        The scope then says which route that is, and what its path names, as after Starlette's router.
        """
        segments = scope["path"].split("/")
        if len(segments) > 2 and segments[1] == "api" and segments[2] in RESOURCES:
            length, method = len(segments) - 1, scope["method"]
            for template in self._own.get((length, method), self._own.get((length, ""), [])):
                named = template.match(segments)
                if named is not None:
                    scope["route"], scope["path_params"] = template.route, named
                    return template.endpoint
        return None


class _Template:
    """The path of a route, segment by segment, and what each of them is called that varies."""

    def __init__(self, route: Route) -> None:
        self.route, self.endpoint = route, cast("Endpoint", route.endpoint)
        segments = enumerate(route.path.split("/"))
        named = {place: segment[1:-1] for place, segment in segments if segment.startswith("{")}
        self._named = tuple(named.items())
        self._fixed = tuple((place, one) for place, one in enumerate(route.path.split("/")) if place not in named)

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """What the varying segments of a path are; None when it is not of this template."""
        for place, segment in self._fixed:
            if segments[place] != segment:
                return None
        named = {name: segments[place] for place, name in self._named}
        return None if "" in named.values() else named


_resources: list[Route] = [
    _any(event_stream.PATH, event_stream.stream),
    *writing.routes,
    *forecasts.routes,
    _any("/api/{type}", reading.collection),
    _any("/api/{type}/{id}", reading.resource),
    _any("/api/{type}/{id}/relationships/{relationship}", reading.relationship),
    _any("/api/{type}/{id}/{relationship}", reading.related),
]

resources = Resources(_resources)

routes: list[BaseRoute] = [
    *health.routes,
    *metrics.routes,
    *ecwid.routes,
    *oauth.routes,
    _any(wemasy.PATH, wemasy.reorder),
    _any(agents.PATH, agents.endpoint),
    *repeat_page.routes,
    *repeat_links.routes,
    *demo_checkout.routes,
    *demo_pictures.routes,
    *demo_shop.routes,
    *actions.routes,
    *api_reference.routes,
    *calendars.routes,
    *attachments.routes,
    *contracts.routes,
    *docs_files.routes,
    *docs.routes,
    *home.routes,
    *portal.routes,
    Route("/api", reading.entry_point),
    _any("/api/operations", atomic.operations),
    *reorder_previews.routes,
    *subscription_previews.routes,
    *_resources,
]
