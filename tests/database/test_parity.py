"""Tables and Schemas say the same: every column is an attribute, a relationship or internal, of the same type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

import schemas  # noqa: F401 -- declares the graph
from schemas.fields import Write
from schemas.graph import graph
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service.store.pool import Connection, Database

COMMON = frozenset({"store_id", "id", "version"})
"""Columns of every table that no Schema names: the tenant, the id, and the version in `meta`."""

TYPES = [pytest.param(resource, id=name) for name, resource in graph.items()]


@dataclass(frozen=True)
class Column:
    """A column as Postgres describes it; `type` with its modifier, such as timestamp(3) with time zone."""

    type: str
    base_type: str
    required: bool
    collation: str | None


@dataclass(frozen=True)
class Index:
    """The columns of a valid index in their order, and its predicate."""

    columns: tuple[str | None, ...]
    predicate: str | None


@dataclass
class Table:
    """What the database knows of a table: its columns, indexes, and foreign keys as (columns, table, columns there)."""

    columns: dict[str, Column] = field(default_factory=dict)
    indexes: list[Index] = field(default_factory=list)
    foreign_keys: set[tuple[tuple[str, ...], str, tuple[str, ...]]] = field(default_factory=set)

    def refers(self, column: str, table: str) -> bool:
        """Whether the column is a foreign key to rows of that table in the same store."""
        return (("store_id", column), table, ("store_id", "id")) in self.foreign_keys


COLUMNS = """
    select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, null), a.attnotnull,
        (select collname from pg_collation l where l.oid = a.attcollation)
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
        and not c.relispartition and a.attnum > 0 and not a.attisdropped
"""
INDEXES = """
    select c.relname, pg_get_expr(i.indpred, i.indrelid), array(
        select a.attname::text from unnest(i.indkey::int2[]) with ordinality k (attnum, place)
        left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum and k.attnum > 0 order by k.place
    )
    from pg_index i join pg_class c on c.oid = i.indrelid
    where c.relnamespace = 'public'::regnamespace and not c.relispartition and i.indisvalid
"""
FOREIGN_KEYS = """
    select c.conrelid::regclass::text, c.confrelid::regclass::text,
        array(select a.attname::text from unnest(c.conkey) with ordinality k (attnum, place)
            join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum order by k.place),
        array(select a.attname::text from unnest(c.confkey) with ordinality k (attnum, place)
            join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum order by k.place)
    from pg_constraint c where c.contype = 'f' and c.conparentid = 0 and c.connamespace = 'public'::regnamespace
"""


@pytest_asyncio.fixture(scope="module")
async def tables(database: Database) -> Mapping[str, Table]:
    found: dict[str, Table] = {}
    async with database.connection() as connection:
        for table, name, type_, base_type, required, collation in await connection.fetch(COLUMNS):
            found.setdefault(table, Table()).columns[name] = Column(type_, base_type, required, collation)
        for table, predicate, columns in await connection.fetch(INDEXES):
            found[table].indexes.append(Index(tuple(columns), predicate))
        for table, target, columns, there in await connection.fetch(FOREIGN_KEYS):
            found[table].foreign_keys.add((tuple(columns), target, tuple(there)))
    return found


def to_ones(resource: type[Resource]) -> Iterator[tuple[str, ToOne]]:
    return ((n, r) for n, r in resource.relationships.items() if isinstance(r, ToOne))


def to_manies(resource: type[Resource]) -> Iterator[tuple[str, ToMany]]:
    return ((n, r) for n, r in resource.relationships.items() if isinstance(r, ToMany))


def attributes(resource: type[Resource]) -> Iterator[tuple[str, Any]]:
    """The attributes that have a column of their own."""
    return ((n, a) for n, a in resource.attributes.items() if a.column)


@pytest.mark.parametrize("resource", TYPES)
def test_every_column_is_declared_and_every_declared_column_exists(
    resource: type[Resource], tables: Mapping[str, Table]
) -> None:
    columns = set(tables[resource.table].columns) - COMMON - set(resource.where)
    assert columns == set(resource.columns()) | set(resource.internal)
    assert len(set(resource.internal)) == len(resource.internal)
    assert not set(resource.internal) & set(resource.columns())
    assert COMMON | set(resource.where) <= set(tables[resource.table].columns)


@pytest.mark.parametrize("resource", TYPES)
def test_derived_attributes_are_made_of_columns(resource: type[Resource], tables: Mapping[str, Table]) -> None:
    for name, attribute in resource.attributes.items():
        assert set(attribute.inputs) <= set(tables[resource.table].columns), name


@pytest.mark.parametrize("resource", TYPES)
async def test_sql_types_agree(resource: type[Resource], tables: Mapping[str, Table], connection: Connection) -> None:
    columns = tables[resource.table].columns
    for name, attribute in attributes(resource):
        declared = await connection.fetchval("select format_type($1::text::regtype, null)", attribute.sql_type)
        assert columns[attribute.column].base_type == declared, name


@pytest.mark.parametrize("resource", TYPES)
def test_nulls_are_allowed_by_both_or_neither(resource: type[Resource], tables: Mapping[str, Table]) -> None:
    columns = tables[resource.table].columns
    for name, attribute in attributes(resource):
        assert columns[attribute.column].required is not attribute.nullable, name
    for name, relationship in to_ones(resource):
        required = columns[relationship.column].required
        if relationship.required:
            # Of types that share a table, one may need what another has not.
            assert required or resource.where, name
        elif relationship.write & Write.UPDATE:
            # What a create leaves empty its writer fills in, or refuses.
            assert not required, f"{name} can be emptied by a client"


@pytest.mark.parametrize("resource", TYPES)
def test_ids_compare_by_bytes_and_instants_have_milliseconds(
    resource: type[Resource], tables: Mapping[str, Table]
) -> None:
    table = tables[resource.table]
    for name in ["id", *(relationship.column for _, relationship in to_ones(resource))]:
        assert (table.columns[name].type, table.columns[name].collation) == ("text", "C"), name
    for name, column in table.columns.items():
        if column.base_type.startswith("timestamp"):
            zone = "without" if name.endswith("_wall") else "with"  # what a clock on a wall shows is no instant
            assert column.type == f"timestamp(3) {zone} time zone", name


@pytest.mark.parametrize("resource", TYPES)
def test_to_one_relationships_are_foreign_keys(resource: type[Resource], tables: Mapping[str, Table]) -> None:
    for name, relationship in to_ones(resource):
        assert tables[resource.table].refers(relationship.column, graph[relationship.type_].table), name


@pytest.mark.parametrize("resource", TYPES)
def test_to_many_relationships_lead_to_indexed_columns(resource: type[Resource], tables: Mapping[str, Table]) -> None:
    for name, relationship in to_manies(resource):
        target = graph[relationship.type_]
        if relationship.everywhere:
            continue
        if relationship.through is not None:
            through, join = relationship.through, tables[relationship.through.table]
            assert join.refers(through.own, resource.table), name
            assert join.refers(through.other, target.table), name
            pairs = ({*index.columns} == {"store_id", through.own, through.other} for index in join.indexes)
            assert any(pairs), f"{name}: no index finds a pair"
            assert any(index.columns[:2] == ("store_id", through.own) for index in join.indexes), name
            continue
        table, via = tables[target.table], relationship.via
        assert {via, *relationship.where} <= set(table.columns), name
        assert any(index.columns[:2] == ("store_id", via) or _led_by(index, relationship) for index in table.indexes), (
            name
        )


def _led_by(index: Index, relationship: ToMany) -> bool:
    """Whether an index finds rows by the relationship's fixed conditions and its column together."""
    wanted = {relationship.via, *relationship.where}
    return index.columns[0] == "store_id" and set(index.columns[1 : 1 + len(wanted)]) == wanted


@pytest.mark.parametrize("resource", TYPES)
def test_related_resources_are_found_by_an_index(resource: type[Resource], tables: Mapping[str, Table]) -> None:
    """A foreign key's own check, and `filter[relationship]`."""
    indexes = tables[resource.table].indexes
    for name, relationship in to_ones(resource):
        if relationship.filter:
            # No row is equal to null, so an index may leave those out.
            found = predicates(indexes, relationship.column)
            assert found & {None, f"({relationship.column} IS NOT NULL)"}, f"filter[{name}] has no index"


ASKED_MOST = {
    "customers": ("created_at", "updated_at"),
    "orders": (
        "status", "payment_status", "fulfillment_status", "placed_at", "created_at", "updated_at", "customer_email",
        "total_amount_cents",
    ),
    "line_items": ("sku_code",),
    "order_subscriptions": ("status", "next_run_at", "created_at", "updated_at"),
    "order_factories": ("status", "created_at"),
    "skus": ("created_at", "updated_at"),
}  # fmt: skip
"""What Commerce Layer's own clients filter and sort by most."""


def test_what_clients_ask_most_has_an_index(tables: Mapping[str, Table]) -> None:
    for table, columns in ASKED_MOST.items():
        for column in columns:
            assert None in predicates(tables[table].indexes, column), f"{table}.{column}"


def test_every_index_says_what_it_is_for() -> None:
    """Each costs every write: one that nobody reads goes."""
    for migration in sorted(files("sql").joinpath("migrations").iterdir(), key=lambda one: one.name):
        lines = migration.read_text().splitlines()
        for before, line in pairwise(lines):
            if line.startswith("create index"):
                assert before.startswith("-- For "), f"{migration.name}: {line}"


def predicates(indexes: list[Index], column: str) -> set[str | None]:
    """The predicates of the indexes that are led by the store and a column; None is an index of all rows."""
    return {index.predicate for index in indexes if index.columns[:2] == ("store_id", column)}


def test_every_table_of_resources_has_its_schema(tables: Mapping[str, Table]) -> None:
    resources = {resource.table for resource in graph.values()}
    others = {name for name, table in tables.items() if set(table.columns) >= COMMON} - resources
    assert others == set(), "all are served"
