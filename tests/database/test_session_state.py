"""Nothing relies on a session from one transaction to the next, so that a pooler may hand it on in between."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pglast
import pytest
from pglast import ast as sql_ast
from pglast.visitors import Visitor

import sql

ROOT = Path(__file__).parents[2]
OWN_SESSION = {
    "service/store/distributing.py": "tables are distributed on a connection like that of migrations",
    "service/store/migrate.py": "migrations run on a connection of their own, by the direct URL",
    "service/store/notices.py": "listens on a connection of its own, unless a pooler is in between",
}
"""Where a session is used, and why it is nobody else's."""
_IN_PYTHON = {"add_listener", "add_query_logger", "set_type_codec", "set_builtin_type_codec"}
"""What asyncpg keeps with a session, or of it."""


class _Finder(Visitor):  # type: ignore[misc]  # pglast has no stubs
    """Collects what a statement leaves in its session."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def visit(self, _: object, node: sql_ast.Node) -> None:
        """Look at any node."""
        match node:
            case sql_ast.VariableSetStmt(is_local=False):
                self.found.append(f"set {node.name}")
            case (
                sql_ast.ListenStmt()
                | sql_ast.UnlistenStmt()
                | sql_ast.PrepareStmt()
                | sql_ast.DiscardStmt()
                | sql_ast.LoadStmt()
                | sql_ast.DeclareCursorStmt()
            ):
                self.found.append(type(node).__name__)
            case sql_ast.RangeVar(relpersistence="t"):
                self.found.append(f"temporary {node.relname}")
            case sql_ast.FuncCall():
                self._call(node)

    def _call(self, node: sql_ast.FuncCall) -> None:
        name = node.funcname[-1].sval
        if "advisory" in name and "xact" not in name:
            self.found.append(name)
        if name == "set_config" and not getattr(node.args[2].val, "boolval", False):
            self.found.append(name)
        if name in ("currval", "lastval"):
            self.found.append(name)


def left_by(text: str) -> list[str]:
    """What a text that may be SQL leaves in its session; nothing where it is none."""
    if len(text.split()) < 2:
        return []
    try:
        parsed = pglast.parse_sql(text)
    except pglast.Error:
        return []
    finder = _Finder()
    finder(parsed)
    return finder.found


def in_python(path: Path) -> Iterator[str]:
    """What a file's statements, and its use of asyncpg, leave in a session."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from left_by(node.value)
        if isinstance(node, ast.Attribute) and node.attr in _IN_PYTHON:
            yield node.attr


def test_statements_leave_nothing_in_their_session() -> None:
    statements = [statement for topic in sql.topics() for statement in sql.statements(topic).values()]
    assert {one.path: left_by(one.text) for one in statements if left_by(one.text)} == {}


def test_nor_does_anything_in_python_but_where_the_session_is_our_own() -> None:
    found = {str(path.relative_to(ROOT)): list(in_python(path)) for path in (ROOT / "service").rglob("*.py")}
    assert {path for path, what in found.items() if what} == OWN_SESSION.keys()


@pytest.mark.parametrize(
    "text",
    [
        "set statement_timeout = 0",
        "set role other",
        "listen a_channel",
        "select pg_try_advisory_lock(1)",
        "create temporary table a (b int)",
        "select 1 into temp a",
        "prepare a as select 1",
        "declare a cursor with hold for select 1",
        "select set_config('jit', 'off', false)",
        "discard all",
        "select lastval() from a",
    ],
)
def test_the_search_finds_each_kind(text: str) -> None:
    assert left_by(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "set local statement_timeout = 0",
        "select pg_try_advisory_xact_lock(1)",
        "select set_config('jit', 'off', true)",
        "select pg_notify('a', 'b')",
        "no statement",
    ],
)
def test_what_ends_with_its_transaction_is_fine(text: str) -> None:
    assert left_by(text) == []
