"""How much somebody keeps, counted up to a number: what it costs follows from the quota, not from the store."""

from __future__ import annotations

from schemas.resource import Resource
from service.principal import Owner, Viewer
from service.store.compile import Statement
from service.store.locks import number_of
from service.store.pool import Connection
from service.store.statements import Command

_HOLD = Command("runtime/quotas.hold")


async def hold(connection: Connection, store_id: int, owner: Owner) -> None:
    """Wait until nobody else adds to what somebody owns, and keep others from it until the transaction ends.

    What is counted after that has what the last holder added.
    """
    await _HOLD(connection, lock=number_of("quotas", store_id, *owner))


async def owned(connection: Connection, store_id: int, owner: Owner, resource: type[Resource]) -> int:
    """How many rows that count toward the quota of a type somebody owns, at most as many as that allows."""
    assert resource.quota is not None  # noqa: S101 -- the caller has looked
    statement = Statement(Viewer(store_id, owner))
    alias = statement.alias()
    counted = []
    for column, values in resource.quota.among.items():
        own = f'{alias}."{column}"'
        counted.append(f"{own}::text = any({statement.bind(list(values))}::text[])" if values else f"{own} is null")
    where = statement.scope(resource, alias, *counted)
    rows = f"select from {resource.table} {alias} where {where} limit {resource.quota.most}"
    number: int = await connection.fetchval(f"select count(*) from ({rows}) counted", *statement.binds)
    return number
