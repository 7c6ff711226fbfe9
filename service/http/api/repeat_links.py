"""Repeat links for shops with a page of their own: what a link leads to, and the cart that it is turned into.

`Authorization: Bearer <link token>` is all that these routes ask for, so that the token stays out of URLs. Looking is
inert, committing makes one cart per link and browser and no order, as on our own page (`repeat_page`), and nothing of
the customer is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.graph import graph
from schemas.kinds import amount_float, format_amount
from schemas.rendering import Rendering
from service import clock
from service.errors import ApiError, Invalid, InvalidDocument, InvalidState, TypeMismatch, raise_all
from service.http import guessing, limits, urls
from service.http.api import idempotency
from service.http.api.answers import Document
from service.http.api.asking import check_no_parameters, negotiate
from service.http.api.fixed import Fixed
from service.http.auth import bearer
from service.http.languages import negotiate as negotiate_language
from service.http.pages import lines, repeat_page
from service.http.pages.pages import PRIVATE
from service.http.state import service_of
from service.jsonapi import body, decoding
from service.jsonapi.document import Listed, Object, collect, document, identifier, unkept
from service.jsonapi.query import Selection
from service.operations.repeating import reorders, repeat_links
from service.operations.repeating.repeat_links import Opened, Preview
from service.principal import Viewer
from service.rules.outcomes import Outcome
from service.store import read

PREVIEW = "repeat_link_previews"
COMMIT = "repeat_link_commits"

_BROWSER = re.compile(r"[A-Za-z0-9_-]{16,64}")
_OUTCOME = Selection(
    graph["reorder_outcomes"],
    frozenset(name for name, field in graph["reorder_outcomes"].attributes.items() if field.mark.harmless)
    - {"position", "created_at", "updated_at"},
)
_CART = Selection(graph["carts"], None, (("cart_items", Selection(graph["cart_items"])),))


async def preview(request: Request) -> Response:
    """GET /api/repeat_link_preview: what the link's order would be now, its outcomes included; writes nothing."""
    negotiate(request)
    check_no_parameters(request)
    token = bearer(request)
    service = service_of(request)
    async with guessing.limited(request), service.database.connection() as connection:
        opened = await repeat_links.open_link(connection, service.url_keys.links, token)
        found = await repeat_links.preview(connection, opened)
    return _preview(request, opened, found)


async def commit(request: Request) -> Response:
    """POST /api/repeat_link_commits: a cart with all that can be had of the link's order; 201 with its session.

    The browser that the cart is for is named by the attribute `browser`, else by the Idempotency-Key: with the same
    name, the same cart. Without a name it is a new one. Raises InvalidState when nothing of the order can be had.
    """
    raw = await request.body()
    negotiate(request, body=bool(raw))
    check_no_parameters(request)
    token = bearer(request)
    sent, key = _browser(raw), idempotency.key_of(request)
    name = f"browser {sent}" if sent else f"key {key}" if key else clock.new_id()
    service = service_of(request)
    await limits.count_carts(request)
    async with guessing.limited(request), service.database.transaction() as connection:
        opened = await repeat_links.open_link(connection, service.url_keys.links, token, hold=True)
        made = await repeat_links.commit(connection, opened, name, once=sent is None)
        if made is None:
            raise InvalidState("None of the products of this order can be ordered at the moment.")
        row = await read.one(connection, Viewer(opened.store.id), _CART, made.cart_id)
    assert row is not None  # noqa: S101 -- a link's carts are never deleted while it is held
    rendering = _rendering(request, opened)
    carts, items = collect([row], _CART, rendering)
    data = {
        "type": COMMIT,
        "id": made.cart_id,
        "attributes": {
            "session": made.session,
            "checkout_url": repeat_page.checkout(request, opened, made.session),
        },
        "relationships": {"cart": {"data": identifier("carts", made.cart_id)}},
    }
    location = f"{rendering.base}/carts/{made.cart_id}"
    return Document(
        document(data, {"self": location}, included=Listed([*carts, *items])), 201, PRIVATE | {"Location": location}
    )


routes: list[Route] = [
    Fixed("/api/repeat_link_preview", preview),
    Fixed("/api/repeat_link_commits", commit, methods=["POST"]),
]


def _preview(request: Request, opened: Opened, found: Preview) -> Response:
    rendering = _rendering(request, opened)
    locale = rendering.locale
    outcomes = lines.products(found.outcomes)
    statuses = [outcome.status for outcome in outcomes]
    total, tax, currency = found.due, found.totals.tax, opened.currency_code
    data = {
        "type": PREVIEW,
        "id": opened.link.id,
        "attributes": {
            "store_name": opened.store.name,
            "order_code": opened.order_code,
            "currency_code": currency,
            "total_amount_cents": total,
            "total_amount_float": amount_float(total, currency),
            "formatted_total_amount": format_amount(total, currency, locale),
            "tax_included": found.tax_included,
            "total_tax_amount_cents": tax,
            "total_tax_amount_float": amount_float(tax, currency),
            "formatted_total_tax_amount": format_amount(tax, currency, locale),
            **{f"{status}_count": statuses.count(status) for status in ("added", "adjusted", "skipped")},
            "recipient": opened.recipient or None,
            "shipping_method_name": opened.shipping_method_name,
            "payment_method_name": opened.payment_method_name,
            "proof": opened.proof,
        },
        "relationships": {
            "reorder_outcomes": {"data": [identifier("reorder_outcomes", outcome.line.id) for outcome in outcomes]}
        },
    }
    included = [_outcome(position, outcome, rendering) for position, outcome in enumerate(outcomes)]
    own = {"self": f"{rendering.base}/repeat_link_preview"}
    return Document(
        document(data, own, included=included), headers=PRIVATE | {"Content-Language": locale.partition("_")[0]}
    )


def _outcome(position: int, outcome: Outcome, rendering: Rendering) -> Object:
    """An outcome as `reorder_outcomes` shows it. It is kept nowhere: its id is the line's, and it has no URL."""
    columns = reorders.outcome_columns(position, outcome, None, rendering.locale) | {"id": outcome.line.id}
    found = unkept(_OUTCOME, columns, rendering)
    found["attributes"] |= {
        "options": lines.options(outcome),
        "image_url": lines.picture(outcome, rendering.base),
    }
    return found


def _rendering(request: Request, opened: Opened) -> Rendering:
    """How the bearer of a link sees resources: in the reader's language, else the store's."""
    store = opened.store
    locale = negotiate_language(request, store.locale)
    return Rendering(urls.api(request), store.mode, locale, clock.now(store))


def _browser(raw: bytes) -> str | None:
    """The attribute `browser` of a request's document; None without one. Raises ApiError for another document."""
    if not raw:
        return None
    content = decoding.loads(raw)
    data: Any = content.get("data") if isinstance(content, Mapping) else None
    attributes = data.get("attributes", {}) if isinstance(data, Mapping) else None
    if not isinstance(attributes, Mapping) or not isinstance(data.get("type"), str):
        raise InvalidDocument("The request body must be an object with a resource object as `data`.", pointer="")
    if data["type"] != COMMIT:
        raise TypeMismatch("This URL takes {type}.", type=COMMIT, pointer="/data/type")
    browser = attributes.get("browser")
    problems: list[ApiError] = [
        Invalid(
            "{name} is not an attribute of {type}.",
            name=name,
            type=COMMIT,
            pointer=f"/data/attributes/{body.escape(name)}",
        )
        for name in attributes.keys() - {"browser"}
    ]
    if browser is not None and not (isinstance(browser, str) and _BROWSER.fullmatch(browser)):
        problems.append(
            Invalid(
                "browser - must be 16 to 64 letters, digits, hyphens or underscores that nobody can guess",
                pointer="/data/attributes/browser",
            )
        )
    raise_all(problems)
    return browser
