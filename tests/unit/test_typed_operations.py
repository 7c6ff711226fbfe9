"""Operations are functions with typed arguments: none makes up a request to call another, and no page does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from service.errors import Invalid, Problems

ROOT = Path(__file__).parents[2] / "service"
PLACES = [*sorted((ROOT / "operations").rglob("*.py")), *sorted((ROOT / "http" / "pages").rglob("*.py"))]

READING = {"creation", "update", "linkage"}
"""What of `service.jsonapi.body` reads documents."""


@pytest.mark.parametrize("path", PLACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_makes_up_a_request(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    made = {called.id for called in calls if isinstance(called, ast.Name)} & {"Draft"}
    read = {
        called.attr
        for called in calls
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "body"
    } & READING
    # The generic writer has one of what was sent to a relationship's URL, and an empty one where nothing was sent.
    allowed = {"Draft"} if path.name == "writing.py" else set()
    assert made | read <= allowed


def test_problems_name_fields_and_the_edge_says_where_they_are() -> None:
    def pointer(*names: str) -> str:
        return f"/data/attributes/{names[0]}" if names[0] == "lines" else "/data"

    lines = Invalid("must be a whole number greater than 0.", fields=("lines",), within="/2/quantity")
    other = Invalid("is gone", fields=("cart", "source_order"))
    known = Invalid("can't be read", pointer="/data/id")
    Problems([lines, other, known]).locate(pointer)
    assert [problem.source for problem in (lines, other, known)] == [
        {"pointer": "/data/attributes/lines/2/quantity"},
        {"pointer": "/data"},
        {"pointer": "/data/id"},
    ]
