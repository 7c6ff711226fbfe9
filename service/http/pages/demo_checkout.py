"""/demo/checkout: stands in for a shop's own checkout while the store is in test mode and has none.

It does with a cart's session what a shop's frontend does over the API, by the same operations. Who has the page has the
session; the nonce of its form is that of this very cart, so that nobody else's page can submit it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.demo import shop
from service.errors import ApiError, Invalid, NotFound
from service.gateways.testing import APPROVES, DECLINES, TIMES_OUT
from service.http import guessing, limits, urls
from service.http.guessing import Tries
from service.http.pages import nonces
from service.http.pages.pages import STALE, form_of, notice, page
from service.http.state import Service, service_of
from service.jsonapi import links
from service.operations.orders import demo_checkout, stand_in
from service.operations.orders.demo_checkout import Progress
from service.operations.orders.stand_in import Address, Choices
from service.principal import Principal, Store
from service.texts import Phrase

PATH = "/demo/checkout"
PAGE = "demo checkout"
"""What its nonces are signed for."""


class Card(NamedTuple):
    """A card that a test buyer can pay with: what the gateway calls it, and what the page does."""

    token: str
    label: Phrase


CARDS = {
    "card_approved": Card(APPROVES, Phrase("Card that is approved")),
    "card_declined": Card(DECLINES, Phrase("Card that is declined")),
    "card_silent": Card(TIMES_OUT, Phrase("Bank that does not answer")),
}
"""The cards by their values in the form."""

PROOFS = {
    "zip_code": Phrase("Type the postal code of the order that you repeat."),
    "email": Phrase("Type the e-mail address of the order that you repeat."),
    "sign_in": Phrase("To place this order, sign in to the shop first."),
    None: Phrase("Nothing in the order that you repeat shows that it is yours, so it can't be placed here."),
}
"""What the page asks of somebody who repeats an order by its link; None is for orders that nothing proves."""

AMOUNTS = {
    "subtotal": Phrase("Subtotal"),
    "shipping": Phrase("Shipping"),
    "payment_costs": Phrase("Payment costs"),
    "discount": Phrase("Discount"),
}

CHANGED = "price_changed"
WRONG = "wrong_factor"

PROBLEMS = {
    "card_declined": Phrase("The card was declined. Nothing was ordered or charged: choose another one."),
    "gateway_timeout": Phrase("The bank did not answer. Nothing was ordered or charged: please try again."),
    CHANGED: Phrase("It comes to another amount by now. Look at it, and place the order once more."),
    WRONG: Phrase("That is not what the order says. Check it, and try again."),
}
"""What a buyer is told, by `meta.error` of the API's problem. Other problems are told in the API's own sentence."""

_STORE = re.compile("[1-9][0-9]{0,17}")


def url(request: Request, store_id: int, session: str) -> str:
    """The stand-in's URL for a cart. It names the store, as every credential does: the look-up asks one store."""
    return links.url(f"{urls.origin(request)}{PATH}", [("store", str(store_id)), ("session", session)])


def of_cart(request: Request, store: Store, own: str | None, session: str) -> str | None:
    """The URL of a store's `own` checkout (a template) for a cart, or of its stand-in in test mode; None without."""
    if own is not None:
        return own.replace("{session}", session)
    return url(request, store.id, session) if store.mode == "test" else None


async def checkout(request: Request) -> Response:
    """GET, HEAD and POST /demo/checkout: a cart on its way to an order that is placed."""
    if request.method == "POST":
        return await _submit(request, await form_of(request))
    if not request.query_params and await _is_demo_shop(request):
        return RedirectResponse(f"{urls.origin(request)}/demo/cart", 303)
    principal = await _holder(request, request.query_params)
    return await _page(request, principal, request.query_params.get("session", ""), {})


async def _is_demo_shop(request: Request) -> bool:
    """Whether there is a demo shop, whose cart somebody may look for who names none."""
    async with service_of(request).database.connection() as connection:
        return await shop.find(connection) is not None


async def _submit(request: Request, form: Mapping[str, str]) -> Response:
    """Take what the buyer says, make the order, and place it. What can't be done is told on the page."""
    principal, session = await _holder(request, form), form.get("session", "")
    if nonces.read(request, PAGE, form.get("nonce", "")) != principal.cart_id:
        again = url(request, principal.store.id, session)
        return notice(request, STALE, status=400, again=again)
    service = service_of(request)
    try:
        async with service.database.connection() as connection:
            progress = await demo_checkout.progress(connection, principal)
        order_id = progress.order_id
        if order_id is None:
            async with service.database.transaction() as connection:
                await stand_in.fill(connection, principal, _choices(progress, form))
            order_id = await _make(request, principal, form)
        else:
            _check_shown(progress, form)
        await _place(service, principal, order_id, form)
    except ApiError as error:
        if any((problem.meta or {}).get("error") == CHANGED for problem in error.problems):
            await _refresh(service, principal)
        answer = await _page(request, principal, session, form, error)
        answer.headers.update(error.headers)
        return answer
    return RedirectResponse(url(request, principal.store.id, session), 303)


async def _holder(request: Request, sent: Mapping[str, str]) -> Principal:
    """Who holds the session that was sent. Raises NotFound for none."""
    store_id, session = sent.get("store", ""), sent.get("session", "")
    if not _STORE.fullmatch(store_id):
        raise NotFound("No open cart has this session.")
    async with service_of(request).database.connection() as connection:
        return await demo_checkout.holder(connection, int(store_id), session)


def _choices(progress: Progress, form: Mapping[str, str]) -> Choices:
    """What a form says of what was asked for."""
    address = Address(*(form.get(name, "").strip() for name in Address._fields))
    return Choices(
        email=form.get("email", "") if progress.needs_email else None,
        address=address if progress.needs_address else None,
        shipping_method_id=form.get("shipping_method") or None,
        payment_method_id=form.get("payment_method") or None,
    )


async def _make(request: Request, principal: Principal, form: Mapping[str, str]) -> str:
    """Make the order of the cart, with what the buyer says to prove who it is for; returns its id.

    Raises Invalid, after which there is none, where it comes to something else than the page said.
    """
    service, said = service_of(request), form.get("factor", "").strip() or None
    number = await service.numbers.take(principal.store.id, "orders")
    async with (
        guessing.guarded(request, principal, Tries(factor=said is not None)),
        service.database.transaction() as connection,
    ):
        order_id = await stand_in.order(connection, principal, said, number)
        _check_shown(await demo_checkout.progress(connection, principal), form)
        return order_id


def _check_shown(progress: Progress, form: Mapping[str, str]) -> None:
    """Raise Invalid where a price isn't any more what the page of a form said: nobody pays what they weren't shown."""
    if form.get("shown") != progress.shown:
        raise Invalid(PROBLEMS[CHANGED], meta={"error": CHANGED})


async def _place(service: Service, principal: Principal, order_id: str, form: Mapping[str, str]) -> None:
    """Place the order, with the card that was chosen, and by another way to pay if one was."""
    card, method = CARDS.get(form.get("card", "")), form.get("payment_method") or None
    token = None if card is None else card.token
    await service.run(lambda connection: stand_in.place(connection, principal, order_id, token, method))


async def _refresh(service: Service, principal: Principal) -> None:
    """Bring the order, if there is one, to the prices of today: the page shows them, and placing it agrees to them."""
    async with service.database.transaction() as connection:
        order_id = (await demo_checkout.progress(connection, principal)).order_id
        if order_id is not None:
            await stand_in.refresh(connection, principal, order_id)


async def _page(
    request: Request, principal: Principal, session: str, typed: Mapping[str, str], error: ApiError | None = None
) -> Response:
    """The cart with what is still asked for, or the order that was placed; with what went wrong, if something did."""
    async with service_of(request).database.connection() as connection:
        progress = await demo_checkout.progress(connection, principal)
    store = principal.store
    values = {
        "progress": progress,
        "problems": _problems(error),
        "wrong": _wrong(error),
        "typed": typed,
        "amounts": AMOUNTS,
        "cards": CARDS,
        "proofs": PROOFS,
        "store_id": store.id,
        "session": session,
        "nonce": nonces.sign(request, PAGE, str(principal.cart_id)),
    }
    template = "demo_placed.html" if progress.placed else "demo_checkout.html"
    return page(request, template, values, status=200 if error is None else error.http_status, locale=store.locale)


def _problems(error: ApiError | None) -> list[Phrase]:
    """What went wrong, each once."""
    problems = error.problems if error is not None else ()
    return list(dict.fromkeys(PROBLEMS.get(str((p.meta or {}).get("error")), p.detail) for p in problems))


def _wrong(error: ApiError | None) -> Phrase | None:
    """What is wrong with the answer that shows who the order is for, None where nothing is: it is told beside it."""
    told = error.problems if error is not None else ()
    return PROBLEMS[WRONG] if any((p.meta or {}).get("error") == WRONG for p in told) else None


routes = [Route(PATH, limits.for_anybody(checkout), methods=["GET", "POST"])]
