"""Commerce Layer: resource objects, one on each line, as JSON:API has them or flat as its exports write them.

Fields are those of https://docs.commercelayer.io/core/api-reference, on the page "The ... object" of each type:
customers, addresses, skus, prices, stock_items, orders, line_items, customer_payment_sources, order_subscriptions,
order_subscription_items. Attributes have the same names here, so that `schemas/` is their list; what this service
doesn't have is left out. Lines and items stand within their order or subscription, as an export with `includes` writes
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from schemas.history import RECORDS, fields_of
from service.operations.data.profiles import Made, Profile, Sent, Sheet, inner, listed, text


def _whole(type_: str) -> Callable[[Sequence[Sent]], Iterator[Made]]:
    def records(rows: Sequence[Sent]) -> Iterator[Made]:
        (sent,) = rows
        made = {"type": type_, **_fields(type_, sent)}
        for part in RECORDS[type_].parts:
            if listed(sent, part):
                made[part] = [_fields(part, one) for one in listed(sent, part)]
        for name in ("billing_address", "shipping_address"):
            address = _fields("addresses", inner(sent, name))
            if f"{name}_id" in RECORDS[type_].embedded and address:
                made[name] = {key: value for key, value in address.items() if key != "id"}
        yield _settled(type_, made)

    return records


def _fields(type_: str, sent: Sent) -> Made:
    """What this service has of a resource object's attributes and to-one relationships."""
    flat: Made = {**sent, **inner(sent, "attributes")}
    for name, relationship in inner(sent, "relationships").items():
        data = relationship.get("data") if isinstance(relationship, dict) else None
        if isinstance(data, dict):
            flat[f"{name}_id"] = data.get("id")
    for name, value in sent.items():
        if isinstance(value, dict) and text(value, "id") is not None:
            flat.setdefault(f"{name}_id", value["id"])
    known = fields_of(type_)
    made = {name: value for name, value in flat.items() if name in known and value is not None}
    for name in ("market_id", "subscription_model_id", "billing_address_id", "shipping_address_id"):
        made.pop(name, None)
    return ({"id": flat["id"]} if "id" in flat else {}) | made


def _settled(type_: str, made: Made) -> Made:
    """Take out what follows here from the rest, or goes on in another way."""
    if type_ == "orders":
        made.pop("subtotal_amount_cents", None)
        if made.get("number") is not None:
            made.setdefault("code", str(made["number"]))
    if type_ == "order_subscriptions" and made.get("status") == "running":
        made["status"] = "active"
    return made


PROFILE = Profile(
    "commerce_layer",
    "https://docs.commercelayer.io/core/api-reference",
    {
        type_: Sheet(_whole(type_), type_=type_, ids=("id",))
        for type_ in (
            "customers", "addresses", "skus", "prices", "stock_items", "customer_payment_sources", "orders",
            "order_subscriptions",
        )
    },
)  # fmt: skip
