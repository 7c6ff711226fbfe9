"""GET /api/order_subscriptions/{id}/forecast: what a subscription will do, also where there is no row yet.

It is worked out at each request and kept nowhere, so its resources have no URL; their ids are made of the
subscription's and the occurrence's index. A forecast may have no end, so it isn't counted and has no last page.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.kinds import amount_float, format_amount, render_timestamp
from schemas.rendering import Rendering
from service.errors import InvalidPage
from service.http import limits, urls
from service.http.api.answers import Document, bounded
from service.http.api.asking import id_of, negotiate, rendering_of
from service.http.auth import counted
from service.http.exchange import exchange_of
from service.http.state import service_of
from service.jsonapi import links
from service.jsonapi.document import Object, document, identifier
from service.jsonapi.pagination import Page
from service.jsonapi.query import page_of, parameters
from service.operations.subscriptions import forecasts
from service.operations.subscriptions.forecasts import FURTHEST, Run
from service.resources import RESOURCES

TYPE = "forecasts"
_OF = "order_subscriptions"


async def forecast(request: Request) -> Response:
    """A page of the runs to come."""
    negotiate(request)
    principal = await counted(request, limits.of_class(request, TYPE))
    principal.require(RESOURCES[_OF].reads)
    pairs = parameters(request.scope["query_string"])
    page = _page(page_of(pairs))
    subscription_id = id_of(request, RESOURCES[_OF])
    rendering = rendering_of(request, principal)
    async with service_of(request).database.connection() as connection:
        found = await forecasts.look(
            connection,
            principal.store,
            subscription_id,
            principal.customer_id,
            offset=page.offset,
            size=page.size,
        )
    exchange_of(request).timing.mark("database")
    currency = "" if found.terms is None else found.terms.basis.currency_code
    data = [resource_of(subscription_id, run, currency, rendering) for run in found.runs]
    url = f"{urls.api(request)}/{_OF}/{subscription_id}/forecast"
    around = links.pages(url, pairs, page, page.offset + len(data) + found.more)
    del around["last"]
    return bounded(Document(document(data, around)))


routes = [Route(f"/api/{_OF}/{{id}}/forecast", forecast)]


def _page(page: Page) -> Page:
    if page.offset >= FURTHEST:
        name = "page[offset]" if page.by == "offset" else "page[number]"
        raise InvalidPage("A forecast ends after {most} occurrences.", most=FURTHEST, parameter=name)
    return page


def resource_of(subscription_id: str, run: Run, currency: str, rendering: Rendering) -> Object:
    """The resource object of a run to come, with amounts in a currency."""
    entry = run.entry
    total = None if run.estimate is None else run.estimate.total
    discount = None if run.estimate is None or total is None else run.estimate.discount
    prepaid = None if run.estimate is None or total is None else run.estimate.prepaid
    return {
        "type": TYPE,
        "id": f"{subscription_id}:{entry.index}",
        "attributes": {
            "occurrence_index": entry.index,
            "status": entry.status,
            "reason": entry.reason or "anchor",
            "nominal_at": render_timestamp(entry.nominal_at),
            "scheduled_at": render_timestamp(entry.scheduled_at),
            "currency_code": currency,
            "total_amount_cents": total,
            "total_amount_float": amount_float(total, currency),
            "formatted_total_amount": format_amount(total, currency, rendering.locale),
            "discount_amount_cents": discount,
            "discount_amount_float": amount_float(discount, currency),
            "formatted_discount_amount": format_amount(discount, currency, rendering.locale),
            "prepaid_amount_cents": prepaid,
            "prepaid_amount_float": amount_float(prepaid, currency),
            "formatted_prepaid_amount": format_amount(prepaid, currency, rendering.locale),
            "needs_approval": run.needs_approval,
            "lines": [] if run.estimate is None else run.estimate.told(),
            "errors_log": None if run.estimate is None else run.estimate.messages,
        },
        "relationships": {"order_subscription": {"data": identifier(_OF, subscription_id)}},
        "meta": {"mode": rendering.mode},
    }
