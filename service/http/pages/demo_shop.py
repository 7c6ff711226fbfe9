"""/demo: a small storefront of the demo store, in which its customer Sam repeats orders as a shop would offer it.

It calls the operations that the API calls, and shows beside each page the requests that do the same. Nobody signs in:
the store's people are made up, and it is there in test mode alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from schemas.action_links import Action
from schemas.kinds import ID, render_timestamp
from service import clock
from service.demo import shop
from service.errors import ApiError, Invalid, NotFound, PreviewStale
from service.http import repeat_urls, urls
from service.http.languages import negotiate
from service.http.limits import for_anybody
from service.http.pages import actions, days, deliveries, demo_checkout, nonces, shop_requests, terms
from service.http.pages.lines import Line, choice, line_of, products
from service.http.pages.pages import form_of, page
from service.http.state import service_of
from service.operations.carts import contents
from service.operations.orders import past_orders
from service.operations.repeating import reorders, repeat_links
from service.operations.repeating.plans import Wish
from service.operations.repeating.reorders import Preview
from service.operations.subscriptions import action_links, cancelling, choices, once, ordering_now, overviews, swaps
from service.operations.tenant import travelling
from service.principal import Principal
from service.rules.outcomes import Policy
from service.store.pool import Connection
from service.texts import Phrase

STYLES = ("base.css", "frame.css", "samples.css", "shop.css")
PAGE = "demo shop"
"""What its nonces are signed for."""

_ORDERS, _MADE = 10, 4
"""How many orders, and orders that were made by themselves, the pages show."""
_STOCK = Policy(stock=shop_requests.STOCK_POLICY)

CHANGED = Phrase("The prices or the stock have changed meanwhile. Look at it, and put it into the cart once more.")


async def home(request: Request) -> Response:
    """GET /demo: past orders and subscriptions."""
    async with service_of(request).database.connection() as connection:
        sam = await _sam(connection)
        orders = await past_orders.latest(connection, sam, most=_ORDERS)
        found = await overviews.of_customer(connection, sam)
        cart = await contents.look_for_active(connection, sam.store, str(sam.customer_id))
    values = {
        "orders": orders,
        "subscriptions": found,
        "in_cart": 0 if cart is None else sum(item.quantity for item in cart.items),
        "requests": shop_requests.of_home(urls.api(request), str(sam.customer_id)),
    }
    return _page(request, sam, "shop_home.html", values, up="")


async def order(request: Request) -> Response:
    """GET and POST /demo/orders/{id}: what an order would come to today; then it goes into the cart, or gets a link."""
    form = await form_of(request) if request.method == "POST" else {}
    if form.get("do") == "link":
        return await _hand_out(request, form)
    if form and "show" not in form:
        error = await _put_into_cart(request, form)
        if error is None:
            return RedirectResponse(f"{urls.origin(request)}/demo/cart", 303)
        return await _order(request, form, error)
    return await _order(request, form)


async def _hand_out(request: Request, form: Mapping[str, str]) -> Response:
    """Lead to the order's link, which is made where there is none yet."""
    keys = service_of(request).url_keys.links
    try:
        _check_ours(request, form)
    except ApiError as error:
        return await _order(request, {}, error)
    async with service_of(request).database.connection() as connection:
        sam = await _sam(connection)
        found = await past_orders.find(connection, sam, _id(request.path_params["id"]))
        issued = await repeat_links.of_order(connection, sam.store, keys, found.code, actor=PAGE)
    link = repeat_urls.url(f"{urls.origin(request)}{repeat_urls.PATH}", issued.order_code, issued.token)
    return RedirectResponse(link, 303)


async def _put_into_cart(request: Request, form: Mapping[str, str]) -> ApiError | None:
    """Repeat the order as the page showed it; what keeps it from that, if something does."""
    async with service_of(request).database.transaction() as connection:
        sam = await _sam(connection)
        wish = _wish(request, sam, form, digest=form.get("digest"))
        try:
            _check_ours(request, form)
            await reorders.reorder(connection, sam.store, wish, order_id=_id(request.path_params["id"]))
        except ApiError as error:
            refused = error
        else:
            return None
    return refused


async def _order(request: Request, form: Mapping[str, str], error: ApiError | None = None) -> Response:
    order_id = _id(request.path_params["id"])
    async with service_of(request).database.connection() as connection:
        sam = await _sam(connection)
        found = await past_orders.find(connection, sam, order_id)
        whole = await reorders.look(connection, sam.store, _wish(request, sam, {}), order_id=order_id)
        wish = _wish(request, sam, form)
        chosen = wish.lines is None or bool(wish.lines)
        preview = await reorders.look(connection, sam.store, wish, order_id=order_id) if chosen else whole
    lines = _lines(request, sam, whole, preview if chosen else None)
    values = {
        "order": found,
        "available": [line for line in lines if not line.skipped],
        "unavailable": [line for line in lines if line.skipped],
        "preview": preview if chosen else None,
        "sum": sum(line.total for line in lines if line.chosen and not line.skipped),
        "due": preview.due if chosen else None,
        "requests": [
            *shop_requests.of_order(urls.api(request), found.id, wish.lines, preview.digest),
            shop_requests.of_link(urls.origin(request), found.code),
        ],
    }
    return _page(request, sam, "shop_order.html", values, up="../../", error=error)


def _wish(request: Request, sam: Principal, form: Mapping[str, str], digest: str | None = None) -> Wish:
    chosen = choice(form)
    return Wish(
        customer_id=sam.customer_id,
        actor=f"customers:{sam.customer_id}",
        locale=negotiate(request, sam.store.locale),
        policy=_STOCK,
        lines=None if chosen is None else [{"line_item_id": id_, "quantity": n} for id_, n in chosen.items()],
        expected_digest=digest,
    )


def _lines(request: Request, sam: Principal, whole: Preview, preview: Preview | None) -> list[Line]:
    """All lines of an order: those that were chosen as they would be, the others as they could be."""
    locale, base = negotiate(request, sam.store.locale), urls.api(request)
    chosen = {} if preview is None else {outcome.line.id: outcome for outcome in preview.plan.outcomes}
    return [
        line_of(chosen.get(outcome.line.id, outcome), base, locale, chosen=outcome.line.id in chosen)
        for outcome in products(whole.plan.outcomes)
    ]


async def cart(request: Request) -> Response:
    """GET /demo/cart: what is in Sam's cart, on the way to the checkout."""
    async with service_of(request).database.connection() as connection:
        sam = await _sam(connection)
        found = await contents.look_for_active(connection, sam.store, str(sam.customer_id))
        session = "" if found is None else contents.session(connection, sam.store, found.id, found.sealed_session)
    values = {
        "cart": found if found is not None and found.items else None,
        "due": None if found is None else found.due,
        "checkout": None if found is None else demo_checkout.url(request, sam.store.id, session),
        "requests": shop_requests.of_cart(urls.api(request)),
    }
    return _page(request, sam, "shop_cart.html", values, up="../")


async def subscription(request: Request) -> Response:
    """GET and POST /demo/subscriptions/{id}: its calendar, in which runs are skipped and moved, and time passes."""
    form = await form_of(request) if request.method == "POST" else {}
    if not form:
        return await _subscription(request)
    try:
        onward = await _act(request, form)
    except ApiError as error:
        return await _subscription(request, error)
    here = f"{urls.origin(request)}/demo/subscriptions/{_id(request.path_params['id'])}"
    return RedirectResponse(onward or here, 303)


async def _act(request: Request, form: Mapping[str, str]) -> str | None:
    """Do what a button says; returns the URL of another page that it leads to, if any. Raises ApiError subclasses."""
    _check_ours(request, form)
    async with service_of(request).database.transaction() as connection:
        sam, id_ = await _sam(connection), _id(request.path_params["id"])
        match form.get("do"):
            case "back":
                await travelling.back(connection, Principal.of_service(sam.store, PAGE))
            case "travel":
                to = _instant(form.get("to", ""))
                await travelling.travel(connection, Principal.of_service(sam.store, PAGE), to)
            case "manage" | "pay_by_link" as leads:
                action: Action = "manage" if leads == "manage" else "pay"
                return (await actions.hand_out(request, connection, sam, id_, action))[0]
            case _:
                await overviews.find(connection, sam, id_)
                locale = negotiate(request, sam.store.locale)
                await deliveries.change(connection, deliveries.Of(sam, id_, sam.store.timezone, locale), form)
    return None


def _instant(text: str) -> datetime:
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    raise Invalid("{name} - must be a date", name="to")


async def _subscription(request: Request, error: ApiError | None = None) -> Response:
    id_ = _id(request.path_params["id"])
    async with service_of(request).database.connection() as connection:
        sam = await _sam(connection)
        found = await overviews.find(connection, sam, id_)
        items = await swaps.items(connection, sam, id_)
        coming = await overviews.coming(connection, sam, id_, most=deliveries.RUNS)
        products = await once.products(connection, sam, found.currency_code)
        keeps = await cancelling.commitment(connection, sam.store, id_)
        unpaid = await action_links.owed(connection, sam.store, id_)
        cards = await choices.cards(connection, sam, id_)
        made = await overviews.made(connection, sam, id_, most=_MADE)
        order_now = await ordering_now.look(connection, sam, id_)
        kept = await travelling.kept(connection, sam.store.id)
        onward = await travelling.now(connection, sam.store)
    now = clock.now(sam.store)
    running = [run for run in coming if run.status == "planned"]
    after_next = max(running[0].at if running else now, onward) + timedelta(hours=1)
    # Ahead of what a run may see between here and the request that a reader sends.
    start = onward + timedelta(minutes=1)
    first = next((run for run in coming if run.id), None)
    clock_id = None if kept is None else kept.id
    moved = render_timestamp((now if first is None else first.at) + timedelta(days=2))
    values = {
        "subscription": found,
        "coming": coming,
        "ahead": overviews.ahead(coming),
        "order_now": order_now,
        "why_not": days.why_not_now(order_now, sam.store.timezone, negotiate(request, sam.store.locale)),
        "swaps": {item.id: item.choices for item in items},
        "products": products,
        "prices": terms.of(found, negotiate(request, sam.store.locale)),
        "waits": None if keeps is None else actions.waiting(keeps, partial(_day, request, sam)),
        "paid_with": next((card.label for card in cards if card.chosen), None),
        "unpaid": unpaid,
        "made": made,
        "currency_code": sam.store.currency_code,
        "now": now,
        "kept": kept,
        "moving": kept is not None and kept.advancing_to is not None,
        "travels": [
            (Phrase("To the next delivery"), render_timestamp(after_next)),
            (Phrase("Three months on"), render_timestamp(onward + timedelta(days=91))),
        ],
        "zone": ZoneInfo(sam.store.timezone),
        "requests": [
            *shop_requests.of_runs(urls.api(request), id_, first, moved),
            *shop_requests.of_changes(urls.api(request), id_, items, products),
            *shop_requests.of_time(urls.api(request), clock_id, start, after_next),
        ],
    }
    return _page(request, sam, "shop_subscription.html", values, up="../../", error=error)


def _day(request: Request, sam: Principal, at: datetime) -> str:
    """An instant's day in the store, as the reader writes it."""
    return days.written(at, sam.store.timezone, negotiate(request, sam.store.locale))


async def _sam(connection: Connection) -> Principal:
    """The demo store's customer. Raises NotFound where there is no demo shop."""
    store = await shop.find(connection)
    if store is None:
        raise NotFound("There is nothing at this URL.")
    return shop.shopper(store)


def _id(text: str) -> str:
    """An id as one may be. Raises NotFound for what can be none."""
    if not ID.fullmatch(text):
        raise NotFound("There is nothing at this URL.")
    return text


def _check_ours(request: Request, form: Mapping[str, str]) -> None:
    """Raise Invalid for a form of no page of ours, or of one that was open for too long."""
    if nonces.read(request, PAGE, form.get("nonce", "")) is None:
        raise Invalid("This page was open for too long. Please try again.")


def _page(
    request: Request,
    sam: Principal,
    template: str,
    values: Mapping[str, object],
    *,
    up: str,
    error: ApiError | None = None,
) -> Response:
    given = {
        "up": up,
        "here": "demo",
        "shop": True,
        "store": sam.store,
        "day": partial(_day, request, sam),
        "nonce": nonces.sign(request, PAGE, str(sam.customer_id)),
        "problems": _problems(error),
        **values,
    }
    status = 200 if error is None else error.http_status
    return page(request, template, given, status=status, locale=sam.store.locale, styles=STYLES, own=True)


def _problems(error: ApiError | None) -> Sequence[str]:
    if error is None:
        return ()
    return [CHANGED if isinstance(problem, PreviewStale) else problem.detail for problem in error.problems]


routes = [
    Route("/demo", for_anybody(home)),
    Route("/demo/orders/{id}", for_anybody(order), methods=["GET", "POST"]),
    Route("/demo/cart", for_anybody(cart)),
    Route("/demo/subscriptions/{id}", for_anybody(subscription), methods=["GET", "POST"]),
]
