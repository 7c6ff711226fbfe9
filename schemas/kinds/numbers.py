"""Kinds that are numbers, and true or false."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from marshmallow import ValidationError

from schemas.fields import HARMLESS
from schemas.kinds.kind import Kind
from service.texts import Phrase

INT64 = (-(2**63), 2**63 - 1)


class Integer(Kind):
    """A whole number that fits a bigint.

    `minimum` and `maximum` narrow it. Booleans, floats and strings are refused.
    """

    sql_type = "bigint"
    default_mark = HARMLESS
    json_type: ClassVar[Mapping[str, Any]] = {"type": "integer", "format": "int64"}
    written = within_json = "{0}"

    def __init__(self, *, minimum: int = INT64[0], maximum: int = INT64[1], **options: Any) -> None:
        self.minimum = minimum
        self.maximum = maximum
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError("must be a whole number")
        if value < self.minimum:
            raise ValidationError(Phrase("must be greater than or equal to {least}", least=self.minimum))
        if value > self.maximum:
            raise ValidationError(Phrase("must be less than or equal to {most}", most=self.maximum))
        return value

    def parse(self, text: str) -> int:
        """Decimal digits, within a bigint."""
        if not re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII) or not INT64[0] <= int(text) <= INT64[1]:
            raise ValidationError("must be a whole number")
        return int(text)

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with the bounds that are narrower than a bigint's."""
        bounds = {}
        if self.minimum != INT64[0]:
            bounds["minimum"] = self.minimum
        if self.maximum != INT64[1]:
            bounds["maximum"] = self.maximum
        return super().schema() | bounds


class Number(Integer):
    """A running number: an integer in the database, a string in documents, as Commerce Layer shows order numbers."""

    json_type: ClassVar[Mapping[str, Any]] = {"type": "string"}
    quote, native = '"', "{0}::text"
    compiled = "None if {0} is None else str({0})"

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return None if value is None else str(value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        return super()._deserialize(self.parse(value) if isinstance(value, str) else value)

    def schema(self) -> dict[str, Any]:
        """A string of digits."""
        return super().schema() | {"pattern": "^[0-9]+$"}


class Boolean(Kind):
    """true or false."""

    sql_type = "boolean"
    default_mark = HARMLESS
    json_type: ClassVar[Mapping[str, Any]] = {"type": "boolean"}
    written = within_json = "case when {0} then 'true' when not {0} then 'false' end"

    def __init__(self, *, nullable: bool = False, **options: Any) -> None:
        super().__init__(nullable=nullable, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value

    def parse(self, text: str) -> bool:
        """`true` or `false`."""
        if text not in ("true", "false"):
            raise ValidationError("must be true or false")
        return text == "true"


class Float(Kind):
    """A number in double precision such as a weight or a latitude.

    `minimum` and `maximum` narrow it. NaN and infinities are refused.
    """

    sql_type = "double precision"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "number"}
    written = within_json = "{0}"
    in_words = "{0}::text::numeric::text"  # without an exponent

    def __init__(self, *, minimum: float = -math.inf, maximum: float = math.inf, **options: Any) -> None:
        self.minimum = minimum
        self.maximum = maximum
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValidationError("must be a number")
        try:
            number = float(value)
        except OverflowError:
            raise ValidationError("must be a number") from None
        if not math.isfinite(number):
            raise ValidationError("must be a number")
        if number < self.minimum:
            raise ValidationError(Phrase("must be greater than or equal to {least}", least=self.minimum))
        if number > self.maximum:
            raise ValidationError(Phrase("must be less than or equal to {most}", most=self.maximum))
        return number

    def parse(self, text: str) -> Any:
        """A decimal number."""
        if not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", text, re.ASCII):
            raise ValidationError("must be a number")
        return float(text)

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with the bounds there are."""
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return super().schema() | {name: bound for name, bound in bounds.items() if math.isfinite(bound)}


class Rate(Float):
    """A numeric ratio such as a tax rate (0.21), a number in documents and exact in the database."""

    sql_type = "numeric"
    default_mark = HARMLESS
    compiled = "None if {0} is None else float({0})"

    def _serialize(self, value: Any, *_: Any, **__: Any) -> float | None:
        return None if value is None else float(value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        return Decimal(str(super()._deserialize(value)))

    def parse(self, text: str) -> Decimal:
        """A decimal number."""
        super().parse(text)
        return Decimal(text)
