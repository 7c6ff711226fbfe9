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
from schemas.kinds.numbers import Integer
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


class Derived(Kind):
    """A read-only attribute that is computed from columns when it is rendered, and has no column itself.

    `inputs` are the columns, `function` takes their values, and as its last argument what the rendering holds under the
    name `given` (`locale`, `at`, `links`), if one is named. `compiled` is an expression that gives the same as the
    function where calling it would be too dear. A `secret` is a credential: of an answer that shows it, what is kept
    does not. What it tells of people follows from the marks of its columns.
    """

    default_mark = HARMLESS
    names: ClassVar[Mapping[str, Any]] = {"units": units}

    def __init__(
        self,
        *inputs: str,
        function: Callable[..., Any],
        json_type: Mapping[str, Any],
        given: str = "",
        compiled: str = "",
        secret: bool = False,
        doc: str = "",
    ) -> None:
        super().__init__(doc=doc, secret=secret)
        self.inputs = inputs
        self.compiled = compiled
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
                Derived(column, self.currency, function=amount_float, compiled=_FLOAT, json_type={"type": "number"}),
            ),
            (
                f"formatted_{stem}",
                Derived(column, self.currency, function=format_amount, json_type={"type": "string"}, given="locale"),
            ),
        ]
