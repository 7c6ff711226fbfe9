"""What clients do: each action is one or two requests, and says what its answers tell of which things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from service import clock
from tests.histories.client import Client, Document, Request
from tests.histories.history import Does, Step
from tests.histories.shop import STOCK, Customer, Ordered, Pieces, Shop
from tests.spec.writing import resource, to

PRESSES: Final = 40
"""How many extra runs of one subscription are asked for: at 48 within a day it would be parked."""
TAGS: Final = 40
"""About how many tags there are at a time."""


def _counted(lines: Sequence[Document]) -> Counter[str]:
    """How many of which sku lines of a cart or order hold."""
    pieces: Counter[str] = Counter()
    for line in lines:
        if line["attributes"].get("sku_code"):
            pieces[line["attributes"]["sku_code"]] += line["attributes"]["quantity"]
    return pieces


def _version(document: Document) -> int:
    return int(document["data"]["meta"]["version"])


def _match(version: int) -> dict[str, str]:
    return {"If-Match": f'"{version}-read"'}


def _changed(does: Does, what: str, pieces: Pieces, sign: int = 1) -> list[Step]:
    return [Step(does, f"{what}/{code}", sign * number) for code, number in pieces.items()]


# --- Carts -----------------------------------------------------------------------------------------------------------


async def reorder(client: Client) -> None:
    """Put a past order into the cart again."""
    customer = client.chance.choice(client.shop.customers)
    order_id, pieces = client.chance.choice(list(customer.orders.items()))
    document = resource("reorders", None, {"source_order": to("orders", order_id)})

    def told(answer: Document) -> list[Step]:
        cart_id = answer["data"]["relationships"]["cart"]["data"]["id"]
        client.shop.enter(customer, cart_id)
        return _changed(Does.ADD, f"pieces/{cart_id}", pieces)

    # It isn't known into which cart it went before it is acknowledged.
    await client.do("reorder", Request("POST", "reorders", customer.token, document, again=True), told)


async def look(client: Client) -> None:
    """Look into a cart."""
    customer = client.chance.choice(client.shop.customers)
    if customer.cart_id is not None:
        await look_into(client, customer, customer.cart_id)


async def look_into(client: Client, customer: Customer, cart_id: str) -> list[Document]:
    """The items of a cart."""

    def told(answer: Document) -> Iterator[Step]:
        yield Step(Does.READ, f"carts/{cart_id}", None, _version(answer))
        pieces = _counted(answer["included"])
        yield from _changed(Does.READ, f"pieces/{cart_id}", {code: pieces[code] for code in client.shop.stock_items})

    answer = await client.do(
        "look into a cart", Request("GET", f"carts/{cart_id}?include=cart_items", customer.token), told
    )
    return [] if answer is None else list(answer["included"])


async def change_item(client: Client) -> None:
    """Change how many of a sku are in a cart, or take it out, if it is still as it was seen."""
    customer = client.chance.choice(client.shop.customers)
    cart_id = customer.cart_id
    items = [] if cart_id is None else await look_into(client, customer, cart_id)
    if not items:
        return
    item = client.chance.choice(items)
    seen, code = item["attributes"]["quantity"], item["attributes"]["sku_code"]
    wanted = 0 if client.chance.random() < 0.2 else client.chance.randint(1, 30)
    hoped = [Step(Does.ADD, f"pieces/{cart_id}/{code}", wanted - seen)]
    path, headers = f"cart_items/{item['id']}", _match(item["meta"]["version"])
    document = resource("cart_items", {"quantity": wanted}, id=item["id"]) if wanted else None
    method, again = "PATCH" if wanted else "DELETE", client.chance.random() < 0.5
    await client.do(
        "change an item", Request(method, path, customer.token, document, headers, again=again), lambda _: hoped, hoped
    )


async def order(client: Client) -> None:
    """Make an order of a cart, and place it."""
    customer = client.chance.choice(client.shop.customers)
    cart_id = customer.cart_id
    if cart_id is None or customer.busy:
        return
    customer.busy = True
    try:
        made = await _order(client, customer, cart_id)
        if made is not None:
            customer.made.append(made)
            customer.cart_id = None if customer.cart_id == cart_id else customer.cart_id
            await _place(client, customer, made)
    finally:
        customer.busy = False


async def _order(client: Client, customer: Customer, cart_id: str) -> Ordered | None:
    document = resource("orders", None, {"cart": to("carts", cart_id)})
    request = Request("POST", "orders?include=line_items", customer.token, document, again=True)
    answer = await client.do("order a cart", request, lambda answer: _lines(client, cart_id, answer["included"]))
    if answer is None:
        return None
    return Ordered(answer["data"]["id"], cart_id, _counted(answer["included"]))


def _lines(client: Client, cart_id: str, lines: Sequence[Document]) -> list[Step]:
    """What the lines of an order tell of the cart that it was."""
    pieces = _counted(lines)
    return _changed(Does.READ, f"pieces/{cart_id}", {code: pieces[code] for code in client.shop.stock_items})


async def _place(client: Client, customer: Customer, made: Ordered) -> None:
    ways = {
        "billing_address": to("addresses", customer.addresses[0]),
        "shipping_address": to("addresses", customer.addresses[0]),
        "shipping_method": to("shipping_methods", client.shop.shipping_method_id),
        "payment_method": to("payment_methods", client.shop.payment_method_id),
    }
    hoped = _changed(Does.ADD, "stock", made.pieces, -1)
    await client.do(
        "say how an order is paid",
        Request("PATCH", f"orders/{made.id}", customer.token, resource("orders", None, ways, id=made.id), again=True),
        lambda _: (),
    )
    document = resource("orders", {"_place": True}, id=made.id)
    request = Request("PATCH", f"orders/{made.id}", customer.token, document, again=True)
    made.placed = await client.do("place an order", request, lambda _: hoped, hoped) is not None


async def cancel(client: Client) -> None:
    """Cancel an order that was placed: what it took goes back."""
    placed = [one for customer in client.shop.customers for one in customer.made if one.placed and not one.cancelled]
    if not placed:
        return
    chosen = client.chance.choice(placed)
    chosen.cancelled = True
    hoped = _changed(Does.ADD, "stock", chosen.pieces)
    document = resource("orders", {"_cancel": True}, id=chosen.id)
    request = Request("PATCH", f"orders/{chosen.id}", client.shop.integration, document, again=True)
    await client.do("cancel an order", request, lambda _: hoped, hoped)


def opened(shop: Shop) -> list[Step]:
    """What there is as the shop opens."""
    return _changed(Does.ADD, "stock", dict.fromkeys(shop.stock_items, STOCK))


# --- Stock -----------------------------------------------------------------------------------------------------------


async def count_stock(client: Client) -> tuple[str, str, Document | None]:
    """Count what there is of a sku; gives its code, the stock item's id and the answer."""
    return await count_stock_of(client, client.chance.choice(list(client.shop.stock_items)))


async def count_stock_of(client: Client, code: str) -> tuple[str, str, Document | None]:
    """Count what there is of this sku."""
    id_ = client.shop.stock_items[code]

    def told(answer: Document) -> list[Step]:
        return [Step(Does.READ, f"stock/{code}", answer["data"]["attributes"]["quantity"])]

    request = Request("GET", f"stock_items/{id_}", client.shop.integration)
    return code, id_, await client.do("count a stock", request, told)


async def restock(client: Client) -> None:
    """Put some into the stock, if nobody has changed it since it was counted."""
    code, id_, answer = await count_stock(client)
    if answer is None:
        return
    more = client.chance.randint(1, 9)
    hoped = [Step(Does.ADD, f"stock/{code}", more)]
    document = resource("stock_items", {"quantity": answer["data"]["attributes"]["quantity"] + more}, id=id_)
    headers, again = _match(_version(answer)), client.chance.random() < 0.5
    request = Request("PATCH", f"stock_items/{id_}", client.shop.integration, document, headers, again=again)
    await client.do("restock", request, lambda _: hoped, hoped)


# --- Registers: addresses, occurrences -------------------------------------------------------------------------------


def _register(
    does: Does, key: str, names: Sequence[str], based_on: int | None = None
) -> Callable[[Document], list[Step]]:
    """What an answer tells of a register: these attributes at its version."""

    def told(answer: Document) -> list[Step]:
        value = " ".join(str(answer["data"]["attributes"][name]) for name in names)
        return [Step(does, key, value, _version(answer), based_on)]

    return told


LINE, RUN = ("line_2",), ("status", "scheduled_at")


async def read_address(client: Client) -> None:
    """Read an address."""
    customer = client.chance.choice(client.shop.customers)
    await read_address_of(client, customer, client.chance.choice(customer.addresses))


async def read_address_of(client: Client, customer: Customer, id_: str) -> Document | None:
    """Read this address."""
    told = _register(Does.READ, f"addresses/{id_}", LINE)
    return await client.do("read an address", Request("GET", f"addresses/{id_}", customer.token), told)


async def change_address(client: Client) -> None:
    """Write something into an address that nobody wrote before; half of the time only if it is as it was read."""
    customer = client.chance.choice(client.shop.customers)
    id_ = client.chance.choice(customer.addresses)
    known = await read_address_of(client, customer, id_) if client.chance.random() < 0.5 else None
    based_on = None if known is None else _version(known)
    text = f"Flat {next(client.shop.numbers)}"
    document = resource("addresses", {"line_2": text}, id=id_)
    headers, again = {} if based_on is None else _match(based_on), client.chance.random() < 0.5
    request = Request("PATCH", f"addresses/{id_}", customer.token, document, headers, again=again)
    told = _register(Does.WRITE, f"addresses/{id_}", LINE, based_on)
    await client.do("change an address", request, told, [Step(Does.WRITE, f"addresses/{id_}", text)])


async def read_occurrence(client: Client) -> None:
    """Read a date of a subscription."""
    if client.shop.occurrences:
        await read_occurrence_of(client, client.chance.choice(client.shop.occurrences))


async def read_occurrence_of(client: Client, id_: str) -> Document | None:
    """Read this date of a subscription."""
    told = _register(Does.READ, f"occurrences/{id_}", RUN)
    return await client.do("read a date", Request("GET", f"occurrences/{id_}", client.shop.integration), told)


async def change_occurrence(client: Client) -> None:
    """Leave a date out, have it after all, or move it, if it is as it was read."""
    if not client.shop.occurrences:
        return
    id_ = client.chance.choice(client.shop.occurrences)
    known = await read_occurrence_of(client, id_)
    if known is None or known["data"]["attributes"]["status"] not in ("planned", "skipped"):
        return
    told = _register(Does.WRITE, f"occurrences/{id_}", RUN, _version(known))
    document = resource("occurrences", _other(client, known["data"]["attributes"]), id=id_)
    headers, again = _match(_version(known)), client.chance.random() < 0.5
    request = Request("PATCH", f"occurrences/{id_}", client.shop.integration, document, headers, again=again)
    await client.do("change a date", request, told)


def _other(client: Client, now: Mapping[str, str]) -> dict[str, object]:
    """What is to become of a date."""
    if now["status"] == "skipped":
        return {"_unskip": True}
    if client.chance.random() < 0.5:
        return {"_skip": True}
    moved = datetime.fromisoformat(now["nominal_at"]) + timedelta(minutes=client.chance.randint(1, 600))
    return {"scheduled_at": moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


# --- Runs ------------------------------------------------------------------------------------------------------------


async def subscribe(client: Client) -> None:
    """Have an order come again every week."""
    document = resource(
        "order_subscriptions",
        {"frequency": "weekly", "allow_duplicate": True},
        {"source_order": to("orders", client.shop.source_id)},
    )
    request = Request("POST", "order_subscriptions", client.shop.integration, document, again=True)
    answer = await client.do("subscribe", request, lambda _: ())
    if answer is None:
        return
    id_ = answer["data"]["id"]
    client.shop.subscriptions.append(id_)
    request = Request("GET", f"order_subscriptions/{id_}/occurrences?page[size]=3", client.shop.integration)
    found = await client.do("list dates", request, lambda _: ())
    client.shop.occurrences += [one["id"] for one in (found or {"data": []})["data"]]


async def run_now(client: Client) -> None:
    """Ask for a run now: an extra one, or the next one ahead of its date, which is granted once."""
    if not client.shop.subscriptions or client.shop.presses[client.shop.subscriptions[-1]] >= PRESSES:
        await subscribe(client)
    if not client.shop.subscriptions:
        return
    id_ = client.shop.subscriptions[-1]
    client.shop.presses[id_] += 1
    verb = "_run_now" if client.chance.random() < 0.8 else "_order_next_now"
    hoped = [Step(Does.ADD, f"runs/{id_}", 1)]
    document, again = resource("order_subscriptions", {verb: True}, id=id_), client.chance.random() < 0.7
    request = Request("PATCH", f"order_subscriptions/{id_}", client.shop.integration, document, again=again)
    await client.do("run now", request, lambda _: hoped, hoped)


async def count_runs_of(client: Client, id_: str) -> None:
    """Count the orders that a subscription has led to."""

    def told(answer: Document) -> list[Step]:
        return [Step(Does.READ, f"runs/{id_}", len(answer["data"]))]

    path = f"order_subscriptions/{id_}/orders?page[size]=100&fields[orders]=status"
    await client.do("count runs", Request("GET", path, client.shop.integration), told)


# --- Sets and feeds --------------------------------------------------------------------------------------------------


async def tag(client: Client) -> None:
    """Make a tag, or delete one where there are many."""
    if len(client.shop.tags) > TAGS + client.chance.randint(-5, 5):
        await _untag(client, client.shop.tags.pop(client.chance.randrange(len(client.shop.tags))))
        return
    id_ = clock.new_id()
    hoped = [Step(Does.ADD, "tags", id_), Step(Does.ADD, "feed", id_)]
    document, again = resource("tags", {"name": f"t{next(client.shop.numbers)}"}, id=id_), client.chance.random() < 0.5
    request = Request("POST", "tags", client.shop.integration, document, again=again)
    if await client.do("make a tag", request, lambda _: hoped, hoped) is not None:
        client.shop.tags.append(id_)


async def _untag(client: Client, id_: str) -> None:
    hoped = [Step(Does.REMOVE, "tags", id_)]
    await client.do(
        "delete a tag", Request("DELETE", f"tags/{id_}", client.shop.integration, again=True), lambda _: hoped, hoped
    )


async def list_tags(client: Client) -> None:
    """Page through all tags by cursor, in an order that no write changes."""
    size, sort = client.chance.choice([(7, "id"), (10, "-id"), (15, "created_at"), (100, "name")])
    await client.pages(
        "list tags",
        f"tags?page[size]={size}&sort={sort}",
        client.shop.integration,
        lambda found: [Step(Does.READ, "tags", tuple(one["id"] for one in found))],
    )


FEED: Final = "events?filter[name]=tags.create"


def _elements(found: Sequence[Document]) -> tuple[str, ...]:
    return tuple(one["attributes"]["resource_id"] for one in found)


async def follow(client: Client) -> None:
    """Go on reading what happened from the last cursor."""

    def told(answer: Document) -> list[Step]:
        if answer["data"]:
            client.cursor = answer["data"][-1]["meta"]["page"]["cursor"]
        return [Step(Does.READ, "feed", _elements(answer["data"]))]

    path = f"{FEED}&page[size]=25&page[after]={client.cursor}"
    await client.do("follow", Request("GET", path, client.shop.integration), told)


async def read_feed(client: Client) -> None:
    """Read all that happened, from the start."""
    await client.pages(
        "read the feed",
        f"{FEED}&page[size]=100",
        client.shop.integration,
        lambda found: [Step(Does.READ, "feed", _elements(found))],
    )


Action = Callable[[Client], Awaitable[object]]

MIX: Mapping[Action, int] = {
    reorder: 14,
    look: 12,
    change_item: 10,
    order: 4,
    cancel: 1,
    count_stock: 6,
    restock: 5,
    read_address: 8,
    change_address: 10,
    read_occurrence: 5,
    change_occurrence: 6,
    run_now: 3,
    tag: 12,
    list_tags: 3,
    follow: 8,
}
"""What clients do, and how often."""


async def read_all(client: Client) -> None:
    """Read everything there is, once all is quiet."""
    for cart_id, customer in client.shop.carts.items():
        await look_into(client, customer, cart_id)
    for customer in client.shop.customers:
        for made in customer.made:
            await _read_order(client, customer, made)
        for id_ in customer.addresses:
            await read_address_of(client, customer, id_)
    for code in client.shop.stock_items:
        await count_stock_of(client, code)
    for id_ in client.shop.occurrences:
        await read_occurrence_of(client, id_)
    for id_ in client.shop.subscriptions:
        await count_runs_of(client, id_)
    await list_tags(client)
    await read_feed(client)


async def _read_order(client: Client, customer: Customer, made: Ordered) -> None:
    request = Request("GET", f"orders/{made.id}?include=line_items", customer.token)
    await client.do("read an order", request, lambda answer: _lines(client, made.cart_id, answer["included"]))
