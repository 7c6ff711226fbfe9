"""/repeat-order: the page behind a repeat link.

Mail scanners fetch it, run what scripts it has and even submit its form. So GET and HEAD write nothing and set no
cookie, the form needs a nonce that only a rendered page has, and submitting it makes at most one cart: no order, no use
of the link.
"""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.http import guessing, limits, repeat_urls, urls
from service.http.languages import negotiate
from service.http.pages import demo_checkout, nonces
from service.http.pages.lines import choice, line_of, products
from service.http.pages.pages import STALE, form_of, notice, page
from service.http.repeat_urls import PATH
from service.http.state import service_of
from service.operations.repeating import repeat_links
from service.operations.repeating.repeat_links import Opened, Preview
from service.rules.repeat_links import RepeatLink
from service.texts import Phrase

COOKIE = "repeat_browser"
COOKIE_SECONDS = 30 * 86_400
PAGE = "repeat page"
"""What its nonces are signed for."""

MOST_CHOICES = 100
"""How many lines a page lets choose from; longer orders are chosen from at the checkout."""

_BROWSER = re.compile(r"[A-Za-z0-9_-]{22}")


async def repeat_order(request: Request) -> Response:
    """GET, HEAD and POST /repeat-order. Every link that doesn't work, and every URL that lacks one, is the same 410."""
    return await (_commit(request) if request.method == "POST" else _show(request))


async def _show(request: Request) -> Response:
    order_code, token = request.query_params.get("id", ""), request.query_params.get("token", "")
    service = service_of(request)
    async with guessing.limited(request), service.database.connection() as connection:
        opened = await repeat_links.open_link(connection, service.url_keys.links, token, order_code)
        preview = await repeat_links.preview(connection, opened)
    return _page(request, opened, token, preview)


async def _commit(request: Request) -> Response:
    form = await form_of(request)
    order_code, token = form.get("id", ""), form.get("token", "")
    origin = urlsplit(urls.origin(request))
    service = service_of(request)
    await limits.count_carts(request)
    async with guessing.limited(request), service.database.transaction() as connection:
        opened = await repeat_links.open_link(connection, service.url_keys.links, token, order_code, hold=True)
        browser = _browser(request, opened.link, form.get("nonce", ""))
        if browser is None:
            again = repeat_urls.url(PATH.removeprefix("/"), order_code, token)
            return notice(request, STALE, status=400, again=again)
        chosen = choice(form)
        goes_on = checkout(request, opened) is not None and "show" not in form
        made = await repeat_links.commit(connection, opened, browser, choice=chosen) if goes_on else None
        if made is None:
            preview = await repeat_links.preview(connection, opened, chosen)
            return _page(request, opened, token, preview, status=409 if "show" not in form else 200)
    answer = RedirectResponse(checkout(request, opened, made.session) or "", 303)
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


def checkout(request: Request, opened: Opened, session: str = "") -> str | None:
    """The URL of the store's checkout for a cart's session, or of its stand-in in test mode; None without either."""
    return demo_checkout.of_cart(request, opened.store, opened.checkout_url, session)


PROOFS = {
    "sign_in": Phrase("At the checkout you sign in, to show that it is you who ordered this before."),
    "zip_code": Phrase("At the checkout you type the postal code of this order, or sign in."),
    "email": Phrase("At the checkout you type the e-mail address of this order, or sign in."),
    None: Phrase("This was ordered without an account, so this link alone can't order it again: only the shop can."),
}
"""What somebody who orders will be asked for; None is for orders that nothing proves, which the shop's own checkout may
still take.
"""


def _page(request: Request, opened: Opened, token: str, preview: Preview, status: int = 200) -> Response:
    locale, base = negotiate(request, opened.store.locale), urls.api(request)
    shown = [(outcome, True) for outcome in products(preview.outcomes)]
    shown += [(outcome, False) for outcome in products(preview.left_out)]
    available = [line_of(outcome, base, locale, chosen=chosen) for outcome, chosen in shown if not outcome.skipped]
    unavailable = [line_of(outcome, base, locale) for outcome, _ in shown if outcome.skipped]
    target = checkout(request, opened)
    values = {
        "opened": opened,
        "available": available,
        "choosing": len(available) <= MOST_CHOICES,
        "nothing_chosen": bool(available) and not any(line.chosen for line in available),
        "unavailable": unavailable,
        "pictured": any(line.picture for line in (*available, *unavailable)),
        "totals": preview.totals,
        "tax_included": preview.tax_included,
        "due": preview.due,
        "checkout": target is not None,
        "proof": PROOFS[opened.proof],
        "token": token,
        "nonce": _nonce(request, opened.link),
    }
    return page(
        request,
        "repeat_order.html",
        values,
        status=status,
        locale=opened.store.locale,
        form_target=target or "",
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


routes = [Route(PATH, repeat_order, methods=["GET", "POST"])]
