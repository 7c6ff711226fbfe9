"""Order codes: every number has one of its own, and the way back leads to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules.order_codes import ALPHABET, order_code, scramble, unscramble

LAST_OF_FIVE = 22 * 32**4


def test_codes_of_the_first_numbers_are_distinct_short_and_plain() -> None:
    codes = [scramble(number) for number in range(1, 50_001)]
    assert len(set(codes)) == 50_000
    assert {len(code) for code in codes} == {5}
    assert set("".join(codes)) <= set(ALPHABET)
    assert not any(code[0].isdigit() for code in codes)


@given(st.integers(1, 2**63 - 1))
def test_a_code_leads_back_to_its_number(number: int) -> None:
    assert unscramble(scramble(number)) == number


@given(st.text(ALPHABET, min_size=4, max_size=9), st.sampled_from(ALPHABET[10:]))
def test_every_code_is_that_of_one_number(rest: str, first: str) -> None:
    assert scramble(unscramble(first + rest)) == first + rest


def test_codes_grow_by_a_character_where_the_shorter_ones_are_used_up() -> None:
    assert len(scramble(LAST_OF_FIVE)) == 5
    assert len(scramble(LAST_OF_FIVE + 1)) == 6


def test_neighbours_look_nothing_alike() -> None:
    alike = sum(a == b for n in range(1, 1001) for a, b in zip(scramble(n)[:3], scramble(n + 1)[:3], strict=True))
    assert alike < 3 * 1000 / 32 * 2, "the first characters of neighbours agree about as often as chance has it"


def test_prefix_and_suffix_stand_around_the_code() -> None:
    assert order_code(7, prefix="SALE-", suffix="-NL") == f"SALE-{scramble(7)}-NL"


@pytest.mark.parametrize("number", [0, -1])
def test_numbers_count_from_one(number: int) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        scramble(number)


@pytest.mark.parametrize("text", ["", "ABC", "1ABCD", "ABCDI", "abcde", "AB-DE", "ÀBCDE"])
def test_what_is_no_code_has_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a code"):
        unscramble(text)
