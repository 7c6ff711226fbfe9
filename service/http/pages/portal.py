"""/portal/<token>: where a customer looks after a subscription without signing in, by an action link of `manage`.

It needs no script. GET and HEAD write nothing and set no cookie; each button needs the nonce of a rendered page. What
the buttons do is what the API's verbs do, said by the subscription's customer. It shows nothing of the person that a
stranger with the link needn't see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service import clock
from service.errors import ApiError, Gone, Invalid, NotFound, PreviewStale
from service.http import guessing, urls
from service.http.languages import negotiate
from service.http.pages import amendments, days, deliveries, nonces, telling, terms
from service.http.pages.actions import PORTAL, ending_of, waiting
from service.http.pages.pages import form_of, impossible, page, pictured, refusals
from service.http.state import service_of
from service.operations.generic.phases import Interlude
from service.operations.orders import owed
from service.operations.subscriptions import (
    action_links,
    cancelling,
    choices,
    link_uses,
    once,
    ordering_now,
    overviews,
    swaps,
)
from service.operations.subscriptions.link_uses import Opened
from service.operations.subscriptions.overviews import Coming
from service.rules.intervals import meant
from service.store.pool import Connection

PAGE = "portal"
"""What its nonces are signed for."""

STYLES = ("base.css", "card.css", "portal.css")

_MADE = 3
"""How many orders that were made the page shows."""


async def portal(request: Request) -> Response:
    """GET, HEAD and POST. Every URL that opens no link of `manage` is the same 410."""
    if request.method != "POST":
        return await _show(request)
    form = await form_of(request)
    looks = form.get("do") == "look"
    try:
        if looks or not await _is_done(request, form):
            return await _show(request, None if looks else link_uses.changed(), form)
    except Gone:
        raise
    except ApiError as error:
        return await _show(request, error)
    page_url = f"{urls.origin(request)}{PORTAL}/{request.path_params['token']}"
    return RedirectResponse(f"{page_url}{telling.told(form)}", 303)


async def _is_done(request: Request, form: Mapping[str, str]) -> bool:
    """Do what a button says; returns whether it was, and not left since it leads elsewhere than what was shown.

    Raises ApiError subclasses.
    """
    try:
        await _act(request, form)
    except PreviewStale:
        return False
    return True


async def _act(request: Request, form: Mapping[str, str]) -> None:
    """Do what a button says. Raises ApiError subclasses."""

    async def work(connection: Connection) -> Interlude[None] | None:
        opened = await _open(request, connection, hold=True)
        if nonces.read(request, PAGE, form.get("nonce", "")) != opened.id:
            raise Invalid("This page was open for too long. Please try again.")
        if form.get("do") == "settle":
            return await owed.pay_one_of(connection, opened.principal, opened.subscription_id, form.get("order", ""))
        await _change(request, connection, opened, form)
        return None

    async with guessing.limited(request):
        await service_of(request).run(work)


async def _change(request: Request, connection: Connection, opened: Opened, form: Mapping[str, str]) -> None:
    """Do what a button says that takes one transaction. Raises ApiError subclasses."""
    customer, subscription_id = opened.principal, opened.subscription_id
    if form.get("do") in ("cancel", "end_later"):
        ending = ending_of(form, at_period_end=form["do"] == "end_later")
        await overviews.cancel(connection, customer, subscription_id, ending)
    elif form.get("do") == "swap":
        raise impossible()
    elif form.get("do") == "amend":
        await amendments.make(connection, customer, subscription_id, form)
    else:
        of = deliveries.Of(customer, subscription_id, opened.timezone, negotiate(request, opened.store.locale))
        await deliveries.change(connection, of, form)


async def _open(request: Request, connection: Connection, *, hold: bool = False) -> Opened:
    keys, token = service_of(request).url_keys.actions, request.path_params["token"]
    return await link_uses.open_link(connection, keys, token, hold=hold, manages=True)


async def _show(
    request: Request, error: ApiError | None = None, wish: Mapping[str, str] = MappingProxyType({})
) -> Response:
    """The page, with what was refused, or what a change leads to that a form wishes. Raises ApiError subclasses."""
    database = service_of(request).database
    # A change is tried out in a transaction of its own, which is undone; without one the page only reads.
    within = database.transaction() if wish else database.connection()
    async with guessing.limited(request), within as connection:
        opened = await _open(request, connection)
        looked = await amendments.look(connection, opened.principal, opened.subscription_id, wish)
        found = await overviews.of_customer(connection, opened.principal, opened.subscription_id)
        items = await swaps.items(connection, opened.principal, opened.subscription_id)
        coming = await overviews.coming(connection, opened.principal, opened.subscription_id, most=deliveries.RUNS)
        made = await overviews.made(connection, opened.principal, opened.subscription_id, most=_MADE)
        unpaid = await action_links.owed(connection, opened.store, opened.subscription_id)
        addresses = await choices.addresses(connection, opened.principal, opened.subscription_id)
        cards = await choices.cards(connection, opened.principal, opened.subscription_id)
        products = await once.products(connection, opened.principal, coming[0].currency_code) if coming else []
        rhythms = await choices.frequencies(connection, opened.principal, opened.subscription_id)
        order_now = await ordering_now.look(connection, opened.principal, opened.subscription_id)
        reasons = await cancelling.reasons(connection, opened.store)
        keeps = await cancelling.commitment(connection, opened.store, opened.subscription_id)
        begins = await deliveries.swapped_from(connection, opened.principal, opened.subscription_id, items, coming)
    store, now = opened.store, clock.now(opened.store)
    chosen, error = _chosen(request, coming, error) if found else (None, error)
    locale = negotiate(request, store.locale)

    def day(at: datetime) -> str:
        """An instant's day where the subscription is, as the reader writes it."""
        return days.written(at, opened.timezone, locale, "EEEE d MMMM y")

    paused = opened.paused_until is not None and opened.paused_until > now
    values = {
        "store": store,
        "subscription": found[0] if found else None,
        "paused_until": opened.paused_until if paused else None,
        "ordered": items,
        "pictured": pictured(request, [item.image_url for item in items]),
        "begins": begins,
        "coming": coming,
        "chosen": chosen,
        "swappable": {} if chosen is None else deliveries.swappable(chosen, items),
        "here": request.path_params["token"] + ("" if chosen is None else f"?delivery={chosen.index}"),
        "differing": {run.index for run in coming if telling.differs(run, items)},
        "done": telling.message(request.query_params, coming, day),
        "left_out": [run.at for run in coming if paused and run.reason == "paused"],
        "paid_with": next((card.label for card in cards if card.chosen), None),
        "ahead": overviews.ahead(coming),
        "order_now": order_now,
        "why_not": days.why_not_now(order_now, opened.timezone, locale),
        "made": made,
        "unpaid": unpaid,
        "recipient": opened.recipient,
        "day": day,
        "days_of": lambda several: ", ".join(map(day, several)),
        "date": lambda at: at.astimezone(ZoneInfo(opened.timezone)).date().isoformat(),
        "pauses": deliveries.PAUSES,
        "addresses": addresses,
        "cards": cards,
        "products": products,
        "ending": "end" in request.query_params and bool(found),
        "prices": [sentence for one in found for sentence in terms.of(one, locale)],
        "waits": None if keeps is None else waiting(keeps, day),
        "reasons": reasons,
        "rhythms": rhythms,
        "interval": meant(found[0].frequency) if found else None,
        "units": amendments.UNITS_OF,
        "looked": looked if found else None,
        "becomes": amendments.frequency_of(looked.amendment, found[0]) if looked and found else None,
        "swapped": amendments.swapped_by(looked, items) if looked else None,
        "more": amendments.product_of(looked.amendment, items) if looked else None,
        "token": request.path_params["token"],
        "nonce": nonces.sign(request, PAGE, opened.id),
        "problems": refusals(error, day),
    }
    status = 200 if error is None else error.http_status
    return page(request, "portal.html", values, status=status, locale=store.locale, styles=STYLES)


def _chosen(
    request: Request, coming: Sequence[Coming], error: ApiError | None
) -> tuple[Coming | None, ApiError | None]:
    """The delivery that the page's URL names, None without any, and what is refused: one that isn't to come is too."""
    if "delivery" not in request.query_params:
        return None, error
    try:
        return deliveries.run_of(coming, request.query_params["delivery"]), error
    except NotFound as none:
        return None, error or none


routes: list[Route] = [Route(f"{PORTAL}/{{token}}", portal, methods=["GET", "POST"])]
