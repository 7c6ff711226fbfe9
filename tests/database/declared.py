"""The statements that the service declares, and what a declaration is compared with: Postgres's own description."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from asyncpg.types import Attribute

import service
from service.store.pool import Connection
from service.store.statements import Command, Declared, Part

PYTHON: dict[str, type] = {
    "bool": bool,
    "bytea": bytes,
    "date": date,
    "float8": float,
    "int2": int,
    "int4": int,
    "int8": int,
    "interval": timedelta,
    "json": str,
    "jsonb": str,
    "numeric": Decimal,
    "text": str,
    "timestamp": datetime,
    "timestamptz": datetime,
    "varchar": str,
}
"""What asyncpg makes of a value, by the name of its type in Postgres."""


@cache
def declared() -> dict[str, Declared]:
    """Every declared statement by the place of its declaration: `service.store.limits.HIT`."""
    found: dict[Declared, str] = {}
    for module in pkgutil.walk_packages(service.__path__, "service."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Declared):
                found.setdefault(value, f"{module.name}.{name}")
    return {place: statement for statement, place in found.items()}


async def faults(connection: Connection, declaration: Declared) -> list[str]:
    """How a declaration differs from what the statement returns; empty when it doesn't.

    Postgres can't tell which columns are never null: `X | None` is as good as X.
    """
    if isinstance(declaration, Command) or (isinstance(declaration, Part) and not declaration.returns):
        return []
    prepared = await connection.prepare(declaration.statement.text)
    returned, expected = prepared.get_attributes(), declaration.columns
    if len(returned) != len(expected):
        return [f"returns ({', '.join(column.name for column in returned)}), {len(expected)} columns are declared"]
    return [
        f"column {place} is {column.name} {column.type.name}, declared as {name or 'a value'} {type_}"
        for place, (column, (name, type_)) in enumerate(zip(returned, expected, strict=True), 1)
        if name not in (None, column.name) or not _fits(column, type_)
    ]


def _fits(column: Attribute, type_: Any) -> bool:
    found = _plain(type_)
    if column.type.kind != "array":
        return PYTHON.get(column.type.name) is found
    element = PYTHON.get(column.type.name.removesuffix("[]"))
    return get_origin(found) in (list, Sequence) and _plain(get_args(found)[0]) is element


def _plain(type_: Any) -> Any:
    """A type without `| None`; of literals, that of their values. None for a union of several types."""
    if get_origin(type_) is Literal:
        parts = {type(value) for value in get_args(type_)}
    elif get_origin(type_) in (Union, UnionType):
        parts = {_plain(part) for part in get_args(type_) if part is not NoneType}
    else:
        return type_
    return parts.pop() if len(parts) == 1 else None
