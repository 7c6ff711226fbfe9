"""The kinds of attribute values.

Each knows how a value is kept in Postgres, checked when a client sends it, read from a query string, and rendered.

Every kind is a marshmallow field. `inputs` names the columns it is rendered from, `compiled` is the Python expression
for it (`{0}`, `{1}` stand for those columns' values, `names` for what the expression calls), `written` the SQL
expression of its JSON. Both must give what `serialize` gives.
"""

from __future__ import annotations

from schemas.kinds.json import Json, JsonLines, JsonList, JsonObject, check_json
from schemas.kinds.kind import Kind
from schemas.kinds.money import Cents, Derived, TotalWithTaxes, amount_float, due, format_amount, minor_units
from schemas.kinds.numbers import INT64, Boolean, Float, Integer, Number, Rate
from schemas.kinds.standard import ResourceMeta, Standard
from schemas.kinds.texts import (
    ID,
    UNGUESSABLE,
    CountryCode,
    CurrencyCode,
    Email,
    Enum,
    EnumList,
    Identifier,
    LocaleCode,
    Pattern,
    Picture,
    Text,
    TextList,
    TimeZone,
    Url,
    clean_text,
    located,
)
from schemas.kinds.times import EARLIEST, UNITS, WEEKDAYS, Timestamp, parse_timestamp, render_timestamp

__all__ = [
    "EARLIEST",
    "ID",
    "INT64",
    "UNGUESSABLE",
    "UNITS",
    "WEEKDAYS",
    "Boolean",
    "Cents",
    "CountryCode",
    "CurrencyCode",
    "Derived",
    "Email",
    "Enum",
    "EnumList",
    "Float",
    "Identifier",
    "Integer",
    "Json",
    "JsonLines",
    "JsonList",
    "JsonObject",
    "Kind",
    "LocaleCode",
    "Number",
    "Pattern",
    "Picture",
    "Rate",
    "ResourceMeta",
    "Standard",
    "Text",
    "TextList",
    "TimeZone",
    "Timestamp",
    "TotalWithTaxes",
    "Url",
    "amount_float",
    "check_json",
    "clean_text",
    "due",
    "format_amount",
    "located",
    "minor_units",
    "parse_timestamp",
    "render_timestamp",
]
