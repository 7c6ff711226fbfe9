"""/: what this service is, and where to go from here. Where it has no demo shop, it says only that it is a service."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.demo import shop
from service.http.pages.pages import page
from service.http.state import service_of

STYLES = ("base.css", "frame.css", "home.css")


async def show(request: Request) -> Response:
    """GET /."""
    async with service_of(request).database.connection() as connection:
        has_shop = await shop.find(connection) is not None
    template = "home.html" if has_shop else "home_bare.html"
    return page(request, template, {"up": "", "here": "/", "shop": has_shop}, styles=STYLES, own=True)


routes = [Route("/", show)]
