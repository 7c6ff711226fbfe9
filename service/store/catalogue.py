"""The constraints of a database: which table each is of, and which columns it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.store.pool import Connection

_STATEMENT = """
    select found.name, found.relation::regclass::text, array(
        select a.attname::text from unnest(found.keys) with ordinality k (attnum, place)
        join pg_attribute a on a.attrelid = found.relation and a.attnum = k.attnum
        where a.attname <> 'store_id' order by k.place
    )
    from (
        select conname::text as name, conrelid as relation, conkey as keys from pg_constraint
        where connamespace = current_schema()::regnamespace and conrelid <> 0
        union all
        select c.relname::text, i.indrelid, i.indkey::int2[] from pg_index i
        join pg_class c on c.oid = i.indexrelid
        where c.relnamespace = current_schema()::regnamespace and i.indisunique
        and not exists (select from pg_constraint where conindid = i.indexrelid)
    ) found
"""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint or unique index: the table that it is of, and the columns that it looks at but for the store."""

    name: str
    table: str
    columns: tuple[str, ...]


class Catalogue:
    """The constraints of one database by their names, read from it once."""

    def __init__(self) -> None:
        self._known: Mapping[str, Constraint] = {}

    async def constraints(self, connection: Connection) -> Mapping[str, Constraint]:
        """All constraints, by a connection to their database.

        Call it ahead of a write: a transaction that ran into a constraint can't read any more.
        """
        if not self._known:
            rows = await connection.fetch(_STATEMENT)
            self._known = {name: Constraint(name, table, tuple(columns)) for name, table, columns in rows}
        return self._known
