"""What a reader sees: conditions on rows, and words that a column shows in place of what is stored.

They are declared here and become SQL in `service.store.compile`. They name fields of the type that they are declared
for, never columns or SQL. `Meta.visible`, and `Meta.unmasked` for guests, say which rows are seen; the option `shown`
of an attribute says what is seen of its column.

`fault` of a condition says in words what keeps a type from having it, None when nothing does. `what` is what depends on
the condition, such as `'status' is shown`; `types` are all types by their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from schemas.relationships import ToMany, ToOne


@dataclass(frozen=True, slots=True)
class Empty:
    """A field holds nothing."""

    field: str

    def fault(self, resource: Any, _types: Mapping[str, Any], what: str) -> str | None:
        """It needs a column."""
        return None if resource.column_of(self.field) else f"{what}, but {self.field!r} is kept in no column"


@dataclass(frozen=True, slots=True)
class _Instant:
    field: str

    def fault(self, resource: Any, _types: Mapping[str, Any], what: str) -> str | None:
        """It needs an instant."""
        sql_type = getattr(resource.attributes.get(self.field), "sql_type", "")
        return None if sql_type == "timestamptz" else f"{what}, but {self.field!r} holds no instant"


class Since(_Instant):
    """The instant in a field has come, or there is none."""


class Until(_Instant):
    """The instant in a field has not come yet, or there is none."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """An `Enum` attribute holds one of these words."""

    field: str
    words: tuple[str, ...]

    def fault(self, resource: Any, _types: Mapping[str, Any], what: str) -> str | None:
        """It needs words of the attribute's own."""
        unknown = sorted({*self.words} - {*getattr(resource.attributes.get(self.field), "choices", ())})
        return f"{what}, but {self.field!r} is never {' or '.join(unknown)}" if unknown else None


@dataclass(frozen=True, slots=True)
class Some:
    """A to-many relationship holds at least one resource that fulfils these conditions."""

    relationship: str
    conditions: tuple[Condition, ...]

    def fault(self, resource: Any, types: Mapping[str, Any], what: str) -> str | None:
        """It needs a to-many relationship, and conditions that the related type can have."""
        relationship = resource.relationships.get(self.relationship)
        if not isinstance(relationship, ToMany):
            return f"{what} by no to-many relationship ({self.relationship!r})"
        target = types[relationship.type_]
        return next(filter(None, (one.fault(target, types, what) for one in self.conditions)), None)


@dataclass(frozen=True, slots=True)
class SeenWith:
    """A to-one relationship leads to a resource that the reader sees."""

    relationship: str

    def fault(self, resource: Any, _types: Mapping[str, Any], _what: str) -> str | None:
        """It needs a to-one relationship."""
        relationship = resource.relationships.get(self.relationship)
        known = isinstance(relationship, ToOne)
        return None if known else f"{self.relationship!r} is no to-one relationship to be seen with"


Condition: TypeAlias = Empty | Since | Until | OneOf | Some | SeenWith


@dataclass(frozen=True, slots=True)
class Instead:
    """A word that a column shows instead of what is stored, for as long as all conditions hold.

    It is worked out when it is read and never stored, so it can't outlast what it tells of. Filters see the word that
    is shown, sorting sees what is stored.
    """

    word: str
    when: tuple[Condition, ...]
