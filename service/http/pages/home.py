"""/: what this service is, and where to go from here. Where it has no demo shop, it says only that it is a service."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http.pages.front import has_shop
from service.http.pages.pages import page

STYLES = ("base.css", "frame.css", "home.css")


async def show(request: Request) -> Response:
    """GET /."""
    shop = await has_shop(request)
    template = "home.html" if shop else "home_bare.html"
    return page(request, template, {"up": "", "here": "/", "shop": shop}, styles=STYLES, own=True)


routes = [Route("/", show)]
