"""What the tools of subscriptions take and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from schemas.kinds.times import Unit
from service.http.agents.shapes import Answered, Doing, Id, Money, Page, Product, Taken

_SUBSCRIPTION = "The subscription, as `list_subscriptions` names it."
_LINE = "The line, as `show_subscription` and `list_upcoming_deliveries` name it."

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Code = Annotated[str, Field(min_length=1, max_length=255)]


class OneSubscription(Taken):
    """Which subscription is looked at."""

    subscription_id: Id = Field(description=_SUBSCRIPTION)


class OfSubscription(Page):
    """The deliveries of which subscription."""

    subscription_id: Id = Field(description=_SUBSCRIPTION)


class Delivery(Doing):
    """Which delivery of which subscription."""

    subscription_id: Id = Field(description=_SUBSCRIPTION)
    delivery: int = Field(ge=1, description="The `number` of the delivery, as `list_upcoming_deliveries` says it.")


class Move(Delivery):
    """To when a delivery is moved."""

    to: AwareDatetime = Field(description="When it is to happen: RFC 3339 with a time zone.")


class Contents(Delivery):
    """What is different about one delivery: a line of it, or a product that comes along."""

    line_id: Id | None = Field(None, description=f"{_LINE} Leave it out to add a product.")
    sku_code: Code | None = Field(
        None,
        description="The product that comes along once: one of `products_to_add`, or any other sku.",
    )
    quantity: int | None = Field(
        1,
        ge=0,
        le=9_999,
        description="How many come this time. 0 leaves a line out of this delivery; null lets it be as always again.",
    )


class Subscription(Doing):
    """Which subscription."""

    subscription_id: Id = Field(description=_SUBSCRIPTION)


class Pause(Subscription):
    """Until when a subscription pauses."""

    until: AwareDatetime = Field(description="When it goes on: RFC 3339 with a time zone, within two years.")


class Put(Subscription):
    """How far the next delivery is put off."""

    number: int = Field(ge=1, le=366, description="How many days, or deliveries.")
    unit: Literal["day", "delivery"] = Field(
        "day", description="What `number` counts: days, or deliveries that are passed over."
    )


class Swap(Taken):
    """Another product in the place of a line, from a delivery on, or in that one only."""

    line_id: Id = Field(description=_LINE)
    sku_code: Code = Field(
        description="The product that comes instead. `show_subscription` lists what suits; the line's own `sku_code`"
        " takes a swap back that begins later."
    )
    first_delivery: int | None = Field(
        None,
        ge=1,
        description="The `number` of the delivery with which it begins, as `list_upcoming_deliveries` says it; the next"
        " one if left out.",
    )
    only_then: bool = Field(
        False,  # noqa: FBT003 -- the default of a field
        description="Whether it is for `first_delivery` only. `change_delivery` takes that back: quantity null.",
    )


class Pieces(Taken):
    """How many of a line come with each delivery."""

    line_id: Id = Field(description=_LINE)
    quantity: int = Field(
        ge=1,
        le=9_999,
        description="How many. `cancel_subscription` ends all; `change_delivery` leaves a line out once.",
    )


class Interval(Taken):
    """How often it comes."""

    unit: Unit = Field(description="What is counted.")
    count: int = Field(1, ge=1, le=3650, description="Every how many of them.")
    weekdays: Annotated[Sequence[Weekday], Field(max_length=7)] = Field(
        (), description="For weeks: on which days; on the day of now if left out."
    )


class Rehearsed(Taken):
    """A change of every delivery to come: one of a swap, a quantity, an interval and a frequency."""

    subscription_id: Id = Field(description=_SUBSCRIPTION)
    swap: Swap | None = Field(None, description="Another product in the place of a line.")
    quantity: Pieces | None = Field(None, description="Another quantity of a line.")
    interval: Interval | None = Field(
        None, description="How often it is to come, where `show_subscription` lists no `frequencies`."
    )
    frequency: Code | None = Field(
        None, description="How often it is to come: one of the `frequencies` that `show_subscription` lists."
    )


class Changed(Rehearsed, Doing):
    """A change of every delivery to come, which the customer agreed to."""

    expected_digest: str | None = Field(
        None,
        max_length=64,
        description="The `digest` of the preview that the customer agreed to: nothing is done if it comes to another.",
    )


class Cancel(Subscription):
    """Why a subscription ends, and when."""

    after_next_delivery: bool = Field(
        False,  # noqa: FBT003 -- the default of a field
        description="Whether the next delivery still comes. `resume_subscription` takes it back until then.",
    )
    reason: str | None = Field(
        None, max_length=255, description="One of the `cancellation_reasons` that `show_subscription` lists."
    )
    comment: str | None = Field(None, max_length=2000, description="What the customer says to that in own words.")


class Confirm(Subscription):
    """What the customer is to confirm."""

    action: Literal["order_now", "pay", "approve"] = Field(
        description="`order_now` orders the next delivery at once, `pay` pays the oldest one that is not paid yet,"
        " `approve` agrees to one that is held since it would cost more."
    )


class DeliveredLine(Answered):
    """A line of a delivery."""

    line_id: str
    sku_code: str | None
    name: str
    quantity: int = Field(description="How many come this time; 0 where it is left out.")
    usual_quantity: int | None = Field(description="How many come at all other times; null where it comes along once.")
    unit_price: Money | None = Field(description="One piece; null where it can't be had or is left out.")


class Coming(Answered):
    """A run of a subscription."""

    number: int = Field(description="Which delivery of the subscription it is: to change it by.")
    scheduled_at: str
    status: str
    reason: str | None = Field(description="Why it is left out; null where it isn't.")
    can_be_changed: bool = Field(description="False where it is so near that the shop prepares it already.")
    lines: Sequence[DeliveredLine]
    total: Money | None = Field(description="What it comes to at today's prices; null where nothing is ordered.")
    is_paid: bool = Field(description="Whether an earlier delivery paid for it; `total` is what it costs beyond that.")
    for_later: Money | None = Field(description="How much of `total` pays for later deliveries; null for none.")


class Deliveries(Answered):
    """The next runs of a subscription, skipped ones too."""

    deliveries: Sequence[Coming]


class Subscribed(Answered):
    """A subscription."""

    id: str
    status: str
    frequency: str
    next_run_at: str | None
    products: Sequence[Product]


class Subscriptions(Answered):
    """The subscriptions that aren't cancelled."""

    subscriptions: Sequence[Subscribed]


class Choice(Answered):
    """A product that can be had."""

    sku_code: str
    name: str
    price: Money | None = Field(description="One piece today.")


class Line(Answered):
    """What a subscription orders each time."""

    line_id: str
    sku_code: str
    name: str
    quantity: int
    swapped_to: str | None = Field(description="The product that comes in its place later on.")
    swapped_from: int | None = Field(description="The `number` of the delivery from which on that is so.")
    swaps: Sequence[Choice] = Field(description="What the shop offers in its place.")


class Terms(Answered):
    """What the shop and the customer agreed on."""

    how_often: str
    frequencies: Sequence[str] | None = Field(
        description="All that it can be changed to; null where any `interval` can be had."
    )
    prices: Sequence[str] = Field(
        description="What deliveries cost less, phase by phase, and how many are paid for; empty where nothing is off."
    )
    min_deliveries: int | None = Field(description="How many there are at least; null where it can end at any time.")
    can_be_cancelled_from: str | None = Field(
        description="From when on the customer can cancel; null where that is now, or isn't known yet."
    )
    can_be_cancelled_now: bool
    cancellation_reasons: Sequence[str] = Field(description="What may be said to that, which nobody has to say.")


class Owed(Answered):
    """A delivery that is not paid yet."""

    scheduled_at: str
    amount: Money


class Shown(Answered):
    """A subscription with all that can be changed about it."""

    id: str
    status: str
    next_run_at: str | None
    paused_until: str | None
    ends_after_next_delivery: bool
    lines: Sequence[Line]
    terms: Terms
    unpaid: Sequence[Owed] = Field(description="`confirmation_link` leads to where the customer pays.")
    products_to_add: Sequence[Choice] = Field(description="What the customer had before, and could have along once.")


class Prospect(Answered):
    """What a change leads to."""

    digest: str = Field(description="Send it as `expected_digest` of the change, so that nothing else is done.")
    deliveries: Sequence[Coming] = Field(description="The next ones, as the change leaves them.")
    out_of_stock: Sequence[str] = Field(description="Codes of skus of which there are too few for the next delivery.")


class Confirmation(Answered):
    """Where the customer confirms something."""

    confirm_url: str = Field(
        description="Give it to the customer: the page says what will happen, and has the button. Nothing is ordered"
        " or paid before that."
    )
    expires_at: str


class Done(Answered):
    """What was changed, as it is now."""

    id: str
    status: str
    at: str | None = Field(description="When it happens next, or happens at all; null where it doesn't.")
