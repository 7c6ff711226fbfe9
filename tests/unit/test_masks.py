"""What may be shown of a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules import masks


@pytest.mark.parametrize(
    ("text", "keep", "masked"),
    [
        ("Rivers", 1, "R***"),
        ("90210", 2, "90***"),
        ("3511 AA", 2, "35***"),
        ("B", 1, "***"),
        ("Bo", 1, "B***"),
        ("101", 2, "1***"),
        ("", 2, "***"),
        ("Ængel", 1, "Æ***"),
    ],
)
def test_mask(text: str, keep: int, masked: str) -> None:
    assert masks.mask(text, keep) == masked


@given(st.text(max_size=30), st.integers(0, 3))
def test_at_most_half_of_a_text_is_shown_and_not_how_long_it_is(text: str, keep: int) -> None:
    shown = masks.mask(text, keep).removesuffix("***")
    assert text.startswith(shown)
    assert len(shown) <= min(keep, len(text) / 2)


@pytest.mark.parametrize(
    ("first", "last", "company", "zip_code", "masked"),
    [
        ("Sam", "Rivers", None, "90210", "S*** R***, 90***"),
        ("Sam", None, None, None, "S***"),
        (None, None, "Acme Tools", "3511 AA", "A***, 35***"),
        ("Sam", "Rivers", "Acme Tools", "3511 AA", "S*** R***, 35***"),
        (None, None, None, "90210", "90***"),
        (None, None, None, None, ""),
    ],
)
def test_address(first: str | None, last: str | None, company: str | None, zip_code: str | None, masked: str) -> None:
    assert masks.address(first_name=first, last_name=last, company=company, zip_code=zip_code) == masked


@pytest.mark.parametrize(
    ("name", "masked"),
    [("Visa ending in 4242", "***4242"), ("My card", "My***"), ("Giro 5", "Gi***"), (None, "***"), ("", "***")],
)
def test_a_source_is_told_from_others_by_its_last_digits(name: str | None, masked: str) -> None:
    assert masks.source(name) == masked


def test_a_source_without_a_number_is_told_by_its_method() -> None:
    assert masks.source("Account of Sam Sample", "Direct debit") == "Direct debit"
    assert masks.source("Visa ending in 4242", "Card") == "***4242"
