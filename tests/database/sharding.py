"""What of our schema and statements would stand in the way on engines that Reprise doesn't run on yet, as a table.

PgDog sends a statement to the shard of the store that it names; what names none goes to all of them. Aurora DSQL speaks
Postgres's language without some of its parts. Citus is no guess any more: the tests run there.

    python -m tests.database.sharding                              # prints the table
    python -m tests.database.sharding docs/explanation/scale.md    # writes it into the page
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from pglast import ast, parse_sql
from pglast.enums import ConstrType
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

import sql
from schemas.tables import Place, places
from service.store.queue import queue_settings
from sql import Statement
from tests.pins import Node

BEGIN, END = "<!-- blockers -->\n\n", "\n\n<!-- /blockers -->"
"""Between which marks the table stands in a page."""

FEW = 6
"""How many places are named; of more it is said how many there are."""

Places: TypeAlias = Callable[[], Iterable[str]]


class Blocker(NamedTuple):
    """One kind of obstacle: on which engine, where it is, and what it would take to do without."""

    what: str
    engine: str
    where: Places
    takes: str


def main() -> None:
    """Print the table, or write it into the page that is given."""
    if len(sys.argv) == 1:
        sys.stdout.write(f"{table()}\n")
        return
    page = Path(sys.argv[1])
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}{table()}{END}{after}")


def table() -> str:
    """The obstacles as a table in Markdown."""
    rows = [f"| {one.what} | {one.engine} | {_told(sorted(set(one.where())))} | {one.takes} |" for one in BLOCKERS]
    return "\n".join(["| what | in the way on | where | what it would take |", "|---|---|---|---|", *rows])


def _told(found: Sequence[str]) -> str:
    if not found:
        return "nowhere"
    named = [one if " " in one else f"`{one}`" for one in found]
    return ", ".join(named) if len(found) <= FEW else f"{len(found)} places"


def _partitioned() -> Iterator[str]:
    return (f"`{one.relation.relname}`" for one in _tables() if one.partspec is not None)


def _known(*places_: str) -> Places:
    """What nothing finds by itself, and somebody knows."""
    return lambda: places_


@cache
def _statements() -> tuple[Statement, ...]:
    return tuple(statement for topic in sql.topics() for statement in sql.statements(topic).values())


def _saying(pattern: str) -> Places:
    """The statements whose text holds this."""
    return lambda: (one.path for one in _statements() if re.search(pattern, one.text))


def _of_all_stores() -> Iterator[str]:
    return (one.path for one in _statements() if one.prose.endswith("A global read."))


def _of_no_store() -> Iterator[str]:
    return (table for table, place in places().items() if place is Place.COORDINATOR)


@cache
def _definitions() -> tuple[Node, ...]:
    return tuple(raw.stmt for migration in sql.migrations() for raw in parse_sql(migration.text))


def _tables() -> Iterator[ast.CreateStmt]:
    return (one for one in _definitions() if isinstance(one, ast.CreateStmt) and one.partbound is None)


def _columns() -> Iterator[tuple[str, ast.ColumnDef]]:
    for table_ in _tables():
        for part in table_.tableElts:
            if isinstance(part, ast.ColumnDef):
                yield f"{table_.relation.relname}.{part.colname}", part


def _foreign_keys() -> Iterator[str]:
    constraints = [part for table_ in _tables() for part in table_.tableElts]
    altered = [one for one in _definitions() if isinstance(one, ast.AlterTableStmt)]
    constraints += [command.def_ for one in altered for command in one.cmds]
    for part in constraints:
        if isinstance(part, ast.Constraint) and part.contype == ConstrType.CONSTR_FOREIGN:
            yield part.conname


def _runtime_types() -> Iterator[str]:
    for name, column in _columns():
        if column.typeName.arrayBounds or column.typeName.names[-1].sval in ("json", "jsonb"):
            yield name


def _collated() -> Iterator[str]:
    return (name for name, column in _columns() if column.collClause)


def _special_indexes() -> Iterator[str]:
    for one in _definitions():
        if isinstance(one, ast.IndexStmt) and (one.whereClause or any(part.expr for part in one.indexParams)):
            yield one.idxname


def _made(*kinds: type) -> Places:
    return lambda: (type(one).__name__ for one in _definitions() if isinstance(one, kinds))


def _sequences() -> Iterator[str]:
    for name, column in _columns():
        kinds = {part.contype for part in column.constraints or ()}
        if column.typeName.names[-1].sval.endswith("serial") or ConstrType.CONSTR_IDENTITY in kinds:
            yield name


def _long_migrations() -> Iterator[str]:
    for migration in sql.migrations():
        if migration.transaction and len(list(sql.split(migration.text))) > 1:
            yield migration.name


def _of_the_queue() -> Iterator[str]:
    text = QueryBuilderEnvironment(queue_settings()).build_install_query().lower()
    return (word for word in ("create type", "create trigger", "plpgsql", "serial") if word in text)


BLOCKERS = (
    Blocker(
        "statements on all stores",
        "PgDog",
        _of_all_stores,
        "They go to all shards. Each shard would need a worker of its own to run those that sum up "
        "or read several tables.",
    ),
    Blocker(
        "tables of no store",
        "PgDog",
        _of_no_store,
        "They would be on every shard, and each write would go to all of them. A small separate database is better.",
    ),
    Blocker(
        "locks that have a number",
        "PgDog, DSQL",
        _saying(r"pg_(try_)?advisory"),
        "They name no store, so PgDog would use any shard. DSQL has no such locks. Locking a row of "
        "the store does the same, for one more write.",
    ),
    Blocker(
        "numbers of transactions",
        "PgDog, DSQL",
        _saying(r"pg_snapshot|pg_current_xact_id"),
        "Each shard has its own, which is enough if they are read from the shard of the events. DSQL shows none.",
    ),
    Blocker(
        "notices between sessions",
        "PgDog, DSQL",
        _saying(r"pg_notify"),
        "They reach one shard, or nobody. Without them everything still works, but seconds later.",
    ),
    Blocker(
        "the queue's own objects",
        "PgDog, DSQL",
        _of_the_queue,
        "PgQueuer keeps its tables on one server with triggers and enum types. It can stay on a "
        "small Postgres, if jobs are written by an outbox.",
    ),
    Blocker(
        "foreign keys",
        "DSQL",
        _foreign_keys,
        "Checks of `reprise check-db` instead, and deletes that name every table that they affect.",
    ),
    Blocker(
        "row locks",
        "DSQL",
        _saying(r"(?i)\bfor (no key )?(update|share|key share)\b"),
        "DSQL locks nothing: the second transaction to commit is refused and has to try again. Locks "
        "of one row by its key would still work this way, the others would have to change.",
    ),
    Blocker(
        "columns of JSON and lists",
        "DSQL",
        _runtime_types,
        "Text columns that are cast when they are read, and a table for each list.",
    ),
    Blocker(
        "collations named in tables",
        "DSQL",
        _collated,
        "Only leaving out the words: DSQL has no collation but C, and refuses to have it named.",
    ),
    Blocker(
        "indexes of some rows, or of expressions",
        "DSQL",
        _special_indexes,
        "Indexes of all rows. Unique ones would need a column that is null where the rule doesn't apply.",
    ),
    Blocker(
        "several definitions in one transaction",
        "DSQL",
        _long_migrations,
        "One migration for each definition, each marked `transaction:false`.",
    ),
    Blocker(
        "more than 3 000 rows in a transaction",
        "DSQL",
        _known("placing 1 000 lines", "a batch of large copies", "erasing a customer", "a batch of an import"),
        "Fewer lines in an order, and work in steps that can be resumed.",
    ),
    Blocker("sequences and identities", "DSQL", _sequences, "Nothing."),
    Blocker(
        "tables in partitions",
        "DSQL",
        _partitioned,
        "One table instead: without partitions, a month is deleted row by row.",
    ),
    Blocker(
        "triggers, rules, enum types, temporary tables",
        "PgDog, DSQL",
        _made(ast.CreateTrigStmt, ast.RuleStmt, ast.CreateEnumStmt, ast.CreateTableAsStmt),
        "Nothing.",
    ),
    Blocker("extensions, other languages", "DSQL", _made(ast.CreateExtensionStmt, ast.CreatePLangStmt), "Nothing."),
    Blocker(
        "`truncate`, `vacuum`, savepoints in statements",
        "DSQL",
        _saying(r"(?i)\b(truncate|vacuum|savepoint)\b"),
        "Nothing.",
    ),
)
"""All kinds, those of which there is none among them: they stay at none."""


if __name__ == "__main__":
    main()
