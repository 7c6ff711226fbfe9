"""POST /api/reorder_previews: what a reorder would come to, line by line and in all, before it is made.

It takes the document of a reorder under its own type name, and keeps nothing: so it answers 200 without a Location, its
id is its digest, and neither it nor the outcomes that it includes have a URL. A reorder that names the digest as
`expected_digest` is made only if it comes to the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from schemas.graph import graph
from schemas.rendering import Rendering
from service.http import languages, limits
from service.http.api.answers import Document
from service.http.api.asking import check_no_parameters, negotiate, rendering_of
from service.http.api.fixed import Fixed
from service.http.auth import counted
from service.http.state import service_of
from service.jsonapi import body, decoding
from service.jsonapi.document import Object, document, identifier, unkept
from service.jsonapi.query import Selection
from service.operations.repeating import reorders
from service.operations.repeating.reorders import Preview

TYPE = "reorder_previews"

_REORDER = Selection(
    graph["reorders"],
    frozenset(
        {"strategy", "stock_policy", "lines", "added_count", "adjusted_count", "skipped_count", "digest"}
        | {"source_order", "cart", "customer"}
    ),
)
_AMOUNTS = frozenset(
    {"currency_code", "tax_included", "coupon_status", "subtotal_amount_cents", "shipping_amount_cents"}
    | {"payment_method_amount_cents", "discount_amount_cents", "total_tax_amount_cents", "total_amount_cents"}
)
_CART = Selection(
    graph["carts"],
    frozenset(
        name for name, field in graph["carts"].attributes.items() if field.inputs and {*field.inputs} <= _AMOUNTS
    ),
)
_KEPT = {"created_at", "updated_at", "reference", "reference_origin", "metadata"}
_OUTCOME = Selection(
    graph["reorder_outcomes"], frozenset({*graph["reorder_outcomes"].attributes, "source_line_item"} - _KEPT)
)


async def preview(request: Request) -> Response:
    """What the reorder would come to now; writes and locks nothing."""
    negotiate(request, body=True)
    principal = await counted(request, limits.of_class(request, TYPE))
    principal.require("read_carts")
    check_no_parameters(request)
    customer = principal.customer_id is not None
    sent = decoding.loads(await request.body())
    draft = body.creation(graph["reorders"], sent, customer=customer, type_=TYPE)
    locale = languages.negotiate(request, principal.store.locale)
    wish, order_id = reorders.wish_of(principal, replace(draft, locale=locale))
    rendering = rendering_of(request, principal)
    with body.located(draft):
        async with service_of(request).database.connection() as connection:
            found = await reorders.look(connection, principal.store, wish, order_id=order_id)
    return _answer(found, rendering)


routes = [Fixed(f"/api/{TYPE}", preview, methods=["POST"])]


def _answer(found: Preview, rendering: Rendering) -> Response:
    plan, wish = found.plan, found.plan.wish
    outcomes = [
        unkept(
            _OUTCOME,
            reorders.outcome_columns(position, outcome, None, wish.locale) | {"id": outcome.line.id},
            rendering,
        )
        for position, outcome in enumerate(plan.outcomes)
    ]
    columns: dict[str, Any] = {
        "id": found.digest,
        "strategy": wish.strategy,
        "stock_policy": wish.policy.stock,
        "lines": None if wish.lines is None else orjson.dumps(wish.lines),
        "digest": found.digest,
        "source_order_id": plan.source.id,
        "cart_id": plan.found.id if plan.found is not None and plan.keeps_cart and not plan.empty else None,
        "customer_id": wish.customer_id or plan.source.customer_id,
    } | {f"{status}_count": count for status, count in reorders.counts(plan.outcomes).items()}
    data = unkept(_REORDER, columns, rendering) | {"type": TYPE, "meta": {"mode": rendering.mode}}
    data["attributes"] |= unkept(_CART, {"id": None} | _amounts(found), rendering)["attributes"]
    data["relationships"]["reorder_outcomes"] = {"data": [identifier(one["type"], one["id"]) for one in outcomes]}
    return Document(document(data, {"self": f"{rendering.base}/{TYPE}"}, included=outcomes))


def _amounts(found: Preview) -> Object:
    """The columns of the cart that it would be; without values where nothing goes into one."""
    columns: Object = dict.fromkeys(_AMOUNTS) | {"currency_code": found.plan.currency_code}
    if found.quote is None:
        return columns
    totals = found.quote.totals
    return columns | {
        "tax_included": found.quote.tax_included,
        "coupon_status": found.quote.coupon_status,
        "subtotal_amount_cents": totals.subtotal,
        "shipping_amount_cents": totals.shipping,
        "payment_method_amount_cents": totals.payment_method,
        "discount_amount_cents": totals.discount,
        "total_tax_amount_cents": totals.tax,
        "total_amount_cents": totals.total,
    }
