"""Kinds that are texts in the database and in documents, and lists of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, cast
from zoneinfo import available_timezones

from babel import Locale, UnknownLocaleError
from iso4217 import Currency
from marshmallow import ValidationError

from schemas.fields import HARMLESS, Mark, Personal
from schemas.kinds.kind import Kind
from schemas.resource import Resource
from service.texts import Either, Phrase

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

UNGUESSABLE = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""The ids that customers and guests may choose: ULIDs and UUIDs."""


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
            raise ValidationError(Phrase("is too long (maximum is {most} characters)", most=self.max_length))
        return text

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with what holds for what clients send; what nobody sends may be longer."""
        described = super().schema()
        if self.write:
            described["maxLength"] = self.max_length
        return described | ({"pattern": r"\S"} if self.required else {})

    def parse(self, text: str) -> str:
        """Any text without NUL."""
        if "\x00" in text:
            raise ValidationError("must not contain the NUL character")
        return text


class Enum(Text):
    """One of a fixed list of words."""

    default_mark = HARMLESS
    written, quote = "{0}", '"'

    def __init__(self, *choices: str, **options: Any) -> None:
        self.choices = choices
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        return self.parse(super()._deserialize(value))

    def parse(self, text: str) -> str:
        """One of the words; an unknown one is a mistake worth telling."""
        if text not in self.choices:
            raise ValidationError(Phrase("must be {choices}", choices=Either(self.choices)))
        return text

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with the words."""
        described = Kind.schema(self)
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

    default_mark = HARMLESS
    written, quote = "{0}", '"'
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

    default_mark = HARMLESS
    pattern = "[A-Z]{2}"
    words = "must be an ISO 3166-1 country code such as NL"


class Email(Pattern):
    """An e-mail address: something before and after one `@`; whether it works only a mail can tell."""

    default_mark = Mark(Personal.EMAIL)
    pattern = r"[^@\s]{1,64}@[^@\s]{1,255}"
    words = "must be an e-mail address"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "email"}


class Url(Pattern):
    """An absolute http(s) URL."""

    pattern = r"https?://[^\s/?#]+[^\s]*"
    words = "must be an absolute http or https URL"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "uri"}


def located(url: str, base: str) -> str:
    """The URL of a picture: that of one of the service's own, kept as its path, is below the URL of the service.

    `base` is the URL of the API, which is below it too.
    """
    return f"{base.removesuffix('/api')}{url}" if url.startswith("/") else url


class Picture(Url):
    """The URL of a picture. The service's own pictures are kept as their paths; clients send and see absolute URLs."""

    is_path = True
    compiled = "None if {0} is None else located({0}, rendering.base)"
    names: ClassVar[Mapping[str, Any]] = {"located": located}

    def _serialize(self, value: str | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else located(value, cast("Resource", self.parent).rendering.base)


@cache
def _zones() -> frozenset[str]:
    """All IANA zone names; the standard library reads them from disk at every call."""
    return frozenset(available_timezones())


class TimeZone(Text):
    """An IANA time zone name, e.g. `Europe/Amsterdam`."""

    default_mark = HARMLESS

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        zone = super()._deserialize(value)
        if zone not in _zones():
            raise ValidationError("must be an IANA time zone such as Europe/Amsterdam")
        return zone


class LocaleCode(Text):
    """A locale as Babel knows it, e.g. `nl_NL` or `en-US`."""

    default_mark = HARMLESS

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        code = super()._deserialize(value)
        try:
            Locale.parse(code, sep="-" if "-" in code else "_")
        except (ValueError, UnknownLocaleError):
            raise ValidationError("must be a locale such as nl_NL") from None
        return code


class TextList(Kind):
    """A list of strings kept as text[]."""

    sql_type = "text[]"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "array", "items": {"type": "string"}}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        if not isinstance(value, list):
            raise ValidationError("must be an array of strings")
        return [clean_text(item) for item in value]


class EnumList(TextList):
    """Some of a fixed list of words, each once, kept as text[] in the order of the list; null for none of them."""

    default_mark = HARMLESS

    def __init__(self, *choices: str, **options: Any) -> None:
        self.choices = choices
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str] | None:  # type: ignore[override]
        words = super()._deserialize(value)
        if not set(words) <= set(self.choices):
            raise ValidationError(Phrase("must be some of {choices}", choices=Either(self.choices)))
        return [word for word in self.choices if word in words] or None

    def schema(self) -> dict[str, Any]:
        """A JSON Schema with the words."""
        return super().schema() | {"items": {"type": "string", "enum": [*self.choices]}}
