"""What becomes of each line of an order that is repeated: one vocabulary for reorders, repeat links and copies.

`decide` looks at every source line in a fixed order (does its product exist, is it enabled, sellable, are its options
still offered, has it a price, do the quantity limits allow it, is there stock) and gives exactly one outcome a line, in
the order of the lines. Limits, stock and prices look at the sum of a sku over all lines and what the cart holds.

Statuses, codes and notices are the constraints' of the table reorder_outcomes; a code never depends on a language.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Literal, Required, TypedDict

import orjson

Status = Literal["added", "adjusted", "skipped"]
StockPolicy = Literal["ignore", "partial", "skip"]
SUBSTITUTED: Final = "substituted"
"""The code of a line in whose place a substitute of its sku goes."""
ItemKey = tuple[str, str]
"""What makes two lines the same in a cart: the sku's id and the digest of the options."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of the order that is repeated, as it was bought.

    `sku_id` is None when the line is of no sku (promotions, shipments, fees) or of one that was never known.
    `options` is what was chosen (name to value), `options_amount_cents` what that cost; `with_coupon` says that the
    order used a coupon, `agreed` that the price was agreed on: the line needs none of today's. `metadata` goes along.
    """

    id: str
    item_type: str
    sku_id: str | None
    sku_code: str | None
    name: str
    options: Mapping[str, object]
    quantity: int
    currency_code: str
    unit_amount_cents: int
    options_amount_cents: int = 0
    with_coupon: bool = False
    agreed: bool = False
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Price:
    """A price that applies from a quantity on; `compare_at_amount_cents` is what a shop shows struck through."""

    min_quantity: int
    amount_cents: int
    compare_at_amount_cents: int | None = None


class Option(TypedDict, total=False):
    """What a buyer chooses of a sku; without `values` any value will do."""

    name: Required[str]
    required: bool
    values: Sequence[object]


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """A sku as it can be bought at one instant, in one currency, by one customer group.

    `options` declares what a buyer chooses, `priced_elsewhere` says that it has a price in other currencies, and
    `stock` is None when it isn't tracked.
    """

    sku_id: str
    number: int
    code: str
    name: str
    currency_code: str
    image_url: str | None = None
    options: Sequence[Option] = ()
    min_quantity: int = 1
    max_quantity: int | None = None
    step_quantity: int = 1
    tax_rate: Decimal = Decimal(0)
    reorderable: bool = True
    published: bool = True
    disabled: bool = False
    deleted: bool = False
    prices: Sequence[Price] = ()
    priced_elsewhere: bool = False
    stock: int | None = None
    ships: bool = True

    def price(self, quantity: int) -> Price | None:
        """The lowest price for this many pieces, or None when there is none."""
        applicable = (price for price in self.prices if price.min_quantity <= quantity)
        return min(applicable, key=lambda price: price.amount_cents, default=None)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a decision takes into account.

    `stock`: `ignore` it, take what is there (`partial`), or `skip` lines that can't be had whole. `limits`: whether a
    sku's minimum, maximum and step bind; `limits_agreed`: whether they also do where all lines of a sku have agreed
    prices, since quantities are agreed on together with prices. `merge`: whether equal lines become one, as in a cart,
    or stay apart, as in an order.
    """

    stock: StockPolicy = "ignore"
    limits: bool = True
    limits_agreed: bool = False
    merge: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one source line. `item` is what the catalogue knows of its sku, None when it knows nothing.

    `code` is None exactly when the line is added as it was; a skipped line has `resulting_quantity` 0.
    """

    line: SourceLine
    item: CatalogueItem | None
    status: Status
    code: str | None
    resulting_quantity: int
    price: Price | None = None
    notices: tuple[str, ...] = ()

    @property
    def skipped(self) -> bool:
        """Whether the line can't be had."""
        return self.status == "skipped"

    @property
    def requested_quantity(self) -> int:
        """How many the source line asks for."""
        return self.line.quantity

    @property
    def previous_unit_amount_cents(self) -> int:
        """What one piece cost in the source order, in the line's currency."""
        return self.line.unit_amount_cents

    @property
    def current_unit_amount_cents(self) -> int | None:
        """What one piece costs now, None when it has no price."""
        return None if self.price is None else self.price.amount_cents

    @property
    def comparable_unit_amount_cents(self) -> int | None:
        """What one piece costs now in the currency of the line, None when it has no price in that."""
        comparable = self.item is not None and self.item.currency_code == self.line.currency_code
        return self.current_unit_amount_cents if comparable else None

    @property
    def substitute(self) -> CatalogueItem | None:
        """The sku that goes in the place of the line's own; None where that one does."""
        return self.item if self.code == SUBSTITUTED else None

    @property
    def name(self) -> str:
        """The product's name of today; of a line that can't be had, the name it was bought under."""
        return self.line.name if self.skipped or self.item is None else self.item.name


def options_digest(options: Mapping[str, object]) -> str:
    """What stands for chosen options where lines merge: empty for none, else a SHA-256 of their canonical JSON."""
    return hashlib.sha256(orjson.dumps(dict(options), option=orjson.OPT_SORT_KEYS)).hexdigest() if options else ""


def decide(
    lines: Iterable[SourceLine],
    catalogue: Mapping[str, CatalogueItem],
    held: Mapping[ItemKey, int],
    policy: Policy,
) -> list[Outcome]:
    """One outcome for each line, in their order.

    `catalogue` holds the skus of the lines by id, `held` the quantities that the cart has already by sku and options.
    """
    lines = list(lines)
    decided: dict[str, Outcome] = {}
    wanted: defaultdict[str, list[SourceLine]] = defaultdict(list)
    for line in lines:
        item = catalogue.get(line.sku_id) if line.sku_id is not None else None
        reason = _unsellable(line, item)
        if reason is not None or item is None:
            decided[line.id] = Outcome(line, item, "skipped", reason, 0)
        else:
            wanted[item.sku_id].append(line)
    in_cart: defaultdict[str, int] = defaultdict(int)
    for (sku_id, _), quantity in held.items():
        in_cart[sku_id] += quantity
    for sku_id, same in wanted.items():
        shares = _share(same, catalogue[sku_id], in_cart[sku_id], policy)
        decided |= {line.id: _outcome(line, catalogue[sku_id], shares, in_cart[sku_id]) for line in same}
    outcomes = [decided[line.id] for line in lines]
    return _merged(outcomes, held) if policy.merge else outcomes


def _unsellable(line: SourceLine, item: CatalogueItem | None) -> str | None:
    """Why a line can't be had in any quantity, or None. The order of these checks is part of the contract."""
    if line.item_type != "skus":
        return "not_reorderable"
    if item is None or item.deleted:
        return "product_deleted"
    checks = (
        (item.disabled, "product_disabled"),
        (not item.published, "not_published"),
        (not item.reorderable, "not_reorderable"),
    )
    reason = next((code for applies, code in checks if applies), None)
    reason = reason or _wrong_options(line.options, item.options)
    # The catalogue has no price for options, and they are never free.
    return "option_invalid" if reason is None and line.options_amount_cents and not line.agreed else reason


def _wrong_options(chosen: Mapping[str, object], offered: Sequence[Option]) -> str | None:
    """Why chosen options don't suit a sku any more, or None: one or its value is gone, or a required one is missing."""
    by_name = {option["name"]: option for option in offered}
    for name, value in chosen.items():
        if name not in by_name or value not in (by_name[name].get("values") or [value]):
            return "option_invalid"
    if any(option.get("required") and name not in chosen for name, option in by_name.items()):
        return "option_required"
    return None


@dataclass(slots=True)
class _Shares:
    """How the lines of one sku share what can be had of it: quantity and code by line id, and the price of the sum."""

    quantities: dict[str, int]
    codes: dict[str, str] = field(default_factory=dict)
    price: Price | None = None

    @property
    def total(self) -> int:
        return sum(self.quantities.values())

    def shrink(self, total: int, code: str, code_of_nothing: str) -> None:
        """Give the lines, from the first on, no more than `total` together."""
        for id_, quantity in self.quantities.items():
            share = min(quantity, max(total, 0))
            total -= share
            if share < quantity:
                self.quantities[id_] = share
                self.codes[id_] = code if share else code_of_nothing

    def skip(self, ids: Iterable[str], code: str) -> None:
        """Give these lines nothing, unless they were refused before."""
        for id_ in ids:
            if self.quantities[id_]:
                self.quantities[id_] = 0
                self.codes[id_] = code


def _share(lines: Sequence[SourceLine], item: CatalogueItem, in_cart: int, policy: Policy) -> _Shares:
    """Price, quantity limits and stock, in this order, for all lines of one sku together."""
    shares = _Shares({line.id: line.quantity for line in lines})
    priced_today = [line.id for line in lines if not line.agreed]
    without_price = "currency_mismatch" if item.priced_elsewhere else "no_price"
    if item.price(in_cart + shares.total) is None:
        shares.skip(priced_today, without_price)
    if policy.limits and shares.total and (priced_today or policy.limits_agreed):
        _limit(shares, item, in_cart)
    if policy.stock == "skip" and item.stock is not None:
        _refuse_beyond_stock(shares, item, in_cart, policy)
    elif policy.stock == "partial" and item.stock is not None:
        _cut_to_stock(shares, item, in_cart, policy)
    shares.price = item.price(in_cart + shares.total)
    if shares.price is None:
        # What is left of the lines is too little for any price.
        shares.skip(priced_today, without_price)
    return shares


def _limit(shares: _Shares, item: CatalogueItem, in_cart: int) -> None:
    """Bring the sum of the cart and the lines between minimum and maximum, and to a multiple of the step.

    Raising gives the last line more; the maximum wins over the minimum and the step.
    """
    asked = in_cart + shares.total
    fitting = _whole_steps(max(asked, item.min_quantity) + item.step_quantity - 1, item)
    if item.max_quantity is not None:
        fitting = min(fitting, _whole_steps(item.max_quantity, item))
    if fitting < max(item.min_quantity, in_cart + 1):
        shares.skip(shares.quantities, "quantity_below_min")
    elif fitting < asked:
        shares.shrink(fitting - in_cart, "quantity_reduced_max", "quantity_below_min")
    elif fitting > asked:
        last = next(reversed(shares.quantities))
        shares.quantities[last] += fitting - asked
        shares.codes[last] = "quantity_raised_min" if asked < item.min_quantity else "quantity_rounded_step"


def _whole_steps(quantity: int, item: CatalogueItem) -> int:
    return quantity // item.step_quantity * item.step_quantity


def _cut_to_stock(shares: _Shares, item: CatalogueItem, in_cart: int, policy: Policy) -> None:
    """Take what is in stock, which the quantity limits must still allow."""
    stock = item.stock or 0
    if in_cart + shares.total <= stock:
        return
    reachable = _whole_steps(stock, item) if policy.limits else stock
    if policy.limits and in_cart < reachable < item.min_quantity:
        shares.skip(shares.quantities, "quantity_below_min")
    shares.shrink(reachable - in_cart, "quantity_reduced_stock", "out_of_stock")


def _refuse_beyond_stock(shares: _Shares, item: CatalogueItem, in_cart: int, policy: Policy) -> None:
    """Skip each line that isn't in stock as a whole; the limits must hold for the sum of those that remain."""
    stock, taken = item.stock or 0, in_cart
    for id_, quantity in shares.quantities.items():
        if taken + quantity > stock:
            shares.skip([id_], "out_of_stock")
        else:
            taken += quantity
    if policy.limits and shares.total and (taken < item.min_quantity or taken % item.step_quantity):
        shares.skip(shares.quantities, "quantity_below_min")


def _outcome(line: SourceLine, item: CatalogueItem, shares: _Shares, in_cart: int) -> Outcome:
    quantity, code = shares.quantities[line.id], shares.codes.get(line.id)
    price = Price(1, line.unit_amount_cents) if line.agreed else shares.price
    if not quantity:
        return Outcome(line, item, "skipped", code, 0, price)
    notices = _notices(line, item, price, in_cart + shares.total)
    return Outcome(line, item, "adjusted" if code else "added", code, quantity, price, notices)


def _notices(line: SourceLine, item: CatalogueItem, price: Price | None, total: int) -> tuple[str, ...]:
    comparable = price is not None and line.currency_code == item.currency_code
    change = price.amount_cents - line.unit_amount_cents if price is not None and comparable else 0
    applies = {
        "price_increased": change > 0,
        "price_decreased": change < 0,
        "name_changed": line.name != item.name,
        "coupon_dropped": line.with_coupon,
        "low_stock": item.stock is not None and total > item.stock,
    }
    return tuple(notice for notice, given in applies.items() if given)


def _merged(outcomes: Sequence[Outcome], held: Mapping[ItemKey, int]) -> list[Outcome]:
    """The same outcomes, those marked whose line joins one that is in the cart by then."""
    present = set(held)
    marked = []
    for outcome in outcomes:
        joins = False
        if outcome.item is not None and not outcome.skipped:
            key = (outcome.item.sku_id, options_digest(outcome.line.options))
            joins = key in present
            present.add(key)
        if joins and outcome.status == "added":
            marked.append(replace(outcome, status="adjusted", code="merged_into_existing_line"))
        else:
            marked.append(outcome)
    return marked
