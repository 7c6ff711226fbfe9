"""WeMasy's *Reorder a past order*: POST /api/services/webshop/v1/customer/orders/reorder.

Where its document leaves room: every placed order can be repeated, also one that was cancelled since. `added` has a
line for each line of the order, under the product's name of today, `skipped` under the name it was bought by, with the
one reason `unavailable`; `product_id` is the sku's number, null for lines that are of no product (fees, promotions).
The route is for customers: any other token is answered 401, the only refusal that the document knows. A body that is no
JSON object has no `order_id`, and is answered 422 as a missing one. The 422 names one more field problem: a cart that
would be too full. 403 (a token without the scopes `read_orders` and `update_carts`, or a shop that has switched
reordering off), 405, 413, 415 and 500 have the shape of its other errors. Messages are in English and Dutch
(Accept-Language, else the store's language).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from schemas.kinds import INT64
from service.errors import (
    ApiError,
    Invalid,
    InvalidToken,
    MethodNotAllowed,
    NeverPlaced,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from service.http import limits
from service.http.api import idempotency
from service.http.auth import CHALLENGE, authenticate
from service.http.exchange import exchange_of
from service.http.languages import negotiate
from service.operations.carts import contents
from service.operations.events import outbox
from service.operations.repeating import reorders
from service.operations.repeating.plans import Wish
from service.operations.repeating.reorders import Reorder
from service.principal import Principal
from service.rules.outcomes import Outcome, Policy
from service.store.pool import Connection
from service.texts import Phrase, language_of, say

PATH = "/api/services/webshop/v1/customer/orders/reorder"

POLICY = Policy(stock="ignore", limits=False)
"""Stock and quantity limits are the checkout's."""

_ERRORS = {
    "REORDER_DISABLED": Phrase("This shop doesn't offer to reorder."),
    "401": Phrase("Unauthenticated."),
    "403": Phrase("This token may not reorder."),
    "404": Phrase("Order not found."),
    "405": Phrase("This method is not offered here."),
    "413": Phrase("The request body is too large."),
    "415": Phrase("Send the body as application/json."),
    "429": Phrase("Too many requests. Try again in a moment."),
    "500": Phrase("Something went wrong on our side."),
}
"""The message of an error by its code, else by its status."""


async def reorder(request: Request) -> Response:
    """Put every line of a past order into the customer's active cart, at the prices of today and whatever the stock."""
    principal = await _customer(request)
    principal.require("read_orders")
    principal.require("update_carts")
    number = _order_number(request, await request.body())
    wish = Wish(
        customer_id=principal.customer_id,
        actor=outbox.actor(principal),
        locale=negotiate(request, principal.store.locale),
        policy=POLICY,
    )

    async def work(connection: Connection) -> Response:
        try:
            made = await reorders.reorder(connection, principal.store, wish, number=number)
        except NeverPlaced:
            # To this API what was never placed is no order.
            raise NotFound("There is no such order.") from None
        cart, store = made.cart, principal.store
        session = None if cart is None else contents.session(connection, store, cart.id, cart.sealed_session)
        return _answer(request, made, session)

    return await idempotency.once(request, principal, work)


def _answer(request: Request, made: Reorder, session: str | None) -> Response:
    added = [outcome for outcome in made.outcomes if not outcome.skipped]
    skipped = [outcome for outcome in made.outcomes if outcome.skipped]
    data = {
        "shoppingcart_session": session,
        "added_count": len(added),
        "skipped_count": len(skipped),
        "added": [
            {"product_id": _product(outcome), "quantity": outcome.resulting_quantity, "title": outcome.name}
            for outcome in added
        ],
        "skipped": [
            {"product_id": _product(outcome), "reason": "unavailable", "title": outcome.name} for outcome in skipped
        ],
    }
    message = say(_message(len(added), len(skipped)), _language(request))
    return _json(request, {"error": False, "message": message, "data": data})


def render(request: Request, error: ApiError) -> Response:
    """An error in the shape that the document gives its status."""
    language = _language(request)
    status = error.http_status
    if status == Invalid.status:
        body: dict[str, Any] = {
            "message": say(error.problems[0].detail, language),
            "errors": {
                problem.source.get("header", "order_id").lower(): [say(problem.detail, language)]
                for problem in error.problems
            },
        }
    else:
        lost = status == NotFound.status and request.scope["path"] != PATH  # what isn't there is no order
        message = None if lost else _ERRORS.get(error.code) or _ERRORS.get(str(status))
        body = {"error": True, "message": say(message or error.detail, language)}
        if status == NotFound.status:
            body["data"] = []
    return _json(request, body, status, error.all_headers)


async def _customer(request: Request) -> Principal:
    """The customer who asks; the request is counted first, whoever it is from and whatever its method.

    Raises MethodNotAllowed, Unauthorized or InvalidToken.
    """
    stranger: ApiError | None = None
    exchange_of(request).is_costly = True
    try:
        principal = await authenticate(request)
    except (Unauthorized, InvalidToken) as error:
        stranger = error
    limit = limits.of_class(request, "reorders")(None)
    await limits.count(request, limit, None if stranger else principal)
    if request.method != "POST":
        raise MethodNotAllowed("{method} is not offered here.", method=request.method, headers={"Allow": "POST"})
    if stranger is not None:
        raise stranger
    if principal.customer_id is None:
        raise Unauthorized("This route needs a customer's token.", header="Authorization", headers=CHALLENGE)
    return principal


def _order_number(request: Request, body: bytes) -> int:
    """The `order_id` of a body. Raises UnsupportedMediaType for a body that isn't JSON, Invalid for a wrong value."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and media_type != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.", header="Content-Type")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    number = document.get("order_id") if isinstance(document, dict) else None
    if number is None or number == "":
        raise Invalid("The order id field is required.")
    if not isinstance(number, int) or isinstance(number, bool):
        raise Invalid("The order id field must be an integer.")
    if number < 1:
        raise Invalid("The order id field must be at least 1.")
    if number > INT64[1]:
        raise Invalid("The order id field must not be greater than {max}.", max=INT64[1])
    return number


def _product(outcome: Outcome) -> int | None:
    return None if outcome.item is None else outcome.item.number


def _message(added: int, skipped: int) -> Phrase:
    """What a shop can show: "Added 2 items, 1 unavailable"."""
    if not added:
        return Phrase("None of the items is available")
    told = Phrase("Added {count} item", plural="Added {count} items", count=added)
    if not skipped:
        return told
    return Phrase("{added}, {unavailable}", added=told, unavailable=Phrase("{count} unavailable", count=skipped))


def _language(request: Request) -> str:
    principal = exchange_of(request).principal
    locale = negotiate(request, principal.store.locale) if principal is not None else negotiate(request)
    return language_of(locale)


def _json(
    request: Request, body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    about = {
        "Cache-Control": "no-store",
        "Vary": "Accept-Language, Authorization",
        "Content-Language": _language(request),
    }
    return Response(orjson.dumps(body), status, about | dict(headers or {}), "application/json")
