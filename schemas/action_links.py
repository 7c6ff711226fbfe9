"""Links in mail and SMS with which a customer does one thing to a subscription, or looks after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, get_args

from schemas.fields import Write
from schemas.kinds import Boolean, Derived, Enum, Integer, Standard, Text, Timestamp
from schemas.quotas import Quota
from schemas.relationships import ToMany, ToOne
from service.texts import Phrase

Action = Literal[
    "skip", "delay", "pause", "resume", "cancel", "approve", "reject", "manage", "pay", "order_now", "swap"
]
"""What a link is for: one thing that is done once, or the portal (`manage`), which is open until the link is over."""

OF_A_RUN: Final[frozenset[Action]] = frozenset({"skip", "delay", "approve", "reject", "pay", "order_now"})
"""What is done to one run."""

IN_DAYS: Final[frozenset[Action]] = frozenset({"delay", "pause"})
"""What is done for a number of days."""

ActionLinkState = Literal["live", "used", "revoked", "expired"]


def action_link_state(
    used_at: datetime | None, revoked_at: datetime | None, expires_at: datetime, at: datetime | None
) -> ActionLinkState:
    """What a link is good for at an instant: it works while it is `live`. Without an instant none is expired."""
    if used_at is not None:
        return "used"
    if revoked_at is not None:
        return "revoked"
    return "expired" if at is not None and expires_at <= at else "live"


def _url(action: str, id_: str, url_of: Callable[[str, str], str] | None) -> str | None:
    return None if url_of is None else url_of(action, id_)


class ActionLink(Standard):
    """A link for a mail or an SMS, with which a customer does one thing to a subscription without signing in.

    Opening it does nothing, however often mail scanners do so: its page says what will happen, and has a button.
    """

    action = Enum(
        *get_args(Action),
        write=Write.CREATE,
        required=True,
        filter=True,
        sort=True,
        doc="What it is for. `manage` opens the customer's portal of the subscription, until the link is over.",
    )
    url = Derived(
        "action",
        "id",
        function=_url,
        json_type={"type": "string", "format": "uri"},
        given="action_url",
        secret=True,
        doc="What the customer gets: whoever has it can do this one thing.",
    )
    state = Derived(
        "used_at",
        "revoked_at",
        "expires_at",
        function=action_link_state,
        json_type={"type": "string", "enum": [*get_args(ActionLinkState), None]},
        given="at",
        doc="`live` while it works.",
    )
    occurrence_index = Integer(
        minimum=1,
        write=Write.CREATE,
        doc="Which run it is about, for `skip`, `delay` and `order_now` the next one by default, for `approve` and"
        " `reject` the one that is held, for `pay` the oldest unpaid one. Null for what is done to the subscription,"
        " and for `pay` of an extra run.",
    )
    days = Integer(
        minimum=1,
        maximum=365,
        write=Write.CREATE,
        doc="For how many days it delays the run (7 by default) or pauses the subscription (30). Null for all others.",
    )
    sku_code = Text(
        write=Write.CREATE,
        max_length=255,
        harmless=True,
        doc="Which item `swap` is about, by the code of its sku: the only one by default. Null for all others.",
    )
    swap_sku_code = Text(
        write=Write.CREATE,
        max_length=255,
        harmless=True,
        doc="The code of the sku that `swap` orders in its place; null for all others.",
    )
    expires_at = Timestamp(
        write=Write.CREATE,
        nullable=False,
        filter=True,
        sort=True,
        doc="Until when it works: for 30 days by default, for 90 at most.",
    )
    used_at = Timestamp(filter=True, sort=True, doc="When it was done. A link of `manage` isn't used up.")
    revoked_at = Timestamp(filter=True, sort=True, doc="Since when it does nothing any more.")
    _revoke = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Ends it for good.")

    order_subscription = ToOne("order_subscriptions", write=Write.CREATE, required=True, doc="What it is done to.")
    order = ToOne(
        "orders",
        write=Write.CREATE,
        doc="What `pay` pays, that of an extra run too: the oldest unpaid one by default. Null for all others.",
    )
    events = ToMany("events", via="resource_id", where={"resource_type": "action_links"}, includable=False)

    class Meta:
        type_ = "action_links"
        owner = "order_subscription.customer"
        quota = Quota(
            1_000,
            "action links that were not used and not revoked",
            Phrase("revoke or delete links that are not needed any more"),
            {"used_at": (), "revoked_at": ()},
        )
