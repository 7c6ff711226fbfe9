"""What the database refuses, said as the API says it: SQLSTATE and constraint become an error with a pointer.

Constraints have sentences for names (`addresses_name_a_person_or_a_business`), which are what a client is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg

from schemas.graph import graph
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service.errors import ApiError, Conflict, Invalid, InvalidState, NotFound
from service.jsonapi.body import Draft, blank
from service.store.catalogue import Constraint
from service.store.pool import Connection, catalogue_of
from service.texts import Phrase

_OUT_OF_RANGE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)

_CUT = 40
"""Fewer letters of a name are never left of one that was too long."""

REFUSED = (asyncpg.IntegrityConstraintViolationError, *_OUT_OF_RANGE)
"""What Postgres raises for rows that it doesn't take."""


async def catalogue(connection: Connection) -> Mapping[str, Constraint]:
    """The constraints of a connection's database by name; ask ahead of a write, as `Catalogue.constraints` says."""
    return await catalogue_of(connection).constraints(connection)


@contextmanager
def explained(known: Mapping[str, Constraint], resource: type[Resource], draft: Draft | None = None) -> Iterator[None]:
    """Turn what the database refuses into an ApiError: of writing a draft, or without one of deleting a resource."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        constraint = known.get(broken(known, error))
        if draft is None:
            raise _still_needed(constraint, error) from None
        raise _broken(constraint, error, resource, draft) from None
    except _OUT_OF_RANGE:
        # What the server says of it may hold values and names of indexes.
        raise Invalid("A value is out of range, or too long, to be stored.", pointer="/data") from None


def _broken(
    constraint: Constraint | None, error: asyncpg.PostgresError, resource: type[Resource], draft: Draft
) -> ApiError:
    columns = constraint.columns if constraint is not None else ()
    names = fields(resource, constraint) or [Phrase("this")]
    pointer = "/data/id" if columns == ("id",) else draft.pointer(*names)
    name = constraint.name if constraint is not None else ""
    sentence = Phrase(name.replace("_", " ")) if name else Phrase("breaks a rule of the database")
    match error:
        case asyncpg.UniqueViolationError() if columns == ("id",):
            return Conflict(
                "A resource of the type {type} with this id already exists.", type=resource.type_, pointer=pointer
            )
        case asyncpg.UniqueViolationError():
            return Conflict(
                "{names} - has already been taken ({sentence})",
                names=names,
                sentence=sentence,
                pointer=pointer,
                meta={"error": "taken"},
            )
        case asyncpg.ForeignKeyViolationError():
            return NotFound("{names} - no such resource exists", names=names, pointer=pointer)
        case asyncpg.NotNullViolationError():
            column = error.column_name or next(iter(_quoted(error)), "")
            return blank(column, draft.pointer(column))
    return Invalid("{names} - {sentence}", names=names, sentence=sentence, pointer=pointer, meta={"error": "invalid"})


def broken(known: Mapping[str, Constraint], error: asyncpg.PostgresError) -> str:
    """The name of the constraint that was broken; empty where it isn't told.

    Of a node of Citus only the message is passed on, where the names of keys end with the number of a shard.
    """
    if error.constraint_name:
        return str(error.constraint_name)
    for quoted in _quoted(error):
        whole = quoted.rpartition("_")[0]
        if found := next((name for name in (quoted, whole) if name in known), ""):
            return found
        # A name that gets too long by the number ends with a digest instead.
        begun = whole.rpartition("_")[0]
        if len(begun) >= _CUT and (found := next((name for name in known if name.startswith(begun)), "")):
            return found
    return ""


def _quoted(error: asyncpg.PostgresError) -> list[str]:
    return re.findall(r'"([^"]+)"', error.message or "")


def fields(resource: type[Resource], constraint: Constraint | None) -> list[str]:
    """The attributes and relationships of a type that a constraint looks at."""
    if constraint is None:
        return []
    if constraint.table != resource.table:
        joined = resource.relationships.items()
        return [n for n, r in joined if isinstance(r, ToMany) and r.through and r.through.table == constraint.table]
    named = {field.column: name for name, field in resource.attributes.items() if field.column}
    named |= {r.column: name for name, r in resource.relationships.items() if isinstance(r, ToOne)}
    return [named[column] for column in constraint.columns if column in named]


def _still_needed(constraint: Constraint | None, error: asyncpg.PostgresError) -> InvalidState:
    """Which relationship of which type keeps a resource from being deleted."""
    table = constraint.table if constraint is not None else error.table_name or "others"
    columns = constraint.columns if constraint is not None else ()
    for resource in graph.values():
        for name, found in resource.relationships.items():
            if resource.table == table and isinstance(found, ToOne) and found.column in columns:
                return InvalidState(
                    "This resource can't be deleted while the relationship {name} of {type} leads to it.",
                    name=name,
                    type=resource.type_,
                    meta={"kept_by": {"type": resource.type_, "relationship": name}},
                )
    return InvalidState("This resource can't be deleted while {table} refer to it.", table=table)
