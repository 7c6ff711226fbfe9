"""The order that a copy makes: what it comes to by today's catalogue, and how it is written."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeAlias

import orjson

from schemas.kinds import due
from service import clock
from service.gateways import asks_nobody
from service.operations.catalogue import stock
from service.operations.catalogue.quotes import Quoted
from service.operations.catalogue.stock import Taken
from service.operations.copies import lenience, prepaid, runs
from service.operations.copies.prepaid import Prepaid
from service.operations.copies.priced import CopyFailed, Line, Wanted, lines_of
from service.operations.copies.runs import Basis, Item, Plain, Run
from service.operations.copies.turns import Turn
from service.operations.ordering import checks
from service.operations.parties import addresses
from service.operations.parties.addresses import Snapshot
from service.principal import Store
from service.rules.order_codes import order_code
from service.rules.outcomes import CatalogueItem
from service.rules.prepaid import Paid
from service.rules.states import BLANK, Messages, resting
from service.rules.substitutes import Substitutes
from service.rules.totals import Totals
from service.store.pool import Connection
from service.store.statements import Command, Values
from service.texts import Phrase

Known: TypeAlias = "dict[Hashable, Quoted]"
"""What runs come to that are made at the same time, by what they order and on which terms."""

_COPY = Command("copies/targets.copy")
_LOCK_STOCK = Values("copies/copies.lock_stock", str)


@dataclass(frozen=True, slots=True)
class Coupon:
    """The coupon of a target order; `counted` says that the order is among its uses."""

    code: str
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """The order to be made of a copy: what it takes over, number, lines, and the events that it begins with."""

    basis: Basis
    number: int
    status: str
    fulfillment_status: str
    lines: Sequence[Line]
    totals: Totals
    events: Sequence[str]
    occurrence_id: str | None = None
    coupon: Coupon | None = None
    left_out: Sequence[Wanted] = ()
    unpaid: Messages | None = None
    """Why it waits for something to be paid with, although it is to be placed; None unless it does."""
    paid: Paid | None = None
    """What its subscription has paid for once it is made; None where each run is paid for as it comes."""

    @property
    def opens(self) -> bool:
        """Whether it pays for deliveries to come."""
        return self.paid is not None and self.paid.number == self.number

    @property
    def succeeded(self) -> bool:
        """Whether a run has succeeded with it as it is made; else its payment will tell."""
        return self.status != "placing" and self.unpaid is None

    @property
    def due(self) -> int:
        """What has to be paid, in minor units: taxes come on top of the total unless they are included."""
        return due(self.totals.total, self.totals.tax, tax_included=self.basis.tax_included)

    @property
    def placed(self) -> bool:
        """Whether it is placed as it is made, which takes its stock."""
        return self.status in ("placing", "placed")

    @property
    def payment_status(self) -> str:
        """Payment by hand counts as authorized once the order is placed (Commerce Layer's table of statuses)."""
        if not self.due:
            return "free"
        return "authorized" if self.status == "placed" else "unpaid"


async def plan(
    connection: Connection, store: Store, wanted_runs: Sequence[tuple[Run, int]], at: datetime
) -> list[Target | CopyFailed]:
    """What orders runs lead to, each with its number, or why there can be none; nothing is written.

    One read of the items, one of the catalogue for all that buy in the same currency and customer group.
    """
    plain = await prepaid.plain_terms(connection, store, [run for run, _ in wanted_runs], at)
    items = await runs.items_of(connection, store, [*(run.of for run, _ in wanted_runs), *plain])
    ordered = [(run, items.get(run.of, [])) for run, _ in wanted_runs]
    alike = {terms.subscription_id: Plain(terms, items.get(of, [])) for of, terms in plain.items()}
    priced = [*ordered, *((Run(one.terms, place=False), one.items) for one in alike.values())]
    substitutes = await lenience.substitutes_of(connection, store, priced)
    lenient = [(run, of_run) for run, of_run in ordered if lenience.stock_of(run) != "ignore"]
    if lenient:
        await _LOCK_STOCK(connection, store=store.id, skus=sorted(lenience.skus_of(lenient, substitutes)))
    bought: dict[tuple[str, str | None], set[str]] = {}
    for run, of_run in priced:
        bought.setdefault(run.terms.basis.market, set()).update(lenience.skus_of([(run, of_run)], substitutes))
    catalogues = {
        market: await runs.catalogue(connection, store, market, sku_ids, at) for market, sku_ids in bought.items()
    }
    known: Known = {}
    turns: dict[str, Turn] = {}
    outcomes: list[Target | CopyFailed] = []
    for (run, of_run), (_, number) in zip(ordered, wanted_runs, strict=True):
        id_ = run.terms.subscription_id
        turn = turns.get(id_, Turn())
        counted, scheduled = turn.counted(run), run.occurrence_id is not None
        outcome = await _planned(
            turn.paid_for(counted, alike.get(id_)) if scheduled else counted,
            of_run,
            catalogues[run.terms.basis.market],
            number,
            at=at,
            known=known,
            substitutes=substitutes,
        )
        if scheduled:
            turns[id_] = turn.after_order(outcome.paid) if isinstance(outcome, Target) else turn.after_failure()
        outcomes.append(outcome)
    return outcomes


async def _planned(
    run: Run,
    items: Sequence[Item],
    catalogue: Mapping[str, CatalogueItem],
    number: int,
    *,
    at: datetime,
    known: Known,
    substitutes: Substitutes,
) -> Target | CopyFailed:
    # Many subscriptions order the same thing, which is worked out once. What is paid ahead is each one's own.
    what = (*run.terms.what, run.place, run.phase, *(item.what for item in items))
    quoted = known.get(what) if run.paid is None else None
    try:
        if quoted is not None:
            return _target(run, lines_of(items, catalogue, quoted.items), quoted.totals, number, at)
        made = await planned(run, items, catalogue, number, at, stocked=True, substitutes=substitutes)
    except CopyFailed as failure:
        return failure
    if run.paid is None and not made.left_out:
        known[what] = Quoted([line.amounts for line in made.lines], made.totals, None)
    return made


async def planned(
    run: Run,
    items: Sequence[Item],
    catalogue: Mapping[str, CatalogueItem],
    number: int,
    at: datetime,
    *,
    stocked: bool = False,
    substitutes: Substitutes = MappingProxyType({}),
) -> Target:
    """What order a run of these items leads to by a catalogue. Raises CopyFailed as `paid_run` does.

    One that lacks only something in the wallet to pay with leads to an order that waits for it. `stocked` says that the
    stock is looked at, as the policy wants it.
    """
    found, paid = await prepaid.paid_run(run, items, catalogue, stocked=stocked, substitutes=substitutes)
    made = _target(run, found.lines, found.totals, number, at, left_out=found.left_out)
    return made if paid is None else replace(made, paid=paid.by(made.status, number) if paid.status is None else paid)


def _target(
    run: Run, lines: Sequence[Line], totals: Totals, number: int, at: datetime, *, left_out: Sequence[Wanted] = ()
) -> Target:
    return target(
        run.terms.basis,
        number,
        lines,
        totals,
        at,
        place=run.place,
        waits=run.reuse_wallet,
        occurrence_id=run.occurrence_id,
        left_out=left_out,
    )


async def make(connection: Connection, store: Store, planned: Sequence[Target], at: datetime) -> list[str]:
    """Take the stock that orders to be placed need, and write the orders; gives their ids. Raises CopyFailed."""
    lines = [line for target in planned if target.placed for line in target.lines]
    taken = await take_stock(connection, store, [line.taken for line in lines], at)
    if taken.short:
        codes = codes_of([line.taken for line in lines], taken.short)
        raise CopyFailed({"line_items": [f"{code} - out_of_stock" for code in codes]}, ["out_of_stock"])
    return await write(connection, store, planned, at, taken)


_OF_SUBSCRIPTIONS: Final = ("billing_address", "shipping_address", "shipping_method", "payment_method")
"""What a subscription may say of its runs where its source order says nothing."""


def _where_to_set(problems: Messages) -> Messages:
    """What a run lacks, with where to set it: the source order was placed, and can't be changed."""
    return {
        name: [
            Phrase("can't be blank: set {name} of the order subscription", name=name)
            if message == BLANK and name in _OF_SUBSCRIPTIONS
            else message
            for message in messages
        ]
        for name, messages in problems.items()
    }


def target(
    basis: Basis,
    number: int,
    lines: Sequence[Line],
    totals: Totals,
    at: datetime,
    *,
    place: bool,
    waits: bool = False,
    occurrence_id: str | None = None,
    coupon: Coupon | None = None,
    left_out: Sequence[Wanted] = (),
) -> Target:
    """The order of these lines, which come to these totals. Raises CopyFailed when it is to be placed and can't be.

    It is `placing` where a gateway has to be asked first. One that `waits` stays pending where all it lacks is
    something to be paid with.
    """
    ships = any(line.product.ships for line in lines)
    owed = due(totals.total, totals.tax, tax_included=basis.tax_included)
    status = resting(has_customer=bool(basis.customer_id or basis.customer_email), has_lines=bool(lines))
    happened = ["orders.create", "orders.pending"] if status == "pending" else ["orders.create"]
    unpaid: Messages | None = None
    if place:
        problems = checks.lacking(
            basis.ways, mode=basis.mode, status=status, ships=ships, free=not owed, token=None, at=at
        )
        unpaid = problems if waits and problems.keys() == {"customer_payment_source"} else None
        if problems and unpaid is None:
            raise CopyFailed(problems if basis.order_subscription_id is None else _where_to_set(problems))
    if place and unpaid is None:
        asking = owed > 0 and not asks_nobody(basis.ways.gateway or "")
        status = "placing" if asking else "placed"
        happened.append("orders.placing" if asking else "orders.place")
    elif not lines:
        raise CopyFailed({"line_items": [BLANK]})
    fulfillment = "unfulfilled" if ships else "not_required"
    return Target(
        basis, number, status, fulfillment, lines, totals, happened, occurrence_id, coupon, left_out, unpaid=unpaid
    )


async def take_stock(connection: Connection, store: Store, items: Sequence[Item], at: datetime) -> Taken:
    """Take what items need out of the stock."""
    pieces = [(item.sku_id or "", item.quantity) for item in items]
    return await stock.take(connection, store, pieces, at) if pieces else Taken(frozenset(), frozenset())


def codes_of(items: Sequence[Item], sku_ids: AbstractSet[str]) -> list[str | None]:
    """The codes of skus by which items name them, each once."""
    return list(dict.fromkeys(item.sku_code for item in items if item.sku_id in sku_ids))


async def write(
    connection: Connection, store: Store, planned: Sequence[Target], at: datetime, taken: Taken
) -> list[str]:
    """Write target orders with their lines and snapshots of their addresses: one statement. Returns their ids.

    Another one notes what subscriptions have paid for, where some pay for several deliveries at once.
    """
    ids = [clock.new_id() for _ in planned]
    copies: list[Snapshot] = []
    drafts: list[dict[str, object]] = []
    for target, id_ in zip(planned, ids, strict=True):
        ways = target.basis.ways
        originals = (ways.billing_address_id, ways.shipping_address_id)
        billing, shipping = (original and clock.new_id() for original in originals)
        copies += [
            Snapshot(original, copy, target.basis.customer_id)
            for original, copy in zip(originals, (billing, shipping), strict=True)
            if original is not None and copy is not None
        ]
        drafts.append(_draft(target, id_) | {"billing_address_id": billing, "shipping_address_id": shipping})
    lines = [line for target, id_ in zip(planned, ids, strict=True) for line in _draft_lines(target, id_, taken)]
    await _COPY(
        connection,
        store=store.id,
        drafts=orjson.dumps(drafts).decode(),
        lines=orjson.dumps(lines).decode(),
        at=at,
        **addresses.binds(copies, for_guests=False),
    )
    paid: dict[str, Prepaid] = {}
    for target, id_ in zip(planned, ids, strict=True):
        if target.paid is not None:
            of = str(target.basis.order_subscription_id)
            paid[of] = Prepaid(target.paid, id_ if target.opens else paid[of].order_id if of in paid else None)
    if paid:
        await prepaid.note(connection, store.id, paid)
    return ids


def _draft(target: Target, id_: str) -> dict[str, object]:
    """The columns that are the target order's own."""
    basis, ways, totals = target.basis, target.basis.ways, target.totals
    return {
        "id": id_,
        "source_order_id": basis.source_order_id,
        "number": target.number,
        "code": order_code(target.number, prefix=basis.order_prefix, suffix=basis.order_suffix),
        "status": target.status,
        "payment_status": target.payment_status,
        "fulfillment_status": target.fulfillment_status,
        "customer_id": basis.customer_id,
        "customer_email": basis.customer_email,
        "shipping_method_id": ways.shipping_method_id,
        "payment_method_id": ways.payment_method_id,
        "customer_payment_source_id": ways.customer_payment_source_id,
        "order_subscription_id": basis.order_subscription_id,
        "occurrence_id": target.occurrence_id,
        "subtotal_amount_cents": totals.subtotal,
        "shipping_amount_cents": totals.shipping,
        "payment_method_amount_cents": totals.payment_method,
        "discount_amount_cents": totals.discount,
        "subtotal_tax_amount_cents": totals.subtotal_tax,
        "prepaid_amount_cents": totals.prepaid,
        "prepaid_tax_amount_cents": totals.prepaid_tax,
        "total_tax_amount_cents": totals.tax,
        "total_amount_cents": totals.total,
        "coupon_code": None if target.coupon is None else target.coupon.code,
        "coupon_counted": target.coupon is not None and target.coupon.counted,
    }


def _draft_lines(target: Target, order_id: str, taken: Taken) -> Iterator[dict[str, object]]:
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
            "options": orjson.Fragment(line.item.options),
            "quantity": line.quantity,
            "currency_code": target.basis.currency_code,
            "unit_amount_cents": line.amounts.unit_amount_cents,
            "compare_at_amount_cents": line.amounts.compare_at_amount_cents,
            "options_amount_cents": line.item.options_for(line.quantity) or 0,
            "discount_cents": line.amounts.discount_cents,
            "total_amount_cents": line.amounts.total_amount_cents,
            "tax_rate": str(line.amounts.tax_rate),
            "tax_amount_cents": line.amounts.tax_amount_cents,
            "stock_taken": line.quantity if target.placed and line.product.sku_id in taken.skus else 0,
            "metadata": orjson.Fragment(line.item.metadata),
        }
