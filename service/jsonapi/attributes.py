"""Attributes that are worked out of a row's columns here: what Postgres can't write, and rows that it doesn't hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import orjson

from schemas.kinds import Derived, Kind
from schemas.relationships import ToOne
from schemas.rendering import Rendering
from schemas.resource import Resource
from service.jsonapi.layout import inputs_of


class Derive(Protocol):
    """Works attributes out of the values of `inputs_of` them, in that order."""

    def __call__(self, values: Sequence[Any], rendering: Rendering, /) -> dict[str, Any]:
        """The attributes by name, of which some are fragments of JSON."""


@lru_cache(maxsize=1024)
def deriver(resource: type[Resource], names: tuple[str, ...], *, within_json: bool) -> Derive:
    """A function that works out these attributes of a type.

    Values are those of a statement's columns, or as they are `within_json`. What it gives equals what the Schema's own
    `dump` gives (asserted for every type).
    """
    inputs = inputs_of(resource, names)
    variable = {column: f"v{place}" for place, column in enumerate(inputs)}
    known: dict[str, Any] = {}
    unpacked = f"    {', '.join(variable.values())}, = values\n" if inputs else ""
    items = [f"{name!r}: {_value(resource, name, variable, known, within_json=within_json)}" for name in names]
    source = f"def derive(values, rendering):\n{unpacked}    return {{{', '.join(items)}}}"
    # Only names from our own Schemas reach this source, never a client's text.
    exec(compile(source, f"<attributes of {resource.type_}>", "exec"), known)  # noqa: S102
    derive: Derive = known["derive"]
    return derive


def attributes_of(
    resource: type[Resource], names: Sequence[str], columns: Mapping[str, Any], rendering: Rendering
) -> dict[str, Any]:
    """Attributes of a row whose columns are at hand, as JSON that was read again."""
    derive = deriver(resource, tuple(names), within_json=False)
    values = [columns[column] for column in inputs_of(resource, names)]
    shown: dict[str, Any] = orjson.loads(orjson.dumps(derive(values, rendering)))
    return shown


def _value(
    resource: type[Resource], name: str, variable: Mapping[str, str], known: dict[str, Any], *, within_json: bool
) -> str:
    """The expression of one attribute."""
    field: Kind = resource.attributes[name]
    kinds = resource.columns() if within_json else {}
    values = [_from_json(kinds.get(column), variable[column], known) for column in field.inputs]
    if isinstance(field, Derived) and not field.compiled:
        known[f"derive_{name}"] = field.function
        value = f"derive_{name}({', '.join([*values, *([f'rendering.{field.given}'] if field.given else [])])})"
    else:
        known.update(field.names)
        value = f"({field.compiled.format(*values)})"
    if field.repeats:
        value = f"({value} if rendering.everything else None)"
    return f"({value} if rendering.secrets else None)" if field.mark is not None and field.mark.secret else value


def _from_json(kind: Kind | ToOne | None, variable: str, known: dict[str, Any]) -> str:
    """The expression of a column's value, from that within JSON."""
    if not isinstance(kind, Kind) or kind.from_json == "{0}":
        return variable
    known.update(kind.names)
    return f"({kind.from_json.format(variable)})"
