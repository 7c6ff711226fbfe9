"""What a store holds of one person, and how the person is taken out of it: both follow from the Schemas.

The rows of a type are somebody's by the path to its owner, so a new type with an owner is looked through by itself.
What becomes of a column follows from its mark: what is personal becomes null, or the column's default where it can't be
null, or a placeholder. So a new column is erased by itself too. What deviates is declared here with its reason, and
`check` refuses a table with personal columns of which nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from schemas.fields import Mark
from schemas.graph import PUBLIC, graph
from schemas.relationships import PEOPLE
from schemas.resource import Resource
from schemas.tables import marks
from service.store.pool import Connection
from service.store.statements import Values

ERASED: Final = "erased"
"""What stands where a text was that can't be null."""

IDS: Final = frozenset({"customer_id", "customers", "resource_id", "actor_id"})
"""Columns that hold ids of customers. The ids stay, so that orders keep together; by then they stand for nobody."""

KEPT: Final[Mapping[str, str]] = {
    "imports.inputs": "emptied once they are imported; while an import that names the customer waits, nobody is erased",
    **dict.fromkeys(
        (
            *(f"{table}.{column}" for table in ("exports", "imports", "webhooks") for column in
              ("reference", "reference_origin", "metadata")),
        ),
        "the shop's own",
    ),
}  # fmt: skip
"""Personal columns that stay in a person's rows, each with the reason."""

OTHERS: Final[Mapping[str, str]] = {
    "api_clients": "names of the shop's own programs",
    "rate_limits": "gone within the hour",
    "refused_authentications": "whose they were is not known, and after REPRISE_KEEP_ADDRESSES_DAYS they are gone",
    "collection_changes": "ids alone",
    "collection_counts": "ids alone",
    "pgqueuer_log": "gone after two days",
    "export_chunks": "all files of the store go, and exports that are on their way begin anew",
}
"""Tables with personal columns in which nothing is erased, each with the reason."""

DELETED: Final[Mapping[str, str]] = {"customer_tags": "customer_id", "refresh_tokens": "customer_id"}
"""Tables whose rows go, by the column that says whose they are."""

ANSWERS: Final = "idempotency_keys"
"""Kept answers go as a whole: an answer holds what the resources in it held."""

LED: Final[Mapping[str, Mapping[str, str]]] = {
    "access_tokens": {"customer_id": "customers"},
    "payment_attempts": {"order_id": "orders"},
    "order_subscriptions": {"source_order_id": "orders"},
    "reorders": {"source_order_id": "orders"},
}
"""Whose rows are beside what the path to an owner says: table -> column -> the table that it leads to."""


class Instead(NamedTuple):
    """What a column becomes: as an expression of SQL, and in words."""

    sql: str
    words: str


_NOBODYS_EMAIL: Final = Instead(
    "case when customer_email is not null then {nobody} end", "that of the customer, where there was one"
)
_NAMED: Final = "the word `erased`, as a person or a company has to be named"

INSTEAD: Final[Mapping[str, Instead]] = {
    "orders.customer_email": _NOBODYS_EMAIL,
    "carts.customer_email": _NOBODYS_EMAIL,
    "order_subscriptions.customer_email": _NOBODYS_EMAIL,
    "addresses.first_name": Instead("case when not business then 'erased' end", _NAMED),
    "addresses.last_name": Instead("case when not business then 'erased' end", _NAMED),
    "addresses.company": Instead("case when business then 'erased' end", _NAMED),
    "customer_payment_sources.expires_at": Instead(
        "least(expires_at, {at})", "the instant of erasing, unless it was over before: nothing can be charged any more"
    ),
    "cart_items.options_digest": Instead("'erased-' || id", "`erased-` and the item's id, which tells lines apart"),
    "carts.browser": Instead(
        "case when browser is not null then 'erased-' || id end", "`erased-` and the cart's id, where there was one"
    ),
}
"""Columns that become something else than null, their default or the word `erased`."""

_COLUMNS: Final = """
    select c.relname, a.attname, a.attnotnull, a.atthasdef
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = current_schema()::regnamespace and c.relname = any($1::text[])
        and a.attnum > 0 and not a.attisdropped
"""

_ORDERS = Values("data/people.orders", str)
_CARTS = Values("data/people.carts", str)
_ADDRESSES = Values("data/people.addresses", str)
_EVENTS = Values("data/people.events", str)
_DELIVERIES = Values("data/people.deliveries", str)
_RECEIVERS = Values("data/people.receivers", str)
_IMPORTS = Values("data/people.imports", str)
_EXPORTS = Values("data/people.exports", str)

_FOUND_BY_STATEMENTS: Final = frozenset({"events", "event_callbacks", "webhooks", "imports", "exports"})

Found = dict[str, list[str]]
"""Table -> the ids of a person's rows in it."""


class Person(NamedTuple):
    """A customer of a store, with the e-mail address that guests may have named."""

    store_id: int
    id: str
    email: str


async def found(connection: Connection, person: Person) -> Found:
    """The rows that say something of a person, by their tables: what is theirs, and what tells of that."""
    store, customer, email = person
    ids: Found = {PEOPLE: [customer]}
    ids["orders"] = await _ORDERS(connection, store=store, customer=customer, email=email)
    ids["carts"] = await _CARTS(connection, store=store, customer=customer, email=email, orders=ids["orders"])
    for table, ways in _ways():
        if table in ids or table == "addresses":
            continue
        rows: set[str] = set()
        for column, to in ways:
            rows |= await _held(connection, store, table, column, ids[to])
        ids[table] = sorted(rows)
    whole = {name: ids[name] for name in ("orders", "carts", "order_subscriptions")}
    ids["addresses"] = await _ADDRESSES(connection, store=store, customer=customer, **whole)
    ids["events"] = await _events(connection, store, ids)
    told = await _DELIVERIES(connection, store=store, events=ids["events"], people=[customer, email])
    ids["event_callbacks"] = told
    ids["webhooks"] = await _RECEIVERS(connection, store=store, deliveries=told)
    ids["events"] += await _events(connection, store, {"webhooks": ids["webhooks"]})
    ids["imports"] = await _IMPORTS(connection, store=store, words=[customer, email])
    ids["exports"] = await _EXPORTS(connection, store=store, words=[customer, email])
    return ids


async def erase(connection: Connection, person: Person, ids: Found, *, nobody: str, at: datetime) -> None:
    """Take a person out of these rows. The customer's own row is left to who changes it."""
    known = {(table, column): rest for table, column, *rest in await connection.fetch(_COLUMNS, list(ids))}
    for table, rows in ids.items():
        if rows and table != PEOPLE:
            binds: list[object] = [person.store_id, rows]
            sets = [f'"{name}" = {value}' for name, value in _sets(table, known, binds, nobody=nobody, at=at)]
            where = "where store_id = $1 and id = any($2::text[])"
            if sets:
                await connection.execute(f"update {table} set {', '.join(sets)} {where}", *binds)
    for table, column in DELETED.items():
        await connection.execute(
            f'delete from {table} where store_id = $1 and "{column}" = $2', person.store_id, person.id
        )


def personal(table: str, columns: Mapping[str, Mark | None]) -> list[str]:
    """The columns of a table that erasing empties; one without a mark is taken to be personal."""
    return [
        column
        for column, mark in columns.items()
        if (mark is None or mark.personal is not None) and column not in IDS and f"{table}.{column}" not in KEPT
    ]


def emptied(columns: Mapping[str, Mapping[str, Mark | None]]) -> dict[str, list[str]]:
    """Table -> the columns that erasing empties in a person's rows, but for the customer's own row."""
    tables = {*_FOUND_BY_STATEMENTS, "addresses", *dict(_ways())} - {PEOPLE}
    return {table: own for table in sorted(tables) if (own := personal(table, columns[table]))}


def nobody_is(resource: type[Resource]) -> dict[str, str | None]:
    """What the columns of a resource hold that say nothing of anybody any more."""
    kinds = resource.columns()
    return {
        column: "{}" if getattr(kinds.get(column), "sql_type", "") == "jsonb" else None
        for column in personal(resource.table, resource.marks())
    }


def check(columns: Mapping[str, Mapping[str, Mark | None]]) -> list[str]:
    """The tables that hold something personal and of which nothing says how it is erased; none, as it should be."""
    handled = {PEOPLE, ANSWERS, *OTHERS, *DELETED, *_FOUND_BY_STATEMENTS, "addresses", *dict(_ways())}
    shops = {resource.table for resource in graph.values() if resource.owner in (None, PUBLIC)}
    return [
        table
        for table, of_table in columns.items()
        if table not in handled and (own := personal(table, of_table)) and not (table in shops and _common(own))
    ]


def _common(columns: Sequence[str]) -> bool:
    """Whether these are fields that every type has: of the shop's own types, they are the shop's words."""
    return {*columns} <= {"reference", "reference_origin", "metadata"}


def _ways() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The tables of what is somebody's, those first that others lead to: which columns say so, and lead where."""
    ways: dict[str, dict[str, str]] = {table: dict(columns) for table, columns in LED.items()}
    depth = dict.fromkeys(LED, 1)
    for resource in graph.values():
        path = resource.owner_path(graph)
        if path:
            ways.setdefault(resource.table, {})[path[0].column] = graph[path[0].type_].table
            depth[resource.table] = max(len(path), depth.get(resource.table, 0))
    for table in sorted(ways, key=lambda table: depth[table]):
        yield table, list(ways[table].items())


async def _events(connection: Connection, store_id: int, ids: Found) -> list[str]:
    """The events of these rows' resources."""
    pairs = [(type_, id_) for type_, resource in graph.items() for id_ in ids.get(resource.table, ())]
    types, of = [type_ for type_, _ in pairs], [id_ for _, id_ in pairs]
    return await _EVENTS(connection, store=store_id, types=types, ids=of)


async def _held(connection: Connection, store_id: int, table: str, column: str, ids: Sequence[str]) -> set[str]:
    rows = await connection.fetch(
        f'select id from {table} where store_id = $1 and "{column}" = any($2::text[])', store_id, ids
    )
    return {row[0] for row in rows}


def _sets(
    table: str, known: Mapping[tuple[str, str], Sequence[bool]], binds: list[object], *, nobody: str, at: datetime
) -> Iterator[tuple[str, str]]:
    """What each column of a table becomes, as SQL; what that needs is bound."""
    values = {"nobody": ("text", nobody), "at": ("timestamptz", at)}
    placed: dict[str, str] = {}

    def bind(name: str) -> str:
        if name not in placed:
            sql_type, value = values[name]
            binds.append(value)
            placed[name] = f"${len(binds)}::{sql_type}"
        return placed[name]

    for column in personal(table, marks()[table]):
        required, filled = known[table, column]
        instead = INSTEAD.get(f"{table}.{column}")
        if instead is None:
            yield column, "null" if not required else "default" if filled else f"'{ERASED}'"
            continue
        yield column, instead.sql.format(**{name: bind(name) for name in values if f"{{{name}}}" in instead.sql})
    if (table, "version") in known:
        yield "updated_at", bind("at")
        yield "version", "version + 1"
