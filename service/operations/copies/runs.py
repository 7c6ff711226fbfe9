"""What copies are made from: the terms of subscriptions and orders, and what is ordered again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias

import orjson

from service import clock
from service.operations.catalogue import pricing, quotes
from service.operations.ordering.facts import Ways
from service.principal import Store
from service.rules.outcomes import CatalogueItem, SourceLine
from service.rules.phases import PricePhase, phase_of, phases_of
from service.rules.prepaid import Paid, period_of
from service.store.pool import Connection
from service.store.statements import Many, Value


class Item(NamedTuple):
    """What is to be ordered again: an item of a subscription, or a line of an order. Options and metadata are JSON.

    `options_amount_cents` is None where nobody knows what its paid options cost. One that `is_added` is for a single
    run alone.
    """

    id: str
    item_type: str
    sku_id: str | None
    sku_code: str | None
    name: str
    options: str
    quantity: int
    currency_code: str
    unit_amount_cents: int
    options_amount_cents: int | None
    discount_cents: int
    price_mode: Literal["current", "fixed"]
    ships: bool
    metadata: str
    is_added: bool
    updated_at: datetime

    @property
    def what(self) -> Hashable:
        """All that it comes to depends on, besides the catalogue and the terms: all but what tells it from others."""
        return self[1:-1]

    @property
    def agreed(self) -> bool:
        """Whether its price was agreed on."""
        return self.price_mode == "fixed"

    @property
    def source(self) -> SourceLine:
        """The item as what somebody wants to order."""
        return SourceLine(
            id=self.id,
            item_type=self.item_type,
            sku_id=self.sku_id,
            sku_code=self.sku_code,
            name=self.name,
            options=orjson.loads(self.options),
            quantity=self.quantity,
            currency_code=self.currency_code,
            unit_amount_cents=self.unit_amount_cents,
            agreed=self.agreed,
        )

    def options_for(self, pieces: int) -> int | None:
        """What the paid options of so many of its pieces cost; None where nobody knows."""
        if self.options_amount_cents is None or not pieces:
            return self.options_amount_cents
        share, rest = divmod(self.options_amount_cents * pieces, self.quantity)
        return None if rest else share

    def wanted(self, *, promoted: bool) -> quotes.Item:
        """The item as it is quoted; it has a sku."""
        return quotes.Item(
            self.sku_id or "",
            self.quantity,
            self.unit_amount_cents,
            options_amount_cents=self.options_amount_cents or 0,
            discount_cents=self.discount_cents,
            agreed=self.agreed,
            promoted=promoted,
        )


Market: TypeAlias = "tuple[str, str | None]"
"""What prices of today depend on, besides the sku: currency and customer group."""


class Basis(NamedTuple):
    """What a target order takes over: whose it is, how it is numbered, and where to, how and at what cost it goes."""

    source_order_id: str
    order_subscription_id: str | None
    customer_id: str | None
    customer_email: str | None
    customer_group_id: str | None
    currency_code: str
    tax_included: bool
    order_prefix: str
    order_suffix: str
    mode: str
    shipping_amount_cents: int
    payment_method_amount_cents: int
    ways: Ways

    @property
    def market(self) -> Market:
        """What prices of today depend on, besides the sku."""
        return self.currency_code, self.customer_group_id

    def quote_terms(self, coupon_code: str | None = None) -> quotes.Terms:
        """What its amounts depend on besides what is bought."""
        return quotes.Terms(
            currency_code=self.currency_code,
            tax_included=self.tax_included,
            customer_group_id=self.customer_group_id,
            coupon_code=coupon_code,
            shipping_price_cents=self.shipping_amount_cents,
            payment_price_cents=self.payment_method_amount_cents,
        )


class LastRun(NamedTuple):
    """The last order of a subscription, all None before there is one; the amount is what it came to by itself.

    `last_lines_json` are its lines of skus as objects, where the subscription limits what a run may cost.
    """

    last_amount_cents: int | None
    last_made_at: datetime | None
    last_shipping_amount_cents: int | None
    last_payment_method_amount_cents: int | None
    last_lines_json: str | None
    last_shipping_method_id: str | None
    last_payment_method_id: str | None


class Terms(NamedTuple):
    """What runs of a subscription are made from, and its last run.

    `ran` counts those before it, where prices have phases or deliveries are paid for together: so many, as the period
    says that is paid for, by an order of that status. `swaps` are the indexes of
    occurrences from which on something of it is swapped.
    """

    basis: Basis
    status: str
    place_target_order: bool
    max_increase_percent: Decimal | None
    unavailable_policy: str | None
    pricing_phases: str | None
    ran: int
    last: LastRun
    swaps: list[int] | None
    prepaid_occurrences: int | None = None
    max_occurrences: int | None = None
    prepaid_period: str | None = None
    prepaid_order_status: str | None = None

    @property
    def paid(self) -> Paid | None:
        """What is paid for of its deliveries; None for a subscription that pays for each as it comes."""
        if self.prepaid_occurrences is None and self.prepaid_period is None:
            return None
        return Paid(period_of(self.prepaid_period), self.prepaid_order_status)

    @property
    def what(self) -> tuple[Hashable, ...]:
        """All of them that what is ordered comes to depends on."""
        basis = self.basis
        costs = basis.shipping_amount_cents, basis.payment_method_amount_cents
        return basis.market, basis.tax_included, costs, self.unavailable_policy

    @property
    def follows_on(self) -> bool:
        """Whether what a run comes to depends on how many made their orders before it."""
        return self.pricing_phases is not None or self.paid is not None or self.max_increase_percent is not None

    @property
    def subscription_id(self) -> str:
        """The subscription whose terms they are."""
        return str(self.basis.order_subscription_id)


class Of(NamedTuple):
    """Which run of a subscription: that of an occurrence, whose contents may be its own; None: one like any other.

    By the index of its occurrence it is known which swaps count; None: none that is still to come. One outside of the
    schedule has the index of the next run.
    """

    order_subscription_id: str
    occurrence_id: str | None = None
    occurrence_index: int | None = None

    @classmethod
    def to_come(cls, subscription_id: str, occurrence_id: str | None, index: int, swaps: Sequence[int] | None) -> Of:
        """Which run it is that has an index, where something is swapped from the runs of some on.

        Those that order the same are the same, unless they have occurrences: what they order is read once.
        """
        return cls(subscription_id, occurrence_id, max((swap for swap in swaps or () if swap <= index), default=None))


class _OfRun(NamedTuple):
    of: Of
    item: Item


_TERMS = Many("copies/copies.terms", Terms)
_ITEMS = Many("copies/copies.items", _OfRun)
_SWAPS = Value("subscriptions/items.swaps", list[int])


class Plain(NamedTuple):
    """A delivery of a subscription that is like any other: its terms, and what it orders."""

    terms: Terms
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a subscription, whether its order is to be placed, and whether it may be paid from the wallet.

    So many others are `ahead` of it that are not made yet. `paid` is what is paid for of its deliveries, None where
    each is paid for as it comes: so is a run outside of the schedule. A `plain` one is known where it may open one.
    """

    terms: Terms
    place: bool
    occurrence_id: str | None = None
    reuse_wallet: bool = True
    ahead: int = 0
    occurrence_index: int | None = None
    paid: Paid | None = None
    plain: Plain | None = None

    @property
    def turn(self) -> int:
        """Which of the subscription's runs it is, the first being 1."""
        return self.terms.ran + self.ahead + 1

    @property
    def phase(self) -> PricePhase | None:
        """The phase of the subscription's prices that it is in."""
        return phase_of(phases_of(self.terms.pricing_phases), self.turn)

    @property
    def of(self) -> Of:
        """Which run it is."""
        return Of(self.terms.subscription_id, self.occurrence_id, self.occurrence_index)


async def swaps_of(connection: Connection, store: Store, subscription_id: str) -> Sequence[int]:
    """The indexes of the occurrences from which on items of a subscription are swapped."""
    return await _SWAPS(connection, store=store.id, subscription=subscription_id) or ()


async def terms_of(
    connection: Connection, store: Store, runs: Sequence[tuple[Of, bool]], at: datetime
) -> Sequence[Terms]:
    """What runs of subscriptions are made from, in their order: each with whether it may use the wallet."""
    return await _TERMS(
        connection,
        store=store.id,
        subscriptions=[of.order_subscription_id for of, _ in runs],
        occurrences=[of.occurrence_id for of, _ in runs],
        wallets=[reuse_wallet for _, reuse_wallet in runs],
        at=at,
    )


async def terms_of_runs(connection: Connection, store: Store, runs: Sequence[Of]) -> dict[Of, Terms]:
    """What scheduled runs of subscriptions are made from; those always use the wallet."""
    found = await terms_of(connection, store, [(of, True) for of in runs], clock.now(store))
    return dict(zip(runs, found, strict=True))


async def terms_of_run(connection: Connection, store: Store, subscription_id: str) -> Terms:
    """What a scheduled run of a subscription is made from that is like any other."""
    of = Of(subscription_id)
    return (await terms_of_runs(connection, store, [of]))[of]


async def items_of(connection: Connection, store: Store, runs: Sequence[Of]) -> dict[Of, list[Item]]:
    """What runs order; nothing for one that orders nothing."""
    found: dict[Of, list[Item]] = {}
    wanted = list(dict.fromkeys(runs))
    rows = await _ITEMS(
        connection,
        store=store.id,
        subscriptions=[of.order_subscription_id for of in wanted],
        occurrences=[of.occurrence_id for of in wanted],
        indexes=[of.occurrence_index for of in wanted],
    )
    for row in rows:
        found.setdefault(row.of, []).append(row.item)
    return found


async def catalogue_of(
    connection: Connection, store: Store, items: Sequence[Item], basis: Basis, at: datetime
) -> dict[str, CatalogueItem]:
    """The skus of items as the customer of a copy can buy them at an instant."""
    return await catalogue(connection, store, basis.market, {item.sku_id for item in items if item.sku_id}, at)


async def catalogue(
    connection: Connection, store: Store, market: Market, sku_ids: AbstractSet[str], at: datetime
) -> dict[str, CatalogueItem]:
    """The skus of these ids as they are sold in a currency to a customer group at an instant."""
    currency, group = market
    return await pricing.catalogue(connection, store, sku_ids, currency=currency, customer_group_id=group, at=at)
