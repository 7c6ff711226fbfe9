"""The script of `make bench-copies` runs the statements that there are, with all their parameters."""

from __future__ import annotations

import re

from tests.bench.copies import script_of


def test_the_script_gives_every_statement_its_parameters() -> None:
    script = script_of(1, "'2026-01-01'::timestamptz")
    assert "insert into events" in script
    assert not re.search(r"^run |\$|--", script, re.MULTILINE)
