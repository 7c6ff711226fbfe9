"""Subscriptions with their past: occurrences and the copies of the source order that came of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

import orjson

from service.demo.rows import Order, Row, Sheet
from service.rules.intervals import columns_of, meant
from service.rules.prepaid import Period
from service.rules.recurrence import Calendar

_ERRORS = orjson.dumps({"status": ["cannot transition from draft to placed"]}).decode()


@dataclass(frozen=True, slots=True)
class Copy:
    """A run of a subscription in the past: its copy and, unless it failed, the order that is still to be made.

    One that `pays` pays for those deliveries as well.
    """

    source: Order
    subscription_id: str
    occurrence_id: str
    at: datetime
    failed: bool
    unpaid: bool = False
    pays: Period | None = None


def add_subscription(
    sheet: Sheet,
    source: Order,
    *,
    frequency: str,
    timezone: str,
    model_id: str,
    status: str = "active",
    last_failed: bool = False,
    last_unpaid: bool = False,
    terms: Row = MappingProxyType({}),
    id: str | None = None,
) -> list[Copy]:
    """Add a subscription that repeats an order, its items and occurrences; gives the past runs, for `add_copy`.

    The last run may have failed, or made an order that is not paid yet. `terms` are further columns.
    A draft has neither occurrences nor a next run. Inactive and cancelled ones ran until half of their time had gone.
    """
    calendar = Calendar(source.at, timezone, frequency)
    passed = max(calendar.first_after(sheet.at) - 1, 0)
    if status != "active":
        passed = 0 if status == "draft" else (passed + 1) // 2
    failed = last_failed and passed > 0
    last_run_at = calendar.date(passed).at if passed else None
    subscription_id = sheet.add(
        "order_subscriptions",
        source.at,
        id=id,
        number=sheet.number("order_subscriptions"),
        status=status,
        frequency=frequency,
        **columns_of(meant(frequency)),
        timezone=timezone,
        source_order_id=source.id,
        subscription_model_id=model_id,
        market_id=sheet.market_id,
        customer_id=source.person.id,
        customer_email=source.person.email,
        customer_payment_source_id=source.person.wallet,
        billing_address_id=source.billing_address_id,
        shipping_address_id=source.shipping_address_id,
        shipping_method_id=source.methods.shipping,
        anchor_at=None if status == "draft" else source.at,
        next_index=passed + 1,
        starts_at=None if status == "draft" else source.at,
        next_run_at=calendar.date(passed + 1).at if status == "active" else None,
        last_run_at=last_run_at,
        cancelled_at=(last_run_at or source.at) + timedelta(hours=1) if status == "cancelled" else None,
        occurrencies=passed - failed,
        errors_count=int(failed),
        succeeded_on_last_run=not failed,
        **terms,
    )
    for line, line_id in zip(source.lines, source.line_ids, strict=True):
        unit = line.product.price_at(source.at)
        sheet.add(
            "order_subscription_items",
            source.at,
            order_subscription_id=subscription_id,
            sku_id=line.product.id,
            source_line_item_id=line_id,
            sku_code=line.product.code,
            name=line.product.name,
            options=line.product.options,
            quantity=line.quantity,
            currency_code=sheet.currency_code,
            unit_amount_cents=unit,
            total_amount_cents=unit * line.quantity,
        )
    if status == "draft":
        return []
    copies = []
    for index in range(passed + 1 + (status == "active")):
        at = calendar.date(index).at
        outcome = "planned" if index > passed else "failed" if failed and index == passed else "completed"
        unpaid = last_unpaid and 0 < index == passed
        occurrence_id = sheet.add(
            "occurrences",
            source.at,
            order_subscription_id=subscription_id,
            occurrence_index=index,
            status=outcome,
            nominal_at=at,
            scheduled_at=at,
            claimed_at=None if outcome == "planned" else at,
            completed_at=at if outcome == "completed" else None,
            reason="cannot transition from draft to placed" if outcome == "failed" else None,
            failure_type="payment" if unpaid else None,
        )
        # The first one is the source order itself.
        if index and outcome != "planned":
            failed_then = outcome == "failed"
            copies.append(Copy(source, subscription_id, occurrence_id, at, failed=failed_then, unpaid=unpaid))
    return copies


def add_copy(sheet: Sheet, copy: Copy) -> str | None:
    """Add the copy of a past run and the order it made, at the prices of the source order, as fixed prices are.

    Returns the order's id, or None where the run failed.
    """
    source = copy.source
    target_id = None
    if not copy.failed:
        target_id = sheet.order(
            copy.at,
            source.person,
            source.lines,
            source.methods,
            status="pending" if copy.unpaid else "placed",
            prices_at=source.at,
            pays=copy.pays,
            source_order_id=source.id,
            root_order_id=source.id,
            order_subscription_id=copy.subscription_id,
            occurrence_id=copy.occurrence_id,
        ).id
    sheet.add(
        "order_factories",
        copy.at,
        kind="recurring_order_copies",
        status="failed" if copy.failed else "completed",
        source_order_id=source.id,
        target_order_id=target_id,
        order_subscription_id=copy.subscription_id,
        occurrence_id=copy.occurrence_id,
        place_target_order=True,
        started_at=copy.at,
        completed_at=None if copy.failed else copy.at,
        failed_at=copy.at if copy.failed else None,
        errors_log=_ERRORS if copy.failed else None,
        errors_count=int(copy.failed),
        failure_type="payment" if copy.unpaid else None,
        attempt=1,
    )
    return target_id
