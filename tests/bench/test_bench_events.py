"""A worker publishes and delivers at flat memory: the short form of `make bench-events`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import events


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="what a process uses is read from Linux's /proc")
@pytest.mark.timeout(300)
async def test_events_leave_at_flat_memory_and_in_little_processor_time(run_folder: Path, worker_id: str) -> None:
    published = await events.published(run_folder / f"events-stream-{worker_id}", 5_000)
    told = await events.told(run_folder / f"events-receiver-{worker_id}", 1_500)
    for figures in (published, told):
        assert figures.memory[-1] < figures.memory[0] + 30, figures
    # 2 000 and 500 a second on two processors leave a worker no more than this of one of them for each.
    assert published.processor / published.events < 1 / 2_000, published
    assert told.processor / told.events < 1 / 500, told
