"""What the tools take and what they answer: JSON Schemas are made from these, and told to assistants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.kinds import ID
from schemas.kinds.money import format_amount

Id = Annotated[str, Field(pattern=f"^{ID.pattern}$")]


class Taken(BaseModel):
    """Arguments of a tool; names that it doesn't know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answered(BaseModel):
    """What a tool answers."""

    model_config = ConfigDict(frozen=True)


class Doing(Taken):
    """Arguments of a tool that changes something."""

    idempotency_key: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="A text of your own for this call. The same call again with the same key has no second effect.",
    )


class Nothing(Taken):
    """No arguments."""


class Page(Taken):
    """How many to list."""

    limit: int = Field(10, ge=1, le=50, description="How many to list at most.")


class ChosenLine(Taken):
    """A line of the order that is wanted."""

    line_item_id: Id = Field(description="The line, as `preview_reorder` names it.")
    quantity: int | None = Field(None, ge=1, le=1_000_000, description="How many pieces; as in the order if left out.")


class Repeat(Taken):
    """Which order to repeat, and how much of it."""

    order_id: Id = Field(description="The order, as `list_past_orders` names it.")
    lines: Annotated[Sequence[ChosenLine], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="The lines that are wanted; all of them if left out."
    )

    def chosen(self) -> list[dict[str, object]] | None:
        """Return the lines as a reorder takes them; None for all."""
        return None if self.lines is None else [line.model_dump(exclude_none=True) for line in self.lines]


class Reorder(Repeat, Doing):
    """An order to repeat now."""

    expected_digest: str | None = Field(
        None,
        max_length=200,
        description="The `digest` of the preview that the customer agreed to: nothing is done if it comes to another.",
    )


class Money(Answered):
    """An amount: in minor units, and as people write it."""

    amount_cents: int = Field(description="In minor units: cents of EUR, yen of JPY.")
    currency_code: str
    formatted: str

    @classmethod
    def of(cls, cents: int, currency: str, locale: str) -> Money:
        """Return an amount as people of a locale write it."""
        return cls(amount_cents=cents, currency_code=currency, formatted=format_amount(cents, currency, locale) or "")


class Product(Answered):
    """A product and how many pieces of it."""

    name: str
    quantity: int


class PastOrder(Answered):
    """An order that the customer placed."""

    id: str
    code: str = Field(description="What the shop and the customer call it.")
    placed_at: str
    total: Money = Field(description="What it came to then.")
    products: Sequence[Product]


class PastOrders(Answered):
    """Orders, the latest first."""

    orders: Sequence[PastOrder]


class Outcome(Answered):
    """What becomes of a line of the order."""

    line_item_id: str
    name: str
    status: str = Field(
        description="`added`, `adjusted` (another quantity, or put into a line there), or `skipped` (it can't be had)."
    )
    code: str | None = Field(description="Why it is not added as it was; null where it is.")
    detail: str | None = Field(description="The same in words for the customer.")
    requested_quantity: int
    resulting_quantity: int = Field(description="How many pieces are added to the cart.")
    price_then: Money = Field(description="One piece, in the order that is repeated.")
    price_now: Money | None = Field(description="One piece today; null where it has no price in that currency.")


class Preview(Answered):
    """What repeating an order would come to."""

    digest: str = Field(description="Send it as `expected_digest` of `reorder`, so that nothing else is done.")
    lines: Sequence[Outcome]
    cart_total: Money | None = Field(description="What the cart would come to in all; null where nothing can be had.")


class Reordered(Answered):
    """What repeating an order has put into the cart."""

    reorder_id: str
    cart_id: str | None = Field(description="The customer's cart; null where no line can be had.")
    checkout_url: str | None = Field(description="Where the customer looks at the cart and pays. Nothing is paid yet.")
    lines: Sequence[Outcome]
    cart_total: Money | None
