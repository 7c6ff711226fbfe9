"""What repeating an order would do: which of its lines, into which cart, what becomes of each. Nothing is written.

A past order is one that was placed, also when it was cancelled later: what was wanted once may be wanted again. Neither
coupons nor shipping and payment are carried over. The number of statements doesn't depend on the number of lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import orjson

from service import clock
from service.errors import ApiError, Invalid, InvalidState, NeverPlaced, NotFound, ReorderDisabled, raise_all
from service.operations.carts import contents
from service.operations.carts.contents import Cart, CartItem
from service.operations.catalogue import pricing
from service.operations.catalogue.pricing import Offers
from service.principal import Store
from service.rules.discounts import Promotion
from service.rules.outcomes import CatalogueItem, Outcome, Policy, SourceLine, decide, options_digest
from service.store.pool import Connection
from service.store.statements import One


@dataclass(frozen=True, slots=True)
class SourceOrder:
    """A past order as far as repeating it needs it.

    `offered` says whether its store offers to reorder at all, `tax_included` whether prices are with tax there.
    `placed_at` is None for one that was never placed.
    `metadata`, here and of the lines, is what the store lists to be carried.
    """

    id: str
    offered: bool
    placed_at: datetime | None
    customer_id: str | None
    customer_group_id: str | None
    currency_code: str
    tax_included: bool
    lines: Sequence[SourceLine]
    metadata: Mapping[str, object] = field(default_factory=dict)

    def bare(self) -> SourceOrder:
        """The order without what goes along with it into a cart."""
        return replace(self, metadata={}, lines=[replace(line, metadata={}) for line in self.lines])


class _SourceOrder(NamedTuple):
    """An order as it is stored; `lines` is JSON, arrays in the order of `SourceLine`, the metadata last."""

    id: str
    offered: bool
    placed_at: datetime | None
    customer_id: str | None
    customer_group_id: str | None
    currency_code: str
    tax_included: bool
    with_coupon: bool
    metadata: str
    carried: str | None
    lines: str | None
    sku_ids: list[str | None] | None


class _Facts(NamedTuple):
    """What repeating an order is decided on; without a cart where there is none.

    Read before the lock, it is of another version than the one that is held (`held_version`).
    """

    held_version: int | None
    source: _SourceOrder
    cart: contents.Row | None
    offers: Offers

    @property
    def current(self) -> bool:
        """Whether the cart was read under its lock."""
        return self.held_version == (None if self.cart is None else self.cart.version)


_SOURCE_ORDER = One("repeating/reorders.source_order", _SourceOrder)
_FACTS = One("repeating/reorders.facts", _Facts)


@dataclass(frozen=True, slots=True)
class Wish:
    """How an order is to be repeated, and by whom.

    `customer_id` limits orders and carts to that customer's own (None: any of the store). `lines` chooses from the
    order's lines: `{"line_item_id": ..., "quantity": ...}`, None means all. `locale` is the language of the outcomes'
    words, `expected_digest` that of the preview it was decided on, None for whatever comes.
    """

    customer_id: str | None
    actor: str
    locale: str
    policy: Policy = field(default_factory=Policy)
    strategy: str = "append"
    cart_id: str | None = None
    lines: Sequence[object] | None = None
    expected_digest: str | None = None
    id: str | None = None
    reference: str | None = None
    reference_origin: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would become of an order's lines, given the cart that there is now (None: there is none)."""

    source: SourceOrder
    wish: Wish
    found: Cart | None
    catalogue: Mapping[str, CatalogueItem]
    promotions: Sequence[Promotion]
    outcomes: Sequence[Outcome]

    @property
    def empty(self) -> bool:
        """Whether no line can be had: then no cart is made, and none is changed."""
        return all(outcome.skipped for outcome in self.outcomes)

    @property
    def keeps_cart(self) -> bool:
        """Whether the lines go into the cart that there is."""
        return self.found is not None and self.wish.strategy != "new"

    @property
    def currency_code(self) -> str:
        """The currency of the cart that the lines go into: a cart that is made has the order's."""
        return self.found.currency_code if self.found is not None and self.keeps_cart else self.source.currency_code

    def fill(self, held: Sequence[CartItem]) -> tuple[list[CartItem], list[str | None]]:
        """The items of a cart that holds these by now, once it is filled, and for each outcome the id of its item."""
        return merge(held, self.outcomes, replacing=self.wish.strategy == "replace")


async def source_order(
    connection: Connection, store: Store, order_id: str | None, number: int | None, customer_id: str | None
) -> SourceOrder | None:
    """The order of this id, or else of this number, if the customer (None: anybody) owns it."""
    row = await _SOURCE_ORDER(connection, store=store.id, id=order_id, number=number, customer=customer_id)
    return None if row is None else _source(row)


def _source(row: _SourceOrder) -> SourceOrder:
    names = _carried(row.carried)
    return SourceOrder(
        id=row.id,
        offered=row.offered,
        placed_at=row.placed_at,
        customer_id=row.customer_id,
        customer_group_id=row.customer_group_id,
        currency_code=row.currency_code,
        tax_included=row.tax_included,
        lines=[
            replace(SourceLine(*[*values, row.with_coupon]), metadata=_of_names(metadata, names))
            for *values, metadata in orjson.loads(row.lines or "[]")
        ],
        metadata=_of_names(orjson.loads(row.metadata), names),
    )


def _carried(policy: str | None) -> Collection[str]:
    """The names of the metadata that a store carries, by its policy; none where that makes no sense."""
    names = orjson.loads(policy or "[]")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _of_names(metadata: Mapping[str, object], names: Collection[str]) -> Mapping[str, object]:
    return {name: metadata[name] for name in names if name in metadata}


async def plan(
    connection: Connection,
    store: Store,
    wish: Wish,
    *,
    order_id: str | None,
    number: int | None = None,
    at: datetime,
    hold: bool,
) -> Plan:
    """Decide on each line of the order that a wish is about, with the cart locked where it is to `hold` still.

    One statement. Raises NotFound for an order or a cart that is unknown or of another customer, NeverPlaced for an
    order that can be read and isn't past, ReorderDisabled where the store has switched reordering off, Invalid for a
    choice that makes no sense, InvalidState for a cart that isn't active.
    """
    if wish.cart_id is not None and wish.strategy == "new":
        raise Invalid("With the strategy new the cart is made, and can't be given.", fields=("cart",))
    facts = await _facts(connection, store, wish, order_id, number, at=at, hold=hold)
    if facts is None:
        raise NotFound("There is no such order.", fields=("source_order",))
    if facts.source.placed_at is None:
        raise NeverPlaced("source_order - was never placed", fields=("source_order",))
    if not facts.source.offered:
        raise ReorderDisabled("This store doesn't offer to reorder.")
    source = _source(facts.source)
    source = replace(source, lines=_chosen(source.lines, wish.lines))
    found = _cart(facts, source, wish)
    if found is not None and wish.strategy != "new" and wish.cart_id is None:
        # A cart that somebody chose for this order keeps its currency.
        found = contents.taking(found, source.currency_code)
    terms = source if found is None or wish.strategy == "new" else found
    sold = facts.offers.sold(terms.currency_code, terms.customer_group_id)
    held = found.held if found is not None and wish.strategy == "append" else {}
    outcomes = decide(source.lines, sold, held, wish.policy)
    return Plan(source, wish, found, sold, facts.offers.promotions, outcomes)


async def _facts(
    connection: Connection,
    store: Store,
    wish: Wish,
    order_id: str | None,
    number: int | None,
    *,
    at: datetime,
    hold: bool,
) -> _Facts | None:
    """What a wish is decided on, with the cart locked where it is to `hold` still."""

    async def read() -> _Facts | None:
        return await _FACTS(
            connection,
            store=store.id,
            id=order_id,
            number=number,
            customer=wish.customer_id,
            cart=wish.cart_id,
            hold=hold,
            at=at,
        )

    return await (contents.under_lock(read) if hold else read())


async def catalogue(
    connection: Connection, store: Store, source: SourceOrder, *, at: datetime
) -> dict[str, CatalogueItem]:
    """The skus of an order's lines, as they can be had in a cart of its own."""
    return await pricing.catalogue(
        connection,
        store,
        [line.sku_id for line in source.lines if line.sku_id is not None],
        currency=source.currency_code,
        customer_group_id=source.customer_group_id,
        at=at,
    )


def digest(plan: Plan, items: Sequence[CartItem], discount_amount_cents: int, total_amount_cents: int) -> str:
    """What stands for all that a customer is shown of a plan, with the priced items and the amounts of the cart.

    It changes when a line of the order, an outcome, what else is in the cart, a price, a discount or a fee does, and
    with stock as far as an outcome depends on it. What the cart is worth doesn't count where nothing goes into it.
    """
    told = [
        (
            outcome.line.id,
            outcome.requested_quantity,
            outcome.previous_unit_amount_cents,
            outcome.status,
            outcome.code,
            outcome.notices,
            outcome.resulting_quantity,
            outcome.current_unit_amount_cents,
        )
        for outcome in plan.outcomes
    ]
    # Items that are made have other ids each time.
    held = sorted((*item.key, item.quantity, item.unit_amount_cents) for item in items)
    amounts = (plan.currency_code, discount_amount_cents, total_amount_cents)
    whole = (plan.source.id, plan.wish.strategy, told, *((held, amounts) if not plan.empty else ()))
    return hashlib.sha256(orjson.dumps(whole)).hexdigest()


def _chosen(lines: Sequence[SourceLine], wanted: Sequence[object] | None) -> Sequence[SourceLine]:
    """The lines that a client chose, in the client's order and quantities; every mistake is raised at once."""
    if wanted is None:
        return lines
    known = {line.id: line for line in lines}
    chosen: dict[str, SourceLine] = {}
    problems: list[ApiError] = []
    if not wanted:
        problems.append(Invalid("lines must choose at least one line.", fields=("lines",)))
    for index, entry in enumerate(wanted):
        within = f"/{index}"
        if not isinstance(entry, dict) or not {"line_item_id"} <= entry.keys() <= {"line_item_id", "quantity"}:
            problems.append(
                Invalid(
                    "must be an object with line_item_id and, optionally, quantity.", fields=("lines",), within=within
                )
            )
            continue
        id_, quantity = entry["line_item_id"], entry.get("quantity")
        if not isinstance(id_, str) or id_ not in known or id_ in chosen:
            problems.append(
                Invalid(
                    "must be a line of the order, and each only once.",
                    fields=("lines",),
                    within=f"{within}/line_item_id",
                )
            )
        elif quantity is None:
            chosen[id_] = known[id_]
        elif not isinstance(quantity, int) or isinstance(quantity, bool) or not 0 < quantity <= contents.MAX_QUANTITY:
            problems.append(
                Invalid("must be a whole number greater than 0.", fields=("lines",), within=f"{within}/quantity")
            )
        else:
            chosen[id_] = replace(known[id_], quantity=quantity)
    raise_all(problems)
    return list(chosen.values())


def _cart(facts: _Facts, source: SourceOrder, wish: Wish) -> Cart | None:
    """The wish's cart, or the customer's active one; None when it has to be made (a guest's always)."""
    cart = None if facts.cart is None else contents.of_row(facts.cart)
    if wish.cart_id is None:
        return cart
    if cart is None or wish.customer_id not in (None, cart.customer_id):
        raise NotFound("No cart has this id.", fields=("cart",))
    if cart.customer_id not in (None, source.customer_id):
        raise Invalid("The cart belongs to another customer than the order.", fields=("cart",))
    if cart.status != "active":
        raise InvalidState("The cart is {status}: nothing can be added to it.", status=cart.status, fields=("cart",))
    return cart


def merge(
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
                metadata=outcome.line.metadata,
            )
        ids.append(merged[key].id)
    return list(merged.values()), ids
