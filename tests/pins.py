"""Whether a statement keeps to one store: each table with a store must be pinned to the statement's parameter `store`.

A table is pinned where the conditions that choose its rows say so: `orders.store_id = :store`, or an equality with a
column that is pinned itself, of a table, a subquery or an outer query. The condition of an outer join chooses only the
rows of its nullable side. A row that is inserted is pinned by the value of its `store_id`.

Constructs that our statements don't use raise NotImplementedError, so that nothing passes unread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind, AlterTableType, BoolExprType, JoinType, OnConflictAction, SetOperation

import sql

Node: TypeAlias = Any
"""A node of the tree that pglast makes; which parts it has depends on the text."""

STORE = "store_id"


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view: its columns, and the one that holds the store (None: it belongs to none)."""

    columns: Sequence[str]
    store: str | None


@dataclass(eq=False, slots=True)
class Relation:
    """What a name in FROM stands for, and which of its columns are known to hold the statement's store."""

    name: str
    columns: Sequence[str]
    store: str | None = None
    pinned: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Scope:
    """The names that one query sees: its own relations, then those of the queries around it."""

    outer: Scope | None
    relations: list[Relation] = field(default_factory=list)
    equalities: list[tuple[Node, Node, Sequence[Relation] | None]] = field(default_factory=list)

    def of(self, column: Node) -> tuple[Relation, str] | None:
        """The relation of a column, and its name there; None for one of a relation that isn't known."""
        *qualifier, name = [part.sval for part in column.fields if isinstance(part, ast.String)]
        for relation in self.relations:
            if qualifier == [relation.name] or (not qualifier and name in relation.columns):
                return relation, name
        return None if self.outer is None else self.outer.of(column)


Outputs: TypeAlias = list[tuple[str, bool]]
"""The columns that a query returns, and whether each holds the statement's store."""


def schema(texts: Iterable[str]) -> dict[str, Table]:
    """The tables and views that migrations create, by name."""
    tables: dict[str, Table] = {}
    for statement in (raw.stmt for text in texts for raw in parse_sql(text)):
        if isinstance(statement, ast.CreateStmt) and statement.partbound is None:
            columns = [part.colname for part in statement.tableElts if isinstance(part, ast.ColumnDef)]
            tables[statement.relation.relname] = _table(columns)
        elif isinstance(statement, ast.ViewStmt):
            tables[statement.view.relname] = _view(statement.query, tables)
        elif isinstance(statement, ast.AlterTableStmt):
            added = [part.def_.colname for part in statement.cmds if part.subtype == AlterTableType.AT_AddColumn]
            tables[statement.relation.relname] = _table([*tables[statement.relation.relname].columns, *added])
    return tables


@cache
def our_schema() -> Mapping[str, Table]:
    """The tables and views of sql/migrations."""
    return schema(migration.text for migration in sql.migrations())


@cache
def numbers() -> Mapping[str, int | None]:
    """The number of the parameter `store` in each text of sql/queries; None where it has none."""
    return {
        found.text: found.parameters.index("store") + 1 if "store" in found.parameters else None
        for topic in sql.topics()
        for found in sql.statements(topic).values()
        # Statements that still number their parameters begin with the store.
        if found.parameters or "$" not in found.text
    }


@cache
def unpinned(text: str) -> tuple[str, ...]:
    """What isn't pinned of a statement of sql/queries, or of one that is made from Schemas, whose $1 is the store."""
    return tuple(faults(text, our_schema(), store=numbers().get(text, 1)))


def _table(columns: Sequence[str]) -> Table:
    return Table(columns, STORE if STORE in columns else None)


def _view(query: Node, tables: Mapping[str, Table]) -> Table:
    """A view, and the column that pins all of it."""
    columns = [target.name or target.val.fields[-1].sval for target in query.targetList]
    parameter = ast.ParamRef(number=1)
    for column, target in zip(columns, query.targetList, strict=True):
        pins = Pins(tables, store=1)
        pins.select(query, None, {}, [(target.val, parameter, None)])
        if isinstance(target.val, ast.ColumnRef) and not pins.faults:
            return Table(columns, column)
    raise NotImplementedError("No column of the view pins all of its tables.")


def faults(text: str, tables: Mapping[str, Table], *, store: int | None) -> list[str]:
    """What of a statement isn't pinned to the parameter of this number, None for none; empty when all of it is."""
    pins = Pins(tables, store)
    for raw in parse_sql(text):
        if not isinstance(raw.stmt, ast.TransactionStmt | ast.VariableSetStmt):
            pins.query(raw.stmt, None, {})
    return pins.faults


class Pins:
    """The check of one statement. `faults` names the tables that aren't pinned."""

    def __init__(self, tables: Mapping[str, Table], store: int | None) -> None:
        self.faults: list[str] = []
        self._tables = tables
        self._store = store

    def query(self, node: Node, outer: Scope | None, known: Mapping[str, Outputs]) -> Outputs:
        """Check a query with its common table expressions; `known` are those around it."""
        if getattr(node, "withClause", None) is not None:
            if node.withClause.recursive:
                raise NotImplementedError("with recursive")
            known = dict(known)
            for expression in node.withClause.ctes:
                found = self.query(expression.ctequery, outer, known)
                known[expression.ctename] = _renamed(found, expression.aliascolnames)
        if isinstance(node, ast.SelectStmt):
            return self.select(node, outer, known)
        if isinstance(node, ast.InsertStmt):
            return self._insert(node, outer, known)
        if isinstance(node, ast.UpdateStmt | ast.DeleteStmt):
            return self._change(node, outer, known)
        raise NotImplementedError(type(node).__name__)

    def select(
        self,
        node: Node,
        outer: Scope | None,
        known: Mapping[str, Outputs],
        given: Sequence[tuple[Node, Node, None]] = (),
    ) -> Outputs:
        """Check a select; `given` are equalities that hold besides its own."""
        if node.op != SetOperation.SETOP_NONE:
            left, right = (self.query(arm, outer, known) for arm in (node.larg, node.rarg))
            return [(name, a and b) for (name, a), (_, b) in zip(left, right, strict=True)]
        scope = Scope(outer)
        scope.equalities += given
        self._solve(scope, node.fromClause or (), node.whereClause, known)
        if node.valuesLists:
            self._nested(node.valuesLists, scope, known)
            columns = zip(*node.valuesLists, strict=True)
            return [
                (f"column{place}", all(self._holds_store(value, scope) for value in values))
                for place, values in enumerate(columns, 1)
            ]
        rest = (node.targetList, node.groupClause, node.havingClause, node.sortClause, node.windowClause)
        self._nested((*rest, node.distinctClause, node.limitCount, node.limitOffset), scope, known)
        return self._outputs(node.targetList or (), scope)

    def _quietly(self) -> Pins:
        """A check of the same statement whose faults nobody hears of, since it is done before all pins are known."""
        return Pins(self._tables, self._store)

    def _change(self, node: Node, outer: Scope | None, known: Mapping[str, Outputs]) -> Outputs:
        """Check an update or delete: its table is one of those that it names."""
        scope = Scope(outer)
        updates = isinstance(node, ast.UpdateStmt)
        others = (node.fromClause if updates else node.usingClause) or ()
        self._solve(scope, (node.relation, *others), node.whereClause, known)
        if updates:
            self._nested(node.targetList, scope, known)
            if any(target.name == scope.relations[0].store for target in node.targetList):
                self.faults.append(f"{node.relation.relname} gets another store")
        return self._returning(node, scope, known)

    def _insert(self, node: Node, outer: Scope | None, known: Mapping[str, Outputs]) -> Outputs:
        """Check an insert: the store that each row gets, and where a row is there already, which one that is."""
        target = self._relation(node.relation, {})
        found = self.query(node.selectStmt, outer, known)
        if target.store is not None:
            columns = [column.name for column in node.cols]
            pinned = target.store in columns and found[columns.index(target.store)][1]
            if pinned:
                target.pinned.add(target.store)
            else:
                self.faults.append(f"{node.relation.relname} gets rows of any store")
        scope = Scope(outer, [target])
        conflict = node.onConflictClause
        if conflict is not None and conflict.action == OnConflictAction.ONCONFLICT_UPDATE:
            self._nested((conflict.targetList, conflict.whereClause), scope, known)
            keys = [element.name for element in conflict.infer.indexElems or ()]
            if target.store is not None and target.store not in keys:
                self.faults.append(f"{node.relation.relname} changes a row of any store")
        return self._returning(node, scope, known)

    def _returning(self, node: Node, scope: Scope, known: Mapping[str, Outputs]) -> Outputs:
        returning = node.returningClause.exprs if node.returningClause else ()
        self._nested(returning, scope, known)
        return self._outputs(returning, scope)

    def _solve(self, scope: Scope, sources: Sequence[Node], where: Node, known: Mapping[str, Outputs]) -> None:
        """Find out what the relations of a scope are, and which of them are pinned."""
        derived: list[tuple[Relation, Node]] = []
        conditions = [where]
        for source in sources:
            scope.relations += self._sources(source, scope, known, derived, conditions)
        scope.equalities += [(left, right, None) for left, right in _equalities(where)]
        before = -1
        while before != (before := sum(len(relation.pinned) for relation in scope.relations)):
            for relation, node in derived:
                relation.pinned |= {name for name, holds in self._quietly().derive(node, scope, known) if holds}
            for left, right, among in scope.equalities:
                for one, other in ((left, right), (right, left)):
                    self._pin(one, other, scope, among)
        for _, node in derived:
            self.derive(node, scope, known)
        self._nested(conditions, scope, known)
        self.faults += [
            f"{relation.name} is of any store"
            for relation in scope.relations
            if relation.store is not None and relation.store not in relation.pinned
        ]

    def _pin(self, column: Node, value: Node, scope: Scope, among: Sequence[Relation] | None) -> None:
        """Note that a column of this scope holds the store, where it equals a value that does."""
        if not isinstance(column, ast.ColumnRef) or not self._holds_store(value, scope):
            return
        found = scope.of(column)
        if found is not None and found[0] in scope.relations and (among is None or found[0] in among):
            found[0].pinned.add(found[1])

    def _holds_store(self, value: Node, scope: Scope) -> bool:
        if isinstance(value, ast.TypeCast):
            return self._holds_store(value.arg, scope)
        if isinstance(value, ast.ParamRef):
            return bool(value.number == self._store)
        found = scope.of(value) if isinstance(value, ast.ColumnRef) else None
        return found is not None and found[1] in found[0].pinned

    def _sources(
        self,
        node: Node,
        scope: Scope,
        known: Mapping[str, Outputs],
        derived: list[tuple[Relation, Node]],
        conditions: list[Node],
    ) -> list[Relation]:
        """The relations of one item of FROM; what joins them goes to the scope."""
        if isinstance(node, ast.JoinExpr):
            if node.usingClause or node.isNatural:
                raise NotImplementedError("join using")
            left = self._sources(node.larg, scope, known, derived, conditions)
            right = self._sources(node.rarg, scope, known, derived, conditions)
            chosen = {JoinType.JOIN_INNER: [*left, *right], JoinType.JOIN_LEFT: right, JoinType.JOIN_RIGHT: left}
            among = chosen.get(node.jointype, [])
            scope.equalities += [(one, other, among) for one, other in _equalities(node.quals)]
            conditions.append(node.quals)
            return [*left, *right]
        if isinstance(node, ast.RangeVar):
            return [self._relation(node, known)]
        if isinstance(node, ast.RangeSubselect):
            columns = [name for name, _ in self._quietly().derive(node, scope, known)]
            relation = Relation(node.alias.aliasname, columns)
            derived.append((relation, node))
            return [relation]
        if isinstance(node, ast.RangeFunction):
            conditions.append(node.functions)
            name = "" if node.alias is None else node.alias.aliasname
            named = [part.sval for part in (node.alias and node.alias.colnames) or ()]
            typed = [part.colname for part in node.coldeflist or ()]
            return [Relation(name, named or typed or [name])]
        raise NotImplementedError(type(node).__name__)

    def derive(self, node: Node, scope: Scope, known: Mapping[str, Outputs]) -> Outputs:
        """Check a subquery of FROM, which sees its neighbours if it is lateral."""
        return _renamed(self.query(node.subquery, scope if node.lateral else scope.outer, known), node.alias.colnames)

    def _relation(self, node: Node, known: Mapping[str, Outputs]) -> Relation:
        name = node.relname if node.alias is None else node.alias.aliasname
        if node.schemaname is None and node.relname in known:
            outputs = known[node.relname]
            pinned = {column for column, holds in outputs if holds}
            return Relation(name, [column for column, _ in outputs], None, pinned)
        # The queue's tables have a schema of their own, those of the catalogue begin with pg_.
        elsewhere = node.schemaname is not None or node.relname.startswith("pg_")
        table = Table((), None) if elsewhere else self._tables[node.relname]
        return Relation(name, table.columns, table.store)

    def _outputs(self, targets: Sequence[Node], scope: Scope) -> Outputs:
        found: Outputs = []
        for target in targets:
            value = target.val
            if isinstance(value, ast.ColumnRef) and isinstance(value.fields[-1], ast.A_Star):
                names = [part.sval for part in value.fields[:-1]]
                for relation in scope.relations:
                    if not names or names == [relation.name]:
                        found += [(column, column in relation.pinned) for column in relation.columns]
            else:
                named = target.name or (value.fields[-1].sval if isinstance(value, ast.ColumnRef) else "")
                found.append((named, self._holds_store(value, scope)))
        return found

    def _nested(self, nodes: Node, scope: Scope, known: Mapping[str, Outputs]) -> None:
        """Check the subqueries of expressions."""
        for link in _links(nodes):
            self.query(link.subselect, scope, known)
            self._nested(link.testexpr, scope, known)


def _renamed(outputs: Outputs, names: Sequence[Node] | None) -> Outputs:
    given = [name.sval for name in names or ()]
    return [(given[place] if place < len(given) else name, holds) for place, (name, holds) in enumerate(outputs)]


def _equalities(condition: Node) -> Iterator[tuple[Node, Node]]:
    """The equalities that a condition always demands, those of rows by their parts."""
    if isinstance(condition, ast.BoolExpr) and condition.boolop == BoolExprType.AND_EXPR:
        for part in condition.args:
            yield from _equalities(part)
    if (
        isinstance(condition, ast.A_Expr)
        and condition.kind == A_Expr_Kind.AEXPR_OP
        and [part.sval for part in condition.name] == ["="]
    ):
        left, right = condition.lexpr, condition.rexpr
        if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
            yield from zip(left.args, right.args, strict=True)
        else:
            yield left, right


def _links(node: Node) -> Iterator[Node]:
    """The subqueries of an expression, without those inside of them."""
    if isinstance(node, ast.SubLink):
        yield node
    elif isinstance(node, tuple | list):
        for part in node:
            yield from _links(part)
    elif isinstance(node, ast.Node):
        for name in node:
            yield from _links(getattr(node, name))
