"""The requests that the demo shop shows beside its pages: what a shop's own frontend or backend sends for the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from schemas.kinds import render_timestamp
from service.demo.load import STORE
from service.operations.subscriptions.overviews import Coming
from service.operations.subscriptions.swaps import Choice, Item
from service.texts import Phrase

_JSON = "application/vnd.api+json"
CUSTOMER, SHOP = "CUSTOMER", "SECRET"
"""The variables of a shell that hold the tokens of the customer and of the shop's backend."""
STOCK_POLICY: Final = "partial"
"""What the demo shop does where less is in stock than was ordered."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A request to copy into a shell, and what it is for; `$SECRET` and `$CUSTOMER` are the demo's tokens."""

    title: Phrase
    command: str


def of_home(api: str, customer_id: str) -> list[Shown]:
    """What lists orders and subscriptions."""
    chosen = "filter[status]=placed,approved&sort=-placed_at&include=line_items"
    return [
        Shown(Phrase("The past orders of a customer"), _get(f"{api}/customers/{customer_id}/orders?{chosen}")),
        Shown(Phrase("The subscriptions of a customer"), _get(f"{api}/order_subscriptions?filter[status]=active")),
    ]


def of_order(api: str, order_id: str, lines: Sequence[object] | None, digest: str) -> list[Shown]:
    """What previews the repetition of an order, some lines of it or all (None), and carries it out."""
    attributes = {"stock_policy": STOCK_POLICY} | ({} if lines is None else {"lines": list(lines)})
    source = {"source_order": {"data": {"type": "orders", "id": order_id}}}
    held = {**attributes, "expected_digest": digest}
    return [
        Shown(
            Phrase("What would it come to?"),
            _with(f'curl -s "{api}/reorder_previews"', {"type": "reorder_previews"}, attributes, source),
        ),
        Shown(
            Phrase("Put it into the cart, as it was shown"),
            _with(f'curl -s "{api}/reorders"', {"type": "reorders"}, held, source),
        ),
    ]


def of_link(origin: str, code: str) -> Shown:
    """What hands out the link of an order."""
    return Shown(Phrase("The link of the order"), _get(f"{origin}/api/v3/{STORE}/orders/{code}/repeatURL", SHOP))


def of_cart(api: str) -> list[Shown]:
    """What shows the cart."""
    return [Shown(Phrase("The customer's cart"), _get(f"{api}/carts?filter[status]=active&include=cart_items"))]


def of_runs(api: str, subscription_id: str, first: Coming | None, later: str | None) -> list[Shown]:
    """What shows the calendar of a subscription, skips its first run, and moves it to a later instant."""
    shown = [Shown(Phrase("The runs to come"), _get(f"{api}/order_subscriptions/{subscription_id}/forecast"))]
    if first is not None and first.id is not None:
        patch = f'curl -s -X PATCH "{api}/occurrences/{first.id}"'
        run = {"type": "occurrences", "id": first.id}
        shown += [
            Shown(Phrase("Skip a run"), _with(patch, run, {"_skip": True})),
            Shown(Phrase("Move a run"), _with(patch, run, {"scheduled_at": later})),
        ]
    return shown


def of_changes(api: str, subscription_id: str, items: Sequence[Item], products: Sequence[Choice]) -> list[Shown]:
    """What has a product come along once, previews a swap, orders the next run now, and makes a link to the portal."""
    of = {"order_subscription": {"data": {"type": "order_subscriptions", "id": subscription_id}}}
    shown: list[Shown] = []
    if products:
        once = {"sku_code": products[0].sku_code, "quantity": 1}
        add = _with(f'curl -s "{api}/occurrence_items"', {"type": "occurrence_items"}, once, of)
        shown.append(Shown(Phrase("Add a product to the next run"), add))
    for item in [item for item in items if item.choices][:1]:
        line = {"subject": {"data": {"type": "order_subscription_items", "id": item.id}}}
        swap = {"_swap": item.choices[0].sku_code}
        look = _with(f'curl -s "{api}/subscription_previews"', {"type": "subscription_previews"}, swap, line)
        shown.append(Shown(Phrase("What would a swap lead to?"), look))
    now = _with(
        f'curl -s -X PATCH "{api}/order_subscriptions/{subscription_id}"',
        {"type": "order_subscriptions", "id": subscription_id},
        {"_order_next_now": True},
    )
    portal = _with(f'curl -s "{api}/action_links"', {"type": "action_links"}, {"action": "manage"}, of)
    return [*shown, Shown(Phrase("Order the next run now"), now), Shown(Phrase("A link to the portal"), portal)]


def of_time(api: str, clock_id: str | None, start: datetime, to: datetime) -> list[Shown]:
    """What lets time pass until an instant; for a store on no test clock (None), what puts it on one from `start`."""
    # A new name each time: the clock of an earlier visit may still be there.
    id_ = clock_id or f"clock-{start:%Y%m%d-%H%M%S}"
    clock = {"type": "test_clocks", "id": id_}
    store = {"type": "stores", "id": str(STORE)}
    begun = [
        Shown(
            Phrase("Make a test clock"),
            _with(f'curl -s "{api}/test_clocks"', clock, {"frozen_at": render_timestamp(start)}, token=SHOP),
        ),
        Shown(
            Phrase("Put the store on it"),
            _with(f'curl -s -X PATCH "{api}/stores/{STORE}"', store, {}, {"test_clock": {"data": clock}}, token=SHOP),
        ),
    ]
    later = {"_advance_to": render_timestamp(to)}
    passing = _with(f'curl -s -X PATCH "{api}/test_clocks/{id_}"', clock, later, token=SHOP)
    return [*(begun if clock_id is None else []), Shown(Phrase("Let time pass"), passing)]


def _get(url: str, token: str = CUSTOMER) -> str:
    return f'curl -s -g "{url}" \\\n  -H "Authorization: Bearer ${token}"'


def _with(
    command: str,
    data: Mapping[str, object],
    attributes: Mapping[str, object],
    relationships: Mapping[str, object] | None = None,
    *,
    token: str = CUSTOMER,
) -> str:
    """A command with a document; parts of it that say nothing are left out."""
    parts = {"attributes": attributes, "relationships": relationships}
    document = {"data": {**data, **{name: part for name, part in parts.items() if part}}}
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    headers = f'-H "Authorization: Bearer ${token}" \\\n  -H "Content-Type: {_JSON}"'
    return f"{command} \\\n  {headers} \\\n  -d '{body}'"
