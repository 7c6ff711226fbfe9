"""/repeat-order: the page behind a repeat link.

Mail scanners fetch it, run what scripts it has and even submit its form. So GET and HEAD write nothing and set no
cookie, the form needs a nonce that only a rendered page has, and submitting it makes at most one cart: no order, no use
of the link.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.http import demo_checkout, nonces, urls
from service.http.languages import negotiate
from service.http.pages import PRIVATE, form_of, page
from service.jsonapi import links
from service.operations import repeat_links
from service.operations.repeat_links import Opened
from service.rules.outcome_texts import detail
from service.rules.outcomes import Outcome
from service.rules.repeat_links import LinkKeys, RepeatLink
from service.settings import Settings

PATH = "/repeat-order"
COOKIE = "repeat_browser"
COOKIE_SECONDS = 30 * 86_400
PAGE = "repeat page"
"""What its nonces are signed for."""

_BROWSER = re.compile(r"[A-Za-z0-9_-]{22}")
_PRODUCTS = ("skus", "bundles", "gift_cards")
"""The lines that a customer knows as products; shipments, discounts and the like are not listed."""


def url(origin: str, order_code: str, token: str, *campaign: tuple[str, str]) -> str:
    """The URL of a repeat link below the service's origin; parameters are named and ordered as Ecwid's are."""
    return links.url(f"{origin}{PATH}", [("id", order_code), ("token", token), ("type", "order"), *campaign])


async def repeat_order(request: Request) -> Response:
    """GET, HEAD and POST /repeat-order. Every link that doesn't work, and every URL that lacks one, is the same 410."""
    return await (_commit(request) if request.method == "POST" else _show(request))


async def _show(request: Request) -> Response:
    order_code, token = request.query_params.get("id", ""), request.query_params.get("token", "")
    async with request.app.state.database.connection() as connection:
        opened = await repeat_links.open_link(connection, _keys(request), order_code, token)
        outcomes = await repeat_links.preview(connection, opened)
    return _page(request, opened, token, outcomes)


async def _commit(request: Request) -> Response:
    form = await form_of(request)
    order_code, token = form.get("id", ""), form.get("token", "")
    origin = urlsplit(urls.origin(request))
    async with request.app.state.database.transaction() as connection:
        opened = await repeat_links.open_link(connection, _keys(request), order_code, token, hold=True)
        browser = _browser(request, opened.link, form.get("nonce", ""))
        if browser is None:
            again = url("", order_code, token).removeprefix("/")
            return page(request, "notice.html", {"kind": "stale", "again": again}, status=400)
        can_check_out = _checkout(request, opened) is not None
        session = await repeat_links.cart_session(connection, opened, browser) if can_check_out else None
        outcomes = await repeat_links.preview(connection, opened) if session is None else []
    checkout = _checkout(request, opened, session or "")
    if session is None or checkout is None:
        return _page(request, opened, token, outcomes, status=409)
    answer = RedirectResponse(checkout, 303, PRIVATE)
    answer.set_cookie(
        COOKIE,
        browser,
        max_age=COOKIE_SECONDS,
        path=f"{origin.path}{PATH}",
        secure=origin.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


def _checkout(request: Request, opened: Opened, session: str = "") -> str | None:
    """The URL of the store's checkout for a cart's session, or of its stand-in in test mode; None without either."""
    if opened.checkout_url is not None:
        return opened.checkout_url.replace("{session}", session)
    if opened.store.mode == "test":
        return demo_checkout.url(request, opened.store.id, session)
    return None


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the page. `then` is the price of one piece in the order, None where it is the same now."""

    name: str
    options: Sequence[str]
    quantity: int
    unit: int
    then: int | None
    total: int
    detail: str | None


def _line(outcome: Outcome, locale: str) -> _Line:
    quantity = outcome.requested_quantity if outcome.skipped else outcome.resulting_quantity
    unit = outcome.current_unit_amount_cents or 0
    then = outcome.previous_unit_amount_cents
    return _Line(
        name=outcome.name,
        options=_options(outcome),
        quantity=quantity,
        unit=unit,
        then=None if then == unit else then,
        total=quantity * unit,
        detail=detail(outcome, locale),
    )


def _options(outcome: Outcome) -> list[str]:
    """What was chosen among what the shop offers. A customer's own text (an engraving) is not shown."""
    offered = {} if outcome.item is None else {option["name"]: option.get("values") for option in outcome.item.options}
    return [str(value) for name, value in outcome.line.options.items() if offered.get(name)]


def _page(request: Request, opened: Opened, token: str, outcomes: Sequence[Outcome], status: int = 200) -> Response:
    locale = negotiate(request, opened.store.locale)
    products = [outcome for outcome in outcomes if outcome.line.item_type in _PRODUCTS]
    available = [_line(outcome, locale) for outcome in products if not outcome.skipped]
    checkout = _checkout(request, opened)
    values = {
        "opened": opened,
        "available": available,
        "unavailable": [_line(outcome, locale) for outcome in products if outcome.skipped],
        "total": sum(line.total for line in available),
        "checkout": checkout is not None,
        "token": token,
        "nonce": _nonce(request, opened.link),
    }
    return page(
        request, "repeat_order.html", values, status=status, locale=opened.store.locale, form_target=checkout or ""
    )


def _nonce(request: Request, link: RepeatLink) -> str:
    """A nonce for the form of a link's page, with the browser id that its submissions get when they bring none.

    So a double click, or a form sent twice by a browser that keeps no cookies, still makes one cart.
    """
    return nonces.sign(request, PAGE, f"{link.store_id}.{link.id}.{secrets.token_urlsafe(16)}")


def _browser(request: Request, link: RepeatLink, nonce: str) -> str | None:
    """The id of the browser that sends a form: its cookie's, else the nonce's. None for a nonce of no such page."""
    of_link, _, browser = (nonces.read(request, PAGE, nonce) or "").rpartition(".")
    if of_link != f"{link.store_id}.{link.id}":
        return None
    kept = request.cookies.get(COOKIE, "")
    return kept if _BROWSER.fullmatch(kept) else browser


def _keys(request: Request) -> LinkKeys:
    settings: Settings = request.app.state.settings
    return LinkKeys(settings.keys)


routes = [Route(PATH, repeat_order, methods=["GET", "POST"])]
