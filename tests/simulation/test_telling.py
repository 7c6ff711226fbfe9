"""The short form of `make simulate` for deliveries, its replay, and flaws that it finds."""

from __future__ import annotations

import pytest

from tests.simulation.telling import play

SEEDS = 100


@pytest.mark.parametrize("first", range(0, SEEDS, 25))
def test_each_event_is_told_once_it_is_there_in_order_and_in_the_same_words(first: int) -> None:
    outcomes = [play(seed) for seed in range(first, first + 25)]
    assert [str(one) for one in outcomes if one.wrong] == []
    assert all(one.events for one in outcomes)
    assert sum(one.kills for one in outcomes) > 50
    assert sum(one.sent for one in outcomes) > 2 * sum(one.events for one in outcomes)
    assert sum(one.stopped for one in outcomes) > 0


def test_a_seed_leads_to_the_same_again() -> None:
    assert play(7) == play(7)
    assert play(7) != play(8)


FINDS = {
    "hasty": range(20),
    "resettled": range(60, 110),
    "unordered": range(10),
    "unbroken": range(80),
}
"""Seeds of which some find a flaw: the first ends the search."""


@pytest.mark.parametrize("flaw", FINDS)
def test_a_flaw_is_found(flaw: str) -> None:
    """Events are passed over whose transactions go on; what is sent is settled by who has lost the lease; later events
    overtake earlier ones; an open circuit keeps nobody.
    """
    assert any(play(seed, flaw).wrong for seed in FINDS[flaw])
