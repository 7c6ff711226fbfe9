"""What explanations list is what there is."""

from __future__ import annotations

import re

from sql import FOLDER, Statement, read_statements
from tests.processes import ROOT


def global_reads() -> dict[str, Statement]:
    """The statements that are about all stores, by topic and name."""
    return {
        f"{path.stem}.{found.name}": found
        for path in (FOLDER / "queries").rglob("*.sql")
        for found in read_statements(path)
        if "Of all stores" in found.prose or "global read" in found.prose
    }


def test_every_global_read_is_listed() -> None:
    page = (ROOT / "docs" / "explanation" / "stores.md").read_text()
    assert sorted(re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE)) == sorted(global_reads())


def test_global_reads_say_so_and_only_read_without_locks() -> None:
    for name, found in global_reads().items():
        assert found.prose.endswith("A global read."), name
        assert not re.search(r"\b(insert|update|delete|merge|share)\b", found.text), name
