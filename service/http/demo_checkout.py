"""/demo/checkout: stands in for a shop's own checkout while the store is in test mode and has none."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.errors import NotFound
from service.http import urls
from service.http.pages import page
from service.jsonapi import links
from service.operations import checkout

_STORE = re.compile("[1-9][0-9]{0,17}")


def url(request: Request, store_id: int, session: str) -> str:
    """The stand-in's URL for a cart. It names the store, as every credential does: the look-up asks one store."""
    return links.url(f"{urls.origin(request)}/demo/checkout", [("store", str(store_id)), ("session", session)])


async def show(request: Request) -> Response:
    """GET /demo/checkout?store=&session=: what is in the cart."""
    store_id, session = request.query_params.get("store", ""), request.query_params.get("session", "")
    if not _STORE.fullmatch(store_id):
        raise NotFound("There is no open cart of this session.")
    async with request.app.state.database.connection() as connection:
        cart = await checkout.cart_of_session(connection, int(store_id), session)
    amounts = [("subtotal", cart.subtotal_amount_cents)]
    optional = (
        ("shipping", cart.shipping_amount_cents),
        ("payment_costs", cart.payment_method_amount_cents),
        ("discount", cart.discount_amount_cents),
    )
    amounts += [(name, cents) for name, cents in optional if cents]
    return page(request, "demo_checkout.html", {"cart": cart, "amounts": amounts}, locale=cart.store.locale)


routes = [Route("/demo/checkout", show)]
