"""Ecwid's "Get repeat order URL" (https://docs.ecwid.com/api-reference/rest-api/orders/get-repeat-order-url)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.errors import ApiError, Forbidden, NotFound
from service.http import repeat_urls, urls
from service.http.auth import authenticate
from service.http.state import service_of
from service.operations.events import outbox
from service.operations.repeating import repeat_links

CAMPAIGN = (("utm_source", "repeat_order_button"), ("utm_medium", "api"))


async def repeat_url(request: Request) -> Response:
    """GET /api/v3/{store_id}/orders/{order_id}/repeatURL: the URL of the order's one default link, the same every time.

    For integrations with the scope `read_orders`. Another store than the token's is 404, as is an order that is unknown
    or was never placed.
    """
    principal = await authenticate(request)
    principal.require("read_orders")
    if principal.owner is not None:
        raise Forbidden("Repeat links are handed out to a store's integrations, not to its customers.")
    if request.path_params["store_id"] != str(principal.store.id):
        raise NotFound("No store has this id.")
    made = repeat_urls.of(service_of(request).url_keys.links, principal.store, urls.origin(request))
    async with service_of(request).database.connection() as connection:
        issued = await repeat_links.of_order(
            connection, principal.store, made.keys, request.path_params["order_id"], actor=outbox.actor(principal)
        )
    url = repeat_urls.url(made.page, issued.order_code, issued.token, *CAMPAIGN)
    return JSONResponse({"repeatOrderUrl": url}, headers={"Cache-Control": "no-store"})


def render(request: Request, error: ApiError) -> Response:  # noqa: ARG001 -- every renderer of errors takes the request
    """A problem in Ecwid's shape."""
    return JSONResponse({"errorMessage": error.detail, "errorCode": error.code}, error.http_status, error.headers)


# An order's id may hold slashes as part of a prefix, so it is a path here.
routes = [Route("/api/v3/{store_id}/orders/{order_id:path}/repeatURL", repeat_url)]
