"""The short form of `make bench-import`, and its judge judged."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.bench.million import Imported, bring, take

_numbers = itertools.count(910_001)


def test_four_times_the_lines_take_no_more_memory_in_nor_out(database_url: str, tmp_path: Path) -> None:
    stores = [next(_numbers), next(_numbers)]
    few, many = (
        bring(database_url, lines, store, tmp_path) for lines, store in zip((1_500, 6_000), stores, strict=True)
    )
    assert few.said.splitlines() == [
        "Records: 1625 new, 0 changed, 0 unchanged, 0 skipped, 0 refused.",
        "  skus: 1000 new",
        "  customers: 125 new",
        "  orders: 500 new",
    ]
    assert many.said.splitlines() == [
        "Records: 3500 new, 0 changed, 0 unchanged, 0 skipped, 0 refused.",
        "  skus: 1000 new",
        "  customers: 500 new",
        "  orders: 2000 new",
    ]
    assert many.megabytes < few.megabytes + 12
    assert many.megabytes < 150
    assert many.own > 0
    assert many.postgres > 0
    fewer, more = (take(database_url, store, tmp_path) for store in stores)
    assert (fewer.lines, more.lines) == (1_500, 6_000)
    assert more.megabytes < fewer.megabytes + 12
    assert more.wrong == []


def test_the_judge_notices_what_is_slow_large_or_refused() -> None:
    assert Imported(1_000, 2, 0.3, 0.2, 90, "Records: 1 new, 0 refused.").wrong == []
    assert len(Imported(1_000, 2, 0.4, 0.3, 160, "Records: 1 new, 2 refused.").wrong) == 3
