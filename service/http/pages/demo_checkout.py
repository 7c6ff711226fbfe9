"""/demo/checkout: stands in for a shop's own checkout while the store is in test mode and has none.

It does with a cart's session what a shop's frontend does over the API, by the same operations. Who has the page has the
session; the nonce of its form is that of this very cart, so that nobody else's page can submit it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from schemas.graph import graph
from service.errors import ApiError, NotFound
from service.gateways.testing import APPROVES, DECLINES, TIMES_OUT
from service.http import guessing, urls
from service.http.pages import nonces
from service.http.pages.pages import PRIVATE, STALE, form_of, notice, page
from service.http.state import Service, service_of
from service.jsonapi import body, links
from service.jsonapi.body import Draft
from service.operations.generic.phases import Interlude
from service.operations.orders import demo_checkout
from service.operations.orders.demo_checkout import Progress
from service.principal import Principal
from service.resources import RESOURCES
from service.store.pool import Connection, Database
from service.texts import Phrase

PATH = "/demo/checkout"
PAGE = "demo checkout"
"""What its nonces are signed for."""

ADDRESS = ("first_name", "last_name", "line_1", "zip_code", "city", "country_code")
"""The fields of the form that make an address."""


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

PROBLEMS = {
    "card_declined": Phrase("The card was declined. Nothing was ordered or charged: choose another one."),
    "gateway_timeout": Phrase("The bank did not answer. Nothing was ordered or charged: please try again."),
    "wrong_factor": Phrase("That is not what the order says. Check it, and try again."),
}
"""What a buyer is told, by `meta.error` of the API's problem. Other problems are told in the API's own sentence."""

_STORE = re.compile("[1-9][0-9]{0,17}")


def url(request: Request, store_id: int, session: str) -> str:
    """The stand-in's URL for a cart. It names the store, as every credential does: the look-up asks one store."""
    return links.url(f"{urls.origin(request)}{PATH}", [("store", str(store_id)), ("session", session)])


async def checkout(request: Request) -> Response:
    """GET, HEAD and POST /demo/checkout: a cart on its way to an order that is placed."""
    if request.method == "POST":
        return await _submit(request, await form_of(request))
    principal = await _holder(request, request.query_params)
    return await _page(request, principal, request.query_params.get("session", ""), {})


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
            await _fill(service.database, principal, progress, form)
            number = await service.numbers.take(principal.store.id, "orders")
            draft = _order(principal, form, number)
            async with guessing.guarded(request, principal, draft):
                order_id = await _make(service, principal, draft)
        await _place(service, principal, order_id, form)
    except ApiError as error:
        answer = await _page(request, principal, session, form, error)
        answer.headers.update(error.headers)
        return answer
    return RedirectResponse(url(request, principal.store.id, session), 303, PRIVATE)


async def _holder(request: Request, sent: Mapping[str, str]) -> Principal:
    """Who holds the session that was sent. Raises NotFound for none."""
    store_id, session = sent.get("store", ""), sent.get("session", "")
    if not _STORE.fullmatch(store_id):
        raise NotFound("No open cart has this session.")
    async with service_of(request).database.connection() as connection:
        return await demo_checkout.holder(connection, int(store_id), session)


async def _fill(database: Database, principal: Principal, progress: Progress, form: Mapping[str, str]) -> None:
    """Put what the buyer says into the cart: an address for both, the e-mail, the ways to ship and to pay."""
    attributes = {"customer_email": form.get("email", "")} if progress.needs_email else {}
    relationships: dict[str, Any] = {}
    for name in ("shipping_method", "payment_method"):
        if form.get(name):
            relationships[name] = {"data": {"type": f"{name}s", "id": form[name]}}
    addresses, carts = RESOURCES["addresses"], RESOURCES["carts"]
    async with database.transaction() as connection:
        if progress.needs_address:
            sent = {name: form.get(name, "").strip() for name in ADDRESS}
            made = {"data": {"type": "addresses", "attributes": sent}}
            draft = body.creation(addresses.resource, made, customer=True)
            address_id = await addresses.changer().create(connection, principal, draft)
            identifier = {"type": "addresses", "id": address_id}
            relationships |= {name: {"data": identifier} for name in ("billing_address", "shipping_address")}
        if not (attributes or relationships):
            return
        cart_id = str(principal.cart_id)
        data = {"type": "carts", "id": cart_id, "attributes": attributes, "relationships": relationships}
        draft = body.update(carts.resource, cart_id, {"data": data}, customer=True)
        writer = carts.changer()
        locked = await writer.lock(connection, principal, carts.resource, cart_id)
        await writer.update(connection, principal, locked, draft)


def _order(principal: Principal, form: Mapping[str, str], number: int) -> Draft:
    """The order of the cart, with what the buyer says to prove who it is for."""
    said = form.get("factor", "").strip()
    linked = {"cart": {"data": {"type": "carts", "id": principal.cart_id}}}
    data = {"type": "orders", "attributes": {"_repeat_link_factor": said} if said else {}, "relationships": linked}
    return replace(body.creation(graph["orders"], {"data": data}, customer=True), number=number)


async def _make(service: Service, principal: Principal, draft: Draft) -> str:
    """Make the order of a draft; returns its id."""
    writer = RESOURCES["orders"].changer()
    created = await service.run(lambda connection: writer.create_in_steps(connection, principal, draft))
    return created.id


async def _place(service: Service, principal: Principal, order_id: str, form: Mapping[str, str]) -> None:
    """Place the order, with the card that was chosen, and with another e-mail or way to pay if one was."""
    writer = RESOURCES["orders"].changer()
    attributes: dict[str, Any] = {"_place": True}
    if form.get("card") in CARDS:
        attributes["_payment_source_token"] = CARDS[form["card"]].token
    method = {"payment_method": {"data": {"type": "payment_methods", "id": form.get("payment_method", "")}}}
    data = {
        "type": "orders",
        "id": order_id,
        "attributes": attributes,
        "relationships": method if form.get("payment_method") else {},
    }
    draft = body.update(graph["orders"], order_id, {"data": data}, customer=True)

    async def work(connection: Connection) -> Interlude[None] | None:
        locked = await writer.lock(connection, principal, graph["orders"], order_id)
        return await writer.update_in_steps(connection, principal, locked, draft)

    await service.run(work)


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


routes = [Route(PATH, checkout, methods=["GET", "POST"])]
