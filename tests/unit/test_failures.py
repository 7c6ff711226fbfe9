"""Of which type a failure is: every code, field and error that a run can meet has one, and it is the one that helps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from schemas.failures import FAILURE_TYPES, FailureType
from service import errors
from service.errors import ApiError, Invalid, PaymentRefused, Problems
from service.operations.copies.priced import CopyFailed
from service.operations.ordering.checks import Problem
from service.rules import failures
from service.rules.failures import OF_CODES, OF_FIELDS, type_of, type_of_error
from service.rules.states import Checkout, Method, missing
from service.texts import Phrase

BARE = Checkout(
    status="pending",
    ships=True,
    free=False,
    has_billing_address=False,
    has_shipping_address=False,
    shipping_method=None,
    payment_method=Method(available=True),
    payment_source_missing=True,
)
"""What lacks all that an order can lack, but for its payment method."""


def _all_errors(of: type[ApiError] = ApiError) -> list[type[ApiError]]:
    return [of, *(one for child in of.__subclasses__() for one in _all_errors(child))]


@pytest.mark.parametrize("error", [one for one in _all_errors() if one is not Problems], ids=lambda one: one.__name__)
def test_every_error_has_a_type(error: type[ApiError]) -> None:
    """A refused payment is told apart; an error that names neither a field nor a code is nothing that was foreseen."""
    assert error.__module__ == errors.__name__
    assert type_of_error(error("said")) == ("payment" if issubclass(error, PaymentRefused) else "unexpected")


@pytest.mark.parametrize("code", sorted(OF_CODES))
def test_a_line_that_can_not_be_had_says_why(code: str) -> None:
    told = Problem(Phrase("said"), code, details={"line_item_id": "l"}).error("_place")
    assert type_of_error(told) == OF_CODES[code] == CopyFailed({"line_items": ["said"]}, [code]).failure_type


def test_what_an_order_lacks_has_a_type() -> None:
    found = missing(BARE)
    assert {name: type_of([name]) for name in found} == {
        "billing_address": "address",
        "shipping_address": "address",
        "shipping_method": "address",
        "customer_payment_source": "payment",
    }
    for name, expected in OF_FIELDS.items():
        assert type_of_error(Problem(Phrase("said"), lacks=name).error("_place")) == expected


def test_every_code_of_an_outcome_is_known() -> None:
    """The codes are those of the table of outcomes, but for what becomes of lines in a cart."""
    sql = Path("sql/migrations/0007_reorders.sql").read_text()
    adjusted, skipped = re.findall(r"code in \(([^)]*)\)", sql)
    assert set(re.findall(r"'(\w+)'", adjusted + skipped)) - {"merged_into_existing_line"} <= OF_CODES.keys()


@pytest.mark.parametrize(
    ("fields", "codes", "expected"),
    [
        (["line_items"], ["no_price", "out_of_stock"], "inventory"),
        (["line_items"], ["currency_mismatch"], "price"),
        (["shipping_address", "customer_payment_source"], [], "payment"),
        (["status"], [], "unexpected"),
        (["base"], [], "unexpected"),
        ([], [], "unexpected"),
    ],
)
def test_the_first_that_applies_counts(fields: list[str], codes: list[str], expected: FailureType) -> None:
    assert type_of(fields, codes) == expected
    both = [Invalid("said", meta={"field": name}) for name in fields] if not codes else []
    if both:
        assert type_of_error(Problems(both)) == expected


def test_types_are_declared_once() -> None:
    assert get_args(FailureType) == FAILURE_TYPES == ("payment", "inventory", "price", "address", "unexpected")
    assert {*failures.OF_CODES.values(), *failures.OF_FIELDS.values()} | {"unexpected"} == set(FAILURE_TYPES)
