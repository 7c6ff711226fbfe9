"""The short form of `make simulate`, its replay, and flaws that it finds."""

from __future__ import annotations

import pytest

from tests.simulation.play import play

SEEDS = 200


@pytest.mark.parametrize("first", range(0, SEEDS, 25))
def test_each_run_has_one_order_whatever_happens_to_workers(first: int) -> None:
    outcomes = [play(seed) for seed in range(first, first + 25)]
    assert [str(one) for one in outcomes if one.wrong] == []
    assert all(one.orders for one in outcomes)
    assert sum(one.kills for one in outcomes) > 50
    assert sum(one.attempts for one in outcomes) > sum(one.orders for one in outcomes)


def test_a_seed_leads_to_the_same_again() -> None:
    assert play(7) == play(7)
    assert play(7) != play(8)


@pytest.mark.parametrize("flaw", ["unfenced", "unlocked", "unrescued"])
def test_a_flaw_is_found(flaw: str) -> None:
    """Claims whose attempt isn't looked at, a sweep that locks nothing, copies that nobody looks for."""
    assert any(play(seed, flaw).wrong for seed in FINDS[flaw])


FINDS = {"unfenced": range(80), "unlocked": range(10), "unrescued": range(10)}
"""Seeds of which some find a flaw: the first ends the search."""
