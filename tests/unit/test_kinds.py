"""Kinds take and refuse the values they should, sent or in a query string, and show them as documents do."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from marshmallow import ValidationError

from schemas import kinds
from schemas.kinds import Kind

# --- what a client sends ---------------------------------------------------------------------------------

HALF_PAST = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
TEXT, REQUIRED, SHORT = kinds.Text(), kinds.Text(required=True), kinds.Text(max_length=3)
INTEGER, FEW, NUMBER = kinds.Integer(), kinds.Integer(minimum=1, maximum=3), kinds.Number()
BOOLEAN, RATE, TIMESTAMP = kinds.Boolean(), kinds.Rate(), kinds.Timestamp()
JSON, OBJECT, LIST, TEXTS = kinds.Json(), kinds.JsonObject(), kinds.JsonList(), kinds.TextList()
ENUM, IDENTIFIER, EMAIL, URL = kinds.Enum("draft", "placed"), kinds.Identifier(), kinds.Email(), kinds.Url()
CURRENCY, COUNTRY, ZONE, LOCALE = kinds.CurrencyCode(), kinds.CountryCode(), kinds.TimeZone(), kinds.LocaleCode()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TEXT, ""),
        (TEXT, "Ünïcödé \N{GRINNING FACE} \u2028"),
        (TEXT, "x" * 10_000),
        (REQUIRED, " x "),
        (SHORT, "\N{GRINNING FACE}" * 3),
        (ENUM, "placed"),
        (IDENTIFIER, "ABCRtyUpBa"),
        (IDENTIFIER, "a-_9" * 16),
        (CURRENCY, "EUR"),
        (CURRENCY, "JPY"),
        (COUNTRY, "NL"),
        (EMAIL, "ada@example.com"),
        (URL, "https://shop.example/checkout?session={session}"),
        (ZONE, "Europe/Amsterdam"),
        (LOCALE, "nl_NL"),
        (LOCALE, "en-US"),
        (INTEGER, 2**63 - 1),
        (INTEGER, -(2**63)),
        (FEW, 1),
        (FEW, 3),
        (BOOLEAN, False),
        (JSON, None),
        (JSON, [1, "a", {"b": [None, True, 1e300]}]),
        (JSON, 2**63 - 1),
        (JSON, "the characters \\u0000, not the character"),
        (OBJECT, {}),
        (OBJECT, {"ключ": {"a": []}}),
        (LIST, []),
        (TEXTS, ["a", ""]),
        (TIMESTAMP, None),
    ],
)
def test_a_good_value_is_taken_as_it_is(kind: Kind, value: Any) -> None:
    taken = kind.deserialize(value)
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (TEXT, "a\x00b", "NUL"),
        (TEXT, "\ud800", "Unicode"),
        (TEXT, 5, "must be a string"),
        (TEXT, ["a"], "must be a string"),
        (TEXT, "x" * 10_001, "too long"),
        (REQUIRED, "", "blank"),
        (REQUIRED, " \t", "blank"),
        (REQUIRED, None, "blank"),
        (SHORT, "abcd", "maximum is 3"),
        (ENUM, "Draft", "must be draft or placed"),
        (ENUM, True, "must be a string"),
        (IDENTIFIER, "", "1 to 64"),
        (IDENTIFIER, "a" * 65, "1 to 64"),
        (IDENTIFIER, "abc'--", "1 to 64"),
        (IDENTIFIER, "abc\n", "1 to 64"),
        (CURRENCY, "eur", "ISO 4217"),
        (CURRENCY, "ZZZ", "ISO 4217"),
        (COUNTRY, "nl", "ISO 3166-1"),
        (EMAIL, "ada", "e-mail"),
        (EMAIL, "a da@example.com", "e-mail"),
        (URL, "/checkout", "absolute"),
        (URL, "javascript:alert(1)", "absolute"),
        (URL, "https://a b", "absolute"),
        (ZONE, "Mars/Olympus", "IANA"),
        (ZONE, "../../etc/passwd", "IANA"),
        (LOCALE, "xx_XX", "locale"),
        (INTEGER, True, "whole number"),
        (INTEGER, 1.0, "whole number"),
        (INTEGER, "1", "whole number"),
        (INTEGER, 2**63, "less than"),
        (INTEGER, -(2**63) - 1, "greater than"),
        (FEW, 0, "greater than or equal to 1"),
        (FEW, 4, "less than or equal to 3"),
        (BOOLEAN, 1, "true or false"),
        (BOOLEAN, "true", "true or false"),
        (BOOLEAN, None, "blank"),
        (RATE, float("inf"), "must be a number"),
        (RATE, float("nan"), "must be a number"),
        (RATE, True, "must be a number"),
        (RATE, "0.21", "must be a number"),
        (RATE, 10**400, "must be a number"),
        (TIMESTAMP, "yesterday", "ISO 8601"),
        (TIMESTAMP, "", "ISO 8601"),
        (TIMESTAMP, 1769862600, "ISO 8601"),
        (TIMESTAMP, "2026-02-30T00:00:00Z", "ISO 8601"),
        (TIMESTAMP, "2026-01-31T12:30:00+24:00", "ISO 8601"),
        (TIMESTAMP, "0001-01-01T00:00:00+01:00", "from 1970"),
        (TIMESTAMP, "9999-12-31T23:59:59-01:00", "from 1970"),
        (TIMESTAMP, "٢٠٢٦-01-31", "ISO 8601"),
        (JSON, "a\x00b", "NUL"),
        (JSON, {"a\x00b": 1}, "NUL"),
        (JSON, [["\\\x00"]], "NUL"),
        (JSON, "\ud800", "can be stored"),
        (JSON, {"a": ["\udfff"]}, "can be stored"),
        (JSON, 2**64, "can be stored"),
        (JSON, -(2**63) - 1, "can be stored"),
        (JSON, [float("nan")], "can be stored"),
        (JSON, {"a": float("-inf")}, "can be stored"),
        (OBJECT, [], "must be an object"),
        (OBJECT, "{}", "must be an object"),
        (OBJECT, {"a": "\x00"}, "NUL"),
        (LIST, {}, "must be an array"),
        (TEXTS, "a", "array of strings"),
        (TEXTS, ["a", 1], "must be a string"),
        (TEXTS, ["a", "\x00"], "NUL"),
    ],
)
def test_a_bad_value_is_refused_in_words(kind: Kind, value: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind.deserialize(value)


def test_json_that_is_nested_without_end_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    with pytest.raises(ValidationError, match="can be stored"):
        JSON.deserialize(nested)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:30:00Z",
        "2026-01-31t12:30:00.000z",
        "2026-01-31T12:30Z",
        "2026-01-31 12:30:00",
        "2026-01-31T14:30:00+02:00",
        "2026-01-31T07:00:00-0530",
        "2026-01-31T12:30:00.000999999Z",
    ],
)
def test_instants_are_read_in_any_zone_and_cut_to_milliseconds(text: str) -> None:
    for taken in (TIMESTAMP.deserialize(text), TIMESTAMP.parse(text)):
        assert taken == HALF_PAST
        assert taken.tzinfo is UTC


def test_a_rate_is_exactly_what_was_written() -> None:
    assert RATE.deserialize(0.1) == Decimal("0.1")
    assert RATE.deserialize(21) == Decimal(21)


# --- what a query string says ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (TEXT, "a b", "a b"),
        (ENUM, "draft", "draft"),
        (IDENTIFIER, "abc'--", "abc'--"),
        (INTEGER, "-9223372036854775808", -(2**63)),
        (NUMBER, "9223372036854775807", 2**63 - 1),
        (kinds.Cents(), "-5", -5),
        (BOOLEAN, "true", True),
        (BOOLEAN, "false", False),
        (RATE, "0.21", Decimal("0.21")),
        (RATE, "-1", Decimal(-1)),
        (TIMESTAMP, "2026-01-31T12:30:00Z", HALF_PAST),
        (TIMESTAMP, "2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_a_query_string_is_read_as_what_it_is_compared_with(kind: Kind, text: str, value: Any) -> None:
    read = kind.parse(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (TEXT, "\x00", "NUL"),
        (ENUM, "shipped", "must be draft or placed"),
        (INTEGER, "9223372036854775808", "whole number"),
        (INTEGER, "-9223372036854775809", "whole number"),
        (INTEGER, "9" * 5_000, "whole number"),
        (INTEGER, "1.0", "whole number"),
        (INTEGER, "\N{ARABIC-INDIC DIGIT ONE}", "whole number"),
        (INTEGER, " 1", "whole number"),
        (INTEGER, "1_000", "whole number"),
        (INTEGER, "", "whole number"),
        (NUMBER, "SALE-G01ZG", "whole number"),
        (BOOLEAN, "1", "true or false"),
        (BOOLEAN, "True", "true or false"),
        (RATE, "1e400", "must be a number"),
        (RATE, "NaN", "must be a number"),
        (RATE, "Infinity", "must be a number"),
        (RATE, "9" * 31, "must be a number"),
        (TIMESTAMP, "now", "ISO 8601"),
        (TIMESTAMP, "2026-13-01", "ISO 8601"),
        (TIMESTAMP, "2026-01-31T12:30:00 02:00", "ISO 8601"),
    ],
)
def test_a_query_string_that_can_not_be_compared_is_refused_in_words(kind: Kind, text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind.parse(text)


# --- what a document shows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cents", "currency", "number", "text"),
    [
        (2900, "EUR", 29.0, "€29.00"),
        (2900, "JPY", 2900.0, "¥2,900"),
        (2900, "KWD", 2.9, "KWD2.900"),
        (-5, "EUR", -0.05, "-€0.05"),
        (2**63 - 1, "EUR", 92233720368547758.07, "€92,233,720,368,547,758.07"),
        (None, "EUR", None, None),
        (5, None, None, None),
    ],
)
def test_an_amount_follows_its_currency(
    cents: int | None, currency: str | None, number: float | None, text: str | None
) -> None:
    assert kinds.amount_float(cents, currency) == number
    assert kinds.format_amount(cents, currency, "en_US") == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (HALF_PAST, "2026-01-31T12:30:00.000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "9999-12-31T23:59:59.999Z"),
        (None, None),
    ],
)
def test_an_instant_is_shown_in_utc_with_milliseconds(moment: datetime | None, text: str | None) -> None:
    assert kinds.render_timestamp(moment) == text
