"""The short form of `make soak`, and its judge judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import load
from tests.bench.soak import Soaked, soak


def test_many_requests_of_all_kinds_are_answered_in_little_memory(run_folder: Path) -> None:
    """Whether it grows shows in `make soak` only: caches are not warm after so few."""
    try:
        load.program()
    except load.Missing as missing:
        pytest.skip(str(missing))
    found = soak(1_500, 200, run_folder / "bench", Console(quiet=True))
    assert found.errors == 0
    assert found.requests >= 1_500
    assert 0 < found.early <= found.late < 150


def test_the_judge_notices_errors_and_growth() -> None:
    assert Soaked(10, 0, 100, 105).wrong == []
    assert len(Soaked(10, 1, 100, 120).wrong) == 2
    assert len(Soaked(10, 0, 100, 160).wrong) == 2
