"""Who orders by a repeat link proves to be the customer: by an answer that is one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.rules.guesses import Ladder
from service.rules.proofs import Rule, knows, proof


@pytest.mark.rule("FM-99")
@pytest.mark.parametrize("answer", ["", " ", "-", "- -", "\u00a0", "."])
@pytest.mark.parametrize("rule", ["zip_code", "email"])
def test_nothing_is_no_answer(rule: Rule, answer: str) -> None:
    assert not any(knows(rule, [answer], said) for said in ("", " ", "-", answer))
    assert proof(rule, None, [answer]) is None
    assert proof(rule, "anna", [answer]) == "sign_in"


def test_postal_codes_are_compared_by_letters_and_digits() -> None:
    assert all(
        knows("zip_code", ["3511 AA"], said)
        for said in ("3511aa", " 3511-AA ", "3511  aa", "\uff13\uff15\uff11\uff11aa")
    )
    assert not any(knows("zip_code", ["3511 AA"], said) for said in ("3511", "3511ab", "aa"))


def test_addresses_of_mail_are_compared_whole() -> None:
    assert knows("email", ["Anna-Lou@example.com"], " anna-lou@Example.com ")
    assert not knows("email", ["anna-lou@example.com"], "annalou@example.com")


def test_signing_in_is_the_way_where_nothing_else_is() -> None:
    assert proof("customer", "anna", ["3511 AA"]) == "sign_in"
    assert proof("customer", None, ["3511 AA"]) is None
    assert proof("zip_code", None, ["3511 AA"]) == "zip_code"


@pytest.mark.rule("FM-101")
def test_delays_grow_and_end_at_the_last_one() -> None:
    ladder = Ladder(2, (timedelta(minutes=1), timedelta(minutes=5)))
    minutes = [ladder.wait(wrong) // timedelta(minutes=1) for wrong in range(7)]
    assert minutes == [0, 0, 1, 5, 5, 5, 5]
