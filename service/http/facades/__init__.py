"""Routes that answer exactly as other systems' APIs do, with their envelopes and the shapes of their errors."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from service.errors import ApiError
from service.http.agents import endpoint
from service.http.api import answers
from service.http.facades import ecwid, oauth, wemasy
from service.http.pages import nowhere, pages

Renderer = Callable[[Request, ApiError], Response]

_RENDERERS: tuple[tuple[str, Renderer], ...] = (
    ("/api/v3/", ecwid.render),
    ("/api/services/", wemasy.render),
    ("/oauth/", oauth.render),
    ("/mcp/", endpoint.render),
    ("/repeat-order", pages.render),
    ("/actions/", pages.render),
    ("/portal/", pages.render),
    ("/demo/", nowhere.render),
    ("/docs/", nowhere.render),
    ("/api/", answers.errors),
)


def renderer(path: str) -> Renderer:
    """What answers a problem at a path: JSON:API's error document, unless another shape is at home there.

    Where none is, a browser is shown a page.
    """
    if path == "/":
        return pages.render
    return next((render for prefix, render in _RENDERERS if f"{path}/".startswith(prefix)), nowhere.render_to_browsers)
