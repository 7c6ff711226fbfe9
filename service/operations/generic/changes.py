"""What an event says of a change: each attribute that it sets to something else, as it was and as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from schemas.kinds import Derived, Kind, Text
from schemas.relationships import ToOne
from schemas.resource import Resource
from service.operations.generic.change import Change
from service.store.write import Columns

LONGEST: Final = 1_000
"""Bytes of a value that an event repeats."""


def told(change: Change) -> Mapping[str, Mapping[str, object]]:
    """Return the attributes and relationships that a change sets to something else, by their names.

    Each has `from` and `to`, as documents show them. Of what tells of a person, of credentials and of long values only
    the name is told; of a new resource nothing is, since all of it is new.
    """
    if change.new:
        return {}
    resource, after = change.resource, {**change.before, **change.columns}
    fields = {
        name: field for name, field in resource.attributes.items() if not change.columns.keys().isdisjoint(_of(field))
    }
    linked = {
        name: found
        for name, found in resource.relationships.items()
        if isinstance(found, ToOne) and found.column in change.columns
    }
    joined: dict[str, Mapping[str, object]] = {name: {} for name in change.joins}
    return joined | {
        name: _both(resource, name, change.before, after) if field.mark is not None and field.mark.harmless else {}
        for name, field in (fields | linked).items()
    }


def _of(field: Kind) -> Sequence[str]:
    """The columns that an attribute changes with: a credential may be made of some, and have none itself."""
    return (
        field.inputs if isinstance(field, Derived) and field.mark is not None and field.mark.secret else (field.column,)
    )


def _both(resource: type[Resource], name: str, before: Columns, after: Columns) -> Mapping[str, object]:
    both = {"from": _shown(resource, name, before), "to": _shown(resource, name, after)}
    return both if len(orjson.dumps(both)) <= LONGEST else {}


def _shown(resource: type[Resource], name: str, row: Columns) -> object:
    """What a document shows of an attribute or relationship."""
    field = resource.attributes.get(name)
    if not isinstance(field, Kind):
        return row.get(resource.relationships[name].column)
    if isinstance(field, Text):
        return row.get(field.column)
    shown: object = field.serialize(name, row)
    return shown
