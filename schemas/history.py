"""A shop's history as records: which types there are, what comes with each, and what has to agree.

A record is a resource with what is part of it, such as an order with its lines. It is read from a line of a file and
written to one. Its fields are the attributes of its type, its to-one relationships as `<name>_id`, and what no client
sees and another installation needs all the same; how each is checked is said by its kind, once, in its type's Schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError

from schemas.fields import HARMLESS, Personal
from schemas.graph import graph
from schemas.kinds import Boolean, Cents, Enum, Identifier, Integer, Kind, Picture, Text, TextList, Timestamp
from schemas.periods import Period, check_period
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource


class Day(Kind):
    """A day of the calendar, such as 2026-01-31."""

    sql_type = "date"
    default_mark = HARMLESS

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> date:
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValidationError("must be a day such as 2026-01-31") from None

    def _serialize(self, value: date | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else value.isoformat()


class KeptPicture(Picture):
    """The URL of a picture as it is kept: the service's own are paths."""

    pattern = rf"/\S+|{Picture.pattern}"

    def _serialize(self, value: str | None, *_: Any, **__: Any) -> str | None:
        return value


class WallClock(Kind):
    """Day and time as a clock on the wall shows them, without a zone, such as 2026-01-31T12:00:00."""

    sql_type = "timestamp"
    default_mark = HARMLESS

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            shown = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            shown = None
        if shown is None or shown.tzinfo is not None:
            raise ValidationError("must be a time on the wall clock such as 2026-01-31T12:00:00")
        return shown

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else value.isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a reference leads to has in a column what the record has in one of its own.

    `when` limits it to records that have one of these statuses; None for all. `here` may be a fixed value.
    """

    reference: str
    there: str
    here: str | bool
    when: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """How resources of a type are written down.

    `key` are the columns by which a resource is found that is given without an id. `within` is the column of a part
    that leads to what it is part of, `parts` are the types that come within a record. `embedded` are references in
    whose place the whole may stand. `internal` are columns that no client sees, `left_out` columns that are no
    history. `at_rest` are the values of `status` that can be carried over; none for any. `leads_to` names the field
    that lists the orders which came of it. Null in `inferred` columns is written
    down: left out, it would be filled in.
    """

    type_: str
    key: tuple[str, ...] = ()
    within: str = ""
    parts: tuple[str, ...] = ()
    embedded: tuple[str, ...] = ()
    internal: Mapping[str, Kind] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    at_rest: tuple[str, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    leads_to: str = ""
    inferred: frozenset[str] = frozenset()

    @property
    def resource(self) -> type[Resource]:
        """The type's Schema."""
        return graph[self.type_]


_ORDERED = ("placed", "approved")
_OF_PAYER = Agreement("customer_payment_source_id", "customer_id", "customer_id")
_OF_COPIES = {"occurrence_id": Identifier(harmless=True), "attempt": Integer(minimum=0)}
_OVER = ("aborted", "failed", "completed")
_COPIED = (
    Agreement("target_order_id", "source_order_id", "source_order_id"),
    Agreement("target_order_id", "order_subscription_id", "order_subscription_id"),
    Agreement("target_order_id", "occurrence_id", "occurrence_id"),
    Agreement("occurrence_id", "order_subscription_id", "order_subscription_id"),
)
_SUBSCRIPTIONS = "order_subscription_id"
_FROM_SOURCE = frozenset(
    {
        "customer_id", "customer_email", "billing_address_id", "shipping_address_id", "shipping_method_id",
        "customer_payment_source_id",
    }
)  # fmt: skip
"""What a subscription has of its source order where nothing else is said."""

RECORDS: Mapping[str, Record] = MappingProxyType(
    {
        record.type_: record
        for record in (
            Record("customer_groups", key=("code",)),
            Record("shipping_methods", key=("name",)),
            Record("payment_methods", key=("name",)),
            Record("subscription_models", key=("name",)),
            Record("tags", key=("name",)),
            Record("skus", key=("code",)),
            Record("prices", key=("sku_id", "currency_code", "customer_group_id", "min_quantity", "starts_at")),
            Record("stock_items", key=("sku_id",)),
            Record("promotions", key=("coupon_code",)),
            Record("customers", key=("email",)),
            Record("addresses", internal={"snapshot": Boolean()}, left_out=frozenset({"cart_id"})),
            Record(
                "customer_payment_sources",
                internal={
                    name: Text(max_length=255, personal=Personal.PAYMENT, secret=True)
                    for name in ("payment_source_token", "customer_token")
                },
            ),
            Record(
                "orders",
                key=("code",),
                parts=("line_items",),
                embedded=("billing_address_id", "shipping_address_id"),
                internal={"coupon_counted": Boolean()},
                left_out=frozenset({"market_id", "cart_id", "repeat_link_id", _SUBSCRIPTIONS, "occurrence_id"}),
                at_rest=("draft", "pending", "placed", "approved", "cancelled"),
                agreements=(
                    _OF_PAYER,
                    Agreement("billing_address_id", "snapshot", here=True, when=_ORDERED),
                    Agreement("shipping_address_id", "snapshot", here=True, when=_ORDERED),
                ),
            ),
            Record(
                "line_items",
                within="order_id",
                inferred=frozenset({"sku_id"}),
                internal={
                    "price_mode": Enum("current", "fixed", nullable=False),
                    "stock_taken": Integer(minimum=0, nullable=False),
                },
            ),
            Record(
                "order_subscriptions",
                key=("number",),
                parts=("order_subscription_items", "occurrences", "occurrence_items"),
                embedded=("billing_address_id", "shipping_address_id"),
                internal={
                    "anchor_index": Integer(nullable=False),
                    "anchor_wall": WallClock(),
                    "phase_on": Day(),
                    "phase_at": Timestamp(),
                    "next_index": Integer(minimum=1, nullable=False),
                    "unparked_at": Timestamp(),
                    "alerted_run_at": Timestamp(),
                    "alerted_amount_cents": Cents(),
                    "alert_again_at": Timestamp(),
                    "prepaid_period": Period(validators=[check_period], harmless=True),
                },
                left_out=frozenset({"market_id"}),
                at_rest=("draft", "active", "inactive", "cancelled"),
                agreements=(
                    _OF_PAYER,
                    Agreement("source_order_id", "customer_id", "customer_id"),
                    Agreement("prepaid_order_id", "customer_id", "customer_id"),
                ),
                leads_to="order_ids",
                inferred=_FROM_SOURCE,
            ),
            Record(
                "order_subscription_items",
                within=_SUBSCRIPTIONS,
                internal={"priced_by_hand": Boolean()},
            ),
            Record(
                "occurrences",
                within=_SUBSCRIPTIONS,
                at_rest=("planned", "held", "completed", "skipped", "missed", "failed"),
                leads_to="order_id",
            ),
            Record(
                "occurrence_items",
                within=_SUBSCRIPTIONS,
                internal={"sku_id": Identifier(harmless=True), "priced_by_hand": Boolean()},
                agreements=(
                    Agreement("occurrence_id", _SUBSCRIPTIONS, _SUBSCRIPTIONS),
                    Agreement("occurrence_id", "occurrence_index", "occurrence_index"),
                    Agreement("order_subscription_item_id", _SUBSCRIPTIONS, _SUBSCRIPTIONS),
                ),
            ),
            Record("order_copies", internal=_OF_COPIES, at_rest=_OVER, agreements=_COPIED),
            Record(
                "recurring_order_copies",
                internal=_OF_COPIES,
                at_rest=_OVER,
                agreements=(*_COPIED, Agreement(_SUBSCRIPTIONS, "source_order_id", "source_order_id")),
            ),
        )
    }
)
"""How each type of a history is written down, each behind those that it refers to."""

WHOLES = tuple(type_ for type_, record in RECORDS.items() if not record.within)
"""The types that have a line of their own."""


_LEADS: Mapping[str, str] = MappingProxyType({"occurrence_id": "occurrences", "sku_id": "skus"})
"""The types that columns lead to which no client sees as relationships."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record: the column that keeps it, its kind, and the type that it refers to, if it does."""

    name: str
    column: str
    kind: Kind
    type_: str = ""


class Fields(Mapping[str, Field]):
    """The fields of a type's records by their names."""

    def __init__(self, record: Record) -> None:
        resource = record.resource
        known = {name: Field(name, resource.column_of(name), kind) for name, kind in _kinds(resource).items()}
        known |= {name: Field(name, name, kind, _LEADS.get(name, "")) for name, kind in record.internal.items()}
        for relationship in resource.relationships.values():
            if isinstance(relationship, ToOne):
                column = relationship.column
                nullable = not relationship.required
                kind = Identifier(harmless=True, nullable=nullable)
                known[column] = Field(column, column, kind, relationship.type_)
        left_out = {*record.left_out, record.within, *resource.where}
        self._fields = {name: found for name, found in known.items() if found.column not in left_out}
        tags = resource.relationships.get("tags")
        self.is_tagged = isinstance(tags, ToMany) and tags.through is not None
        self.references = tuple(found for found in self._fields.values() if found.type_)

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


@cache
def fields_of(type_: str) -> Fields:
    """The fields of a type's records."""
    return Fields(RECORDS[type_])


def _kinds(resource: type[Resource]) -> Mapping[str, Kind]:
    """The attributes that are kept, with kinds that are bound to a Schema."""
    bound: Mapping[str, Kind] = resource().fields
    kept = {name: bound[name] for name, declared in resource.attributes.items() if declared.column}
    return {name: KeptPicture(harmless=True) if isinstance(kind, Picture) else kind for name, kind in kept.items()}


NAMES = TextList(harmless=True, nullable=False)
"""The kind of a list of names or ids."""
