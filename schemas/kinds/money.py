"""Amounts of money, and what is worked out of columns when it is rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar, cast

from babel.numbers import format_currency
from iso4217 import Currency

from schemas.fields import HARMLESS
from schemas.kinds.kind import Kind
from schemas.kinds.numbers import INT64, Integer
from schemas.resource import Resource


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
    return cents / units(currency)


_AS_FLOAT = "`{}` in whole units of the currency; don't calculate with it."
_FORMATTED = "`{}` as it is written in the store's locale."
_FLOAT = "None if {0} is None or {1} is None else {0} / units({1})"


@lru_cache(maxsize=512)
def units(currency: str) -> int:
    """How many minor units a currency's major one has: 100 for EUR, 1 for JPY."""
    return int(10 ** minor_units(currency))


@lru_cache(maxsize=65_536)
def format_amount(cents: int | None, currency: str | None, locale: str) -> str | None:
    """Minor units as people of a locale write the amount: `€29.00`."""
    if cents is None or currency is None:
        return None
    amount = Decimal(cents).scaleb(-minor_units(currency))
    return str(format_currency(amount, currency, locale=locale.replace("-", "_")))


def due(total_cents: int, tax_cents: int, *, tax_included: bool | None) -> int:
    """What has to be paid of a total, in minor units: taxes come on top of it unless they are included."""
    return total_cents + (0 if tax_included else tax_cents)


class Derived(Kind):
    """A read-only attribute that is computed from columns when it is rendered, and has no column itself.

    `inputs` are the columns, `function` takes their values, and as its last argument what the rendering holds under the
    name `given` (`locale`, `at`, `links`), if one is named. `compiled` is an expression that gives the same as the
    function where calling it would be too dear. A `secret` is a credential: of an answer that shows it, what is kept
    does not. What it tells of people follows from the marks of its columns.
    """

    default_mark = HARMLESS
    written = ""
    names: ClassVar[Mapping[str, Any]] = {"units": units}

    def __init__(
        self,
        *inputs: str,
        function: Callable[..., Any],
        json_type: Mapping[str, Any],
        given: str = "",
        compiled: str = "",
        nullable: bool = True,
        secret: bool = False,
        doc: str = "",
    ) -> None:
        super().__init__(doc=doc, secret=secret)
        self.inputs = inputs
        self.compiled = compiled
        self.may_be_null = nullable
        self.function = function
        self.given = given
        self.described = json_type

    def bind_name(self, name: str) -> None:
        """There is no column to settle."""

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **kwargs: Any) -> Any:  # noqa: ARG002 -- marshmallow's signature
        """The computed value, from a mapping of columns."""
        values = [obj[column] for column in self.inputs]
        if self.given:
            values.append(getattr(cast("Resource", self.parent).rendering, self.given))
        return self.function(*values)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema given for it; unless said otherwise, it may be null when its inputs are."""
        described = dict(self.described)
        if self.may_be_null:
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
                Derived(
                    *(column, self.currency),
                    function=amount_float,
                    compiled=_FLOAT,
                    json_type={"type": "number"},
                    doc=_AS_FLOAT.format(name),
                ),
            ),
            (
                f"formatted_{stem}",
                Derived(
                    *(column, self.currency),
                    function=format_amount,
                    json_type={"type": "string"},
                    given="locale",
                    doc=_FORMATTED.format(name),
                ),
            ),
        ]


class TotalWithTaxes(Derived):
    """What has to be paid of a resource with a total, taxes, and the word whether they are included; in minor units.

    It brings its float and its formatted text along, as an amount that is kept does.
    """

    def __init__(self, *, doc: str) -> None:
        super().__init__(
            "total_amount_cents",
            "total_tax_amount_cents",
            "tax_included",
            function=_due,
            json_type={"type": "integer", "format": "int64"},
            doc=doc,
        )

    def companions(self, name: str) -> list[tuple[str, Derived]]:
        """The read-only float and formatted text of the amount called `name`."""
        stem, inputs = name.removesuffix("_cents"), (*self.inputs, "currency_code")
        return [
            (
                f"{stem}_float",
                Derived(*inputs, function=_due_float, json_type={"type": "number"}, doc=_AS_FLOAT.format(name)),
            ),
            (
                f"formatted_{stem}",
                Derived(
                    *inputs,
                    function=_due_text,
                    json_type={"type": "string"},
                    given="locale",
                    doc=_FORMATTED.format(name),
                ),
            ),
        ]


def _due(total_cents: int | None, tax_cents: int | None, tax_included: bool | None) -> int | None:  # noqa: FBT001 -- columns come by position
    """What has to be paid; None where there is no total, and for a sum that no client could read."""
    if total_cents is None:
        return None
    sum_ = due(total_cents, tax_cents or 0, tax_included=tax_included)
    return sum_ if INT64[0] <= sum_ <= INT64[1] else None


def _due_float(*columns: Any) -> float | None:
    *amounts, currency = columns
    return amount_float(_due(*amounts), currency)


def _due_text(*columns: Any) -> str | None:
    *amounts, currency, locale = columns
    return format_amount(_due(*amounts), currency, locale)
