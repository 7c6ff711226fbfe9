"""/portal/<token>: where a customer looks after a subscription without signing in, by an action link of `manage`.

It needs no script. GET and HEAD write nothing and set no cookie; each button needs the nonce of a rendered page. What
the buttons do is what the API's verbs do, said by the subscription's customer. It shows nothing of the person that a
stranger with the link needn't see.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from service import clock
from service.clock import later
from service.errors import ApiError, Gone, Invalid, NotFound
from service.http import guessing, urls
from service.http.languages import negotiate
from service.http.pages import days, nonces
from service.http.pages.actions import PORTAL, ending_of, waiting
from service.http.pages.pages import PRIVATE, form_of, page
from service.http.state import service_of
from service.operations.generic.phases import Interlude
from service.operations.orders import owed
from service.operations.subscriptions import action_links, cancelling, choices, once, overviews, swaps
from service.operations.subscriptions.action_links import Opened
from service.operations.subscriptions.overviews import Coming
from service.store.pool import Connection
from service.texts import Phrase

PAGE = "portal"
"""What its nonces are signed for."""

STYLES = ("base.css", "card.css", "portal.css")

_DIGITS = 5
_RUNS, _MADE = 6, 3
"""How many runs to come and orders that were made the page shows."""

PAUSES = {
    "28": Phrase("For four weeks"),
    "56": Phrase("For eight weeks"),
    "91": Phrase("For three months"),
}
"""For how many days a customer may pause."""


async def portal(request: Request) -> Response:
    """GET, HEAD and POST. Every URL that opens no link of `manage` is the same 410."""
    if request.method != "POST":
        return await _show(request)
    try:
        await _act(request, await form_of(request))
    except Gone:
        raise
    except ApiError as error:
        return await _show(request, error)
    return RedirectResponse(f"{urls.origin(request)}{PORTAL}/{request.path_params['token']}", 303, PRIVATE)


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
    locale = negotiate(request, opened.store.locale)
    match form.get("do"):
        case "skip" | "unskip" | "move" | "add" | "alter" | "send_once":
            await _change_run(connection, opened, form, locale)
        case "order_now":
            with days.ordering(opened.timezone, locale):
                await overviews.order_next(connection, customer, subscription_id)
        case "pause" if form.get("days") in PAUSES:
            until = later(clock.now(opened.store), timedelta(days=int(form["days"])))
            await overviews.pause(connection, customer, subscription_id, until)
        case "resume":
            await overviews.pause(connection, customer, subscription_id, None)
        case "swap" | "send" | "pay":
            await _choose(connection, opened, form)
        case "cancel" | "end_later" as how:
            ending = ending_of(form, at_period_end=how == "end_later")
            await overviews.cancel(connection, customer, subscription_id, ending)
        case "keep":
            await overviews.keep(connection, customer, subscription_id)
        case "activate":
            await overviews.tell(connection, customer, subscription_id, "activate")
        case _:
            raise Invalid("That can't be done here.")


async def _choose(connection: Connection, opened: Opened, form: Mapping[str, str]) -> None:
    """Take what was offered: a product in the place of another, an address, a card. Raises ApiError subclasses."""
    customer, subscription_id = opened.principal, opened.subscription_id
    match form["do"]:
        case "swap":
            await swaps.swap(connection, customer, subscription_id, form.get("item", ""), form.get("sku", ""))
        case "send" if form.get("address"):
            await choices.send_to(connection, customer, subscription_id, form["address"])
        case "pay" if form.get("card"):
            await choices.pay_with(connection, customer, subscription_id, form["card"])
        case _:
            raise Invalid("That can't be done here.")


async def _change_run(connection: Connection, opened: Opened, form: Mapping[str, str], locale: str) -> None:
    """Skip a run, let it come after all, move it, or change what comes then. Raises ApiError subclasses."""
    run = await _run(connection, opened, form)
    if form["do"] == "move":
        with days.moving(run.at, opened.timezone, locale):
            to = days.typed(form.get("day", ""), run.at, opened.timezone)
            await overviews.move(connection, opened.principal, str(run.id), to)
    elif form["do"] in ("skip", "unskip"):
        await overviews.skip(connection, opened.principal, str(run.id), back=form["do"] == "unskip")
    else:
        await _fill_run(connection, opened, run, form)


async def _fill_run(connection: Connection, opened: Opened, run: Coming, form: Mapping[str, str]) -> None:
    """Have something else come with a run, or have it go elsewhere. Raises ApiError subclasses."""
    customer, of = opened.principal, once.Run(opened.subscription_id, str(run.id))
    quantity = form.get("quantity", "")
    lines = {line.id for line in run.lines}
    try:
        if form["do"] == "add" and form.get("sku"):
            await once.add(connection, customer, of, form["sku"])
        elif form["do"] == "send_once" and form.get("address"):
            await overviews.send(connection, customer, of.id, form["address"])
        elif form.get("line") in lines and quantity.isascii() and quantity.isdecimal() and len(quantity) < _DIGITS:
            await once.alter(connection, customer, of, form["line"], int(quantity))
        else:
            raise Invalid("That can't be done here.")
    except ApiError as error:
        if not all(isinstance(problem, Invalid) for problem in error.problems):
            raise
        # The API's words name attributes.
        raise Invalid(
            "That can't be ordered then. Choose something else or another quantity, or skip the delivery."
        ) from error


async def _run(connection: Connection, opened: Opened, form: Mapping[str, str]) -> Coming:
    """The run that a button is about, one of the link's own subscription. Raises NotFound."""
    found = await overviews.coming(connection, opened.principal, opened.subscription_id, most=_RUNS)
    for run in found:
        if run.id is not None and run.id == form.get("occurrence"):
            return run
    raise NotFound("There is no such occurrence.")


async def _open(request: Request, connection: Connection, *, hold: bool = False) -> Opened:
    keys, token = service_of(request).url_keys.actions, request.path_params["token"]
    return await action_links.open_link(connection, keys, token, hold=hold, manages=True)


async def _show(request: Request, error: ApiError | None = None) -> Response:
    async with guessing.limited(request), service_of(request).database.connection() as connection:
        opened = await _open(request, connection)
        found = await overviews.of_customer(connection, opened.principal, opened.subscription_id)
        items = await swaps.items(connection, opened.principal, opened.subscription_id)
        coming = await overviews.coming(connection, opened.principal, opened.subscription_id, most=_RUNS)
        made = await overviews.made(connection, opened.principal, opened.subscription_id, most=_MADE)
        unpaid = await action_links.owed(connection, opened.store, opened.subscription_id)
        addresses = await choices.addresses(connection, opened.principal, opened.subscription_id)
        cards = await choices.cards(connection, opened.principal, opened.subscription_id)
        products = await once.products(connection, opened.principal)
        reasons = await cancelling.reasons(connection, opened.store)
        keeps = await cancelling.commitment(connection, opened.store, opened.subscription_id)
    store, now = opened.store, clock.now(opened.store)
    locale = negotiate(request, store.locale)

    def day(at: datetime) -> str:
        """An instant's day where the subscription is, as the reader writes it."""
        return days.written(at, opened.timezone, locale, "EEEE d MMMM y")

    paused = opened.paused_until is not None and opened.paused_until > now
    values = {
        "store": store,
        "subscription": found[0] if found else None,
        "frequencies": days.FREQUENCIES,
        "paused_until": opened.paused_until if paused else None,
        "ordered": items,
        "coming": coming,
        "ahead": next((run.id for run in coming if run.id is not None and run.status == "planned"), None),
        "made": made,
        "unpaid": unpaid,
        "recipient": opened.recipient,
        "day": day,
        "date": lambda at: at.astimezone(ZoneInfo(opened.timezone)).date().isoformat(),
        "pauses": PAUSES,
        "addresses": addresses,
        "cards": cards,
        "products": products,
        "ending": "end" in request.query_params and bool(found),
        "waits": None if keeps is None else waiting(keeps, day),
        "reasons": reasons,
        "token": request.path_params["token"],
        "nonce": nonces.sign(request, PAGE, opened.id),
        "problems": [] if error is None else [problem.detail for problem in error.problems],
    }
    status = 200 if error is None else error.http_status
    return page(request, "portal.html", values, status=status, locale=store.locale, styles=STYLES)


routes: list[BaseRoute] = [Route(f"{PORTAL}/{{token}}", portal, methods=["GET", "POST"])]
