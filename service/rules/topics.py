"""Topics: the names that events can have, and what a webhook is told of that names one.

An event is called after the type of its resource and what happened to it: `orders.place`. Here stand all that there
are: those of the verbs follow from their tables, and every type is written; what happens besides is listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from schemas.graph import graph
from service.rules.verbs import MOVES, VERBS

ALL: Final = "*"

_WRITTEN: Final = "create update destroy"

_HAPPENS: Final[Mapping[str, str]] = {
    "action_links": f"{_WRITTEN} use",
    "carts": f"{_WRITTEN} convert abandon",
    "customer_payment_sources": f"{_WRITTEN} expiring",
    "events": "",
    "exports": f"{_WRITTEN} start complete fail",
    "imports": f"{_WRITTEN} start complete",
    "markets": "create",
    "occurrences": "create update reschedule",
    "order_copies": f"{_WRITTEN} start complete fail",
    "order_subscriptions": f"{_WRITTEN} renewal last_run_succeeded last_run_failed approval_required park end unpaid",
    "orders": f"{_WRITTEN} draft pending placing place void payment_failed cancel_subscriptions",
    "recurring_order_copies": f"{_WRITTEN} start complete fail abort",
    "reorders": "create",
    "stores": "create update adopt rotate_keys",
    "test_clocks": f"{_WRITTEN} ready",
    "webhooks": f"{_WRITTEN} stop",
}
"""Type -> what happens to its resources besides verbs, where that is more or less than being written."""


_SILENT: Final = frozenset(
    {
        "event_callbacks", "event_stores", "order_factories", "refused_authentications", "reorder_outcomes", "tokens",
    }
)  # fmt: skip
"""Types of which no event tells: what happens to them is told of what they are a part or a view of."""


def topics_of(type_: str) -> tuple[str, ...]:
    """The last parts of all topics of a type; none where there is no such type, or no event tells of it."""
    if type_ not in graph or type_ in _SILENT:
        return ()
    verbs = VERBS.get(type_, {}).values()
    return tuple(dict.fromkeys([*_HAPPENS.get(type_, _WRITTEN).split(), *(verb.event for verb in verbs)]))


TOPICS: Final[Mapping[str, tuple[str, ...]]] = {type_: words for type_ in sorted(graph) if (words := topics_of(type_))}
"""Type -> the last parts of all its topics."""

NAMES: Final = frozenset(f"{type_}.{word}" for type_, words in TOPICS.items() for word in words)
"""The name of every event that there can be, of the types that there are from the start."""


def is_event(name: str) -> bool:
    """Whether an event can have this name."""
    if name in NAMES:
        return True
    type_, _, word = name.partition(".")
    return word in topics_of(type_)


def _leads_to() -> Mapping[str, Mapping[str, str]]:
    """Follow the tables: the statuses that the events of verbs and moves lead from and to."""
    edges: dict[str, tuple[set[str], set[str]]] = {}
    for type_ in TOPICS:
        table = table_of(type_)
        known = [
            *((verb.event, verb.sources, verb.target) for verb in VERBS.get(type_, {}).values() if verb.target),
            *((move.event, {move.source}, move.target) for move in MOVES.get(table, ()) if move.event),
        ]
        for word, sources, target in known:
            before, after = edges.setdefault(f"{type_}.{word}", (set(), set()))
            before |= sources - {target}
            after.add(target)
    return {
        name: ({"from": next(iter(before))} if len(before) == 1 else {}) | {"to": next(iter(after))}
        for name, (before, after) in edges.items()
        if len(after) == 1 and name.partition(".")[0] not in _HEALTH
    }


def table_of(type_: str) -> str:
    """Return the type whose table has the statuses of a type."""
    return _TABLES.get(type_, type_)


_TABLES: Final = {"recurring_order_copies": "order_factories", "order_copies": "order_factories"}
"""Types whose statuses stand in the table of another."""
_HEALTH: Final = frozenset({"webhooks", "repeat_links", "action_links"})
"""Types whose standing has another name than status."""

LEADS_TO: Final[Mapping[str, Mapping[str, str]]] = _leads_to()
"""Event -> the status that it leads to, and the one that it comes from, where it comes from one alone."""


def is_known(topic: str) -> bool:
    """Whether a webhook can have a topic: the name of an event, `<type>.*`, or `*`."""
    return topic in NAMES or topic == ALL or topic.removesuffix(".*") in TOPICS.keys() - {topic}


@cache
def all_known() -> tuple[str, ...]:
    """All topics that a webhook can have, in alphabetical order."""
    return tuple(sorted({ALL, *NAMES, *(f"{type_}.*" for type_ in TOPICS)}))


@cache
def telling_of(name: str) -> frozenset[str]:
    """Return the topics that tell of an event."""
    return frozenset({ALL, f"{name.partition('.')[0]}.*", name})


def types(topic: str) -> tuple[str, ...]:
    """Return the types whose resources a topic tells of."""
    return tuple(TOPICS) if topic == ALL else (topic.partition(".")[0],)
