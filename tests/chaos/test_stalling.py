"""What once stalled a process: the short form of `make hostile`, and its judge judged."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import hostile


@pytest.mark.rule("FM-120", "FM-121", "FM-122", "FM-123", "FM-124", "FM-125", "FM-127", "FM-128", "FM-131")
@pytest.mark.timeout(180)
async def test_nobody_stalls_the_others(run_folder: Path, worker_id: str) -> None:
    """Times are for `make hostile` alone: what else a machine does shows in them."""
    folder = run_folder / f"hostile-{worker_id}"
    folder.mkdir()
    folder.chmod(0o755)
    results = await hostile.run(folder, orders=300, factors=(0.25,))
    assert [problem for result in results for problem in result.wrong] == []
    assert all(result.looks > 0 and result.statuses for result in results)
    assert [result.case.name for result in results] == [case.name for case in hostile.CASES]


def test_the_judge_notices_accidents_slowness_and_growth() -> None:
    case = hostile.CASES[0]
    fine = hostile.Result(case, 1, Counter({200: 1, 503: 1, 0: 1}), slowest=0.5)
    assert fine.wrong == fine.slow == []
    bad = hostile.Result(case, 2, Counter({500: 1}), slowest=2.0, growth=200, backend=150)
    assert len(bad.wrong) == 3
    assert len(bad.slow) == 1
