"""How many rows a collection has: exact in every transaction, at a cost that doesn't grow with the collection.

Whoever inserts or deletes rows writes along, in the same statement, how many there are more or less (a *change*), and
whose they are. Nobody waits for anybody: changes are only ever added. Of a large collection a count is kept, of all of
it or of what is a customer's, from the first time on that it is asked for. A count and the changes since then are what
there is; changes are summed up in the background. Of a small collection, or one under conditions, the rows are counted.

A count is made, and changes are summed up, under a lock of the store's counts that is taken in a statement before: the
snapshot that follows has whatever the last holder did. So no change is lost to it, and none counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from schemas.graph import PUBLIC, graph
from schemas.relationships import PEOPLE, ToOne
from schemas.resource import Resource
from service.principal import Owner, Viewer
from service.store.compile import Statement
from service.store.locks import number_of
from service.store.pool import Connection
from service.store.statements import Command, OnlyValue, Values

WORTH: Final = 100
"""From how many rows on a count is kept. Fewer are counted at once."""

MANY: Final = 1_000
"""How many changes are summed up by whoever has to add them, if the job that does so didn't come by."""

WHOLES: Mapping[str, tuple[str, ...]] = {
    "carts": ("cart_items", "addresses"),
    "orders": ("line_items",),
    "order_subscriptions": ("order_subscription_items", "occurrence_items"),
    "order_subscription_items": ("occurrence_items",),
    "occurrences": ("occurrence_items",),
    "reorders": ("reorder_outcomes",),
    "webhooks": ("event_callbacks",),
    "api_clients": ("access_tokens",),
}
"""The types whose rows the database deletes along with what they are part of."""

_ALONE = frozenset({"stores", "markets"})
"""Types of which a store has one: nobody counts them."""

_HOLD = OnlyValue("runtime/counts.hold", bool)
_CHANGED = Values("runtime/counts.changed", int)
_SUM_UP = Command("runtime/counts.sum_up")
_FORGET = Command("runtime/counts.forget")


@cache
def collections(resource: type[Resource]) -> tuple[str, ...]:
    """The names by which changes tell the rows of a type: that of its table, or those of the types that part it."""
    parting = [other for other in graph.values() if other.table == resource.table and other.where]
    names = [other.type_ for other in parting if resource.where.items() <= other.where.items()]
    return tuple(name for name in names or [resource.table] if name not in _ALONE)


def is_owned(resource: type[Resource]) -> bool:
    """Whether changes tell whose the rows of a type are."""
    return resource.owners[PEOPLE] not in (None, PUBLIC, "id")


def is_kept(resource: type[Resource], owner: Owner | None) -> bool:
    """Whether a count is kept of what somebody sees of a type: all of it, or all that is a customer's."""
    if not collections(resource) or (owner is not None and resource.visible):
        return False
    return owner is None or resource.owners[owner.type_] == PUBLIC or (owner.type_ == PEOPLE and is_owned(resource))


def kept(resource: type[Resource], customer: str = "") -> str:
    """The query of one row, or none where no count is kept: `number` of rows, and how many `changes` were added for it.

    `customer` is a placeholder; without one all rows are meant.
    """
    names = collections(resource)
    which = f"store_id = $1 and collection in ({', '.join(repr(name) for name in names)})"
    delta = _of_customer(customer) if customer else "delta"
    counted = (
        f"select sum(number) as number from collection_counts where {which} and customer_id = {customer or repr('')}"
    )
    changed = f"select coalesce(sum({delta}), 0) as delta, count(*) as changes from collection_changes where {which}"
    return (
        "select (counted.number + changed.delta)::bigint as number, changed.changes"
        f" from ({counted} having count(*) = {len(names)}) counted cross join ({changed}) changed"
    )


def _of_customer(customer: str) -> str:
    """The expression of how many more rows a change says that a customer has."""
    return f"sign(delta) * cardinality(array_positions(customers, {customer}))"


async def keep(connection: Connection, store_id: int, resource: type[Resource], customer_id: str = "") -> None:
    """Count the rows of a type, all or a customer's, and keep that from now on, unless somebody is at the counts.

    Not for a transaction that has read already, and may see an earlier state.
    """
    async with connection.transaction():
        if await _HOLD(connection, lock=number_of("counts", store_id)):
            for name in collections(resource):
                await connection.execute(*_counting(graph[name], store_id, customer_id))


def _counting(resource: type[Resource], store_id: int, customer_id: str) -> tuple[str, ...]:
    statement = Statement(Viewer(store_id, Owner(PEOPLE, customer_id) if customer_id else None))
    alias = statement.alias()
    rows = f"select count(*) from {resource.table} {alias} where {statement.scope(resource, alias)}"
    delta = _of_customer(statement.owner()) if customer_id else "delta"
    changes = (
        f"select coalesce(sum({delta}), 0) from collection_changes"
        f" where store_id = $1 and collection = '{resource.type_}'"
    )
    text = (
        "insert into collection_counts (store_id, collection, customer_id, number)"
        f" select $1, '{resource.type_}', {statement.owner() if customer_id else repr('')}, ({rows}) - ({changes})"
        " on conflict do nothing"
    )
    return text, *statement.binds


async def sum_up(connection: Connection, store_id: int) -> None:
    """Take the changes of a store into what is kept, unless somebody is at the counts."""
    async with connection.transaction():
        if await _HOLD(connection, lock=number_of("counts", store_id)):
            await _SUM_UP(connection, store=store_id)


async def changed(connection: Connection) -> list[int]:
    """The stores in which there are changes to sum up."""
    return await _CHANGED(connection)


async def forget(connection: Connection) -> None:
    """Keep no counts any more, of any store, until they are asked for again: a repair."""
    await _FORGET(connection)


def check() -> str:
    """The invariant of all that is kept, as those of sql/checks.sql are: a row for each count that isn't exact."""
    parts = []
    for resource in graph.values():
        if collections(resource) != (resource.type_,):
            continue
        where = [f"{column} = '{value}'" for column, value in resource.where.items()]
        if is_owned(resource):
            owner = _owner(resource, lambda name: f'one."{name}"', store="kept.store_id", lock="")
            where.append(f"(kept.customer_id = '' or {owner} = kept.customer_id)")
        rows = " and ".join(["one.store_id = kept.store_id", *where])
        parts.append(
            "select kept.store_id, kept.collection, kept.customer_id, kept.number,"
            f" (select count(*) from {resource.table} one where {rows}) as rows"
            f" from collection_counts kept where kept.collection = '{resource.type_}'"
        )
    delta = _of_customer("kept.customer_id")
    changed = (
        f"select coalesce(sum(case kept.customer_id when '' then delta else {delta} end), 0) from collection_changes"
        " where collection_changes.store_id = kept.store_id and collection_changes.collection = kept.collection"
    )
    return (
        "select kept.store_id, rtrim(kept.collection || '/' || kept.customer_id, '/') as id,"
        " 'counted as ' || kept.counted || ', there are ' || kept.rows as detail"
        f" from (select kept.*, kept.number + ({changed}) as counted from ({' union all '.join(parts)}) kept) kept"
        " where kept.counted <> kept.rows"
    )


Column = Callable[[str], str]
"""What stands for a column of a row in a statement."""


def more(resource: type[Resource], column: Column) -> Iterator[str]:
    """The insert of the change that a new row makes; none for a type that isn't counted.

    Here and below it is part of a statement whose $1 is the store.
    """
    if collections(resource):
        (name,) = collections(resource)
        yield f"{_INSERT} select $1::bigint, '{name}', 1, {_customers(resource, column)}"


def more_of(resource: type[Resource], rows: str, alias: str, columns: Sequence[str]) -> Iterator[str]:
    """The insert of the change that new rows make together, which have these columns."""
    if collections(resource):
        (name,) = collections(resource)
        owned = is_owned(resource)
        owner = _owner(resource, lambda column: f'{alias}."{column}"' if column in columns else "null") if owned else ""
        yield f"{_INSERT} select $1, '{name}', count(*), {f'array_agg({owner})' if owned else repr('{}')} from {rows}"


def more_owned(collection: str, customers: str) -> str:
    """The insert of the change that new rows make whose these customers are, a placeholder."""
    return f"{_INSERT} values ($1, '{collection}', cardinality({customers}::text[]), {customers}::text[])"


def more_in(collection: str, rows: str) -> str:
    """The insert of the change that new rows make, of a statement's part, which are nobody's."""
    return f"{_INSERT} select $1, '{collection}', count(*), '{{}}' from {rows} having count(*) > 0"


def less(resource: type[Resource], gone: str) -> Iterator[str]:
    """The insert of the change that a deleted row makes, which `gone` has returned."""
    if collections(resource):
        (name,) = collections(resource)
        customers = _customers(resource, lambda column: f'{gone}."{column}"')
        yield f"{_INSERT} select $1, '{name}', -1, {customers} from {gone}"


def less_parts(resource: type[Resource], id_: str) -> Iterator[str]:
    """The inserts of the changes that the parts of a row make which is about to be deleted.

    `id_` is the placeholder of its id. Nothing may be added to it meanwhile.
    """
    for part in (graph[name] for name in WHOLES.get(resource.type_, ())):
        owner = _owner(part, lambda name: f'part."{name}"', lock="") if is_owned(part) else "null::text"
        link = next(r.column for r in part.relationships.values() if r.type_ == resource.type_ and isinstance(r, ToOne))
        yield (
            f"{_INSERT} select $1, '{part.type_}', -count(*), array_agg({owner}) from {part.table} part"
            f' where part.store_id = $1 and part."{link}" = {id_} having count(*) > 0'
        )


async def move(connection: Connection, store_id: int, resource: type[Resource], id_: str, customer_id: object) -> None:
    """Tell that a row, with what is its owner's for its sake, becomes another customer's. Needs a transaction.

    The row is locked against whoever adds something to it: they look for its owner under a lock as well.
    """
    await connection.execute(f"select from {resource.table} where store_id = $1 and id = $2 for update", store_id, id_)
    counted = [f"select '{resource.type_}', 1"]
    for other in graph.values():
        path = other.owner_path()
        if len(path) > 1 and path[0].type_ == resource.type_ and collections(other) == (other.type_,):
            scope = Statement(Viewer(store_id)).scope(other, "other", f'other."{path[0].column}" = $2')
            counted.append(f"select '{other.type_}', (select count(*) from {other.table} other where {scope})")
    owners = f'select -1, "{owner_column(resource)}" from {resource.table} where store_id = $1 and id = $2'
    await connection.execute(
        f"{_INSERT} select $1, counted.name, owner.sign * counted.number,"
        " array_fill(owner.id, array[counted.number::int])"
        f" from ({' union all '.join(counted)}) as counted (name, number)"
        f" cross join ({owners} union all select 1, $3::text) as owner (sign, id) where counted.number > 0",
        *(store_id, id_, customer_id),
    )


async def tell(connection: Connection, store_id: int, resource: type[Resource], ids: Sequence[str]) -> None:
    """Tell that rows of these ids were inserted by other means. Needs their transaction."""
    if collections(resource):
        (name,) = collections(resource)
        owner = _owner(resource, lambda column: f'one."{column}"') if is_owned(resource) else "null::text"
        await connection.execute(
            f"{_INSERT} select $1, '{name}', count(*), array_agg({owner}) from {resource.table} one"
            " where one.store_id = $1 and one.id = any($2::text[]) having count(*) > 0",
            *(store_id, ids),
        )


async def move_all(
    connection: Connection, store_id: int, resource: type[Resource], customers: Mapping[str, object]
) -> None:
    """Tell that rows are to be these customers', by id, as far as they aren't. Needs a transaction."""
    rows = await connection.fetch(
        f'select id, "{owner_column(resource)}" from {resource.table} where store_id = $1 and id = any($2::text[])',
        *(store_id, list(customers)),
    )
    for id_, customer_id in rows:
        if customers[id_] != customer_id:
            await move(connection, store_id, resource, id_, customers[id_])


def owner_column(resource: type[Resource]) -> str:
    """The column of a type's own that says whose a row is; empty where none does, or nobody counts."""
    path = resource.owner_path() if collections(resource) else ()
    return path[0].column if len(path) == 1 else ""


_INSERT = "insert into collection_changes (store_id, collection, delta, customers)"


def _customers(resource: type[Resource], column: Column) -> str:
    return f"array[{_owner(resource, column)}]" if is_owned(resource) else "'{}'"


def _owner(resource: type[Resource], column: Column, *, store: str = "$1", lock: str = " for key share") -> str:
    """The customer whose a row is. That of what it belongs to may be about to change, so that is locked."""
    first, *rest = resource.owner_path()
    own = column(first.column)
    if not rest:
        return f"{own}::text"
    (second,) = rest
    whole = graph[first.type_].table
    return (
        f'(select whole."{second.column}" from {whole} whole where whole.store_id = {store} and whole.id = {own}{lock})'
    )
