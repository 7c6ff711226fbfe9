"""Orders that come again at a click: reorders into a cart, and repeat links."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal, get_args

from schemas.fields import HARMLESS, Personal, Write
from schemas.kinds import (
    Boolean,
    Cents,
    CurrencyCode,
    Derived,
    Enum,
    Integer,
    JsonLines,
    Standard,
    Text,
    TextList,
    Timestamp,
)
from schemas.quotas import Quota
from schemas.relationships import ToMany, ToOne
from service.texts import Phrase


class Reorder(Standard):
    """A past order put into a cart again at the prices of today: what was asked, and how it went line by line."""

    strategy = Enum(
        "append",
        "replace",
        "new",
        write=Write.CREATE,
        nullable=False,
        doc="What becomes of the active cart: its lines are kept (the default) or replaced, or a new cart is made.",
    )
    stock_policy = Enum(
        "ignore",
        "partial",
        "skip",
        write=Write.CREATE,
        nullable=False,
        doc="What becomes of lines that stock can't cover: added all the same (the default), reduced, or skipped.",
    )
    lines = JsonLines(
        write=Write.CREATE,
        harmless=True,
        doc="Which lines to repeat, each by `line_item_id` and, unless as many as then, `quantity`. Null: all lines.",
        example=[{"line_item_id": "LIaRtyUpBa", "quantity": 2}],
    )
    expected_digest = Text(
        write=Write.CREATE,
        harmless=True,
        doc="The digest of the preview that the customer has seen; another one is refused.",
    )
    added_count = Integer(nullable=False, filter=True, sort=True, doc="How many lines were added as they were.")
    adjusted_count = Integer(nullable=False, filter=True, sort=True, doc="How many lines were added with a change.")
    skipped_count = Integer(nullable=False, filter=True, sort=True, doc="How many lines could not be added.")
    digest = Text(
        nullable=False,
        harmless=True,
        doc="Stands for what it came to: it changes when an outcome, a price, a discount or the rest of the cart does.",
    )

    source_order = ToOne("orders", write=Write.CREATE, required=True, doc="The order to repeat.")
    cart = ToOne(
        "carts",
        write=Write.CREATE,
        doc="Where the lines went; by default the customer's active cart. Null when all were skipped.",
    )
    customer = ToOne("customers", doc="Who repeats the order.")
    reorder_outcomes = ToMany("reorder_outcomes", via="reorder_id", doc="One for each line that was asked for.")
    events = ToMany("events", via="resource_id", where={"resource_type": "reorders"}, includable=False)

    class Meta:
        type_ = "reorders"
        owner = "customer"


class ReorderOutcome(Standard):
    """What became of one line of a repeated order: added, adjusted or skipped, and why."""

    position = Integer(nullable=False, doc="Its place among the outcomes of the reorder.")
    status = Enum(
        "added",
        "adjusted",
        "skipped",
        nullable=False,
        filter=True,
        sort=True,
        doc="Whether the line was added, added otherwise, or left out.",
    )
    code = Enum(
        "quantity_reduced_stock",
        "quantity_reduced_max",
        "quantity_raised_min",
        "quantity_rounded_step",
        "merged_into_existing_line",
        "product_deleted",
        "product_disabled",
        "not_published",
        "no_price",
        "currency_mismatch",
        "option_invalid",
        "option_required",
        "not_reorderable",
        "out_of_stock",
        "quantity_below_min",
        filter=True,
        sort=True,
        doc="Why the line was adjusted (the first five) or skipped (the others); null when it was added as it was.",
    )
    notices = TextList(
        nullable=False,
        harmless=True,
        doc="What else to know: `price_increased`, `price_decreased`, `name_changed`, `coupon_dropped`, `low_stock`.",
    )
    detail = Text(harmless=True, doc="The same in words, for people.")
    name = Text(nullable=False, harmless=True, doc="The name the line was bought under.")
    sku_code = Text(harmless=True, doc="The code of the line's sku.")
    sku_number = Integer(doc="The sku's number, for clients that know products by it.")
    requested_quantity = Integer(nullable=False, doc="How many were asked for.")
    resulting_quantity = Integer(nullable=False, doc="How many went into the cart.")
    currency_code = CurrencyCode(nullable=False, doc="The currency of its amounts.")
    previous_unit_amount_cents = Cents(nullable=False, doc="The price of one in the source order.")
    current_unit_amount_cents = Cents(doc="The price of one today; null when there is none.")

    reorder = ToOne("reorders")
    source_line_item = ToOne("line_items", doc="The line of the source order.")
    cart_item = ToOne("cart_items", doc="The line of the cart that it went into, while that is there.")

    class Meta:
        type_ = "reorder_outcomes"
        owner = "reorder.customer"


LinkState = Literal["live", "revoked", "expired", "used_up"]


def link_state(
    revoked_at: datetime | None, expires_at: datetime | None, max_uses: int | None, uses: int, at: datetime | None
) -> LinkState:
    """What a repeat link is good for at an instant: it works while it is `live`. Without an instant none is expired."""
    if revoked_at is not None:
        return "revoked"
    if expires_at is not None and at is not None and expires_at <= at:
        return "expired"
    return "used_up" if max_uses is not None and uses >= max_uses else "live"


def _link_url(*columns: Any) -> str | None:
    *values, links = columns
    return None if links is None else links.url(*values)


class RepeatLink(Standard):
    """A link with which a customer repeats an order. It has one default link at a time, and any number of others."""

    kind = Enum(
        "default",
        "custom",
        nullable=False,
        filter=True,
        sort=True,
        doc="`default` for the one that Ecwid's *Get repeat order URL* hands out.",
    )
    url = Derived(
        "id",
        "key_id",
        "token_version",
        "order_code",
        function=_link_url,
        json_type={"type": "string", "format": "uri"},
        given="links",
        secret=True,
        doc="What the customer gets: whoever has it can open the link. Null when its key is gone: `_rotate` helps.",
    )
    state = Derived(
        "revoked_at",
        "expires_at",
        "max_uses",
        "uses",
        function=link_state,
        json_type={"type": "string", "enum": [*get_args(LinkState), None]},
        given="at",
        doc="`live` while it works. Who opens it otherwise is not told why it doesn't.",
    )
    expires_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="Until when it works; null: without end.")
    max_uses = Integer(minimum=1, write=Write.BOTH, doc="How many orders it may lead to; null: any number.")
    uses = Integer(nullable=False, filter=True, sort=True, doc="How many orders it led to.")
    carts_count = Integer(nullable=False, doc="How many carts it made.")
    revoked_at = Timestamp(filter=True, sort=True, doc="When it was withdrawn; null while it isn't.")
    revoked_reason = Text(write=Write.UPDATE, personal=Personal.WORDS, doc="Why; sent together with `_revoke`.")
    _revoke = Boolean(write=Write.UPDATE, trigger=True, doc="Ends it for good.")
    _rotate = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Gives it another URL, signed with the newest key; the one so far is dead.",
    )

    order = ToOne(
        "orders", write=Write.CREATE, required=True, doc="The order that it repeats; it must have been placed."
    )
    carts = ToMany("carts", via="repeat_link_id", includable=False, doc="The carts that it made.")
    events = ToMany("events", via="resource_id", where={"resource_type": "repeat_links"}, includable=False)

    class Meta:
        type_ = "repeat_links"
        owner = "order.customer"
        quota = Quota(
            1_000,
            "repeat links that are not revoked, without the one that each order has by itself",
            Phrase("revoke or delete links that are not used any more"),
            {"kind": ("custom",), "revoked_at": ()},
        )
        # With these and a secret key the link's URL is made; without the key they are of no use.
        internal: ClassVar = dict.fromkeys(("key_id", "token_version", "order_code"), HARMLESS)
