"""Of which type the failure of a run is, by what it is about: a field that is lacking, or a code of an outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from schemas.failures import FAILURE_TYPES, FailureType
from service.errors import ApiError, PaymentRefused
from service.texts import Phrase

OF_FIELDS: Final[Mapping[str, FailureType]] = {
    "payment_method": "payment",
    "customer_payment_source": "payment",
    "payment_status": "payment",
    "prepaid_order": "payment",
    "line_items": "inventory",
    "total_amount_cents": "price",
    "coupon_code": "price",
    "billing_address": "address",
    "shipping_address": "address",
    "shipping_method": "address",
}
"""Attributes and relationships under which `errors_log` says what is wrong. All others are `unexpected`."""

OF_CODES: Final[Mapping[str, FailureType]] = {
    "product_deleted": "inventory",
    "product_disabled": "inventory",
    "not_published": "inventory",
    "not_reorderable": "inventory",
    "out_of_stock": "inventory",
    "quantity_below_min": "inventory",
    "quantity_reduced_max": "inventory",
    "quantity_reduced_stock": "inventory",
    "quantity_raised_min": "inventory",
    "quantity_rounded_step": "inventory",
    "option_required": "inventory",
    "option_invalid": "inventory",
    "no_price": "price",
    "currency_mismatch": "price",
    "price_changed": "price",
    "used_up": "price",
}
"""Codes of lines that can't be had as they are, and of what else keeps an order from being placed."""

WHY_NOT: Final[Mapping[FailureType, Phrase]] = {
    "inventory": Phrase("A product in it is not available at the moment."),
    "price": Phrase("A product in it is not sold at the moment."),
    "payment": Phrase("There is no way to pay for it at the moment. Choose a card, or pay what is not paid yet."),
    "address": Phrase("It can't be sent at the moment. Choose an address."),
    "unexpected": Phrase("It can't be ordered at the moment."),
}
"""Why a delivery can't be ordered now, for customers."""


def type_of(fields: Iterable[str], codes: Iterable[str] = ()) -> FailureType:
    """Return the type of what is wrong about these fields; where codes say more of it, theirs."""
    by_code = [OF_CODES[code] for code in codes if code in OF_CODES]
    return _first(by_code or [OF_FIELDS.get(name, "unexpected") for name in fields])


def type_of_error(error: ApiError) -> FailureType:
    """Return the type of an error that keeps the order of a run from being placed."""
    return _first(_of_problem(problem) for problem in error.problems)


def _of_problem(problem: ApiError) -> FailureType:
    if isinstance(problem, PaymentRefused):
        return "payment"
    meta = problem.meta or {}
    return type_of([meta.get("field", "")], [meta.get("error", "")])


def _first(found: Iterable[FailureType]) -> FailureType:
    return min(found, key=FAILURE_TYPES.index, default="unexpected")
