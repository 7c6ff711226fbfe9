"""The short form of `make bench`: it runs, everybody answers what is asked, and the page gets its table."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import __main__ as bench
from tests.bench import load, report
from tests.bench.cases import cases
from tests.bench.world import World

WORLD = World(
    "", 1, "order", "customer", ["order"], ["cart"], ["sku"], [("sub", "order")], deep=None, total=0, version=""
)


def test_a_read_is_measured_beside_the_floor(tmp_path: Path, run_folder: Path) -> None:
    try:
        load.program()
    except load.Missing as missing:
        pytest.skip(str(missing))
    run = bench.Run(only=["one-order"], rounds=1, seconds=1, orders=200, peers=(), folder=run_folder / "bench")
    made = bench.measure(run, Console(quiet=True))
    assert made.errors == 0
    assert {name: spent.total > 0 for name, spent in made.measured[0].spent.items()} == dict.fromkeys(
        ("floor", "service", "whole"), True
    )
    page = tmp_path / "speed.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(made, page)
    written = page.read_text()
    assert "| one order | 1.00 |" in written
    assert "old" not in written
    assert (written[:6], written[-6:]) == ("before", "after\n")


def test_the_short_run_has_the_reads_and_the_reorder() -> None:
    chosen = bench.chosen(cases(WORLD), bench.Run(quick=True))
    assert [case.key for case in chosen] == ["one-order", "tree", "page", "counted", "customer", "reorder"]


def test_an_unknown_case_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"No case orders; there are one-order, tree,"):
        bench.chosen(cases(WORLD), bench.Run(only=["orders"]))
