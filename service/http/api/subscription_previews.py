"""POST /api/subscription_previews: what a change to a subscription would lead to, before it is made.

It takes the document of a PATCH under its own type name, with the resource that would be changed as `subject`. The
change is done, looked at and undone, so nothing is kept: it answers 200 without a Location, its id is its digest, and
neither it nor the forecasts that it includes have a URL.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from schemas.graph import graph
from schemas.rendering import Rendering
from service.http import limits
from service.http.api import forecasts
from service.http.api.answers import Document
from service.http.api.asking import check_no_parameters, for_sender, negotiate, rendering_of
from service.http.api.fixed import Fixed
from service.http.auth import counted
from service.http.state import service_of
from service.jsonapi import body, decoding
from service.jsonapi.document import document, identifier
from service.operations.subscriptions import previews
from service.operations.subscriptions.previews import Preview
from service.resources import RESOURCES

TYPE = "subscription_previews"
_OF = "order_subscriptions"
_SUBJECTS = {type_: graph[type_] for type_ in (_OF, "order_subscription_items", "occurrences")}


async def preview(request: Request) -> Response:
    """What the change would lead to now; nothing of it stays."""
    negotiate(request, body=True)
    principal = await counted(request, limits.of_class(request, TYPE))
    principal.require(RESOURCES[_OF].reads)
    RESOURCES[_OF].require_write(principal)
    check_no_parameters(request)
    sent = decoding.loads(await request.body())
    resource, asked = body.rehearsal(TYPE, _SUBJECTS, sent, customer=principal.owner is not None)
    writer = RESOURCES[resource.type_].changer()
    rendering = rendering_of(request, principal)
    draft = for_sender(request, principal, asked, rendering)
    with body.located(draft):
        async with service_of(request).database.transaction() as connection, previews.undone(connection):
            locked = await writer.lock(connection, principal, resource, draft.id or "")
            await writer.update(connection, principal, locked, draft)
            of = locked.id if resource.type_ == _OF else locked.row["order_subscription_id"]
            found = await previews.look(
                connection, principal.store, of, previews.asked_of(draft), draft.triggers.get(previews.FROM)
            )
    return _answer(found, rendering)


routes = [Fixed(f"/api/{TYPE}", preview, methods=["POST"])]


def _answer(found: Preview, rendering: Rendering) -> Response:
    terms = found.forecast.terms
    currency = "" if terms is None else terms.basis.currency_code
    runs = [forecasts.resource_of(found.subscription_id, run, currency, rendering) for run in found.forecast.runs]
    data = {
        "type": TYPE,
        "id": found.digest,
        "attributes": {"digest": found.digest, "out_of_stock_sku_codes": list(found.short)},
        "relationships": {
            "order_subscription": {"data": identifier(_OF, found.subscription_id)},
            "forecasts": {"data": [identifier(run["type"], run["id"]) for run in runs]},
        },
        "meta": {"mode": rendering.mode},
    }
    return Document(document(data, {"self": f"{rendering.base}/{TYPE}"}, included=runs))
