"""A change to a resource, as its writer sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from schemas.kinds import Json
from schemas.rendering import Rendering
from schemas.resource import Resource
from service.errors import ApiError
from service.jsonapi.body import Draft
from service.operations.events.outbox import Event
from service.principal import Principal, Store, Viewer
from service.store.pool import Connection
from service.store.statements import Along
from service.store.write import Columns, Returned

OF_THE_CLIENT = frozenset({"reference", "reference_origin", "metadata"})
"""Attributes that stay the client's own: they may change whatever state a resource is in."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A resource that is about to change, with all its columns, and those of the whole that it is part of.

    `disclosed` are attributes that only the answer to the change shows; whoever changes it puts them there.
    """

    resource: type[Resource]
    id: str
    row: Columns
    whole: Columns
    disclosed: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """The version that the change starts from."""
        return int(self.row["version"])


@dataclass(slots=True)
class Change:
    """What is about to be written of a draft: hooks add columns and note problems.

    `before` are the columns of the resource as it is, empty for a new one; `whole` those of what it is part of.
    `done` are the verbs that were done, `happened` the events that are recorded beside that of the write itself, by
    the last parts of their names (`activate`), `others` those of other resources, and `said` what their payload says
    beyond what changed; `kept` is what earlier moments leave for later ones, `disclosed` what the answer alone shows.
    `along` is what goes into the statement that writes the resource, `returned` the ids that it gave; `owners` is
    whose a new resource is, where that is known under a lock.
    """

    connection: Connection
    principal: Principal
    draft: Draft
    at: datetime
    before: Columns = field(default_factory=dict)
    whole: Columns = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    joins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: list[ApiError] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    others: list[Event] = field(default_factory=list)
    along: list[Along] = field(default_factory=list)
    owners: Sequence[str | None] | None = None
    returned: Returned = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    said: dict[str, object] = field(default_factory=dict)
    disclosed: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The store that it happens in."""
        return self.principal.store

    @property
    def rendering(self) -> Rendering:
        """How its sender sees resources."""
        return self.draft.rendering or Rendering("", self.store.mode, self.store.locale, self.at)

    @property
    def resource(self) -> type[Resource]:
        """The type of the resource."""
        return self.draft.resource

    @property
    def id(self) -> str:
        """The id of the resource, settled by now also for a new one."""
        return str(self.draft.id)

    @property
    def viewer(self) -> Viewer:
        """Whose eyes it is seen with."""
        return self.principal.viewer

    @property
    def new(self) -> bool:
        """Whether the resource is being made."""
        return not self.before

    def value(self, column: str) -> Any:
        """What a column will hold."""
        return self.columns[column] if column in self.columns else self.before.get(column)

    def only_of_the_client(self) -> bool:
        """Whether nothing changes but what is the client's own, and tags."""
        return self.changed().keys() <= OF_THE_CLIENT

    def sets(self, *columns: str) -> bool:
        """Whether one of these columns is set by a new resource, or set to something else than before."""
        return any(column in self.columns and not self._holds(column, self.columns[column]) for column in columns)

    def changed(self) -> dict[str, Any]:
        """The columns that will hold something else than before; JSON is compared as JSON."""
        return {column: value for column, value in self.columns.items() if not self._holds(column, value)}

    def _holds(self, column: str, value: Any) -> bool:
        if self.new:
            return False
        held = self.before.get(column)
        if isinstance(self.resource.columns().get(column), Json) and held is not None and value is not None:
            return bool(orjson.loads(held) == orjson.loads(value))
        return bool(held == value)
