"""Whether all that was written to a store was counted: what its changes add up to, beside the rows that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from schemas.graph import graph
from schemas.resource import Resource
from service.principal import Store
from service.store import counts
from service.store.pool import Connection

COUNTED = [resource for resource in graph.values() if counts.collections(resource) == (resource.type_,)]
"""The types whose rows are counted, each row by one of them."""


def counted_type(table: str, kind: object = None) -> type[Resource] | None:
    """The type by which a row of a table is counted."""
    return next((one for one in COUNTED if one.table == table and one.where.get("kind") in (None, kind)), None)


async def begin(connection: Connection, store: Store) -> None:
    """Keep counts of a new store from the start, as if it were large."""
    await connection.execute(
        "insert into collection_counts (store_id, collection, number) select $1, name, 0 from unnest($2::text[]) name",
        *(store.id, [resource.type_ for resource in COUNTED]),
    )


async def anew(connection: Connection, store: Store) -> None:
    """Count a store's rows, which a test has changed behind the service's back."""
    rows = await rows_of(connection, store.id)
    await connection.execute("delete from collection_changes where store_id = $1", store.id)
    await connection.executemany(
        "update collection_counts set number = $3 where store_id = $1 and collection = $2",
        [(store.id, one.type_, sum(n for (name, _), n in rows.items() if name == one.type_)) for one in COUNTED],
    )


async def rows_of(connection: Connection, store_id: int) -> Counter[tuple[str, str]]:
    """How many rows there are of each type, by their customers."""
    found = await connection.fetch(" union all ".join(_queries()), store_id)
    return Counter({(name, customer or ""): number for name, customer, number in found})


def _queries() -> Iterator[str]:
    for resource in COUNTED:
        owner, joins, alias = "null::text", "", "one"
        if counts.is_owned(resource):
            for step in resource.owner_path()[:-1]:
                table = graph[step.type_].table
                joins += f" left join {table} two on two.store_id = $1 and two.id = one.{step.column}"
                alias = "two"
            owner = f"{alias}.{resource.owner_path()[-1].column}"
        kinds = "".join(f" and one.{column} = '{value}'" for column, value in resource.where.items())
        yield (
            f"select '{resource.type_}', {owner}, count(*) from {resource.table} one{joins}"
            f" where one.store_id = $1{kinds} group by 2"
        )


async def uncounted(connection: Connection, store_id: int) -> list[str]:
    """What of a store isn't counted as it is, whose counts were kept from its beginning.

    By customers that can be seen until changes are summed up.
    """
    kept = await connection.fetch(
        "select collection, number from collection_counts where store_id = $1 and customer_id = ''", store_id
    )
    changes = await connection.fetch(
        "select collection, delta, customers from collection_changes where store_id = $1", store_id
    )
    rows = await rows_of(connection, store_id)
    all_kept = Counter[str]({row[0]: row[1] for row in kept})
    owned: Counter[tuple[str, str]] = Counter()
    for name, delta, customers in changes:
        all_kept[name] += delta
        for customer in customers or [None] * abs(delta):
            owned[name, customer or ""] += 1 if delta > 0 else -1
    wrong = [
        f"{name}: {all_kept[name]} counted, {there} there"
        for name in sorted(all_kept)
        if (there := sum(number for (found, _), number in rows.items() if found == name)) != all_kept[name]
    ]
    if kept and not any(number for _, number in kept):
        keys = sorted({key for key in owned.keys() | rows.keys() if owned[key] != rows[key]})
        wrong += [
            f"{name} of {customer!r}: {owned[name, customer]} counted, {rows[name, customer]} there"
            for name, customer in keys
        ]
    return wrong
