"""Which order states lead to which, and what placing asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.rules.states import Checkout, Method, placing_problems, refused, resting
from service.rules.verbs import transitions

STATUSES = tuple(transitions("orders"))
LEGAL = {
    ("draft", "pending"),
    ("draft", "cancelled"),
    ("pending", "draft"),
    ("pending", "placing"),
    ("pending", "placed"),
    ("pending", "cancelled"),
    ("placing", "pending"),
    ("placing", "placed"),
    ("placed", "approved"),
    ("placed", "cancelled"),
    ("approved", "cancelled"),
}

READY = Checkout(
    status="pending",
    ships=True,
    free=False,
    has_billing_address=True,
    has_shipping_address=True,
    shipping_method=Method(available=True),
    payment_method=Method(available=True, gateway="manual"),
)


@pytest.mark.parametrize("wanted", STATUSES)
@pytest.mark.parametrize("current", STATUSES)
def test_every_pair_of_states_is_legal_or_refused_in_words(current: str, wanted: str) -> None:
    expected = None if (current, wanted) in LEGAL else f"cannot transition from {current} to {wanted}"
    assert refused(current, wanted) == expected


@pytest.mark.parametrize(
    ("has_customer", "has_lines", "status"),
    [(True, True, "pending"), (True, False, "draft"), (False, True, "draft"), (False, False, "draft")],
)
def test_an_order_is_pending_once_it_has_a_customer_and_a_line(
    *, has_customer: bool, has_lines: bool, status: str
) -> None:
    assert resting(has_customer=has_customer, has_lines=has_lines) == status


def test_a_complete_order_can_be_placed() -> None:
    assert placing_problems(READY) == {}


def test_a_draft_is_refused_as_the_contract_words_it() -> None:
    assert placing_problems(replace(READY, status="draft", has_billing_address=False)) == {
        "status": ["cannot transition from draft to placed"]
    }


def test_everything_missing_is_told_at_once() -> None:
    bare = replace(
        READY, has_billing_address=False, has_shipping_address=False, shipping_method=None, payment_method=None
    )
    assert placing_problems(bare) == {
        "billing_address": ["can't be blank"],
        "shipping_address": ["can't be blank"],
        "shipping_method": ["can't be blank"],
        "payment_method": ["can't be blank"],
    }


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({"shipping_method": Method(available=False)}, {"shipping_method": ["is no longer available"]}),
        (
            {"payment_method": Method(available=False, gateway="manual")},
            {"payment_method": ["is no longer available"]},
        ),
        (
            {"payment_method": Method(available=True, gateway="external")},
            {"payment_method": ["can't be charged through the external gateway"]},
        ),
        ({"payment_source_expired": True}, {"customer_payment_source": ["has expired"]}),
        ({"ships": False, "has_shipping_address": False, "shipping_method": None}, {}),
        ({"free": True, "payment_method": None, "payment_source_expired": True}, {}),
    ],
)
def test_one_thing_at_a_time(change: dict[str, Any], problems: dict[str, list[str]]) -> None:
    assert placing_problems(replace(READY, **change)) == problems
