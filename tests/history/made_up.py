"""Stores made up at random: records whose free fields hold anything that their kinds take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from schemas.history import fields_of
from schemas.kinds import (
    Boolean,
    CurrencyCode,
    Email,
    Enum,
    Float,
    Integer,
    JsonObject,
    Kind,
    Rate,
    Text,
    Timestamp,
    Url,
)

_WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
_JSON = st.dictionaries(_WORDS, st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _WORDS, max_size=3)
_SINCE = st.datetimes(datetime(1970, 1, 2), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone


def instants() -> st.SearchStrategy[str]:
    """Instants as files write them, to the millisecond."""
    return _SINCE.map(lambda at: at.isoformat(timespec="milliseconds"))


_OF_KINDS: tuple[tuple[type[Kind], Callable[[Any], st.SearchStrategy[Any]]], ...] = (
    (Enum, lambda kind: st.sampled_from(kind.choices)),
    (Email, lambda _: st.integers(0, 10**9).map(lambda n: f"someone{n}@example.com")),
    (Url, lambda _: st.integers(0, 99).map(lambda n: f"https://example.com/{n}.png")),
    (CurrencyCode, lambda _: st.sampled_from(["EUR", "USD", "JPY"])),
    (Boolean, lambda _: st.booleans()),
    (Rate, lambda _: st.integers(0, 1000).map(lambda n: n / 1000)),
    (Float, lambda kind: st.floats(max(kind.minimum, -1e6), min(kind.maximum, 1e6))),
    (Integer, lambda kind: st.integers(max(kind.minimum, -(2**31)), min(kind.maximum, 2**31))),
    (Timestamp, lambda _: instants()),
    (JsonObject, lambda _: _JSON),
    (Text, lambda kind: _WORDS.map(str.strip).filter(bool) if kind.required else _WORDS),
)


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """What an attribute of a kind may hold."""
    return next(of for class_, of in _OF_KINDS if isinstance(kind, class_))(kind)


def free(type_: str, *names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields of a type, and of those that every type has."""
    common = ("created_at", "updated_at", "reference", "reference_origin", "metadata")
    return st.fixed_dictionaries({}, optional={name: values(fields_of(type_)[name].kind) for name in (*names, *common)})


_TAGS = st.fixed_dictionaries({}, optional={"tags": st.lists(st.sampled_from(["vip", "new", "a-b_1"]), unique=True)})
_PLACE = ("line_2", "zip_code", "state_code", "phone", "email", "notes", "lat", "lng", "billing_info")


def _address(draw: Any) -> dict[str, Any]:
    who: dict[str, Any] = draw(
        st.sampled_from([{"first_name": "A", "last_name": "B"}, {"business": True, "company": "C & D"}])
    )
    place: dict[str, Any] = draw(free("addresses", *_PLACE))
    who |= {"line_1": "Street 1", "city": "Delft", "country_code": "NL"}
    return who | place


def _lines(draw: Any, skus: Sequence[str]) -> list[dict[str, Any]]:
    one = st.fixed_dictionaries(
        {
            "sku_code": st.sampled_from([*skus, "GONE"]),
            "quantity": st.integers(1, 50),
            "unit_amount_cents": st.integers(0, 10**6),
            "options_amount_cents": st.integers(0, 500),
        }
    )
    extra = ("name", "image_url", "options", "compare_at_amount_cents", "tax_rate", "frequency", "price_mode")
    return [draw(one) | draw(free("line_items", *extra)) for _ in range(draw(st.integers(1, 4)))]


def _order(draw: Any, number: int, customer: Any, skus: Sequence[str]) -> dict[str, Any]:
    at = draw(instants())
    status: dict[str, str] = draw(
        st.sampled_from(
            [
                {"status": "placed", "placed_at": at},
                {"status": "approved", "placed_at": at, "approved_at": at},
                {"status": "cancelled", "cancelled_at": at},
                {"status": "pending"},
                {"status": "draft"},
            ]
        )
    )
    order = {
        "type": "orders",
        "id": f"o{number}",
        "number": str(number),
        "code": f"N-{number}",
        "customer_id": customer,
    }
    order |= status | {"line_items": _lines(draw, skus), "shipping_amount_cents": draw(st.integers(0, 999))}
    for name in ("billing_address", "shipping_address"):
        if draw(st.booleans()):
            order[name] = _address(draw)
    extra = ("payment_status", "fulfillment_status", "customer_email", "guest", "coupon_code", "archived_at")
    order |= draw(free("orders", *extra)) | draw(_TAGS)
    return order


def _subscription(draw: Any, number: int, order: dict[str, Any], skus: Sequence[str]) -> dict[str, Any]:
    at = draw(_SINCE)
    state = draw(
        st.sampled_from(
            [
                {"status": "active", "next_run_at": at.isoformat(timespec="milliseconds")},
                {"status": "draft"},
                {"status": "inactive"},
                {"status": "cancelled", "cancelled_at": at.isoformat(timespec="milliseconds")},
            ]
        )
    )
    item = st.fixed_dictionaries(
        {"sku_code": st.sampled_from(skus), "quantity": st.integers(1, 9), "unit_amount_cents": st.integers(0, 9999)}
    )
    swap = st.fixed_dictionaries(
        {
            "swap_sku_code": st.sampled_from(skus),
            "swap_unit_amount_cents": st.integers(0, 9999),
            "swap_occurrence_index": st.integers(1, 99),
        }
    )
    items = [
        {"id": f"i{number}-{n}"}
        | draw(item)
        | draw(st.just({}) | swap)
        | draw(free("order_subscription_items", "options", "price_mode", "priced_by_hand"))
        for n in range(draw(st.integers(1, 3)))
    ]
    extra = ("price_mode", "catchup_policy", "unavailable_policy", "max_occurrences", "activate_by_source_order")
    calendar = {
        "frequency": draw(st.sampled_from(["daily", "weekly", "monthly", "yearly", "0 9 * * 1"])),
        "timezone": draw(st.sampled_from(["UTC", "Europe/Amsterdam", "America/New_York"])),
    }
    known = {"type": "order_subscriptions", "number": str(number), "source_order_id": order["id"]}
    whole: dict[str, Any] = known | state | calendar | {"order_subscription_items": items}
    if state["status"] == "active":
        whole["occurrence_items"] = _contents(draw, [item["id"] for item in items], skus, runs=1)
    elif state["status"] != "draft":
        whole |= _over(draw, [item["id"] for item in items], skus)
    whole |= draw(free("order_subscriptions", *extra)) | draw(_TAGS)
    return whole


def _contents(draw: Any, items: Sequence[str], skus: Sequence[str], *, runs: int) -> list[dict[str, Any]]:
    """What is different about some of so many runs: no item twice in one, but for a draft."""
    line = st.fixed_dictionaries(
        {
            "occurrence_index": st.integers(1, runs),
            "order_subscription_item_id": st.sampled_from([*items, None]),
            "draft": st.booleans(),
            "sku_code": st.sampled_from(skus),
            "quantity": st.integers(1, 9),
            "unit_amount_cents": st.integers(0, 9999),
        }
    )
    said: dict[object, dict[str, Any]] = {}
    for n in range(draw(st.integers(0, 4))):
        one = draw(line) | draw(free("occurrence_items", "options", "price_mode", "priced_by_hand"))
        item = one["order_subscription_item_id"]
        said[one["occurrence_index"], one["draft"], item or n] = one
    return list(said.values())


def _over(draw: Any, items: Sequence[str], skus: Sequence[str]) -> dict[str, Any]:
    """The ledger of a subscription that doesn't run any more, with what was different about some of its runs."""
    runs: int = draw(st.integers(1, 3))
    ledger = [
        {
            "occurrence_index": n + 1,
            "status": draw(st.sampled_from(["skipped", "missed", "failed"])),
            "nominal_at": f"20{20 + n}-01-01T09:00:00Z",
            "scheduled_at": draw(instants()),
        }
        | draw(free("occurrences"))
        for n in range(runs)
    ]
    return {"occurrences": ledger, "occurrence_items": _contents(draw, items, skus, runs=runs), "next_index": runs + 1}


@st.composite
def stores(draw: Any) -> list[dict[str, Any]]:
    """The records of a store."""
    customers = [f"c{n}" for n in range(draw(st.integers(1, 3)))]
    skus = [f"SKU-{n}" for n in range(draw(st.integers(1, 3)))]
    sku = ("description", "weight", "unit_of_weight", "do_not_ship", "do_not_track", "tax_rate", "published_at")
    records: list[dict[str, Any]] = [
        {"type": "skus", "code": code, "name": code} | draw(free("skus", *sku)) | draw(_TAGS) for code in skus
    ]
    records += [
        {"type": "prices", "sku": {"code": code}, "currency_code": "EUR", "min_quantity": n + 1}
        | {"amount_cents": draw(st.integers(0, 9999))}
        | draw(free("prices", "compare_at_amount_cents"))
        for n, code in enumerate(skus)
    ]
    records += [
        {"type": "stock_items", "sku": {"code": code}, "quantity": draw(st.integers(0, 99))} for code in skus[1:]
    ]
    person = ("status", "shopper_reference", "profile_id", "tax_exemption_code")
    records += [
        {"type": "customers", "id": id_, "email": f"{id_}@example.com"} | draw(free("customers", *person)) | draw(_TAGS)
        for id_ in customers
    ]
    records += [
        {"type": "addresses", "id": f"a-{id_}", "customer_id": id_} | _address(draw)
        for id_ in customers
        if draw(st.booleans())
    ]
    orders = [
        _order(draw, number, draw(st.sampled_from([*customers, None])), skus)
        for number in range(1, draw(st.integers(1, 4)) + 1)
    ]
    subscriptions = [
        _subscription(draw, number, draw(st.sampled_from(orders)), skus)
        for number in range(1, draw(st.integers(0, 2)) + 1)
    ]
    return records + orders + subscriptions
