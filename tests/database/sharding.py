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
    return (one for one in _definitions() if isinstance(one, ast.CreateStmt))


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
        "They go to all shards. Those that sum up or look into several tables would be asked of "
        "each shard by a worker of its own.",
    ),
    Blocker(
        "tables of no store",
        "PgDog",
        _of_no_store,
        "They would be on every shard, and written to on all of them. Better is a small database beside the shards.",
    ),
    Blocker(
        "locks that have a number",
        "PgDog, DSQL",
        _saying(r"pg_(try_)?advisory"),
        "They name no store, so PgDog takes any shard, and DSQL has none. A row of the store to "
        "lock does the same, at a write more.",
    ),
    Blocker(
        "numbers of transactions",
        "PgDog, DSQL",
        _saying(r"pg_snapshot|pg_current_xact_id"),
        "Each shard has its own, which is enough if the shard whose events are read is asked. DSQL tells none.",
    ),
    Blocker(
        "notices between sessions",
        "PgDog, DSQL",
        _saying(r"pg_notify"),
        "They reach one shard, or nobody. Without them everything works, seconds later.",
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
        "Invariants of `reprise check-db`, and deletes that name what goes along.",
    ),
    Blocker(
        "row locks",
        "DSQL",
        _saying(r"(?i)\bfor (no key )?(update|share|key share)\b"),
        "DSQL locks nothing: who commits second is refused and tries again. Locks of one row by its "
        "key mean that there, others would be new.",
    ),
    Blocker(
        "columns of JSON and lists",
        "DSQL",
        _runtime_types,
        "Text that is cast where it is read, for lists a table each.",
    ),
    Blocker(
        "collations named in tables",
        "DSQL",
        _collated,
        "Nothing: DSQL has the collation C alone, and refuses the words.",
    ),
    Blocker(
        "indexes of some rows, or of expressions",
        "DSQL",
        _special_indexes,
        "Whole indexes, and for the unique ones a column that is null where the rule doesn't apply.",
    ),
    Blocker(
        "several definitions in one transaction",
        "DSQL",
        _long_migrations,
        "A migration per definition, each marked `transaction:false`.",
    ),
    Blocker(
        "more than 3 000 rows in a transaction",
        "DSQL",
        _known("placing 1 000 lines", "a batch of large copies", "erasing a customer", "a batch of an import"),
        "Fewer lines an order, and work in steps that can be taken up.",
    ),
    Blocker("sequences and identities", "DSQL", _sequences, "Nothing."),
    Blocker(
        "triggers, rules, enum types, partitions, temporary tables",
        "PgDog, DSQL",
        _made(ast.CreateTrigStmt, ast.RuleStmt, ast.CreateEnumStmt, ast.CreateTableAsStmt, ast.PartitionSpec),
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
