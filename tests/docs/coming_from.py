"""`make docs`: docs/reference/coming-from.md, what other services' operations are here, from the table of the tests."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from tests.coming_from.table import Operation, Recipe, Service, Step, recipes, services, topics
from tests.docs.resources import table

_HEAD = """# Coming from another service

Which request does what an operation of your present service did, or why none does: {mapped} of the {every} operations
that concern subscriptions have one. [Requests](#requests) shows them in full; tests send each to a service with the
demo shop.

| there | here |
|---|---|
| subscription contract, recurring order | `order_subscriptions` |
| billing cycle, cycle, charge | `occurrences`: a date of a subscription, and what became of it |
| billing attempt | `recurring_order_copies`: how the order of a date was made, or why it wasn't |
| line, subscription item | `order_subscription_items` |
| selling plan, plan, recurrence policy | `subscription_models` |
| payment method | `customer_payment_sources` |

The exports of [Shopify](../how-to/move-from-shopify.md), [WooCommerce](../how-to/move-from-woocommerce.md),
[Ecwid](../how-to/move-from-ecwid.md) and [Commerce Layer](../how-to/move-from-commerce-layer.md) bring your history
along. Clients of Commerce Layer need no table: [their requests](../how-to/use-a-client.md) are the same here.
"""

_REQUESTS = """
## Requests

The customer's own token will do, or that of an integration, unless it says otherwise. What stands in braces is yours:
ids, names, and instants such as `2027-03-01T09:00:00Z`. Bodies are sent as `application/vnd.api+json`, those to
`/api/operations` as [Atomic operations](atomic-operations.md) says. `allow_duplicate` is there because the demo's
customer has such a subscription already.
"""

_WIDE = 72
"""How many characters a line of a body may have."""


def page() -> str:
    """The page."""
    return "".join(_parts()).rstrip() + "\n"


def _parts() -> Iterator[str]:
    found = services().values()
    yield _HEAD.format(mapped=sum(one.mapped for one in found), every=sum(len(one.ours) for one in found))
    for service in found:
        yield f"\n## {service.title}\n\n{service.about} {service.mapped} of {len(service.ours)} have a request here.\n"
        yield f"\nThe names are {service.read}, in {service.source}, {service.version}.\n\n"
        rows = ((f"`{name}`", *_told(one)) for name, one in service.ours.items())
        yield "\n".join(table(("operation", "here", "remark"), rows))
        yield from _outside(service)
    yield _REQUESTS
    for title, recipe in recipes().items():
        yield from _shown(title, recipe)


def _told(operation: Operation) -> tuple[str, str]:
    links = (f"[{title}](#{_anchor(title)})" for title in operation.recipes)
    return ", ".join(links) or "none", operation.remark


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _outside(service: Service) -> Iterator[str]:
    """The operations that don't concern subscriptions, by what they are about."""
    found = {
        topic: [f"`{name}`" for name, one in service.operations.items() if one.outside == topic] for topic in topics()
    }
    if any(found.values()):
        yield "\nThese don't concern subscriptions, and aren't counted:\n\n"
        yield from (
            f"- **{topic.capitalize()}.** {topics()[topic]} {', '.join(names)}\n"
            for topic, names in found.items()
            if names
        )


def _shown(title: str, recipe: Recipe) -> Iterator[str]:
    yield f"\n### {title}\n"
    if recipe.shop:
        yield "\nWith the token of an integration:\n"
    for step in recipe.steps:
        yield f"\n```http\n{step.method} {step.path}{_body(step)}\n```\n"


def _body(step: Step) -> str:
    return "" if step.document is None else f"\n\n{_json(step.document, 0)}"


def _json(value: Any, depth: int) -> str:
    """JSON in lines of a bearable length: what fits stands on one."""
    whole = json.dumps(value, ensure_ascii=False)
    if len(whole) + depth <= _WIDE or not isinstance(value, dict | list):
        return whole
    opened, closed = ("{", "}") if isinstance(value, dict) else ("[", "]")
    parts = (
        [f"{json.dumps(name)}: {_json(inner, depth + 2)}" for name, inner in value.items()]
        if isinstance(value, dict)
        else [_json(inner, depth + 2) for inner in value]
    )
    inside = ",\n".join(" " * (depth + 2) + part for part in parts)
    return f"{opened}\n{inside}\n{' ' * depth}{closed}"


if __name__ == "__main__":
    sys.stdout.write(page())
