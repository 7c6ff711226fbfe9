"""When an event happens, in words: as the tables of verbs and moves have it, else as it stands here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from service.rules import topics
from service.rules.verbs import MOVES, VERBS

_WRITTEN: Final[Mapping[str, str]] = {
    "create": "One is made.",
    "update": "Attributes or relationships of one are changed.",
    "destroy": "One is deleted.",
}
"""What the events of writing tell."""

_BESIDES: Final[Mapping[str, str]] = {
    "customer_payment_sources.expiring": "It expires before the next run of a subscription that is paid with it.",
    "occurrences.reschedule": "One is moved to another instant.",
    "order_subscriptions.approval_required": "A run would cost more than `max_increase_percent` allows, and is held.",
    "order_subscriptions.end": "It has come to its end: `expires_at` is over, or `max_occurrences` are made.",
    "order_subscriptions.last_run_failed": "A run has failed; `payload` has the reasons.",
    "order_subscriptions.last_run_succeeded": "A run has made its order.",
    "order_subscriptions.park": "It leaves the schedule, since it ran too often or its calendar can't be read.",
    "order_subscriptions.renewal": "Its next run comes up: `renewal_alert_period` hours are left.",
    "order_subscriptions.unpaid": "The payment of a run has failed for the last time; `payload` has what follows.",
    "orders.cancel_subscriptions": "Its subscriptions are cancelled with it.",
    "orders.payment_failed": "A payment of it is refused; `payload` says whether it is asked for again, and when.",
    "orders.void": "Its payment is let go of.",
    "stores.adopt": "`reprise adopt` has made the database this installation's.",
    "stores.rotate_keys": "`reprise keys rotate` has another key sign the tokens of clients.",
    "webhooks.stop": "30 attempts in a row have failed, and its circuit opens.",
}
"""What other events tell that follow from no table."""


def when(name: str) -> str:
    """Return when an event happens: a sentence for each of its causes."""
    return " ".join(dict.fromkeys(_causes(name)))


def _causes(name: str) -> Iterator[str]:
    type_, _, word = name.partition(".")
    if name in _BESIDES:
        yield _BESIDES[name]
    if word in _WRITTEN:
        yield _WRITTEN[word]
    for verb_name, verb in VERBS.get(type_, {}).items():
        if verb.event == word and word not in _WRITTEN:
            yield f"`_{verb_name}` is sent: {verb.effect[0].lower()}{verb.effect[1:]}"
    for move in MOVES.get(topics.table_of(type_), ()):
        if move.event == word:
            yield f"{move.when[0].upper()}{move.when[1:]}."
