"""Whether a statement means the same when its parts run one after another, as they do where rows lie on several nodes.

In one Postgres all parts of a statement see what was there before it. Citus runs common table expressions that write by
themselves, in their order, and each sees what those before it wrote. So no part may read what an earlier one writes,
but from what that returns. A query that is used once, and isn't `materialized`, is read where it is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from pglast import ast, parse_sql
from pglast.enums import CTEMaterialize

import sql
from tests.pins import Node, Table, our_schema

EVERY = "*"
"""Stands for all columns of a table."""

_NOTED = frozenset({"updated_at", "version"})
"""Columns that every change sets, and that no part takes for what it decides."""

Columns = Mapping[str, frozenset[str]]
"""Table -> the columns that are meant."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a statement: its name, empty for the last, what it reads and writes, and which parts it uses."""

    name: str
    reads: Columns
    writes: Columns
    uses: Counter[str]
    floats: bool
    """Whether it is read where it is used."""


def faults(text: str) -> list[str]:
    """What parts read that earlier ones have written: `part reads table.column of earlier`."""
    (raw,) = parse_sql(text)
    parts = list(_parts(raw.stmt))
    if not any(part.writes for part in parts[:-1]):
        return []
    used = Counter[str]()
    for part in parts:
        used += part.uses
    floating = {part.name: part for part in parts if part.floats and used[part.name] <= 1}
    found: list[str] = []
    written: list[tuple[str, Columns]] = []
    for part in parts:
        if part.name in floating:
            continue
        for reader in _with_floating(part, floating):
            for earlier, columns in written:
                found += [
                    f"{reader.name or 'the last part'} reads {table}.{column} of {earlier}"
                    for table in sorted(reader.reads.keys() & columns.keys())
                    for column in sorted(_both(reader.reads[table], columns[table]))
                ]
        if part.writes:
            written.append((part.name, part.writes))
    return found


def blind(text: str) -> list[str]:
    """What inserts look up in tables to return it: Citus gives them to a node that takes them for its own."""
    (raw,) = parse_sql(text)
    return [
        f"what is returned by an insert into {insert.relation.relname} is looked up in {node.relname}"
        for insert in _walk(raw.stmt)
        if isinstance(insert, ast.InsertStmt) and insert.returningClause
        for node in _walk(insert.returningClause)
        if isinstance(node, ast.RangeVar)
    ]


def _both(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    if EVERY in one:
        return other
    return one if EVERY in other else one & other


def _with_floating(part: Part, floating: Mapping[str, Part]) -> Iterator[Part]:
    yield part
    for name in part.uses:
        if name in floating:
            yield from _with_floating(floating[name], floating)


def _parts(node: Node) -> Iterator[Part]:
    expressions = node.withClause.ctes if node.withClause else ()
    names = {expression.ctename for expression in expressions}
    for expression in expressions:
        yield _part(
            expression.ctename,
            expression.ctequery,
            names,
            floats=isinstance(expression.ctequery, ast.SelectStmt)
            and expression.ctematerialized != CTEMaterialize.CTEMaterializeAlways,
        )
    if expressions:
        node.withClause = None
    yield _part("", node, names, floats=False)


def _part(name: str, query: Node, names: set[str], *, floats: bool) -> Part:
    found = _Found(query, names)
    return Part(name, found.reads(), found.writes, found.uses, floats)


class _Found:
    """What a query reads and writes. An insert doesn't read its table, nor does an update what it only sets."""

    def __init__(self, query: Node, names: set[str]) -> None:
        self.uses: Counter[str] = Counter()
        self.writes: dict[str, frozenset[str]] = {}
        self._tables: list[tuple[str, str]] = []
        self._columns: set[tuple[str, str]] = set()
        for node in _walk(query):
            match node:
                case ast.RangeVar(relname=name) if name in names:
                    self.uses[name] += 1
                case ast.RangeVar(relname=name, alias=alias):
                    self._tables.append((alias.aliasname if alias else name, name))
                case ast.ColumnRef(fields=(*qualifier, last)):
                    self._column(qualifier[-1].sval if qualifier else "", last)
                case ast.InsertStmt(relation=target):
                    self._writes(target.relname, frozenset({EVERY}))
                case ast.DeleteStmt(relation=target):
                    for table in deleted_with(target.relname):
                        self._writes(table, frozenset({EVERY}))
                case ast.UpdateStmt(relation=target, targetList=columns):
                    self._writes(target.relname, frozenset(column.name for column in columns))

    def reads(self) -> Columns:
        found: dict[str, frozenset[str]] = {}
        for alias, name in self._tables:
            columns = our_schema().get(name, Table((), None)).columns
            read = {column for qualifier, column in self._columns if qualifier in ("", alias)} - _NOTED
            found[name] = found.get(name, frozenset()) | ({EVERY} & read or read.intersection(columns))
        return found

    def _column(self, qualifier: str, last: Node) -> None:
        if not isinstance(last, ast.A_Star):
            self._columns.add((qualifier, last.sval))
        elif qualifier:
            # A star by itself stands for what a part or a function returns: statements name columns of tables.
            self._columns.add((qualifier, EVERY))

    def _writes(self, table: str, columns: frozenset[str]) -> None:
        self.writes[table] = self.writes.get(table, frozenset()) | columns


@cache
def deleted_with(table: str) -> frozenset[str]:
    """A table, and those whose rows are deleted with its rows."""
    of = frozenset(one for one, other in _cascades() if other == table)
    return frozenset({table}).union(*map(deleted_with, of))


@cache
def _cascades() -> frozenset[tuple[str, str]]:
    """Pairs of a table, and one that takes its rows with its own."""
    return frozenset(
        (statement.stmt.relation.relname, constraint.pktable.relname)
        for migration in sql.migrations()
        for statement in parse_sql(migration.text)
        if isinstance(statement.stmt, ast.CreateStmt | ast.AlterTableStmt)
        for constraint in _walk(statement.stmt)
        if isinstance(constraint, ast.Constraint) and constraint.fk_del_action == "c"
    )


def _walk(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    if isinstance(node, tuple):
        for one in node:
            yield from _walk(one)
    elif isinstance(node, ast.Node):
        yield node
        for name in node:
            yield from _walk(getattr(node, name))
