"""What is asked: for each case the same work in the words of everybody who can do it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from service.jsonapi.negotiation import ATOMIC, MEDIA_TYPE
from service.jsonapi.pagination import PROFILE
from tests.bench.load import Request
from tests.bench.servers import attributes
from tests.bench.world import DEEP_SIZE, STORE, World

PLAIN, BY_CURSOR = MEDIA_TYPE, f'{MEDIA_TYPE};profile="{PROFILE}"'
IN_BATCH = f'{MEDIA_TYPE};ext="{ATOMIC}"'

TREE = ("line_items", "customer", "billing_address", "shipping_address")


@dataclass(frozen=True)
class Case:
    """One way to use the service. `asked` has the requests by who is asked; `media` is the service's media type.

    `told` says how many resources an answer has at least, `holds` what else is in it, `quick` whether the short run has
    the case.
    """

    key: str
    title: str
    asked: Mapping[str, Sequence[Request]]
    media: str = PLAIN
    told: int = 1
    holds: str = ""
    quick: bool = True


def cases(world: World) -> list[Case]:
    """All of them; the deep page is left out where a store has too few orders."""
    return [*_reads(world), *_depths(world), *_writes(world)]


def _get(path: str, *query: str) -> list[Request]:
    asked = "&".join(part for part in query if part)
    return [Request("GET", f"{path}?{asked}" if asked else path)]


def _fields(**relationships: Sequence[str]) -> str:
    """Fieldsets of the attributes that the floor reads, and of these relationships."""
    types = {"orders": (), **relationships}
    return "&".join(f"fields[{type_}]={','.join([*attributes(type_), *names])}" for type_, names in types.items())


def _service(path: str, fields: str, *query: str) -> dict[str, Sequence[Request]]:
    """The floor's attributes, and whole documents."""
    return {"service": _get(path, *query, fields), "whole": _get(path, *query)}


def _peers(path: str, *query: str) -> dict[str, Sequence[Request]]:
    """The peers, as far as they are asked in the same words."""
    return dict.fromkeys(("fastapi_jsonapi", "django_jsonapi", "fastify"), _get(path, *query))


def _reads(world: World) -> list[Case]:
    store, orders = f"store={STORE}", "/api/orders"
    tree, lines = f"include={','.join(TREE)}", "include=line_items"
    sort, size, second = "sort=id", "page[size]=25", "page[number]=2"
    theirs = quote(json.dumps([{"name": "customer_id", "op": "eq", "val": world.customer}]))
    return [
        Case(
            "one-order",
            "one order",
            {"floor": _get("/order", store, f"id={world.order}")}
            | _service(f"{orders}/{world.order}", _fields())
            | _peers(f"/orders/{world.order}"),
        ),
        Case(
            "tree",
            "one order, lines, customer, 2 addresses",
            {"floor": _get("/tree", store, f"id={world.order}")}
            | _service(f"{orders}/{world.order}", _fields(orders=TREE, line_items=(), customers=(), addresses=()), tree)
            | _peers(f"/orders/{world.order}", tree),
            told=6,
        ),
        Case(
            "page",
            "page of 25 by cursor",
            {
                "floor": _get("/page", store, "id=0"),
                # It can't sort by id, has no cursors, and counts what is on the page.
                "fastapi_jsonapi": _get("/orders", "sort=number", second, size),
                "fastify": _get("/orders", "after=0"),
            }
            | _service(orders, _fields(), sort, size),
            media=BY_CURSOR,
            told=25,
        ),
        Case(
            "counted",
            "counted page of 25",
            {"floor": _get("/counted", store, "id=0")}
            | _service(orders, _fields(), sort, second, size)
            | {peer: _get("/orders", sort, second, size) for peer in ("django_jsonapi", "fastify")},
            told=25,
            holds=str(world.total),
        ),
        Case(
            "customer",
            "a customer's 25 orders with their lines",
            {"floor": _get("/customer", store, f"id={world.customer}")}
            | _service(
                orders,
                _fields(orders=("line_items",), line_items=()),
                *(f"filter[customer]={world.customer}", sort, lines, size),
            )
            | {
                "fastapi_jsonapi": _get("/orders", f"filter={theirs}", "sort=number", lines, size),
                "django_jsonapi": _get("/orders", f"filter[customer_id]={world.customer}", sort, lines, size),
                "fastify": _get("/orders", f"customer={world.customer}"),
            },
            media=BY_CURSOR,
            told=50,
        ),
    ]


def _depths(world: World) -> list[Case]:
    """The same short page at the beginning and deep inside."""
    if world.deep is None:
        return []
    found = []
    for key, number, after, cursor in (
        ("first-page", "1", "0", ""),
        ("deep-page", "10 000", world.deep, f"page[after]={world.deep_cursor}"),
    ):
        asked: dict[str, Sequence[Request]] = {"floor": _get("/short-page", f"store={STORE}", f"id={after}")}
        asked |= _service("/api/orders", _fields(), "sort=id", f"page[size]={DEEP_SIZE}", cursor)
        title = f"page {number} of {DEEP_SIZE} by cursor"
        found.append(Case(key, title, asked, media=BY_CURSOR, told=DEEP_SIZE, quick=False))
    return found


def _writes(world: World) -> list[Case]:
    """Writes; where a request works once, floor and service have each a half."""
    pairs = [(cart, sku) for sku in world.skus for cart in world.carts]
    return [
        Case(
            "reorder",
            "reorder of 3 lines into a cart",
            {
                "floor": [Request("POST", f"/reorder?store={STORE}&id={order}") for order in world.reorders],
                "service": [reorder(order) for order in world.reorders],
            },
        ),
        Case(
            "add-to-cart",
            "add a sku to a cart",
            {
                "floor": [Request("POST", f"/cart-item?store={STORE}&id={cart}", sku) for cart, sku in pairs[::2]],
                "service": [add_to_cart(cart, sku) for cart, sku in pairs[1::2]],
            },
            quick=False,
        ),
        Case(
            "copy",
            "create a recurring order copy",
            {
                "floor": [Request("POST", f"/copy?store={STORE}&id={one}") for one, _ in world.subscriptions],
                "service": [copy(*both) for both in world.subscriptions],
            },
            quick=False,
        ),
        Case(
            "atomic",
            "atomic batch of 100 customers",
            {
                "floor": [Request("POST", f"/batch?store={STORE}&id=1", json.dumps(["f@N@@example.com"] * 100))],
                "service": [add_customers()],
            },
            media=IN_BATCH,
            quick=False,
        ),
    ]


def reorder(order: str) -> Request:
    """Put an order into its customer's cart again."""
    return _post("reorders", {}, source_order=("orders", order))


def add_to_cart(cart: str, sku: str) -> Request:
    """Put one of a sku into a cart."""
    return _post("cart_items", {"sku_code": sku, "quantity": 1}, cart=("carts", cart))


def copy(subscription: str, order: str) -> Request:
    """Have a subscription make a copy of its order, outside of its schedule."""
    ends = {"order_subscription": ("order_subscriptions", subscription), "source_order": ("orders", order)}
    return _post("recurring_order_copies", {}, **ends)


def add_customers() -> Request:
    """A hundred customers in one atomic document."""
    add = {"op": "add", "data": {"type": "customers", "attributes": {"email": "s@N@@example.com"}}}
    return Request("POST", "/api/operations", json.dumps({"atomic:operations": [add] * 100}))


def _post(type_: str, given: Mapping[str, object], **ends: tuple[str, str]) -> Request:
    linked = {name: {"data": {"type": other, "id": id_}} for name, (other, id_) in ends.items()}
    resource = {"type": type_, "attributes": given, "relationships": linked}
    return Request("POST", f"/api/{type_}", json.dumps({"data": resource}))
