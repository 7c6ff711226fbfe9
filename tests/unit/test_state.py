"""Where the service keeps what changes: on typed objects that are handed on, and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for folder in ("service", "schemas", "sql") for path in (ROOT / folder).rglob("*.py"))

OF_ASGI = {"client", "extensions", "headers", "method", "path", "query_string", "raw_path", "scheme"}
"""The keys of a scope that middleware corrects; the specification of ASGI names them."""

OF_SERVER = {("protocol.py", "AT_ONCE")}
"""What the server offers beyond ASGI, before anything of ours has begun to answer."""
THROUGH_LAYERS = {("line.py", "_ANSWER")}
"""The layer that compresses hands on a scope and two functions, as ASGI has them: only the scope can carry more."""


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_changes_a_global(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.names for node in ast.walk(tree) if isinstance(node, ast.Global)]
    values = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    # What begins empty is there to be filled.
    assert not [
        ast.unparse(value) for value in values if ast.unparse(value) in ("{}", "[]", "set()", "dict()", "list()")
    ]


def test_one_module_knows_what_hangs_on_the_application() -> None:
    knowing = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr == "state" and ast.unparse(node.value).endswith("app")
    }
    assert knowing == {"service/http/state.py"}


def test_one_module_hangs_things_on_a_request() -> None:
    """Everything else that is written into a scope is what the specification of ASGI has there."""
    written = {
        (path.name, ast.unparse(target.slice))
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith("scope")
    }
    known = {(name, key) for name, key in written if key.strip("'") in OF_ASGI}
    assert written - known == {("exchange.py", "_KEY"), *OF_SERVER, *THROUGH_LAYERS}
