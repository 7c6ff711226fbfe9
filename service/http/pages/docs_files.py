"""/docs/assets: what the pages of the documentation load. Swagger UI comes along, in the package swagger-ui-py."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.errors import NotFound
from service.http.assets import asset
from service.http.pages.pages import TEMPLATES
from service.manual import searching

_BUNDLE = files("swagger_ui") / "static"
_SCRIPT, _STYLE, _JSON = "text/javascript", "text/css", "application/json"
_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "copy.js": ((TEMPLATES / "copy.js").read_bytes, _SCRIPT),
    "docs.js": ((TEMPLATES / "docs.js").read_bytes, _SCRIPT),
    "icon.svg": ((TEMPLATES / "icon.svg").read_bytes, "image/svg+xml"),
    "search.json": (searching.index, _JSON),
    "start.js": ((TEMPLATES / "api.js").read_bytes, _SCRIPT),
    "swagger-ui-bundle.js": ((_BUNDLE / "swagger-ui-bundle.js").read_bytes, _SCRIPT),
    "swagger-ui.css": ((_BUNDLE / "swagger-ui.css").read_bytes, _STYLE),
}
"""Each file by its name: what reads it, and its media type."""


async def part(request: Request) -> Response:
    """GET /docs/assets/{file}. Raises NotFound."""
    name = request.path_params["file"]
    if name not in _FILES:
        raise NotFound("There is nothing at this URL.")
    return asset(request, _content(name), _FILES[name][1])


async def icon(request: Request) -> Response:
    """GET /favicon.ico: the icon, which browsers ask for where no page names one."""
    name = "icon.svg"
    return asset(request, _content(name), _FILES[name][1])


@cache
def _content(name: str) -> bytes:
    return _FILES[name][0]()


routes = [Route("/docs/assets/{file}", part), Route("/favicon.ico", icon)]
