"""The short form of `make simulate` for payments of runs, its replay, and flaws that it finds."""

from __future__ import annotations

import pytest

from tests.simulation.owing import play

SEEDS = 60


@pytest.mark.parametrize("first", range(0, SEEDS, 15))
def test_each_run_is_paid_once_or_its_ladder_ends_and_no_card_is_asked_more_than_it_may(first: int) -> None:
    outcomes = [play(seed) for seed in range(first, first + 15)]
    assert [str(one) for one in outcomes if one.wrong] == []
    assert sum(one.kills for one in outcomes) > 100
    assert all(
        sum(counts) > 0 for counts in zip(*((one.paid, one.given_up, one.retries) for one in outcomes), strict=True)
    )


def test_a_seed_leads_to_the_same_again() -> None:
    assert play(7) == play(7)
    assert play(7) != play(8)


FINDS = {"hasty": range(20), "unbarred": range(30), "uncapped": range(10), "unfenced": range(40)}
"""Seeds of which some find a flaw: the first ends the search."""


@pytest.mark.parametrize("flaw", FINDS)
def test_a_flaw_is_found(flaw: str) -> None:
    """Steps of the ladder are not waited for; a card is asked that is refused for good, or more often than it may be;
    an answer of the gateway is noted twice.
    """
    assert any(play(seed, flaw).wrong for seed in FINDS[flaw])
