"""GET /docs: the API reference, which works offline: Swagger UI comes along, in the package swagger-ui-py."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.errors import NotFound
from service.http.assets import CACHED, asset
from service.http.pages.pages import page

_BUNDLE = files("swagger_ui") / "static"
_FILES: dict[str, tuple[Traversable, str]] = {
    "start.js": (files("service.http.pages") / "templates" / "api.js", "text/javascript"),
    "swagger-ui-bundle.js": (_BUNDLE / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_BUNDLE / "swagger-ui.css", "text/css"),
}
"""What the page loads: where it is, and its media type."""

_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; "
    # The bundle puts style attributes into the elements that it makes, and draws its icons as data.
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Scripts are the service's own, and talk to nobody else."""


async def show(request: Request) -> Response:
    """GET /docs."""
    answer = page(request, "api.html", {})
    answer.headers.update(CACHED | {"Content-Language": "en", "Content-Security-Policy": _POLICY})
    return answer


async def part(request: Request) -> Response:
    """GET /docs/assets/{file}. Raises NotFound."""
    name = request.path_params["file"]
    if name not in _FILES:
        raise NotFound("There is nothing at this URL.")
    return asset(request, _content(name), _FILES[name][1])


@cache
def _content(name: str) -> bytes:
    return _FILES[name][0].read_bytes()


routes = [
    Route("/docs", show),
    Route("/docs/assets/{file}", part),
]
