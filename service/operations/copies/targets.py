"""The order that a copy makes: what it comes to by today's catalogue, and how it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from service import clock
from service.errors import Invalid
from service.gateways import asks_nobody, needs_source, usable
from service.operations.catalogue import pricing, stock
from service.operations.catalogue.stock import Taken
from service.operations.copies import lenience
from service.operations.parties import addresses
from service.operations.parties.addresses import Snapshot
from service.principal import Store
from service.rules.order_codes import order_code
from service.rules.outcomes import CatalogueItem, Outcome, Policy, Price, SourceLine, decide
from service.rules.states import BLANK, Checkout, Messages, Method, placing_problems, resting
from service.rules.totals import LineTotals, Totals, line_totals, totals
from service.store.pool import Connection
from service.store.rows import Row
from service.store.statements import Command, Values
from sql import queries

_COPY = Command("copies/targets.copy")
_LOCK_STOCK = Values("copies/copies.lock_stock", str)

COPIES = queries("copies/copies")


class CopyFailed(Exception):
    """The order can't be made as asked; `messages` say why by attribute, in the shape of `errors_log`."""

    def __init__(self, messages: Messages) -> None:
        super().__init__(messages)
        self.messages = messages


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item of a subscription with what becomes of it: the price that it would be ordered at, or why it can't be."""

    item: Row
    outcome: Outcome
    price: Price | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the target order."""

    item: Row
    product: CatalogueItem
    price: Price
    amounts: LineTotals
    options_amount_cents: int = 0
    reduced_to: int | None = None

    @property
    def quantity(self) -> int:
        """How many pieces are ordered: as many as the item says, unless there are fewer."""
        asked: int = self.item["quantity"]
        return asked if self.reduced_to is None else self.reduced_to


@dataclass(frozen=True, slots=True)
class Target:
    """The order to be made of a copy: what the copy found, number, lines, and the events that it begins with."""

    copy: Row
    number: int
    status: str
    fulfillment_status: str
    lines: Sequence[Line]
    totals: Totals
    events: Sequence[str]
    coupon_code: str | None = None
    left_out: Sequence[Outcome] = ()

    @property
    def due(self) -> int:
        """What has to be paid, in minor units: taxes come on top of the total unless they are included."""
        return self.totals.total + (0 if self.copy["tax_included"] else self.totals.tax)

    @property
    def placed(self) -> bool:
        """Whether it is placed as it is made, which takes its stock."""
        return self.status in ("placing", "placed")

    @property
    def payment_status(self) -> str:
        """Payment by hand counts as authorized once the order is placed (Commerce Layer's table of statuses)."""
        if not self.totals.total:
            return "free"
        return "authorized" if self.status == "placed" else "unpaid"


async def terms_of(
    connection: Connection, store: Store, runs: Sequence[tuple[str, bool]], at: datetime
) -> Sequence[Mapping[str, Any]]:
    """What runs of subscriptions are made from, by name, in their order: each with whether it may use the wallet."""
    ids, wallets = [id_ for id_, _ in runs], [reuse_wallet for _, reuse_wallet in runs]
    return [dict(row) for row in await connection.fetch(COPIES["terms"], store.id, ids, wallets, at)]


async def terms(connection: Connection, store: Store, subscription_id: str) -> Mapping[str, Any]:
    """What a scheduled run of a subscription is made from, by name; those always use the wallet."""
    (found,) = await terms_of(connection, store, [(subscription_id, True)], clock.now(store))
    return found


async def plan(
    connection: Connection, store: Store, copies: Sequence[tuple[Row, int]], at: datetime
) -> list[Target | CopyFailed]:
    """What orders copies lead to, each with its number, or why there can be none; nothing is written.

    Each copy is what it asks for and its `terms`. One read of the items, one of the catalogue for all that buy in the
    same currency and customer group.
    """
    lenient = [copy["order_subscription_id"] for copy, _ in copies if lenience.stock_of(copy) != "ignore"]
    if lenient:
        await _LOCK_STOCK(connection, store=store.id, subscriptions=lenient)
    items = await items_of(connection, store, [copy["order_subscription_id"] for copy, _ in copies])
    bought: dict[tuple[str, str | None], set[str]] = {}
    for copy, _ in copies:
        of_copy = items.get(copy["order_subscription_id"], [])
        bought.setdefault(_market(copy), set()).update(item["sku_id"] for item in of_copy)
    catalogues = {
        market: await _catalogue(connection, store, market, sku_ids, at) for market, sku_ids in bought.items()
    }
    return [
        _planned(items.get(copy["order_subscription_id"], []), catalogues[_market(copy)], copy, number, at)
        for copy, number in copies
    ]


def _planned(
    items: Sequence[Row], catalogue: Mapping[str, CatalogueItem], copy: Row, number: int, at: datetime
) -> Target | CopyFailed:
    try:
        return planned(items, catalogue, copy, number, at, stocked=True)
    except CopyFailed as failure:
        return failure


async def items_of(connection: Connection, store: Store, subscription_ids: Sequence[str]) -> dict[str, list[Row]]:
    """What subscriptions order each time, by subscription; nothing for one that orders nothing."""
    found: dict[str, list[Row]] = {}
    for item in await connection.fetch(COPIES["items"], store.id, subscription_ids):
        found.setdefault(item["order_subscription_id"], []).append(item)
    return found


async def catalogue_of(
    connection: Connection, store: Store, items: Sequence[Row], copy: Row, at: datetime
) -> dict[str, CatalogueItem]:
    """The skus of items as the customer of a copy can buy them at an instant."""
    return await _catalogue(connection, store, _market(copy), {item["sku_id"] for item in items}, at)


def _market(copy: Row) -> tuple[str, str | None]:
    """What prices of today depend on, besides the sku."""
    return copy["currency_code"], copy["customer_group_id"]


async def _catalogue(
    connection: Connection, store: Store, market: tuple[str, str | None], sku_ids: Collection[str], at: datetime
) -> dict[str, CatalogueItem]:
    currency, group = market
    return await pricing.catalogue(connection, store, sku_ids, currency=currency, customer_group_id=group, at=at)


def planned(
    items: Sequence[Row],
    catalogue: Mapping[str, CatalogueItem],
    copy: Row,
    number: int,
    at: datetime,
    *,
    stocked: bool = False,
) -> Target:
    """What order items lead to by a catalogue, and with `stocked` by what is in stock. Raises CopyFailed."""
    found = wanted(items, catalogue, copy, stocked=stocked)
    try:
        made = target(copy, number, _lines(found, copy), at)
        return replace(made, left_out=[one.outcome for one in found if one.outcome.code is not None])
    except Invalid as error:
        raise CopyFailed({"total_amount_cents": [error.detail]}) from None


async def make(connection: Connection, store: Store, planned: Sequence[Target], at: datetime) -> list[str]:
    """Take the stock that orders to be placed need, and write the orders; gives their ids. Raises CopyFailed."""
    lines = [line for target in planned if target.placed for line in target.lines]
    taken = await take_stock(connection, store, lines, at)
    if taken.short:
        raise CopyFailed({"line_items": [f"{code} - out_of_stock" for code in codes_of(lines, taken.short)]})
    return await write(connection, store, planned, at, taken)


def wanted(
    items: Sequence[Row], catalogue: Mapping[str, CatalogueItem], copy: Row, *, stocked: bool = False
) -> list[Wanted]:
    """What becomes of each item of a subscription, in their order.

    What a subscription agreed on binds the shop: where prices are fixed, neither prices nor quantity limits of today
    matter. Stock is looked at only with `stocked`, and only where a run goes on without what there is too little of:
    else it is taken, or missed, when the order is placed.
    """
    policy = Policy(stock=lenience.stock_of(copy) if stocked else "ignore", merge=False)
    lines = [source_line(item, agreed=item["price_mode"] == "fixed") for item in items]
    outcomes = decide(lines, catalogue, {}, policy)
    return [_wanted(item, outcome, copy) for item, outcome in zip(items, outcomes, strict=True)]


def _wanted(item: Row, outcome: Outcome, copy: Row) -> Wanted:
    if outcome.line.agreed and item["currency_code"] != copy["currency_code"]:
        mismatch = replace(outcome, status="skipped", code="currency_mismatch", resulting_quantity=0)
        return Wanted(item, mismatch, None, mismatch.code)
    if outcome.code is None or lenience.reduces(copy, outcome):
        return Wanted(item, outcome, outcome.price, None)
    return Wanted(item, replace(outcome, status="skipped", resulting_quantity=0), None, outcome.code)


def _lines(found: Sequence[Wanted], copy: Row) -> list[Line]:
    """The lines that a subscription's items lead to.

    Raises CopyFailed when one can't be had and the subscription's policy doesn't leave it out, or when none can be had.
    """
    lines = [
        Line(
            one.item,
            one.outcome.item,
            one.price,
            line_totals(
                one.outcome.resulting_quantity,
                one.price.amount_cents,
                one.outcome.item.tax_rate,
                tax_included=copy["tax_included"],
            ),
            reduced_to=one.outcome.resulting_quantity,
        )
        for one in found
        if one.outcome.item is not None and one.price is not None
    ]
    messages = [f"{one.item['sku_code']} - {one.problem}" for one in found if one.problem]
    if messages and (not lines or not lenience.leaves_out(copy)):
        raise CopyFailed({"line_items": messages})
    return lines


def source_line(item: Row, *, agreed: bool) -> SourceLine:
    """An item of a subscription, or a line of an order, as what is to be ordered again."""
    return SourceLine(
        id=item["id"],
        item_type=item["item_type"],
        sku_id=item["sku_id"],
        sku_code=item["sku_code"],
        name=item["name"],
        options=orjson.loads(item["options"]),
        quantity=item["quantity"],
        currency_code=item["currency_code"],
        unit_amount_cents=item["unit_amount_cents"],
        agreed=agreed,
    )


def target(copy: Row, number: int, lines: Sequence[Line], at: datetime, *, coupon_code: str | None = None) -> Target:
    """What an order of these lines comes to. Raises CopyFailed when it is to be placed and can't be.

    It is `placing` where a gateway has to be asked first.
    """
    ships = any(not line.item["do_not_ship"] for line in lines)
    amounts = totals(
        (line.amounts for line in lines),
        shipping_amount_cents=(copy["shipping_amount_cents"] or 0) if ships else 0,
        payment_method_amount_cents=copy["payment_method_amount_cents"] or 0,
    )
    status = resting(has_customer=bool(copy["customer_id"] or copy["customer_email"]), has_lines=bool(lines))
    happened = ["orders.create", "orders.pending"] if status == "pending" else ["orders.create"]
    if copy["place_target_order"]:
        problems = placing_problems(_checkout(copy, status, at, ships=ships, free=not amounts.total))
        if problems:
            raise CopyFailed(problems)
        asking = amounts.total > 0 and not asks_nobody(copy["gateway"])
        status = "placing" if asking else "placed"
        happened.append("orders.placing" if asking else "orders.place")
    elif not lines:
        raise CopyFailed({"line_items": [BLANK]})
    fulfillment = "unfulfilled" if ships else "not_required"
    return Target(copy, number, status, fulfillment, lines, amounts, happened, coupon_code)


def _checkout(copy: Row, status: str, at: datetime, *, ships: bool, free: bool) -> Checkout:
    """What placing asks of the target order."""
    expires_at = copy["payment_source_expires_at"]
    shipping, payment = copy["shipping_method_id"], copy["payment_method_id"]
    return Checkout(
        status=status,
        ships=ships,
        free=free,
        has_billing_address=copy["billing_address_id"] is not None,
        has_shipping_address=copy["shipping_address_id"] is not None,
        shipping_method=None if shipping is None else Method(copy["shipping_method_available"]),
        payment_method=None if payment is None else Method(copy["payment_method_available"], copy["gateway"]),
        payment_source_expired=expires_at is not None and expires_at <= at,
        payment_source_missing=copy["payment_source_token"] is None and needs_source(copy["gateway"]),
        gateways=usable(copy["mode"], external=copy["has_external_gateway"]),
    )


def amounts_of(line: Line, unit_amount_cents: int, copy: Row) -> LineTotals:
    """What the pieces of a line come to at another price of one."""
    return line_totals(line.quantity, unit_amount_cents, line.product.tax_rate, tax_included=copy["tax_included"])


async def take_stock(connection: Connection, store: Store, lines: Sequence[Line], at: datetime) -> Taken:
    """Take what lines need out of the stock."""
    pieces = [(line.product.sku_id, line.quantity) for line in lines]
    return await stock.take(connection, store, pieces, at) if pieces else Taken(frozenset(), frozenset())


def codes_of(lines: Sequence[Line], sku_ids: AbstractSet[str]) -> list[str]:
    """The codes of skus by which lines name them, each once."""
    return list(dict.fromkeys(line.item["sku_code"] for line in lines if line.product.sku_id in sku_ids))


async def write(
    connection: Connection, store: Store, planned: Sequence[Target], at: datetime, taken: Taken
) -> list[str]:
    """Write target orders with their lines and snapshots of their addresses: one statement. Returns their ids."""
    ids = [clock.new_id() for _ in planned]
    drafts = [_draft(target, id_) for target, id_ in zip(planned, ids, strict=True)]
    copies = [
        Snapshot(target.copy[column], draft[column], draft["customer_id"])
        for target, draft in zip(planned, drafts, strict=True)
        for column in ("billing_address_id", "shipping_address_id")
        if draft[column] is not None
    ]
    lines = [line for target, id_ in zip(planned, ids, strict=True) for line in _draft_lines(target, id_, taken)]
    await _COPY(
        connection,
        store=store.id,
        drafts=orjson.dumps(drafts).decode(),
        lines=orjson.dumps(lines).decode(),
        at=at,
        **addresses.binds(copies, for_guests=False),
    )
    return ids


def _draft(target: Target, id_: str) -> dict[str, Any]:
    """The columns that are the target order's own."""
    copy = target.copy
    return {
        "id": id_,
        "source_order_id": copy["source_order_id"],
        "number": target.number,
        "code": order_code(target.number, prefix=copy["order_prefix"], suffix=copy["order_suffix"]),
        "status": target.status,
        "payment_status": target.payment_status,
        "fulfillment_status": target.fulfillment_status,
        "billing_address_id": copy["billing_address_id"] and clock.new_id(),
        "shipping_address_id": copy["shipping_address_id"] and clock.new_id(),
        "subtotal_amount_cents": target.totals.subtotal,
        "shipping_amount_cents": target.totals.shipping,
        "payment_method_amount_cents": target.totals.payment_method,
        "discount_amount_cents": target.totals.discount,
        "subtotal_tax_amount_cents": target.totals.subtotal_tax,
        "total_tax_amount_cents": target.totals.tax,
        "total_amount_cents": target.totals.total,
        "coupon_code": target.coupon_code,
    } | {column: copy[column] for column in _CARRIED}


def _draft_lines(target: Target, order_id: str, taken: Taken) -> Iterator[dict[str, Any]]:
    """The lines of the target order."""
    for position, line in enumerate(target.lines, 1):
        yield {
            "id": clock.new_id(),
            "order_id": order_id,
            "sku_id": line.product.sku_id,
            "sku_code": line.product.code,
            "name": line.product.name,
            "image_url": line.product.image_url,
            "position": position,
            "options": orjson.Fragment(line.item["options"]),
            "quantity": line.quantity,
            "currency_code": target.copy["currency_code"],
            "unit_amount_cents": line.price.amount_cents,
            "compare_at_amount_cents": line.price.compare_at_amount_cents,
            "options_amount_cents": line.options_amount_cents,
            "discount_cents": line.amounts.discount,
            "total_amount_cents": line.amounts.total,
            "tax_rate": str(line.product.tax_rate),
            "tax_amount_cents": line.amounts.tax,
            "stock_taken": line.quantity if target.placed and line.product.sku_id in taken.skus else 0,
        }


_CARRIED = (
    "customer_id",
    "customer_email",
    "shipping_method_id",
    "payment_method_id",
    "customer_payment_source_id",
    "order_subscription_id",
    "occurrence_id",
)
"""Columns of the target order that are as the copy found them."""
