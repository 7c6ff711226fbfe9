"""Every route of the service: `resources`, which the line asks first, and `routes` for all other URLs.

The table of its parts says of each what holds for all of its routes.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from service.demo import pictures
from service.errors import ApiError
from service.http import problems, repeat_urls
from service.http.agents import endpoint as agents
from service.http.api import (
    answers,
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
    nowhere,
    pages,
    portal,
    repeat_page,
)
from service.http.pages.pages import PRIVATE
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

_Renderer = Callable[[Request, ApiError], Response]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the service: the routes that are mounted there, and what holds for all of them.

    It has the URLs at and below `at`, the service's root alone where that is `/`; without any, those of its routes.
    `render` tells a problem there in the shape that is at home. `private` answers are kept nowhere and passed on to
    nobody: each has the headers for that, whatever it answers. GET and HEAD of `inert` routes write nothing, however
    often mail scanners, link previews and browsers that look ahead send them.
    """

    at: str
    routes: Sequence[Route]
    render: _Renderer = nowhere.render_to_browsers
    private: bool = False
    inert: bool = True

    def has(self, path: str) -> bool:
        """Whether a URL's path is of this part."""
        return path == self.at or (self.at not in ("", "/") and f"{path}/".startswith(f"{self.at}/"))

    def mounted(self) -> list[Route]:
        """Its routes as they are served."""
        return [_privately(route) if self.private else route for route in self.routes]


def _privately(route: Route) -> Route:
    endpoint = cast("Endpoint", route.endpoint)

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        return _hushed(await endpoint(request))

    mounted = Route(route.path, answer)
    mounted.methods = route.methods
    return mounted


def _hushed(answer: Response) -> Response:
    """An answer that is kept nowhere and passed on to nobody, where it says nothing else itself."""
    for name, value in PRIVATE.items():
        answer.headers.setdefault(name, value)
    return answer


PARTS: Sequence[Part] = (
    Part("", [*health.routes, *metrics.routes, *contracts.routes]),
    # Ecwid's own request is a GET that hands out a link: only a shop with its token sends it.
    Part("/api/v3", ecwid.routes, ecwid.render, inert=False),
    Part("/oauth", oauth.routes, oauth.render),
    Part("/api/services", [_any(wemasy.PATH, wemasy.reorder)], wemasy.render),
    Part(agents.PATH, [_any(agents.PATH, agents.endpoint)], agents.render),
    Part(repeat_urls.PATH, repeat_page.routes, pages.render, private=True),
    Part(actions.PATH, actions.routes, pages.render, private=True),
    Part(actions.PORTAL, portal.routes, pages.render, private=True),
    Part(calendars.PREFIX.rstrip("/"), calendars.routes, private=True),
    Part(attachments.PREFIX.rstrip("/"), attachments.routes, private=True),
    Part(pictures.PATH, demo_pictures.routes, nowhere.render),
    Part("/demo", [*demo_checkout.routes, *demo_shop.routes], nowhere.render, private=True),
    Part("/docs", [*docs_files.routes, *api_reference.routes, *docs.routes], nowhere.render),
    Part("/", home.routes, pages.render),
    Part(
        "/api",
        [
            *repeat_links.routes,
            Route("/api", reading.entry_point),
            _any("/api/operations", atomic.operations),
            *reorder_previews.routes,
            *subscription_previews.routes,
            *_resources,
        ],
        answers.errors,
    ),
)
"""Every part of the service; of two that have a URL, the first."""

routes: list[BaseRoute] = [route for part in PARTS for route in part.mounted()]

_WITH_A_TOKEN: Final = re.compile(
    "(?<!^/api)("
    + "|".join(
        re.escape(route.path.partition("{token}")[0])
        for part in PARTS
        for route in part.routes
        if "{token}" in route.path
    )
    + ").*",
    re.IGNORECASE | re.DOTALL,
)
"""A path with a token. What a mail or a proxy has put before it doesn't make that public; the API's types have ids."""


def answer_to(request: Request, error: Exception) -> Response:
    """The answer to a request that raised an error, in the shape of the part of the service that was requested.

    Where no part is, a browser is shown a page, and all others an error document.
    """
    path, problem = request.scope["path"], problems.problem_of(request, error)
    part = next((part for part in PARTS if part.has(path)), PARTS[0])
    answer = part.render(request, problem)
    return _hushed(answer) if part.private else answer


def loggable(path: str) -> str:
    """A path as log lines have it: without the token that makes a URL worth something."""
    return _WITH_A_TOKEN.sub(r"\1...", path, count=1)
