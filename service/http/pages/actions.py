"""/actions/<token>: the page behind an action link, which does one thing to a subscription, once.

Mail scanners, link previews and browsers that look ahead fetch it. So GET and HEAD write nothing and set no cookie, and
the button needs a nonce that only a rendered page has. The nonce says what the page has shown: where something else
would happen by now, the page is shown anew instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from schemas.action_links import Action
from schemas.graph import graph
from schemas.kinds import format_amount
from service import clock
from service.clock import later
from service.errors import ApiError, Gone, Invalid
from service.http import guessing, urls
from service.http.languages import negotiate
from service.http.pages import days, nonces
from service.http.pages.pages import form_of, page, pictured, refusals
from service.http.state import service_of
from service.operations.generic.phases import Interlude
from service.operations.orders import owed
from service.operations.subscriptions import link_uses, overviews
from service.operations.subscriptions.action_links import ActionLinks
from service.operations.subscriptions.cancelling import Commitment
from service.operations.subscriptions.link_uses import Opened, Prospect
from service.operations.subscriptions.overviews import Ending, Overview
from service.principal import Principal, Store
from service.rules.named_tokens import NamedKeys
from service.store.pool import Connection
from service.texts import Phrase

PATH = "/actions"
PORTAL = "/portal"
"""Where links lead that do one thing, and those of `manage`."""

PAGE = "action page"
"""What its nonces are signed for."""

TITLES = {
    "skip": Phrase("Skip a delivery"),
    "delay": Phrase("Deliver later"),
    "pause": Phrase("Pause the deliveries"),
    "resume": Phrase("Go on with the deliveries"),
    "cancel": Phrase("End the subscription"),
    "approve": Phrase("Agree to the new price"),
    "reject": Phrase("Skip the dearer delivery"),
    "pay": Phrase("Pay for a delivery"),
    "order_now": Phrase("Order the next delivery now"),
    "swap": Phrase("Swap a product"),
}
BUTTONS = {
    "skip": Phrase("Skip it"),
    "delay": Phrase("Deliver it later"),
    "pause": Phrase("Pause now"),
    "resume": Phrase("Go on now"),
    "cancel": Phrase("End it for good"),
    "approve": Phrase("Agree, and deliver it"),
    "reject": Phrase("Skip it"),
    "pay": Phrase("Pay now"),
    "order_now": Phrase("Order it now"),
    "swap": Phrase("Swap it"),
}
"""What the pages are called, and what their buttons say."""

SENTENCES = {
    "skip": Phrase("The delivery of {day} is left out. All others come as planned."),
    "delay": Phrase("The delivery of {day} comes on {to} instead. All others come as planned."),
    "pause": Phrase("No delivery comes before {to}. Then they go on by themselves."),
    "resume": Phrase("The pause ends, and the deliveries go on as planned."),
    "cancel": Phrase("No further delivery comes. To start again, place an order in the shop."),
    "approve": Phrase("The delivery of {day} costs {amount} this time. It is ordered once you agree."),
    "reject": Phrase("The delivery of {day} would cost {amount}. It is left out, and the next one comes as planned."),
    "pay": Phrase("The delivery of {day} is not paid yet. {amount} are charged once you press the button."),
    "order_now": Phrase("The delivery of {day} is ordered now instead. All others come as planned."),
    "swap": Phrase(
        "From the next delivery on, {product} comes in the place of {instead}: {quantity} pieces for {amount} at"
        " today's price."
    ),
}
"""What happens once the button is pressed."""

TIED = Phrase("You can end it after delivery {run}, as agreed.")
TIED_UNTIL = Phrase("You can end it from {day} on, after delivery {run}, as agreed.")
"""What those read who can't end a subscription yet."""

WAITS = Phrase("The delivery of {day} comes before it. Only the next one can be ordered now.")
"""What those read who would order a run now that isn't the next one."""

SETTLED = {
    "placing": Phrase("The payment is under way. Please look again in a minute."),
    "placed": Phrase("This delivery is paid."),
    "approved": Phrase("This delivery is paid."),
}
"""What those read who would pay an order that is in this status by now."""

_FOR_ONESELF: Final = timedelta(days=1)
"""How long a link works that a customer asked for just now."""

PASSED = Phrase("There is nothing to do here any more: it was changed already, or its time has passed.")


def url_of(keys: NamedKeys, store: Store, origin: str) -> Callable[[str, str], str]:
    """What makes the URLs of a store's links, of a service at a URL of its own, from what they do and their ids."""

    def url(action: str, id_: str) -> str:
        return f"{origin}{PORTAL if action == 'manage' else PATH}/{keys.token(store.id, id_)}"

    return url


async def hand_out(
    request: Request, connection: Connection, customer: Principal, subscription_id: str, action: Action
) -> tuple[str, datetime]:
    """Make a customer's own link, which works for a day; returns its URL and until when. Raises as the API does."""
    expires_at = later(clock.now(customer.store), _FOR_ONESELF)
    link = {"order_subscription_id": subscription_id, "action": action, "expires_at": expires_at}
    id_ = await ActionLinks().make(connection, customer, graph["action_links"], link)
    keys = service_of(request).url_keys.actions
    return url_of(keys, customer.store, urls.origin(request))(action, id_), expires_at


async def action(request: Request) -> Response:
    """GET, HEAD and POST. Every URL that opens no link of this kind is the same 410."""
    return await (_use(request) if request.method == "POST" else _show(request))


async def _show(request: Request, error: ApiError | None = None) -> Response:
    service = service_of(request)
    async with guessing.limited(request), service.database.connection() as connection:
        opened = await _open(request, connection)
        seen = await link_uses.prospect(connection, opened)
        found = await overviews.of_customer(connection, opened.principal, opened.subscription_id)
    return _page(request, opened, seen, found, error)


async def _use(request: Request) -> Response:
    """Do it. What can't be done now is told on the page, which shows what would happen instead."""
    form = await form_of(request)
    try:
        async with guessing.limited(request):
            await service_of(request).run(lambda held: _do(request, held, form))
    except Gone:
        raise
    except ApiError as error:
        return await _show(request, error)
    return RedirectResponse(f"{urls.origin(request)}{PATH}/{request.path_params['token']}", 303)


async def _do(request: Request, connection: Connection, form: Mapping[str, str]) -> Interlude[None] | None:
    opened = await _open(request, connection, hold=True)
    link_id, _, shown = (nonces.read(request, PAGE, form.get("nonce", "")) or "").partition(" ")
    if link_id != opened.id:
        raise Invalid("This page was open for too long. Please try again.")
    if opened.action == "pay":
        return await owed.use(connection, opened, shown)
    with days.ordering(opened.timezone, negotiate(request, opened.store.locale)):
        await link_uses.use(connection, opened, shown, ending_of(form))
    return None


async def _open(request: Request, connection: Connection, *, hold: bool = False) -> Opened:
    keys, token = service_of(request).url_keys.actions, request.path_params["token"]
    return await link_uses.open_link(connection, keys, token, hold=hold)


def ending_of(form: Mapping[str, str], *, at_period_end: bool = False) -> Ending:
    """How a form ends a subscription."""
    return Ending(form.get("reason"), form.get("comment"), at_period_end=at_period_end)


def waiting(keeps: Commitment, day: Callable[[datetime], str]) -> Phrase:
    """What tells somebody from when on they can end a subscription."""
    return TIED_UNTIL.filled(run=keeps.run, day=day(keeps.at)) if keeps.at else TIED.filled(run=keeps.run)


def _page(
    request: Request,
    opened: Opened,
    seen: Prospect,
    found: Sequence[Overview],
    error: ApiError | None,
) -> Response:
    store = opened.store
    locale = negotiate(request, store.locale)

    def day(at: datetime) -> str:
        """An instant's day where the subscription is, as the reader writes it."""
        return days.written(at, opened.timezone, locale, "EEEE d MMMM y")

    told = {
        "day": None if seen.at is None else day(seen.at),
        "to": None if seen.to is None else day(seen.to),
        "amount": format_amount(seen.amount_cents, seen.currency_code, locale),
        "product": None if seen.offer is None else seen.offer.choice.name,
        "instead": None if seen.offer is None else seen.offer.item.name,
        "quantity": None if seen.offer is None else str(seen.offer.item.quantity),
    }
    why_not = None if seen.refused is None else days.why_not_now(seen.refused, opened.timezone, locale)
    items = [item for overview in found for item in overview.items]
    pictures = [item.image_url for item in items] + ([] if seen.offer is None else [seen.offer.choice.image_url])
    values = {
        "store": store,
        "title": TITLES[opened.action],
        "done": None if opened.used_at is None else day(opened.used_at),
        "sentence": _sentence(opened, seen, day, told, why_not),
        "costs": seen.amount_cents if opened.action == "order_now" and seen.possible else None,
        "currency_code": seen.currency_code,
        "paid_with": seen.paid_with,
        "reasons": seen.reasons,
        "possible": seen.possible and opened.used_at is None,
        "button": BUTTONS[opened.action],
        "grave": opened.action == "cancel",
        "offer": seen.offer,
        "items": items,
        "pictured": pictured(request, pictures),
        "recipient": opened.recipient,
        "token": request.path_params["token"],
        "nonce": nonces.sign(request, PAGE, f"{opened.id} {seen.shown}"),
        "problems": refusals(error, day),
    }
    status = 200 if error is None else error.http_status
    return page(request, "action.html", values, status=status, locale=store.locale)


def _sentence(
    opened: Opened,
    seen: Prospect,
    day: Callable[[datetime], str],
    told: Mapping[str, str | None],
    why_not: Phrase | None,
) -> Phrase:
    """What happens once the button is pressed, or why there is none: `why_not`, where that is known."""
    if seen.commitment is not None:
        return waiting(seen.commitment, day)
    if seen.waits_for is not None:
        return WAITS.filled(day=day(seen.waits_for))
    if why_not is not None:
        return why_not
    if seen.possible:
        return SENTENCES[opened.action].filled(**told)
    return SETTLED.get(opened.order_status or "", PASSED)


routes: list[Route] = [Route(f"{PATH}/{{token}}", action, methods=["GET", "POST"])]
