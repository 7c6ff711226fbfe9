"""Kinds that are any JSON, kept as jsonb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from marshmallow import ValidationError

from schemas.kinds.kind import Kind
from service.texts import Phrase

MOST_KILOBYTES = 16
"""How long a JSON value may be, written without spaces."""


def check_json(value: Any, most: int = MOST_KILOBYTES) -> None:
    """Raise ValidationError when a JSON value is longer than so many kilobytes, or holds what jsonb can't.

    That is NUL characters, lone surrogates, numbers beyond 64 bits, NaN and the infinities.
    """
    try:
        text = orjson.dumps(value)
        same: bool = orjson.loads(text) == value  # NaN and the infinities are written as null
    except (orjson.JSONEncodeError, TypeError, RecursionError):
        raise ValidationError("must be JSON that can be stored (valid text, numbers within 64 bits)") from None
    if not same:
        raise ValidationError("must be JSON that can be stored (valid text, numbers within 64 bits)")
    if len(text) > most * 1024:
        raise ValidationError(Phrase("must be shorter: at most {most} KB of JSON", most=most))
    if b"\\u0000" in text.replace(b"\\\\", b""):  # an escaped NUL, not an escaped backslash before u0000
        raise ValidationError("must not contain the NUL character")


class Json(Kind):
    """A JSON value kept as jsonb; the pool hands jsonb over as bytes, which documents embed unparsed."""

    sql_type = "jsonb"
    json_type: ClassVar[Mapping[str, Any]] = {}
    most_kilobytes = MOST_KILOBYTES
    compiled = "None if {0} is None else Fragment({0})"
    names: ClassVar[Mapping[str, Any]] = {"Fragment": orjson.Fragment}
    written = "{0}"
    within_json = "to_json({0}::text)"  # so that its numbers keep their digits

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return orjson.loads(value) if isinstance(value, (bytes, str)) else value

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        check_json(value, self.most_kilobytes)
        return value


class JsonObject(Json):
    """A JSON object kept as jsonb."""

    json_type: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        return super()._deserialize(value)


class JsonList(Json):
    """A JSON array kept as jsonb."""

    json_type: ClassVar[Mapping[str, Any]] = {"type": "array", "items": {}}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, list):
            raise ValidationError("must be an array")
        return super()._deserialize(value)


class JsonLines(JsonList):
    """A JSON array with an entry for each line of an order, of which there may be a thousand."""

    most_kilobytes = 128
