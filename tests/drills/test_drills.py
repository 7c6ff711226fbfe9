"""The short form of each of `make drills`, and their judge judged."""

from __future__ import annotations

import uuid
from pathlib import Path

import asyncpg
import pytest

from service.store.pool import is_away
from tests.drills.all import DRILLS
from tests.drills.load import Outcome
from tests.drills.server import SHORT


@pytest.mark.parametrize("name", DRILLS)
@pytest.mark.timeout(240)
async def test_what_was_acknowledged_is_found_once(name: str, run_folder: Path) -> None:
    folder = run_folder / f"drill-{uuid.uuid4().hex[:8]}"
    reason = DRILLS[name].hindered(run_folder / f"mount-{folder.name}")
    if reason is not None:
        pytest.skip(reason)
    outcome = await DRILLS[name].play(folder, SHORT)
    assert outcome.is_well, str(outcome)


@pytest.mark.parametrize(
    "outcome",
    [Outcome(2, 1), Outcome(1, 2), Outcome(0, 0), Outcome(1, 1, wrong=["a cart that doesn't add up"])],
)
def test_the_judge_notices_what_is_lost_doubled_broken_and_never_done(outcome: Outcome) -> None:
    assert not outcome.is_well


def test_a_connection_whose_server_left_as_it_was_used_is_no_accident() -> None:
    """As asyncpg has it where a server's last words arrive between two statements (found by the drill `restarted`)."""
    assert is_away(asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"))
