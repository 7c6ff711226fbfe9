"""`make generated`: sql/grants.sql, what each process may do in the database, from what its statements do.

Which statements a process can run follows from the code (tests/reach.py), what a statement does from Postgres's own
parser. What is made from Schemas follows from the registry: the API reads every type, and writes those that its lines
let clients write; the worker brings in those of a history. The queue's tables are the worker's.
"""

from __future__ import annotations

import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import OnConflictAction
from pglast.parser import ParseError
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder

import sql
from schemas.graph import graph
from schemas.history import RECORDS
from schemas.relationships import ToMany
from schemas.resource import Resource
from schemas.tables import OTHERS, marks
from service.operations.generic.writing import Writer
from service.resources import RESOURCES
from service.store import people
from service.store.queue import queue_settings
from service.store.schema import QUEUE
from sql import Granted, Rights
from tests.pins import our_schema
from tests.reach import Definition, reachable, texts

_SCHEMA = Definition("service.cli.servers", "require_schema")
ROOTS = {
    "api": (Definition("service.app", "create_app"), _SCHEMA),
    "worker": (Definition("service.cli.serving", "work"), _SCHEMA),
}
"""Where a process begins."""

BULK = Definition("service.store.bulk", "insert")
"""What brings rows in by the hundred."""
ERASING = Definition("service.store.people", "erase")
"""What takes a person out of rows."""

_HEAD = """-- What each process may do in the database: what its statements do, and no more. `make generated` writes it
-- from them, `reprise migrate --roles` grants it. Where a process never reads a secret it can't read the column, and
-- where it changes a table only by its own statements it can change no columns but theirs.
"""

VERBS: tuple[str, ...] = ("select", "insert", "update", "delete")
ALL = frozenset({"*"})
"""Every column of a table."""


class Needs:
    """What a process does with which columns of which tables: of selects, those that a statement names anywhere."""

    def __init__(self) -> None:
        self.verbs: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    def add(self, table: str, *verbs: str, columns: Iterable[str] = ALL) -> None:
        """Note that it does something with columns of a table."""
        for verb in verbs:
            self.verbs[table][verb] |= set(columns)

    def statement(self, text: str) -> None:
        """Note what a statement does."""
        for raw in parse_sql(text):
            found = _Statement()
            for node in _nodes(raw.stmt):
                found.take(node)
            for table, verb, columns in found.does:
                self.add(table, verb, columns=found.named if verb == "select" else columns)

    def rights(self) -> Rights:
        """What it has to be granted: verb -> columns, or None for the whole table."""
        return {
            table: {verb: _granted(table, verb, columns) for verb in VERBS if (columns := verbs.get(verb)) is not None}
            for table, verbs in sorted(self.verbs.items())
        }


class _Statement:
    """What one statement does, and all columns that it names."""

    def __init__(self) -> None:
        self.does: list[tuple[str, str, Iterable[str]]] = []
        self.named: set[str] = set()

    def take(self, node: Any) -> None:
        """Note what a node of its tree does."""
        if isinstance(node, ast.InsertStmt):
            self._insert(node)
        elif isinstance(node, ast.UpdateStmt):
            self._of(node.relation, "update", _targets(node.targetList))
        elif isinstance(node, ast.DeleteStmt):
            self._of(node.relation, "delete")
        elif isinstance(node, ast.SelectStmt) and node.lockingClause:
            self._lock(node)
        elif isinstance(node, ast.RangeVar):
            self._of(node, "select")
        elif isinstance(node, ast.ColumnRef):
            last = node.fields[-1]
            self.named.add("*" if isinstance(last, ast.A_Star) else last.sval)

    def _lock(self, node: Any) -> None:
        """To lock a row takes the right to change one of its columns, whichever."""
        locked = {relation.relname for clause in node.lockingClause for relation in clause.lockedRels or ()}
        for source in _nodes(node.fromClause):
            named = isinstance(source, ast.RangeVar) and (source.alias.aliasname if source.alias else source.relname)
            if named and (not locked or named in locked):
                self._of(source, "update", ())

    def _insert(self, node: Any) -> None:
        self._of(node.relation, "insert")
        conflict = node.onConflictClause
        if conflict is not None:
            self.named |= {part.name for part in (conflict.infer and conflict.infer.indexElems) or () if part.name}
            if conflict.action == OnConflictAction.ONCONFLICT_UPDATE:
                self._of(node.relation, "update", _targets(conflict.targetList))
        if conflict is not None or node.returningClause is not None:
            self._of(node.relation, "select")

    def _of(self, relation: Any, verb: str, columns: Iterable[str] = ALL) -> None:
        table = relation.relname if relation.schemaname is None else f"{relation.schemaname}.{relation.relname}"
        if table in our_schema() or table in marks() or relation.schemaname == QUEUE:
            self.does.append((table, verb, columns))


def _granted(table: str, verb: str, columns: set[str]) -> frozenset[str] | None:
    if columns & ALL:
        return None
    if verb == "update":
        return frozenset(columns or {"updated_at"})
    # The columns without secrets that no statement names.
    of_table = marks().get(table, {})
    unread = {name for name, mark in of_table.items() if mark and mark.secret and name not in columns}
    return frozenset({*of_table} - unread) if verb == "select" and unread else None


def _nodes(node: Any) -> Iterator[Any]:
    """All nodes of a tree, without the tables that a statement writes: these are no sources."""
    if isinstance(node, tuple | list):
        for part in node:
            yield from _nodes(part)
    elif isinstance(node, ast.Node):
        yield node
        written = isinstance(node, ast.InsertStmt)
        for name in node:
            if not (written and name == "relation"):
                yield from _nodes(getattr(node, name))


def _targets(nodes: Iterable[Any]) -> list[str]:
    return [node.name for node in nodes]


@cache
def derived() -> Mapping[str, Rights]:
    """What each process has to be granted."""
    return {process: _needs(process).rights() for process in ROOTS}


def _needs(process: str) -> Needs:
    needs, reached = Needs(), reachable(*ROOTS[process])
    paths = {f"{topic}.{name}": one for topic in sql.topics() for name, one in sql.statements(topic).items()}
    for text in texts(reached.values()):
        if text in paths:
            needs.statement(paths[text].text)
        elif text.lstrip().startswith(("select ", "insert ", "update ", "delete ", "with ")):
            try:
                needs.statement(text)
            except ParseError:
                continue
    if process == "api":
        _registry(needs)
        needs.statement(QueryQueueBuilder(queue_settings()).build_enqueue_query("skip"))
    if BULK in reached:
        _history(needs)
    if ERASING in reached:
        _erasing(needs)
    if process == "worker":
        for table in (name for name in OTHERS if name.startswith(QUEUE)):
            needs.add(f"{QUEUE}.{table}", "select", "insert", "update", "delete")
    return needs


def _registry(needs: Needs) -> None:
    """What requests do with types by their lines. Who changes a row locks it, and reads all of it."""
    for entry in RESOURCES.values():
        table = entry.resource.table
        needs.add(table, "select", columns=ALL if entry.update is not None else entry.resource.attributes)
        if entry.update is not None:
            # Rows of a log are locked, and never changed.
            needs.add(table, "update", columns=() if entry.resource.log else ALL)
        if entry.remove is not None:
            needs.add(table, "delete")
        if isinstance(entry.create, Writer):
            needs.add(table, "insert")
    _beside(needs, graph.values())


def _history(needs: Needs) -> None:
    """What an import does with the types of a history."""
    types = [record.resource for record in RECORDS.values()]
    for resource in types:
        needs.add(resource.table, "select", "insert", "update")
    _beside(needs, types)


def _erasing(needs: Needs) -> None:
    """What erasing a person does to tables."""
    found = marks()
    for table, columns in people.emptied(found).items():
        needs.add(table, "select", columns=())
        needs.add(table, "update", columns={*columns, *({"updated_at", "version"} & found[table].keys())})
    for table in people.DELETED:
        needs.add(table, "delete")


def _beside(needs: Needs, types: Iterable[type[Resource]]) -> None:
    """What is written along with rows of types: what they are joined to, and what is counted."""
    for resource in types:
        for relationship in resource.relationships.values():
            if isinstance(relationship, ToMany) and relationship.through is not None and relationship.write:
                needs.add(relationship.through.table, "select", "insert", "delete")
    needs.add("collection_changes", "insert")
    needs.add("collection_counts", "select", "insert")


def page() -> str:
    """The file."""
    return _HEAD + "".join(
        f"\n{_statement(process, table, verbs)}\n"
        for process, rights in derived().items()
        for table, verbs in rights.items()
    )


def _statement(process: str, table: str, verbs: Granted) -> str:
    said = ", ".join(
        verb if columns is None else f"{verb} ({', '.join(sorted(columns))})" for verb, columns in verbs.items()
    )
    return textwrap.fill(f"grant {said} on {table} to {process};", 120, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(page())
