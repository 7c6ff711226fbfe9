"""Reorders: the lines of a past order put into a cart at the prices of today, in one transaction under the cart's lock.

The number of statements doesn't depend on the number of lines. A past order is one that was placed, also when it was
cancelled later: what was wanted once may be wanted again. Coupons, shipping and payment are not carried over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from service import clock
from service.errors import ApiError, Conflict, Invalid, InvalidState, NotFound, raise_all
from service.jsonapi.body import Draft
from service.operations import carts, events, pricing
from service.operations.carts import Cart, CartItem
from service.principal import Principal, Store
from service.rules.outcome_texts import detail
from service.rules.outcomes import CatalogueItem, Outcome, Policy, SourceLine, decide, options_digest
from service.store.pool import Connection
from sql import queries

REORDERS = queries("reorders")

_CART = "/data/relationships/cart/data"
_ORDER = "/data/relationships/source_order/data"


@dataclass(frozen=True, slots=True)
class SourceOrder:
    """A past order as far as repeating it needs it; `placed_at` is None for one that was never placed."""

    id: str
    placed_at: datetime | None
    customer_id: str | None
    customer_group_id: str | None
    currency_code: str
    lines: Sequence[SourceLine]


@dataclass(frozen=True, slots=True)
class Wish:
    """How an order is to be repeated, and by whom.

    `customer_id` limits orders and carts to that customer's own (None: any of the store). `lines` chooses from the
    order's lines: `{"line_item_id": ..., "quantity": ...}`, None means all. `locale` is the language of the outcomes'
    words.
    """

    customer_id: str | None
    actor: str
    locale: str
    policy: Policy = field(default_factory=Policy)
    strategy: str = "append"
    cart_id: str | None = None
    lines: Sequence[Any] | None = None
    id: str | None = None
    reference: str | None = None
    reference_origin: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reorder:
    """How it went: `cart` is None when every line was skipped."""

    id: str
    cart: Cart | None
    outcomes: Sequence[Outcome]


class _Filled(NamedTuple):
    """A cart (None if nothing was added), the outcomes, and for each of them the id of its cart item or None."""

    cart: Cart | None
    outcomes: Sequence[Outcome]
    items: Sequence[str | None]


async def create(connection: Connection, principal: Principal, draft: Draft) -> str:
    """Make the reorder of a POST /api/reorders; gives its id.

    Raises NotFound for an order or cart that is unknown, of another customer or never placed, Invalid for `lines` that
    make no sense, InvalidState for a cart that isn't active, Conflict for an id that is taken.
    """
    principal.require("read_orders")  # as on WeMasy's route: the outcomes tell what was ordered
    attributes = draft.attributes
    wish = Wish(
        customer_id=principal.customer_id,
        actor=events.actor(principal),
        locale=principal.store.locale,
        policy=Policy(stock=attributes.get("stock_policy", "ignore")),
        strategy=attributes.get("strategy", "append"),
        cart_id=draft.related("cart"),
        lines=attributes.get("lines"),
        id=draft.id,
        reference=attributes.get("reference"),
        reference_origin=attributes.get("reference_origin"),
        metadata=attributes.get("metadata", {}),
    )
    made = await reorder(connection, principal.store, wish, order_id=draft.related("source_order"))
    return made.id


async def reorder(
    connection: Connection, store: Store, wish: Wish, *, order_id: str | None = None, number: int | None = None
) -> Reorder:
    """Repeat the order of this id or number: cart, reorder, outcomes and events, all in the caller's transaction.

    The lines go into the wish's cart, else the customer's active cart, which is made if a line can be added. Raises as
    `create` does.
    """
    source = await _source(connection, store, order_id, number, wish.customer_id)
    if source is None or source.placed_at is None:
        raise NotFound("There is no such order.", pointer=_ORDER)
    source = replace(source, lines=_chosen(source.lines, wish.lines))
    at = clock.now(store)
    filled = await _fill_cart(connection, store, source, wish, at=at)
    id_ = await _write(connection, store, source, wish, filled, at=at)
    return Reorder(id_, filled.cart, filled.outcomes)


async def preview(connection: Connection, store: Store, source_order_id: str, *, policy: Policy) -> list[Outcome]:
    """What would become of each line of an order in an empty cart of nobody in particular; writes nothing.

    Prices are those for everybody, in the order's currency. Raises NotFound for an unknown order.
    """
    source = await _source(connection, store, source_order_id, None, None)
    if source is None:
        raise NotFound("There is no such order.")
    for_everybody = replace(source, customer_group_id=None)
    catalogue = await _catalogue(connection, store, for_everybody, None, clock.now(store))
    return decide(source.lines, catalogue, {}, policy)


async def fill(connection: Connection, store: Store, cart_id: str, outcomes: Sequence[Outcome]) -> list[str | None]:
    """Put what can be had into an active cart, and bring the cart to today's prices.

    Gives the id of the cart item of each outcome, None for skipped ones. Raises NotFound for an unknown cart,
    InvalidState for one that isn't active, Invalid when it would hold too much.
    """
    cart = await carts.lock(connection, store, cart_id)
    at = clock.now(store)
    wanted = [outcome.item.sku_id for outcome in outcomes if outcome.item is not None]
    catalogue = await carts.catalogue(connection, store, cart, wanted, at=at)
    items, ids = _merge(cart.items, outcomes)
    await carts.save(connection, store, cart, items, catalogue, at=at)
    return ids


async def _source(
    connection: Connection, store: Store, order_id: str | None, number: int | None, customer_id: str | None
) -> SourceOrder | None:
    """The order of this id, or else of this number, if the customer (None: anybody) owns it."""
    row = await connection.fetchrow(REORDERS["source_order"], store.id, order_id, number, customer_id)
    if row is None:
        return None
    lines = [
        SourceLine(
            id=id_,
            item_type=item_type,
            sku_id=sku_id,
            sku_code=sku_code,
            name=name,
            options=orjson.loads(options),
            quantity=quantity,
            currency_code=currency,
            unit_amount_cents=unit,
            with_coupon=row["with_coupon"],
        )
        for id_, item_type, sku_id, sku_code, name, options, quantity, currency, unit in row["lines"] or ()
    ]
    return SourceOrder(
        row["id"], row["placed_at"], row["customer_id"], row["customer_group_id"], row["currency_code"], lines
    )


def _sku_ids(source: SourceOrder) -> list[str]:
    return [line.sku_id for line in source.lines if line.sku_id is not None]


def _chosen(lines: Sequence[SourceLine], wanted: Sequence[Any] | None) -> Sequence[SourceLine]:
    """The lines that a client chose, in the client's order and quantities; every mistake is raised at once."""
    if wanted is None:
        return lines
    known = {line.id: line for line in lines}
    chosen: dict[str, SourceLine] = {}
    problems: list[ApiError] = []
    if not wanted:
        problems.append(Invalid("lines must choose at least one line.", pointer="/data/attributes/lines"))
    for index, entry in enumerate(wanted):
        pointer = f"/data/attributes/lines/{index}"
        if not isinstance(entry, dict) or not {"line_item_id"} <= entry.keys() <= {"line_item_id", "quantity"}:
            problems.append(Invalid("must be an object with line_item_id and maybe quantity.", pointer=pointer))
            continue
        id_, quantity = entry["line_item_id"], entry.get("quantity")
        if not isinstance(id_, str) or id_ not in known or id_ in chosen:
            problems.append(
                Invalid("must be a line of the order, and each only once.", pointer=f"{pointer}/line_item_id")
            )
        elif quantity is None:
            chosen[id_] = known[id_]
        elif not isinstance(quantity, int) or isinstance(quantity, bool) or not 0 < quantity <= carts.MAX_QUANTITY:
            problems.append(Invalid("must be a whole number greater than 0.", pointer=f"{pointer}/quantity"))
        else:
            chosen[id_] = replace(known[id_], quantity=quantity)
    raise_all(problems)
    return list(chosen.values())


async def _fill_cart(connection: Connection, store: Store, source: SourceOrder, wish: Wish, *, at: datetime) -> _Filled:
    """Decide with the cart locked, and fill it."""
    while True:
        found = await _find_cart(connection, store, source, wish)
        catalogue = await _catalogue(connection, store, source, found, at)
        held = found.held if found is not None and wish.strategy == "append" else {}
        outcomes = decide(source.lines, catalogue, held, wish.policy)
        if all(outcome.skipped for outcome in outcomes):
            return _Filled(None, outcomes, [None] * len(outcomes))
        cart = found
        if found is not None and wish.strategy == "new":
            await carts.abandon(connection, store, found, at=at, actor=wish.actor)
        if found is None or wish.strategy == "new":
            cart = await carts.create(
                connection,
                store,
                currency=found.currency_code if found is not None else source.currency_code,
                customer_id=source.customer_id,
                at=at,
                actor=wish.actor,
            )
        if cart is not None:
            break
        # Another transaction has made the customer's cart meanwhile: decide again on what that one holds.
    items, ids = _merge(cart.items, outcomes, replacing=wish.strategy == "replace")
    return _Filled(await carts.save(connection, store, cart, items, catalogue, at=at), outcomes, ids)


async def _find_cart(connection: Connection, store: Store, source: SourceOrder, wish: Wish) -> Cart | None:
    """The wish's cart, or the customer's active one, locked; None when it has to be made (a guest's always)."""
    if wish.cart_id is None:
        return await carts.find_active(connection, store, source.customer_id) if source.customer_id else None
    if wish.strategy == "new":
        raise Invalid("With the strategy new the cart is made, and can't be given.", pointer=_CART)
    try:
        cart = await carts.lock(connection, store, wish.cart_id)
    except NotFound as error:
        raise NotFound(error.detail, pointer=_CART) from None
    if wish.customer_id not in (None, cart.customer_id):
        raise NotFound("There is no cart of this id.", pointer=_CART)
    if cart.customer_id not in (None, source.customer_id):
        raise Invalid("The cart belongs to another customer than the order.", pointer=_CART)
    if cart.status != "active":
        raise InvalidState("The cart is {status}: nothing can be put into it.", status=cart.status, pointer=_CART)
    return cart


async def _catalogue(
    connection: Connection, store: Store, source: SourceOrder, cart: Cart | None, at: datetime
) -> dict[str, CatalogueItem]:
    if cart is not None:
        return await carts.catalogue(connection, store, cart, _sku_ids(source), at=at)
    return await pricing.catalogue(
        connection,
        store,
        _sku_ids(source),
        currency=source.currency_code,
        customer_group_id=source.customer_group_id,
        at=at,
    )


def _merge(
    held: Sequence[CartItem], outcomes: Sequence[Outcome], *, replacing: bool = False
) -> tuple[list[CartItem], list[str | None]]:
    """The items of a cart once the outcomes are in it, and for each outcome the id of its item.

    Lines of the same sku and options become one. `replacing` keeps only those present items that are wanted again.
    """
    present = {item.key: item for item in held}
    merged = {} if replacing else dict(present)
    ids: list[str | None] = []
    for outcome in outcomes:
        if outcome.skipped or outcome.item is None:
            ids.append(None)
            continue
        key = (outcome.item.sku_id, options_digest(outcome.line.options))
        if key in merged:
            merged[key] = replace(merged[key], quantity=merged[key].quantity + outcome.resulting_quantity)
        elif key in present:
            merged[key] = replace(present[key], quantity=outcome.resulting_quantity)
        else:
            merged[key] = CartItem(
                id=clock.new_id(),
                sku_id=outcome.item.sku_id,
                source_line_item_id=outcome.line.id,
                sku_code=outcome.item.code,
                name=outcome.item.name,
                image_url=outcome.item.image_url,
                options=outcome.line.options,
                options_digest=key[1],
                quantity=outcome.resulting_quantity,
            )
        ids.append(merged[key].id)
    return list(merged.values()), ids


async def _write(
    connection: Connection, store: Store, source: SourceOrder, wish: Wish, filled: _Filled, *, at: datetime
) -> str:
    """Write the reorder with its outcomes and its event; gives its id. Raises Conflict when the wish's id is taken."""
    cart, outcomes, items = filled
    statuses = [outcome.status for outcome in outcomes]
    counts = {status: statuses.count(status) for status in ("added", "adjusted", "skipped")}
    rows = [
        outcome_columns(position, outcome, item, wish.locale)
        for position, (outcome, item) in enumerate(zip(outcomes, items, strict=True))
    ]
    id_ = await connection.fetchval(
        REORDERS["create"],
        store.id,
        wish.id or clock.new_id(),
        source.id,
        None if cart is None else cart.id,
        wish.customer_id or source.customer_id,
        wish.strategy,
        wish.policy.stock,
        None if wish.lines is None else orjson.dumps(wish.lines).decode(),
        _digest(outcomes),
        *counts.values(),
        at,
        orjson.dumps(rows).decode(),
        wish.reference,
        wish.reference_origin,
        orjson.dumps(wish.metadata).decode(),
    )
    if id_ is None:
        raise Conflict("There is a reorder of this id already.", pointer="/data/id")
    payload = {f"{status}_count": count for status, count in counts.items()}
    await events.record(connection, store, "reorders.create", id_, actor=wish.actor, payload=payload)
    return str(id_)


def outcome_columns(position: int, outcome: Outcome, cart_item_id: str | None, locale: str) -> dict[str, Any]:
    """An outcome as the statement `create` reads it. Its amounts are in the currency of the order."""
    line, item = outcome.line, outcome.item
    comparable = item is not None and item.currency_code == line.currency_code
    return {
        "id": clock.new_id(),
        "position": position,
        "source_line_item_id": line.id,
        "cart_item_id": cart_item_id,
        "status": outcome.status,
        "code": outcome.code,
        "notices": outcome.notices,
        "detail": detail(outcome, locale),
        "name": line.name,
        "sku_code": line.sku_code,
        "sku_number": None if item is None else item.number,
        "requested_quantity": outcome.requested_quantity,
        "resulting_quantity": outcome.resulting_quantity,
        "currency_code": line.currency_code,
        # A line that stands for a discount has an amount below zero, but no price.
        "previous_unit_amount_cents": max(outcome.previous_unit_amount_cents, 0),
        "current_unit_amount_cents": outcome.current_unit_amount_cents if comparable else None,
    }


def _digest(outcomes: Sequence[Outcome]) -> str:
    """What stands for all outcomes together: it changes when a status, quantity or price does."""
    told = [
        (o.line.id, o.status, o.code, o.notices, o.resulting_quantity, o.current_unit_amount_cents) for o in outcomes
    ]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()
