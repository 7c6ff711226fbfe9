"""Nobody keeps more of a type than its Schema allows, whoever adds to it, in whatever number of requests at once.

Whose a new row is follows from the path to its owner. One transaction at a time adds to what somebody owns,
from the look at how much there is until its end. Imports bring what a shop has, and look at no quota.
"""

from __future__ import annotations

from itertools import pairwise

from schemas.graph import OWNERS, graph
from schemas.resource import Resource
from service.errors import QuotaExceeded
from service.operations.generic.change import Change
from service.principal import Owner, Store, Viewer
from service.store import quotas, write
from service.store.pool import Connection


async def check(change: Change) -> None:
    """Note a problem where a new resource, or one that becomes another's, is more than its owner may have."""
    quota = change.resource.quota
    if quota is None:
        return
    owner = await _owner(change)
    if owner is not None and await is_full(change.connection, change.store, owner, change.resource):
        owning = (path.partition(".")[0] for path in map(change.resource.owners.get, OWNERS) if path)
        pointer = change.draft.pointer(*owning)
        change.problems.append(exceeded(change.resource, pointer=pointer))


async def is_full(connection: Connection, store: Store, owner: Owner, resource: type[Resource]) -> bool:
    """Whether somebody has all that the quota of a type allows; until the transaction ends, nobody else adds to it."""
    quota = resource.quota
    if quota is None:
        return False
    await quotas.hold(connection, store.id, owner)
    return await quotas.owned(connection, store.id, owner, resource) >= quota.most


def exceeded(resource: type[Resource], *, pointer: str | None = None, fields: tuple[str, ...] = ()) -> QuotaExceeded:
    """The problem of somebody who has all that a type allows."""
    quota = resource.quota
    assert quota is not None  # noqa: S101 -- the caller has looked
    return QuotaExceeded(
        "There are {most} {type} already, which is the most that one owner has: {advice}.",
        most=quota.most,
        type=resource.type_,
        advice=quota.advice,
        pointer=pointer,
        fields=fields,
        meta={"limit": quota.most, "suggestion": str(quota.advice)},
    )


async def _owner(change: Change) -> Owner | None:
    """Whose the resource becomes by a change; None where it stays whose it was, or is nobody's."""
    for root in OWNERS:
        path = change.resource.owner_path(root=root)
        if not path or not change.sets(path[0].column):
            continue
        id_ = change.value(path[0].column)
        for whole, part in pairwise(path):
            everybody = Viewer(change.store.id)
            id_ = id_ and await write.parent_id(change.connection, everybody, graph[whole.type_], id_, part)
        if id_ is not None:
            return Owner(root, id_)
    return None
