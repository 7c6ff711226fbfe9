"""The short form of `make simulate` for test clocks, its replay, and flaws that it finds."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.simulation.advancing import ADVANCES, play

SEEDS = 60


@pytest.mark.parametrize("first", range(0, SEEDS, 15))
def test_a_clock_waits_for_all_that_is_due_whatever_happens_to_workers(first: int) -> None:
    outcomes = [play(seed) for seed in range(first, first + 15)]
    assert [str(one) for one in outcomes if one.wrong] == []
    assert all(one.stops >= ADVANCES for one in outcomes)
    assert sum(one.kills for one in outcomes) > 50
    assert sum(one.attempts for one in outcomes) > sum(one.orders for one in outcomes) > 0


def test_a_seed_leads_to_the_same_again() -> None:
    assert play(7) == play(7)
    assert play(7) != play(8)


async def _tick(until: threading.Event, ticks: list[float]) -> None:
    while not until.is_set():
        ticks.append(time.monotonic())
        await asyncio.sleep(0.001)


def test_other_threads_go_by_a_loop_of_their_own() -> None:
    """As servers do that tests leave running beside it."""
    done, ticks = threading.Event(), list[float]()
    with ThreadPoolExecutor(1) as other:
        ticking = other.submit(asyncio.run, _tick(done, ticks))
        while not ticks:
            time.sleep(0.001)
        began = time.monotonic()
        for seed in range(5):
            play(seed)
        done.set()
        ticking.result()
    assert [at for at in ticks if at > began]


FINDS = {"hasty": range(20), "leaping": range(5), "stranded": range(20), "unlocked": range(40)}
"""Seeds of which some find a flaw: the first ends the search."""


@pytest.mark.parametrize("flaw", FINDS)
def test_a_flaw_is_found(flaw: str) -> None:
    """A clock goes on though copies aren't made, or goes to its goal at once; nobody looks for clocks whose job got
    lost; two workers move one clock.
    """
    assert any(play(seed, flaw).wrong for seed in FINDS[flaw])
