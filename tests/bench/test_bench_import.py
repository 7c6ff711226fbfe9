"""The short form of `make bench-import`, and its judge judged."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.bench.million import Imported, bring

_numbers = itertools.count(910_001)


def test_four_times_the_lines_take_no_more_memory(database_url: str, tmp_path: Path) -> None:
    few, many = (bring(database_url, lines, next(_numbers), tmp_path) for lines in (1_500, 6_000))
    assert few.said.endswith(" 0 refused.")
    assert many.said == "Records: 3500 new, 0 changed, 0 unchanged, 0 skipped, 0 refused."
    assert many.megabytes < few.megabytes + 12
    assert many.megabytes < 150
    assert many.own > 0
    assert many.postgres > 0


def test_the_judge_notices_what_is_slow_large_or_refused() -> None:
    assert Imported(1_000, 2, 0.3, 0.2, 90, "Records: 1 new, 0 refused.").wrong == []
    assert len(Imported(1_000, 2, 0.4, 0.3, 160, "Records: 1 new, 2 refused.").wrong) == 3
