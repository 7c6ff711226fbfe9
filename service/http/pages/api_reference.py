"""GET /docs/api: the API reference, which works offline."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http.assets import CACHED
from service.http.pages.front import shows_shop
from service.http.pages.pages import page

STYLES = ("base.css", "frame.css", "api.css")
"""The last of them gives the bundle, which is light and wide by itself, the colours and the width of the docs."""

_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; "
    # The bundle puts style attributes into the elements that it makes, and draws its icons as data.
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Scripts are the service's own, and talk to nobody else."""


async def show(request: Request) -> Response:
    """GET /docs/api."""
    answer = page(request, "api.html", {"shop": await shows_shop(request)}, styles=STYLES)
    answer.headers.update(CACHED | {"Content-Language": "en", "Content-Security-Policy": _POLICY})
    return answer


routes = [Route("/docs/api", show)]
