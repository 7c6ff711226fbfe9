"""/demo/pictures: what the products of the demo store look like."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.demo import pictures
from service.errors import NotFound
from service.http.assets import asset

MEDIA_TYPE = "image/svg+xml"

_STRICT = {"Content-Security-Policy": "default-src 'none'; sandbox"}
"""Who opens one by itself sees a picture, and nothing runs."""


async def picture(request: Request) -> Response:
    """GET /demo/pictures/{name}.svg. Raises NotFound for a name that nobody has drawn."""
    drawn = pictures.draw(request.path_params["name"])
    if drawn is None:
        raise NotFound("There is nothing at this URL.")
    answer = asset(request, drawn, MEDIA_TYPE)
    answer.headers.update(_STRICT)
    return answer


routes = [Route(f"{pictures.PATH}/{{name}}.svg", picture)]
