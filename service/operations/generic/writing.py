"""Creating, changing and deleting resources: generic, with hooks for what a type does beyond keeping its fields.

Everything happens in the caller's transaction, under the lock of the row, and of the whole that it is part of (the cart
of a cart item), taken first. Problems that the database would report one at a time are looked for beforehand, so that
all of them are told at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, Final

import orjson
from marshmallow import ValidationError

from schemas.graph import PUBLIC, graph
from schemas.kinds import Json
from schemas.kinds.times import parse_timestamp
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service import clock
from service.errors import ApiError, Forbidden, raise_all
from service.jsonapi.atomic import Code
from service.jsonapi.attributes import attributes_of
from service.jsonapi.body import Draft, Echo, Linked, located, not_found, read_only
from service.operations.events import outbox
from service.operations.generic import quotas, recording, starting, tagging
from service.operations.generic.change import Change, Locked
from service.operations.generic.created import Created
from service.operations.generic.phases import Interlude
from service.principal import Principal
from service.rules.verbs import VERBS
from service.store import write
from service.store.pool import Connection
from service.store.write import Columns
from service.texts import Phrase

Effect = Callable[[Change], Awaitable[Columns | None]]
"""What a verb does: returns the columns that it sets beside the status; None for nothing, or with a problem noted."""

UPDATE: Final = "update"
"""The event of every change, also of a verb that has none of its own."""


class Writer:
    """How a type is written. The base keeps what was sent; a type that does more overrides its moments.

    A change goes through `validate`, the effects of its verbs, `before_write`, one statement, and `after_write`; a
    deletion through `before_delete`. `whole` names the relationship to what a resource is part of and is locked with;
    then `after_write` looks at the whole alone, so that many changes of its parts need it once.

    `effects` holds the effect of each verb that the type has in `service.rules.verbs`. The table says whether a verb
    starts, which status it leads to and which event tells of it; the effect adds what else follows.

    `looked_up` names to-one relationships of a new resource whose ends its own moments look up, and miss, themselves.
    """

    whole: ClassVar[str] = ""
    looked_up: ClassVar[AbstractSet[str]] = frozenset()
    effects: ClassVar[Mapping[str, Effect]] = {}

    def status(self, change: Change) -> str | None:
        """Return the status that decides which verbs can start now; None where a type has none."""
        status: str | None = change.value("status")
        return status

    async def validate(self, change: Change) -> None:
        """Take over what a new resource needs, and note what can't be as it was sent. No verb was done yet."""

    async def before_write(self, change: Change) -> None:
        """Work out columns that follow from what was sent and done, and note problems. Nothing is written yet."""

    def writes_elsewhere(self, change: Change) -> bool:  # noqa: ARG002 -- the hook's signature
        """Whether a change of none of the resource's own columns is one nevertheless."""
        return False

    async def keep(self, change: Change) -> None:
        """Write a change of a resource, with its events."""
        await recording.write(change, UPDATE)

    async def after_write(self, change: Change) -> None:
        """Bring up to date what depends on the resource. A part's runs also after the part was deleted."""

    async def before_delete(self, change: Change) -> None:
        """Note what keeps a resource from being deleted. Resources that refer to it do so anyway."""

    async def warnings(self, connection: Connection, principal: Principal, id_: str) -> Sequence[Phrase]:  # noqa: ARG002 -- the hook's signature
        """What somebody should know who looks at a resource or has changed it, though nothing is wrong."""
        return ()

    async def foreseen(self, connection: Connection, principal: Principal, id_: str, draft: Draft) -> Sequence[Phrase]:  # noqa: ARG002 -- the hook's signature
        """What follows from what was just written, though it was taken as it is."""
        return ()

    async def remarks(
        self, connection: Connection, principal: Principal, id_: str, draft: Draft, *, new: bool
    ) -> Sequence[Phrase]:
        """Return what whoever has made or changed a resource by a draft is told beside it."""
        seen = () if new else await self.warnings(connection, principal, id_)
        return [*seen, *await self.foreseen(connection, principal, id_, draft)]

    async def create(
        self, connection: Connection, principal: Principal, draft: Draft, deferred: Deferred | None = None
    ) -> str:
        """Make the resource of a draft and return its id. Raises ApiError subclasses, all problems at once.

        With `deferred`, here and below, a part's whole is noted there, and the caller calls `after_write` for it.
        """
        change = await self.begin(connection, principal, draft)
        return await self.end(change, deferred)

    async def begin(self, connection: Connection, principal: Principal, draft: Draft) -> Change:
        """All of `create` that comes before the resource is written: it can be, and `end` writes it. Raises as that."""
        draft = replace(draft, id=draft.id or clock.new_id())
        columns = {"id": draft.id} | ({"version": later_version()} if draft.chosen else {})
        change = Change(connection, principal, draft, clock.now(principal.store), columns=columns)
        await self._ready(change, draft.relationships, _asked(draft))
        return change

    async def end(self, change: Change, deferred: Deferred | None = None) -> str:
        """Write a new resource that has begun, and return its id. Raises as `create`."""
        await recording.write(change, "create")
        await self._finish(change, deferred)
        return change.id

    @property
    def in_sets(self) -> bool:
        """Whether many new resources can begin before the first of them is written: hooks look nothing up for them."""
        own = type(self)
        return not own.whole and own.validate is Writer.validate and own.before_write is Writer.before_write

    async def end_all(self, changes: Sequence[Change]) -> bool:
        """Write new resources of one type that have begun: one statement for all that have the same columns.

        Returns False, with nothing written, where the database refuses one: `end` tells which.
        """
        alike: dict[tuple[str, ...], list[Change]] = {}
        for change in changes:
            alike.setdefault(tuple(change.columns), []).append(change)
        for same in alike.values():
            if not await recording.write_all(same):
                return False
        for change in changes:
            await self._finish(change, None)
        return True

    async def make(
        self,
        connection: Connection,
        principal: Principal,
        resource: type[Resource],
        columns: Columns,
        *,
        number: int | None = None,
        kept: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        """Make a resource of these columns and return its id, as `create` makes one that somebody sent.

        `number` is the running number that was set aside for it, `kept` what the type's own moments are to know.
        """
        draft = Draft(resource, clock.new_id(), number=number)
        known = {"id": draft.id, **columns}
        change = Change(connection, principal, draft, clock.now(principal.store), columns=known, kept=dict(kept))
        await self._ready(change, _linked(resource, columns), ())
        return await self.end(change)

    async def _ready(self, change: Change, linked: Mapping[str, Linked], verbs: Sequence[str]) -> None:
        _check_customer(change.principal, change.resource, creating=True)
        _own(change)
        await _check_linkage(change, {name: ids for name, ids in linked.items() if name not in self.looked_up})
        raise_all(change.problems)
        if self.whole:
            whole_id = linked.get(self.whole)
            change.whole = await self.lock_whole(change, whole_id if isinstance(whole_id, str) else None)
        _take(change)
        await self._complete(change, verbs)

    async def create_in_steps(
        self, connection: Connection, principal: Principal, draft: Draft
    ) -> Created | Interlude[Created]:
        """Make the resource of a draft in as many transactions as that takes. `create` does it in one, or refuses."""
        return Created(await self.create(connection, principal, draft))

    async def update_in_steps(
        self, connection: Connection, principal: Principal, locked: Locked, draft: Draft
    ) -> Interlude[None] | None:
        """Change a locked resource, in as many transactions as that takes. `update` does it in one, or refuses."""
        await self.update(connection, principal, locked, draft)
        return None

    async def lock(self, connection: Connection, principal: Principal, resource: type[Resource], id_: str) -> Locked:
        """Take hold of a resource before it changes. Raises NotFound when the principal can see none of this id."""
        viewer = principal.viewer
        whole: Columns = {}
        if self.whole:
            relationship = resource.relationships[self.whole]
            assert isinstance(relationship, ToOne)  # noqa: S101 -- a part has one whole
            parent = await write.parent_id(connection, viewer, resource, id_, relationship)
            locked = parent and await write.lock(connection, viewer, graph[relationship.type_], parent)
            whole = locked or {}
        row = await write.lock(connection, viewer, resource, id_)
        if row is None:
            raise not_found(resource.type_)
        return Locked(resource, id_, row, whole)

    async def lock_whole(self, change: Change, id_: str | None) -> Columns:
        """Take hold of what a new resource is to be part of. Raises NotFound where its maker can see none."""
        resource = graph[change.resource.relationships[self.whole].type_]
        locked = id_ and await write.lock(change.connection, change.viewer, resource, id_)
        if not locked:
            raise not_found(resource.type_, change.draft.pointer(self.whole))
        return locked

    async def update(
        self,
        connection: Connection,
        principal: Principal,
        locked: Locked,
        draft: Draft,
        deferred: Deferred | None = None,
    ) -> None:
        """Change a locked resource as a draft says. Raises ApiError subclasses, all problems at once.

        What is so already is not written again: then version and `updated_at` stay, and no event is written.
        """
        at = clock.now(principal.store)
        change = Change(connection, principal, draft, at, locked.row, locked.whole, disclosed=locked.disclosed)
        await self._change(change, draft.relationships, _asked(draft), deferred)

    async def change(
        self,
        connection: Connection,
        principal: Principal,
        locked: Locked,
        columns: Columns,
        *,
        verbs: Sequence[str] = (),
        kept: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Set columns of a locked resource and have it do verbs, as `update` does what somebody sent.

        `kept` is what the type's own moments are to know.
        """
        draft, at = Draft(locked.resource, locked.id), clock.now(principal.store)
        change = Change(connection, principal, draft, at, locked.row, locked.whole, disclosed=locked.disclosed)
        change.columns, change.kept = dict(columns), dict(kept)
        await self._change(change, _linked(locked.resource, columns), verbs, None)

    async def _change(
        self, change: Change, linked: Mapping[str, Linked], verbs: Sequence[str], deferred: Deferred | None
    ) -> None:
        _check_customer(change.principal, change.resource)
        await _check_echoes(change)
        await _check_linkage(change, linked)
        _take(change)
        await self._complete(change, verbs)
        change.columns = change.changed()
        written = change.columns or change.joins or change.done or change.happened
        if not (written or self.writes_elsewhere(change)):
            return
        await self.keep(change)
        await self._finish(change, deferred)

    async def relate(
        self, connection: Connection, principal: Principal, locked: Locked, name: str, linked: Linked, *, code: Code
    ) -> None:
        """Replace what a relationship holds (`update`), or `add` members to it or `remove` them, if it is to-many.

        What it has already is kept once, what is no member is no problem. Raises Forbidden where customers don't change
        it, else as `update` does, with pointers into the relationship's own document.
        """
        if principal.owner is not None and locked.resource.relationships[name].guarded:
            raise Forbidden("{name} of {type} is changed by integrations only.", name=name, type=locked.resource.type_)
        if code != "update":
            ids = _listed(linked)
            held = await write.linked(connection, principal.viewer, locked.resource, locked.id, name)
            others = tuple(sorted(held.difference(ids)))
            # Those that were sent come first, so that pointers count them as the document does.
            linked = (*ids, *others) if code == "add" else others
        draft = Draft(locked.resource, locked.id, relationships={name: linked}, alone=True)
        with located(draft):
            await self.update(connection, principal, locked, draft)

    async def remove(
        self, connection: Connection, principal: Principal, locked: Locked, deferred: Deferred | None = None
    ) -> None:
        """Delete a locked resource. Raises InvalidState when its state, or others that refer to it, forbid it."""
        _check_customer(principal, locked.resource, deleting=True)
        draft = Draft(locked.resource, locked.id)
        change = Change(connection, principal, draft, clock.now(principal.store), locked.row, locked.whole)
        await self.before_delete(change)
        raise_all(change.problems)
        await write.delete(connection, principal.store.id, locked.resource, locked.id)
        await recording.record(change, "destroy")
        if self.whole:
            await self._finish(change, deferred)

    async def _finish(self, change: Change, deferred: Deferred | None) -> None:
        if deferred is None or not self.whole:
            await self.after_write(change)
        else:
            deferred[self, change.whole["id"]] = change

    async def _complete(self, change: Change, verbs: Sequence[str]) -> None:
        await _take_joins(change)
        await self.validate(change)
        for name in verbs:
            await self._start(change, name)
        await self.before_write(change)
        if not change.problems:
            await quotas.check(change)
        raise_all(change.problems)

    async def _start(self, change: Change, name: str) -> None:
        """Do a verb as its row says, or note why it can't start. What is so already is left alone."""
        try:
            verb = starting.starts(change.principal, change.resource.type_, name, self.status(change))
        except ApiError as refusal:
            change.problems.append(refusal)
            return
        wanted = None if verb is None else await self.effects[name](change)
        if verb is None or wanted is None:
            return
        if verb.target is not None and "status" in change.resource.columns():
            change.columns["status"] = verb.target
        change.columns |= wanted
        change.done.append(name)
        if verb.event != UPDATE:
            change.happened.append(verb.event)


Deferred = dict[tuple[Writer, str], Change]
"""By writer and id the wholes whose `after_write` is still to come, each with the last change to a part of it."""


def _check_customer(
    principal: Principal, resource: type[Resource], *, creating: bool = False, deleting: bool = False
) -> None:
    """Raise Forbidden for what customers and guests don't do to a type at all.

    A guest of a sales channel, who has no cart yet, makes one to shop with.
    """
    if principal.owner is None:
        return
    owned = resource.owners[principal.owner.type_]
    if owned in (None, PUBLIC):
        raise Forbidden("{type} are not changed by customers.", type=resource.type_)
    if principal.is_channel and creating:
        if resource.owners["carts"] == "id":
            return
        raise Forbidden("Send the session of a cart to make {type}.", type=resource.type_)
    if owned == "id" and (creating or deleting):
        raise Forbidden("{type} are made and deleted by integrations only.", type=resource.type_)
    fields = (*resource.attributes.values(), *resource.relationships.values())
    if creating and any(field.guarded and field.required for field in fields):
        raise Forbidden("{type} are made by integrations only.", type=resource.type_)


def later_version() -> int:
    """The first version of a resource whose id a client chose, and a deleted resource may have had before.

    It is the microseconds of now, so that a condition on a version of the other one never holds for it.
    """
    return int(clock.now().timestamp() * 1_000_000)


def _own(change: Change) -> None:
    """A new resource is its maker's; saying so is fine, anything else that is guarded isn't."""
    owner, resource = change.principal.owner, change.resource
    path = resource.owner_path(root=owner.type_) if owner is not None else ()
    own = path[0] if len(path) == 1 and not change.principal.is_channel else None
    if own is not None and owner is not None:
        change.columns[own.column] = owner.id
    for echo in change.draft.echoes:
        if own is None or owner is None or resource.relationships.get(echo.name) is not own or echo.value != owner.id:
            change.problems.append(read_only(echo.name, echo.pointer))


async def _check_echoes(change: Change) -> None:
    """Note each field that was sent though it can't be set, unless it says what is so already.

    A document that says it was updated at another time is what the resource was then: a client keeps whole resources,
    and sends back what has changed since. Such fields of it are passed over.
    """
    if not change.draft.echoes:
        return
    shown = attributes_of(change.resource, [*change.resource.attributes], change.before, change.rendering)
    if _is_stale(change.draft.echoes, shown):
        return
    for echo in change.draft.echoes:
        if echo.name in change.resource.attributes:
            held = shown.get(echo.name)
            # In Python 0 is False, in JSON it is not.
            same = held == echo.value and isinstance(held, bool) == isinstance(echo.value, bool)
        else:
            same = await _is_linked(change, echo)
        if not same:
            change.problems.append(read_only(echo.name, echo.pointer))


def _is_stale(echoes: Sequence[Echo], shown: Mapping[str, Any]) -> bool:
    """Whether a document says, by its `updated_at`, that it is of another time than the resource."""
    sent = next((echo.value for echo in echoes if echo.name == "updated_at"), None)
    try:
        return isinstance(sent, str) and parse_timestamp(sent) != parse_timestamp(shown["updated_at"])
    except ValidationError:
        return False


async def _is_linked(change: Change, echo: Echo) -> bool:
    relationship = change.resource.relationships[echo.name]
    if isinstance(relationship, ToOne):
        return bool(change.before[relationship.column] == echo.value)
    held = await write.linked(change.connection, change.viewer, change.resource, change.id, echo.name)
    return held == set(echo.value)


def _asked(draft: Draft) -> Sequence[str]:
    """The verbs that a draft asks for, in the order of their table."""
    return [name for name in VERBS.get(draft.resource.type_, ()) if draft.triggers.get(f"_{name}")]


async def _check_linkage(change: Change, linked: Mapping[str, Linked]) -> None:
    """Note each identifier of a resource that isn't there, or not for the asker."""
    wanted: dict[type[Resource], list[str]] = {}
    for name, ids in linked.items():
        wanted.setdefault(graph[change.resource.relationships[name].type_], []).extend(_listed(ids))
    absent = await write.absent(change.connection, change.viewer, wanted)
    for name, ids in linked.items() if absent else ():
        type_ = change.resource.relationships[name].type_
        pointer = change.draft.pointer(name)
        many = isinstance(ids, tuple)
        change.problems += [
            not_found(type_, f"{pointer}/{position}" if many else pointer)
            for position, id_ in enumerate(_listed(ids))
            if (type_, id_) in absent
        ]


def _linked(resource: type[Resource], columns: Columns) -> Mapping[str, Linked]:
    """What columns link to, by the names of the relationships."""
    return {
        name: columns[found.column]
        for name, found in resource.relationships.items()
        if isinstance(found, ToOne) and found.column in columns
    }


def _listed(ids: Linked) -> tuple[str, ...]:
    if isinstance(ids, tuple):
        return ids
    return () if ids is None else (ids,)


def _take(change: Change) -> None:
    """The columns of what was sent."""
    for name, value in change.draft.attributes.items():
        declared = change.resource.attributes[name]
        json = isinstance(declared, Json) and value is not None
        change.columns[declared.column] = orjson.dumps(value).decode() if json else value
    for name, ids in change.draft.relationships.items():
        relationship = change.resource.relationships[name]
        if isinstance(relationship, ToOne):
            change.columns[relationship.column] = ids


async def _take_joins(change: Change) -> None:
    """What the to-many relationships that were sent, or that triggers work on, are to hold; only where that is new."""
    wanted = {
        name: set(ids)
        for name, ids in change.draft.relationships.items()
        if isinstance(change.resource.relationships[name], ToMany) and isinstance(ids, tuple)
    }
    touched = wanted.keys() | ({"tags"} if tagging.is_asked(change.draft) else set())
    for name in sorted(touched):
        held: set[str] = set()
        if not change.new:
            held = await write.linked(change.connection, change.viewer, change.resource, change.id, name)
        ids = wanted.get(name, held)
        if name == "tags":
            ids = await tagging.apply(
                change.connection, change.store, change.draft, ids, actor=outbox.actor(change.principal), at=change.at
            )
        if ids != held:
            change.joins[name] = tuple(ids)
