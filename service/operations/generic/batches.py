"""Many operations in one transaction: each takes effect in its turn, and all do or none (ext/atomic, "Processing").

An operation goes the way of the request that it stands for: the same creating operations, writers and hooks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.graph import graph
from schemas.relationships import ToOne
from schemas.resource import Resource
from service.errors import PreconditionFailed, PreconditionRequired, TooLarge
from service.jsonapi.atomic import Operation, pointing
from service.jsonapi.body import Draft, located, not_found
from service.jsonapi.layout import Row
from service.jsonapi.query import Selection
from service.operations.generic.change import Change, Locked
from service.operations.generic.created import Create, Created
from service.operations.generic.writing import Deferred, Writer
from service.principal import Principal
from service.store import read, write
from service.store.pool import Connection
from service.texts import Phrase

MOST_SECONDS = 30
"""How long a batch may have taken when its last operation begins."""

_Key = tuple[type[Resource], str | None]


@dataclass(frozen=True, slots=True)
class Step:
    """An operation and what carries it out: what makes resources of its type, or what changes them.

    `remarks` is the writer that knows what whoever sent it is told beside the resource; None where none does.
    """

    operation: Operation
    by: Create | Writer
    remarks: Writer | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A resource that an operation made or changed, as its result is to show it, with what its sender is warned of."""

    selection: Selection
    row: Row
    created: Created
    warnings: Sequence[Phrase] = ()


async def run(connection: Connection, principal: Principal, steps: Sequence[Step]) -> list[Shown | None]:
    """Carry out operations in their order, in the caller's transaction; gives what the result of each is to show.

    That is a resource as it is in the end, or before a later operation that changes it again or removes it, and None
    for what has nothing to show. Raises ApiError subclasses with pointers into the document of the operations;
    then the caller's transaction must be rolled back.
    """
    batch = _Batch(connection, principal, len(steps))
    await _hold(connection, principal, steps)
    for position, step in enumerate(steps):
        await batch.prepare(step)
        with pointing(position), located(step.operation.draft):
            batch.check_time()
            await batch.carry_out(step, position)
    await batch.finish()
    await batch.read()
    return batch.results


async def _hold(connection: Connection, principal: Principal, steps: Sequence[Step]) -> None:
    """Lock all resources that operations name, wholes before their parts, and each type's in the order of ids.

    So two batches over the same resources wait for each other, whatever the order of their operations, and neither has
    to give way. What isn't there is the business of the operation that names it.
    """
    viewer = principal.viewer
    wholes: dict[type[Resource], set[str]] = {}
    parts: dict[type[Resource], set[str]] = {}
    above: dict[type[Resource], ToOne] = {}
    for operation, writer in ((step.operation, step.by) for step in steps):
        if not isinstance(writer, Writer):
            continue
        named = parts if writer.whole else wholes
        if operation.id is not None:
            named.setdefault(operation.resource, set()).add(operation.id)
        if writer.whole:
            relationship = operation.resource.relationships[writer.whole]
            assert isinstance(relationship, ToOne)  # noqa: S101 -- a part has one whole
            above[operation.resource] = relationship
            id_ = None if operation.draft is None else operation.draft.related(writer.whole)
            wholes.setdefault(graph[relationship.type_], set()).update([] if id_ is None else [id_])
    for resource, ids in parts.items():
        found = await write.parents(connection, viewer, resource, ids, above[resource])
        wholes[graph[above[resource].type_]] |= found
    for named in (wholes, parts):
        for resource in sorted(named, key=lambda one: one.type_):
            if named[resource]:
                await write.hold(connection, viewer, resource, named[resource])


class _Batch:
    """What the operations of a batch have done so far.

    `_own` are the resources that nobody else can have changed since: those that it made, or checked the version of.
    `_unread` are those that results are to show, each of a step at a position; they are read together, late.
    `_deferred` are wholes that are finished once for many operations on their parts, all of them of one writer.
    `_begun` are new resources of one type that are written together, each at a position, by their writer.
    """

    def __init__(self, connection: Connection, principal: Principal, length: int) -> None:
        self.results: list[Shown | None] = [None] * length
        self._connection = connection
        self._principal = principal
        self._own: set[_Key] = set()
        self._began = time.monotonic()
        self._unread: dict[_Key, tuple[int, Created, Step]] = {}
        self._deferred: dict[tuple[Writer, str], tuple[int, Change]] = {}
        self._begun: dict[str, tuple[int, Change]] = {}
        self._begun_by: Writer | None = None

    def check_time(self) -> None:
        """Raise TooLarge when what was done so far took too long to go on."""
        if time.monotonic() - self._began > MOST_SECONDS:
            raise TooLarge(
                "The operations before this one took more than {seconds} seconds: send fewer at a time.",
                seconds=MOST_SECONDS,
                meta={"limit": MOST_SECONDS},
            )

    async def prepare(self, step: Step) -> None:
        """Settle what an operation may depend on, and read what it changes again, or might remove.

        What removes a resource may take others along, and so may operations that do more than write one resource.
        """
        operation = step.operation
        if not self._goes_along(step):
            await self._write()
        if any(writer is not step.by for writer, _ in self._deferred):
            await self.finish()
        removes = operation.code == "remove" and not operation.relationship
        if removes or not isinstance(step.by, Writer):
            await self.read([key for key, (position, *_) in self._unread.items() if self.results[position] is None])
        elif (key := (operation.resource, operation.id)) in self._unread:
            await self.read([key])
            del self._unread[key]

    async def carry_out(self, step: Step, position: int) -> None:
        """Let an operation take effect, at its position."""
        operation, deferred = step.operation, Deferred()
        if _in_sets(step) and operation.draft is not None:
            assert isinstance(step.by, Writer)  # noqa: S101 -- `_in_sets` says so
            change = await step.by.begin(self._connection, self._principal, operation.draft)
            self._begun[change.id], self._begun_by = (position, change), step.by
            created = Created(change.id)
            self._own.add((operation.resource, created.id))
        elif operation.code == "add" and operation.draft is not None:
            created = await self._make(step.by, operation.draft, deferred)
            self._own.add((operation.resource, created.id))
        else:
            assert isinstance(step.by, Writer)  # noqa: S101 -- nothing else changes what is there
            locked = await self._change(step.by, operation, deferred)
            created = Created(locked.id, locked.disclosed)
        if operation.draft is not None:
            self._unread[operation.resource, created.id] = (position, created, step)
        self._deferred |= {key: (position, change) for key, change in deferred.items()}

    def _goes_along(self, step: Step) -> bool:
        """Whether what a step makes is written together with what was begun, to which it doesn't refer."""
        draft = step.operation.draft
        if not self._begun or draft is None:
            return not self._begun
        _, last = next(reversed(self._begun.values()))
        alike = _in_sets(step) and step.by is self._begun_by and draft.resource is last.resource
        return alike and draft.id not in self._begun and self._begun.keys().isdisjoint(draft.relationships.values())

    async def _write(self) -> None:
        """Write what was begun: together, or one by one where the database refuses one, to tell which."""
        begun, by = list(self._begun.values()), self._begun_by
        self._begun.clear()
        if by is None or not begun:
            return
        if len(begun) > 1 and await by.end_all([change for _, change in begun]):
            return
        for position, change in begun:
            with pointing(position), located(change.draft):
                await by.end(change)

    async def _make(self, by: Create | Writer, draft: Draft, deferred: Deferred) -> Created:
        if isinstance(by, Writer):
            return Created(await by.create(self._connection, self._principal, draft, deferred))
        return await by(self._connection, self._principal, draft)

    async def _change(self, writer: Writer, operation: Operation, deferred: Deferred) -> Locked:
        connection, principal = self._connection, self._principal
        locked = await writer.lock(connection, principal, operation.resource, str(operation.id))
        self._check_version(locked, operation.version)
        if operation.relationship:
            name, linked = operation.relationship, operation.linked
            await writer.relate(connection, principal, locked, name, linked, code=operation.code)
        elif operation.draft is not None:
            await writer.update(connection, principal, locked, operation.draft, deferred)
        else:
            await writer.remove(connection, principal, locked, deferred)
        return locked

    def _check_version(self, locked: Locked, wanted: int | None) -> None:
        """Compare a resource's version with the one that the client names, as If-Match does for a single request.

        Once is enough: what was locked and checked, or made here, is changed by operations of the batch alone.
        """
        key = (locked.resource, locked.id)
        if key in self._own:
            return
        if wanted is None:
            if self._principal.demands_if_match:
                raise PreconditionRequired(
                    "This store requires the version that was read on every change: send it as `version` in the `meta`"
                    " of the operation."
                )
            return
        if wanted != locked.version:
            raise PreconditionFailed(
                "The resource has changed: it is at version {version} now.",
                version=locked.version,
                pointer="/meta/version",
            )
        self._own.add(key)

    async def finish(self) -> None:
        """Write what was begun, and settle the wholes that wait for it."""
        await self._write()
        for (writer, _), (position, change) in self._deferred.items():
            with pointing(position), located(change.draft):
                await writer.after_write(change)
        self._deferred.clear()

    async def read(self, keys: Iterable[_Key] | None = None) -> None:
        """Read what results are to show, all or these: one statement per type. What is gone stays as it was read."""
        wanted: dict[type[Resource], list[str]] = {}
        for resource, id_ in self._unread if keys is None else keys:
            wanted.setdefault(resource, []).append(str(id_))
        if wanted:
            await self.finish()
        viewer = self._principal.viewer
        for resource, ids in wanted.items():
            selection = Selection(resource)
            rows = await read.several(self._connection, viewer, selection, ids)
            for id_ in ids:
                position, created, step = self._unread[resource, id_]
                if id_ in rows:
                    with pointing(position):
                        self.results[position] = Shown(selection, rows[id_], created, await self._remarks(step, id_))
                elif self.results[position] is None:
                    with pointing(position):
                        raise not_found(resource.type_)

    async def _remarks(self, step: Step, id_: str) -> Sequence[Phrase]:
        """What whoever sent a step is told beside its resource, as that is now."""
        draft = step.operation.draft
        if step.remarks is None or draft is None:
            return ()
        self.check_time()
        new = step.operation.code == "add"
        return await step.remarks.remarks(self._connection, self._principal, id_, draft, new=new)


def _in_sets(step: Step) -> bool:
    """Whether a step makes a resource that may be written together with others, and nothing else."""
    draft, by = step.operation.draft, step.by
    if step.operation.code != "add" or draft is None or not isinstance(by, Writer) or not by.in_sets:
        return False
    if draft.resource.quota is not None:
        return False
    return not draft.triggers and not any(isinstance(ids, tuple) for ids in draft.relationships.values())
