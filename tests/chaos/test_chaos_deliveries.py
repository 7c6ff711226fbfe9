"""Every event reaches who takes it, whatever is killed, however bad others are: the short form of `make deliveries`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import deliveries


@pytest.mark.rule("FM-81")
@pytest.mark.timeout(240)
async def test_killed_workers_and_a_killed_server_lose_no_delivery(run_folder: Path, worker_id: str) -> None:
    plan = deliveries.Plan(
        transactions=80, events=3, workers=2, worker_kills=4, postgres_kills=1, pauses=(0.5, 1.5), seconds=200
    )
    report = await deliveries.play(plan, run_folder / f"deliveries-{worker_id}")
    assert report.wrong == []
    assert report.events > 120
    assert (report.worker_kills >= 3, report.postgres_kills) == (True, 1)
    assert report.requests["gone"] <= 3 * 8 + 8
