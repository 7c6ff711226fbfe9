"""The short form of `make cluster`."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests import bouncer
from tests.cluster.running import Size, play
from tests.proxying import need


@pytest.mark.timeout(300)
async def test_several_processes_behind_poolers_lose_and_double_nothing(run_folder: Path) -> None:
    need("nginx")
    if bouncer.PROGRAM is None:
        pytest.skip(bouncer.MISSING)
    folder = run_folder / f"cluster-{uuid.uuid4().hex[:8]}" / "data"
    folder.parent.mkdir(mode=0o755)
    outcomes = await play(folder, Size(processes=1, workers=2, shoppers=4, seconds=2, subscriptions=80))
    assert outcomes.is_well, str(outcomes)
