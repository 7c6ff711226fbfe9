"""The kinds of attribute values.

Each knows how a value is kept in Postgres, checked when a client sends it, read from a query string, and rendered.

Every kind is a marshmallow field. `inputs` names the columns it is rendered from, `compiled` is the Python expression
that the compiled serializer uses for it (`{0}`, `{1}` stand for those columns' values, `names` for what the expression
calls), and must give what `serialize` gives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, ClassVar, cast
from zoneinfo import available_timezones

import orjson
from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency
from iso4217 import Currency
from marshmallow import ValidationError, validate
from marshmallow import fields as ma
from marshmallow_jsonapi import fields as mj

from schemas.base import Resource, Write

INT64 = (-(2**63), 2**63 - 1)
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Kind(ma.Field):
    """Base of all kinds.

    `write` says when a client may send the attribute, `guarded` that of these only integrations may, `required` that a
    create must, `nullable` that null is a value, `filter` and `sort` that collections can be filtered and sorted by it,
    `column` where it is kept (default: a column of its name), `doc` is its description. A `trigger` is sent only: it
    asks for something to be done, is kept nowhere and never shown.
    """

    sql_type: ClassVar[str] = "text"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string"}
    """What `openapi.yaml` says of a value of this kind."""
    compiled: ClassVar[str] = "{0}"
    names: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        *,
        write: Write = Write.NEVER,
        guarded: bool = False,
        trigger: bool = False,
        required: bool = False,
        nullable: bool = True,
        filter: bool = False,
        sort: bool = False,
        column: str = "",
        doc: str = "",
        example: Any = None,
        validators: Iterable[Callable[[Any], Any]] = (),
    ) -> None:
        self.write = write
        self.guarded = guarded
        self.trigger = trigger
        self.nullable = nullable and not required
        self.filter = filter
        self.sort = sort
        self.column = column
        self.inputs: tuple[str, ...] = ()
        metadata = {"description": doc} | ({} if example is None else {"example": example})
        super().__init__(
            required=required,
            allow_none=self.nullable,
            dump_only=not write,
            load_only=trigger,
            validate=list(validators),
            metadata=metadata,
        )

    def bind_name(self, name: str) -> None:
        """Settle the column once the attribute's name is known; a trigger has none."""
        if self.trigger:
            return
        self.column = self.column or name
        self.attribute = self.column
        self.inputs = (self.column,)

    def parse(self, text: str) -> Any:
        """The value that a query string's text stands for. Raises ValueError when it stands for none."""
        return text

    def schema(self) -> dict[str, Any]:
        """This attribute as a JSON Schema (2020-12), nullability included."""
        described = dict(self.json_type)
        if self.nullable and "type" in described:
            described["type"] = [described["type"], "null"]
            if "enum" in described:
                described["enum"] = [*described["enum"], None]
        return described | {k: v for k, v in self.metadata.items() if v}


def clean_text(value: Any) -> str:
    """`value` itself when Postgres can keep it as text.

    Raises ValidationError for other types, NUL and lone surrogates.
    """
    if not isinstance(value, str):
        raise ValidationError("must be a string")
    if "\x00" in value:
        raise ValidationError("must not contain the NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError("must be valid Unicode text") from None
    return value


class Text(Kind):
    """A string; `required` ones must not be blank.

    `max_length` counts characters: 255 where it is indexed to be filtered or sorted by (an entry of an index has less
    than 2 704 bytes), else 10 000.
    """

    def __init__(self, *, max_length: int | None = None, **options: Any) -> None:
        indexed = options.get("filter") or options.get("sort")
        self.max_length = max_length or (255 if indexed else 10_000)
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = clean_text(value)
        if self.required and not text.strip():
            raise ValidationError("can't be blank")
        if len(text) > self.max_length:
            raise ValidationError(f"is too long (maximum is {self.max_length} characters)")
        return text

    def parse(self, text: str) -> str:
        """Any text without NUL."""
        if "\x00" in text:
            raise ValueError("must not contain the NUL character")
        return text


class Enum(Text):
    """One of a fixed list of words."""

    def __init__(self, *choices: str, **options: Any) -> None:
        self.choices = choices
        super().__init__(validators=[validate.OneOf(choices, error="must be one of {choices}")], **options)

    def parse(self, text: str) -> str:
        """One of the words; an unknown one is a mistake worth telling."""
        if text not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        return text

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with the words."""
        described = super().schema()
        return described | {"enum": [*self.choices, *([None] if self.nullable else [])]}


class Pattern(Text):
    """A string of a given form; the subclass names the form in words for the error."""

    pattern: ClassVar[str]
    words: ClassVar[str]

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = super()._deserialize(value)
        if not re.fullmatch(self.pattern, text):
            raise ValidationError(self.words)
        return text

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with the pattern."""
        return super().schema() | {"pattern": f"^{self.pattern}$"}


class Identifier(Pattern):
    """An id as the service makes and accepts them."""

    pattern = ID.pattern
    words = "must be 1 to 64 letters, digits, hyphens or underscores"


class CurrencyCode(Pattern):
    """An ISO 4217 code in capitals, e.g. `EUR`."""

    pattern = "[A-Z]{3}"
    words = "must be an ISO 4217 currency code such as EUR"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        code = super()._deserialize(value)
        if code not in Currency.__members__ and code.lower() not in Currency.__members__:
            raise ValidationError(self.words)
        return code


class CountryCode(Pattern):
    """An ISO 3166-1 alpha-2 code in capitals, e.g. `NL`."""

    pattern = "[A-Z]{2}"
    words = "must be an ISO 3166-1 country code such as NL"


class Email(Pattern):
    """An e-mail address: something before and after one `@`; whether it works only a mail can tell."""

    pattern = r"[^@\s]{1,64}@[^@\s]{1,255}"
    words = "must be an e-mail address"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "email"}


class Url(Pattern):
    """An absolute http(s) URL."""

    pattern = r"https?://[^\s/?#]+[^\s]*"
    words = "must be an absolute http or https URL"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "uri"}


@cache
def _zones() -> frozenset[str]:
    """All IANA zone names; the standard library reads them from disk at every call."""
    return frozenset(available_timezones())


class TimeZone(Text):
    """An IANA time zone name, e.g. `Europe/Amsterdam`."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        zone = super()._deserialize(value)
        if zone not in _zones():
            raise ValidationError("must be an IANA time zone such as Europe/Amsterdam")
        return zone


class LocaleCode(Text):
    """A locale as Babel knows it, e.g. `nl_NL` or `en-US`."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        code = super()._deserialize(value)
        try:
            Locale.parse(code, sep="-" if "-" in code else "_")
        except (ValueError, UnknownLocaleError):
            raise ValidationError("must be a locale such as nl_NL") from None
        return code


class Integer(Kind):
    """A whole number that fits a bigint.

    `minimum` and `maximum` narrow it. Booleans, floats and strings are refused.
    """

    sql_type = "bigint"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "integer", "format": "int64"}

    def __init__(self, *, minimum: int = INT64[0], maximum: int = INT64[1], **options: Any) -> None:
        self.minimum = minimum
        self.maximum = maximum
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError("must be a whole number")
        if value < self.minimum:
            raise ValidationError(f"must be greater than or equal to {self.minimum}")
        if value > self.maximum:
            raise ValidationError(f"must be less than or equal to {self.maximum}")
        return value

    def parse(self, text: str) -> int:
        """Decimal digits, within a bigint."""
        if not re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII) or not INT64[0] <= int(text) <= INT64[1]:
            raise ValueError("must be a whole number")
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
    compiled = "None if {0} is None else str({0})"

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return None if value is None else str(value)

    def schema(self) -> dict[str, Any]:
        """A string of digits."""
        return super().schema() | {"pattern": "^[0-9]+$"}


class Boolean(Kind):
    """true or false."""

    sql_type = "boolean"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "boolean"}

    def __init__(self, *, nullable: bool = False, **options: Any) -> None:
        super().__init__(nullable=nullable, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value

    def parse(self, text: str) -> bool:
        """`true` or `false`."""
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return text == "true"


def render_timestamp(value: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds and `Z`."""
    return None if value is None else value.astimezone(UTC).isoformat("T", "milliseconds")[:-6] + "Z"


_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?|\d{4}-\d\d-\d\d", re.ASCII
)


def parse_timestamp(text: str) -> datetime:
    """An ISO 8601 date or date-time (RFC 3339) as an aware UTC datetime, cut to milliseconds.

    Without an offset it is UTC. Raises ValueError for other texts.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("must be an ISO 8601 date-time such as 2026-01-31T12:00:00Z")
    try:
        moment = datetime.fromisoformat(text.upper().replace(",", "."))
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be an ISO 8601 date-time such as 2026-01-31T12:00:00Z") from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Timestamp(Kind):
    """An instant: RFC 3339 in UTC with milliseconds and `Z` in documents, timestamptz(3) in the database."""

    sql_type = "timestamptz"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "date-time"}
    # asyncpg gives aware UTC datetimes, so the conversion of render_timestamp can be left out.
    compiled = "None if {0} is None else {0}.isoformat('T', 'milliseconds')[:-6] + 'Z'"

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return render_timestamp(value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        if not isinstance(value, str):
            raise ValidationError("must be an ISO 8601 date-time such as 2026-01-31T12:00:00Z")
        try:
            return parse_timestamp(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def parse(self, text: str) -> datetime:
        """An ISO 8601 date or date-time."""
        return parse_timestamp(text)


class Float(Kind):
    """A number in double precision such as a weight or a latitude.

    `minimum` and `maximum` narrow it. NaN and infinities are refused.
    """

    sql_type = "double precision"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "number"}

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
            raise ValidationError(f"must be greater than or equal to {self.minimum}")
        if number > self.maximum:
            raise ValidationError(f"must be less than or equal to {self.maximum}")
        return number

    def parse(self, text: str) -> Any:
        """A decimal number."""
        if not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", text, re.ASCII):
            raise ValueError("must be a number")
        return float(text)

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with the bounds there are."""
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return super().schema() | {name: bound for name, bound in bounds.items() if math.isfinite(bound)}


class Rate(Float):
    """A numeric ratio such as a tax rate (0.21), a number in documents and exact in the database."""

    sql_type = "numeric"
    compiled = "None if {0} is None else float({0})"

    def _serialize(self, value: Any, *_: Any, **__: Any) -> float | None:
        return None if value is None else float(value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        return Decimal(str(super()._deserialize(value)))

    def parse(self, text: str) -> Decimal:
        """A decimal number."""
        super().parse(text)
        return Decimal(text)


def check_json(value: Any) -> None:
    """Raise ValidationError when a JSON value holds what jsonb can't.

    That is NUL characters, lone surrogates, numbers beyond 64 bits, NaN and the infinities.
    """
    try:
        text = orjson.dumps(value)
        same: bool = orjson.loads(text) == value  # NaN and the infinities are written as null
    except (orjson.JSONEncodeError, TypeError, RecursionError):
        raise ValidationError("must be JSON that can be stored (valid text, numbers within 64 bits)") from None
    if not same:
        raise ValidationError("must be JSON that can be stored (valid text, numbers within 64 bits)")
    if b"\\u0000" in text.replace(b"\\\\", b""):  # an escaped NUL, not an escaped backslash before u0000
        raise ValidationError("must not contain the NUL character")


class Json(Kind):
    """A JSON value kept as jsonb; the pool hands jsonb over as bytes, which documents embed unparsed."""

    sql_type = "jsonb"
    json_type: ClassVar[Mapping[str, Any]] = {}
    compiled = "None if {0} is None else Fragment({0})"
    names: ClassVar[Mapping[str, Any]] = {"Fragment": orjson.Fragment}

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return orjson.loads(value) if isinstance(value, (bytes, str)) else value

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        check_json(value)
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

    json_type: ClassVar[Mapping[str, Any]] = {"type": "array"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, list):
            raise ValidationError("must be an array")
        return super()._deserialize(value)


class TextList(Kind):
    """A list of strings kept as text[]."""

    sql_type = "text[]"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "array", "items": {"type": "string"}}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        if not isinstance(value, list):
            raise ValidationError("must be an array of strings")
        return [clean_text(item) for item in value]


@lru_cache(maxsize=512)
def minor_units(currency: str) -> int:
    """How many decimal digits ISO 4217 gives a currency: 2 for EUR, 0 for JPY, 3 for KWD; 2 for codes it gives none."""
    try:
        return Currency(currency).exponent or 0
    except ValueError:
        return 2


def amount_float(cents: int | None, currency: str | None) -> float | None:
    """Minor units as a float of major units; for display only, never calculated with."""
    if cents is None or currency is None:
        return None
    return float(cents / 10 ** minor_units(currency))


@lru_cache(maxsize=65_536)
def format_amount(cents: int | None, currency: str | None, locale: str) -> str | None:
    """Minor units as people of a locale write the amount: `€29.00`."""
    if cents is None or currency is None:
        return None
    amount = Decimal(cents).scaleb(-minor_units(currency))
    return str(format_currency(amount, currency, locale=locale.replace("-", "_")))


class Derived(Kind):
    """A read-only attribute that is computed from columns when it is rendered, and has no column itself.

    `inputs` are the columns, `function` takes their values; with `localised` also the store's locale.
    """

    def __init__(
        self,
        *inputs: str,
        function: Callable[..., Any],
        json_type: Mapping[str, Any],
        localised: bool = False,
        doc: str = "",
    ) -> None:
        super().__init__(doc=doc)
        self.inputs = inputs
        self.function = function
        self.localised = localised
        self.described = json_type

    def bind_name(self, name: str) -> None:
        """There is no column to settle."""

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **kwargs: Any) -> Any:  # noqa: ARG002 -- marshmallow's signature
        """The computed value, from a mapping of columns."""
        values = [obj[column] for column in self.inputs]
        return (
            self.function(*values, cast("Resource", self.parent).rendering.locale)
            if self.localised
            else self.function(*values)
        )

    def schema(self) -> dict[str, Any]:
        """The JSON Schema given for it; it may be null when its inputs are."""
        described = dict(self.described)
        described["type"] = [described["type"], "null"]
        return described | {k: v for k, v in self.metadata.items() if v}


class Cents(Integer):
    """An amount of money in minor units.

    An attribute `x_amount_cents` brings `x_amount_float` and `formatted_x_amount` along. `currency` names the column
    that holds the ISO 4217 code.
    """

    def __init__(self, *, currency: str = "currency_code", **options: Any) -> None:
        self.currency = currency
        super().__init__(**options)

    def companions(self, name: str) -> list[tuple[str, Derived]]:
        """The read-only float and formatted text of the amount called `name`."""
        if not name.endswith("_cents"):
            raise TypeError(f"{name}: an amount in minor units is named *_cents")
        stem = name.removesuffix("_cents")
        column = self.column or name
        return [
            (
                f"{stem}_float",
                Derived(column, self.currency, function=amount_float, json_type={"type": "number"}),
            ),
            (
                f"formatted_{stem}",
                Derived(column, self.currency, function=format_amount, json_type={"type": "string"}, localised=True),
            ),
        ]


class ResourceMeta(mj.ResourceMeta):
    """`meta` of every resource object: the store's `mode` and the row's `version`."""

    inputs = ("version",)

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **kwargs: Any) -> dict[str, Any]:  # noqa: ARG002 -- marshmallow's signature
        """`{"mode": "test", "version": 3}` from a mapping of columns."""
        return {"mode": self.parent.rendering.mode, "version": obj["version"]}


class Standard(Resource):
    """What every type has: id, timestamps, the client's own reference, metadata and `meta`."""

    id = ma.Str(dump_only=True)
    resource_meta = ResourceMeta()
    created_at = Timestamp(nullable=False, filter=True, sort=True, doc="When the resource was made.")
    updated_at = Timestamp(nullable=False, filter=True, sort=True, doc="When it was last changed.")
    reference = Text(
        write=Write.BOTH, filter=True, sort=True, doc="Any identifier of the client's own; not checked for uniqueness."
    )
    reference_origin = Text(write=Write.BOTH, filter=True, doc="What system the reference is from.")
    metadata = JsonObject(write=Write.BOTH, nullable=False, filter=True, doc="Any JSON object of the client's own.")
