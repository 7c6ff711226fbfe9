"""What keeps an order from being placed: problems, all at once, in the words of no protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from service.errors import Invalid
from service.gateways import needs_source, usable
from service.operations.ordering.facts import Line, OrderFacts, Ways
from service.operations.ordering.today import Today
from service.principal import Principal
from service.rules.outcome_texts import phrase
from service.rules.outcomes import Outcome, SourceLine
from service.rules.states import BLANK, Checkout, Messages, Method, placing_problems
from service.texts import Phrase


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with an order, or with one of its lines.

    `code` is for programs, `lacks` names what of the order is missing, `details` are further facts (amounts, ids).
    """

    message: Phrase
    code: str | None = None
    lacks: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    def error(self, asked: str) -> Invalid:
        """The problem as the answer to whoever said the field `asked`."""
        meta = {name: value for name, value in (("error", self.code), ("field", self.lacks)) if value is not None}
        message, fields = self.message, (asked,) if self.lacks is None else (self.lacks, asked)
        return Invalid(message, fields=fields, meta={**meta, **self.details})


def lacking(
    ways: Ways, *, mode: str, status: str, ships: bool, free: bool, token: str | None, at: datetime
) -> Messages:
    """What something that is to be placed lacks, by the names of its relationships.

    `status` is its resting status, `token` what it is paid with, where that isn't the source from the wallet.
    """
    expires_at = ways.payment_source_expires_at
    shipping, payment = ways.shipping_method_available, ways.payment_method_available
    return placing_problems(
        Checkout(
            status=status,
            ships=ships,
            free=free,
            has_billing_address=ways.billing_address_id is not None,
            has_shipping_address=ways.shipping_address_id is not None,
            shipping_method=None if shipping is None else Method(shipping),
            payment_method=None if payment is None else Method(payment, ways.gateway or ""),
            payment_source_expired=expires_at is not None and expires_at <= at,
            payment_source_missing=(token or ways.payment_source_token) is None and needs_source(ways.gateway),
            gateways=usable(mode, external=ways.has_external_gateway),
        )
    )


def lacks(principal: Principal, order: OrderFacts, *, token: str | None, at: datetime) -> Iterator[Problem]:
    """What an order lacks, by the names of its fields."""
    found = lacking(
        order.ways,
        mode=principal.store.mode,
        status="pending",
        ships=order.fulfillment_status != "not_required",
        free=not order.amounts.due,
        token=token,
        at=at,
    )
    if not (order.customer_id or order.customer_email):
        found["customer_email"] = [BLANK]
    if not order.of_skus:
        found["line_items"] = [BLANK]
    if order.expires_at is not None and order.expires_at <= at:
        found["expires_at"] = [Phrase("has passed")]
    of_somebody_else = principal.owner is not None and principal.customer_id != order.customer_id
    if order.ways.customer_payment_source_id is not None and of_somebody_else:
        found["customer_payment_source"] = [Phrase("belongs to the customer, who must sign in")]
    for name, messages in found.items():
        for message in messages:
            yield Problem(Phrase("{name} - {message}", name=name, message=message), lacks=name)


def unavailable(outcomes: Iterable[Outcome], kind: str) -> Iterator[Problem]:
    """A problem for each line that can't be had as it is; `kind` names what the lines are (`line_item`)."""
    for outcome in outcomes:
        reason = phrase(outcome)
        if reason is not None:
            message = Phrase("{name}: {reason}", name=outcome.line.name, reason=reason)
            yield Problem(message, outcome.code, details=_of(outcome.line, kind))


def sold_out(lines: Iterable[Line], short: Iterable[str]) -> Iterator[Problem]:
    """A problem for each line of which somebody else was quicker to take, by the ids of its skus."""
    short = set(short)
    for line in lines:
        if line.sku_id in short:
            message = Phrase("{name}: not enough is in stock.", name=line.name)
            yield Problem(message, "out_of_stock", details=_of(line.source, "line_item"))


def changes(order: OrderFacts, today: Today) -> Iterator[Problem]:
    """A problem for each thing that was promised otherwise than it is today; none where all was agreed on.

    Each names what is due, before and now.
    """
    if not order.follows:
        return
    sums = {"due_amount_cents": today.amounts.due, "previous_due_amount_cents": order.amounts.due}
    repriced = False
    for was, now in zip(order.lines, today.lines, strict=True):
        if was.unit_amount_cents == now.unit_amount_cents:
            continue
        repriced = True
        yield Problem(
            Phrase(
                "{name}: the price has changed since the order was made; send `_refresh_prices` to take over today's.",
                name=was.name,
            ),
            "price_changed",
            details={
                "line_item_id": was.id,
                "unit_amount_cents": now.unit_amount_cents,
                "previous_unit_amount_cents": was.unit_amount_cents,
                **sums,
            },
        )
    changed = _changed(order, today, but=("discount", "subtotal_tax") if repriced else ())
    if changed:
        yield Problem(
            Phrase(
                "The order comes to another amount today ({changed}); send `_refresh_prices` to take over today's.",
                changed=[_NAMES[name] for name in changed],
            ),
            "price_changed",
            details={"changed": [f"{name}_amount_cents" for name in changed], **sums},
        )


def _changed(order: OrderFacts, today: Today, *, but: Sequence[str]) -> list[str]:
    """The amounts that are others today, `but` those that follow from the prices of lines."""
    return [name for name in _NAMES if name not in but and getattr(order.amounts, name) != getattr(today.amounts, name)]


_NAMES = {
    "discount": Phrase("discount"),
    "shipping": Phrase("shipping"),
    "payment_method": Phrase("payment costs"),
    "subtotal_tax": Phrase("taxes"),
}
"""The amounts that change by themselves, in words."""


def _of(line: SourceLine, kind: str) -> Mapping[str, object]:
    return {f"{kind}_id": line.id, "sku_code": line.sku_code}
