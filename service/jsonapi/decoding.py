"""A request body as JSON (RFC 8259), with every number kept as it was sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import orjson

from service.errors import MOST_PROBLEMS, Invalid, InvalidDocument, raise_all
from service.jsonapi.body import escape

_LONG_NUMBER = re.compile(rb"[0-9.]{16}")
"""Digits that a number must have to be in need of a closer look."""


def loads(body: bytes) -> Any:
    """A request body as JSON.

    Raises InvalidDocument for what is no JSON: NaN, lone surrogates, nesting bombs and a BOM included; Invalid for
    numbers that would be kept as other ones.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidDocument(
            "The request body is not valid JSON at line {line}, column {column}.",
            line=error.lineno,
            column=error.colno,
        ) from None
    if _LONG_NUMBER.search(body):
        _check_numbers(body)
    return document


def _check_numbers(body: bytes) -> None:
    """Raise Invalid where a number has more digits than 64 bits hold: it would come back as another one."""
    try:
        document = json.loads(body, parse_int=_Number, parse_float=_Number)
    except RecursionError:
        raise InvalidDocument("The request body is nested too deeply.") from None
    lost = ((pointer, number) for pointer, number in _numbers(document) if not number.is_exact)
    raise_all(
        [
            Invalid(
                "{number} has more digits than are kept of a number; send it as a string.",
                number=number[:40],
                pointer=pointer,
            )
            for pointer, number in islice(lost, MOST_PROBLEMS)
        ]
    )


class _Number(str):
    """A number as it is written in JSON."""

    __slots__ = ()

    @property
    def is_exact(self) -> bool:
        """Whether it is the same number once it is read."""
        if self.lstrip("-").isdecimal():
            return -(2**63) <= int(self) < 2**64 if len(self) < 25 else False
        return len(self) < 400 and Decimal(repr(float(self))) == Decimal(self)


def _numbers(value: Any, pointer: str = "") -> Iterator[tuple[str, _Number]]:
    """The numbers of a document with their pointers."""
    if isinstance(value, _Number):
        yield pointer, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _numbers(inner, f"{pointer}/{position}")
