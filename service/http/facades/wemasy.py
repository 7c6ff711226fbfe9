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

from collections.abc import Mapping, Sequence
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
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from service.http import limits
from service.http.api import idempotency
from service.http.auth import CHALLENGE, authenticate
from service.http.exchange import exchange_of
from service.http.languages import negotiate
from service.operations.events import outbox
from service.operations.repeating import reorders
from service.operations.repeating.plans import Wish
from service.operations.repeating.reorders import Reorder
from service.principal import Principal
from service.rules.outcomes import Outcome, Policy
from service.store.pool import Connection
from service.texts import language_of, say

PATH = "/api/services/webshop/v1/customer/orders/reorder"

POLICY = Policy(stock="ignore", limits=False)
"""Stock and quantity limits are the checkout's."""

_TEXTS = {
    "en": {
        "added one": "Added 1 item",
        "added many": "Added {count} items",
        "unavailable": "{count} unavailable",
        "nothing": "None of the items is available",
        "required": "The order id field is required.",
        "integer": "The order id field must be an integer.",
        "min": "The order id field must be at least 1.",
        "max": "The order id field must not be greater than {max}.",
        "401": "Unauthenticated.",
        "403": "This token may not reorder.",
        "REORDER_DISABLED": "This shop doesn't offer to reorder.",
        "404": "Order not found.",
        "405": "This method is not offered here.",
        "413": "The request body is too large.",
        "415": "Send the body as application/json.",
        "429": "Too many requests. Try again in a moment.",
        "500": "Something went wrong on our side.",
    },
    "nl": {
        "added one": "1 artikel toegevoegd",
        "added many": "{count} artikelen toegevoegd",
        "unavailable": "{count} niet beschikbaar",
        "nothing": "Geen van de artikelen is beschikbaar",
        "required": "Het veld order id is verplicht.",
        "integer": "Het veld order id moet een geheel getal zijn.",
        "min": "Het veld order id moet minimaal 1 zijn.",
        "max": "Het veld order id mag niet groter zijn dan {max}.",
        "401": "Niet ingelogd.",
        "403": "Met dit token kan niet opnieuw besteld worden.",
        "REORDER_DISABLED": "Deze winkel biedt opnieuw bestellen niet aan.",
        "404": "Bestelling niet gevonden.",
        "405": "Deze methode wordt hier niet aangeboden.",
        "413": "De inhoud van het verzoek is te groot.",
        "415": "Stuur de inhoud als application/json.",
        "429": "Te veel verzoeken. Probeer het zo opnieuw.",
        "500": "Er ging iets mis aan onze kant.",
    },
}


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
        made = await reorders.reorder(connection, principal.store, wish, number=number)
        return _answer(request, made)

    return await idempotency.once(request, principal, work)


def _answer(request: Request, made: Reorder) -> Response:
    added = [outcome for outcome in made.outcomes if not outcome.skipped]
    skipped = [outcome for outcome in made.outcomes if outcome.skipped]
    data = {
        "shoppingcart_session": None if made.cart is None else made.cart.session,
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
    return _json(request, {"error": False, "message": _message(_texts(request), added, skipped), "data": data})


def render(request: Request, error: ApiError) -> Response:
    """An error in the shape that the document gives its status."""
    language, texts = _language(request), _texts(request)
    status = error.http_status
    told = {name: value for problem in error.problems for name, value in problem.headers.items()}
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
        message = None if lost else texts.get(error.code) or texts.get(str(status))
        body = {"error": True, "message": message or say(error.detail, language)}
        if status == NotFound.status:
            body["data"] = []
    return _json(request, body, status, told)


async def _customer(request: Request) -> Principal:
    """The customer who asks; the request is counted first, whoever it is from and whatever its method.

    Raises MethodNotAllowed, Unauthorized or InvalidToken.
    """
    stranger: ApiError | None = None
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
        raise Unauthorized("This route is for the tokens of customers.", header="Authorization", headers=CHALLENGE)
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
    texts = _texts(request)
    if number is None or number == "":
        raise Invalid(texts["required"])
    if not isinstance(number, int) or isinstance(number, bool):
        raise Invalid(texts["integer"])
    if number < 1:
        raise Invalid(texts["min"])
    if number > INT64[1]:
        raise Invalid(texts["max"].format(max=INT64[1]))
    return number


def _product(outcome: Outcome) -> int | None:
    return None if outcome.item is None else outcome.item.number


def _message(texts: Mapping[str, str], added: Sequence[Outcome], skipped: Sequence[Outcome]) -> str:
    """What a shop can show: "Added 2 items, 1 unavailable"."""
    if not added:
        return texts["nothing"]
    parts = [texts["added one"] if len(added) == 1 else texts["added many"].format(count=len(added))]
    if skipped:
        parts.append(texts["unavailable"].format(count=len(skipped)))
    return ", ".join(parts)


def _language(request: Request) -> str:
    principal = exchange_of(request).principal
    locale = negotiate(request, principal.store.locale) if principal is not None else negotiate(request)
    return language_of(locale)


def _texts(request: Request) -> Mapping[str, str]:
    return _TEXTS[_language(request)]


def _json(
    request: Request, body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    about = {
        "Cache-Control": "no-store",
        "Vary": "Accept-Language, Authorization",
        "Content-Language": _language(request),
    }
    return Response(orjson.dumps(body), status, about | dict(headers or {}), "application/json")
