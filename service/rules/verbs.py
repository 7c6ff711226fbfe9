"""What can be done to a resource: the verbs of each type, as tables.

A verb is a trigger of its Schema without the underscore: from which statuses it leads to which, who may say it, what it
does and which event tells of it. What the service does by itself is a `Move`. The statuses of a type are those that its
column is allowed to hold; `docs/reference/states.md` shows them. A trigger without a row here keeps the service from
starting (`check`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, get_args

Who = Literal["guests", "customers", "integrations"]
"""Who says a verb: whoever has the session of a cart, a customer, or the shop."""

_RANKS: Final[tuple[Who, ...]] = get_args(Who)


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: the statuses from which it is done, the one that it leads to (None: it stays), and what it does.

    A type without statuses has none of them. `event` is the last part of the event's name. `who` and all after them in
    `Who` may say it; `only` names statuses in which fewer may. In a status of `settled` all is as the verb would leave
    it, so it does nothing. A status of `passing` passes by itself: the sender tries again. In a status of `lacking`
    it is refused by what is missing, which leads out of the status.
    """

    sources: frozenset[str]
    target: str | None
    effect: str
    event: str
    who: Who = "customers"
    settled: frozenset[str] = frozenset()
    passing: frozenset[str] = frozenset()
    lacking: frozenset[str] = frozenset()
    only: Mapping[str, Who] = field(default_factory=dict)

    def needs(self, status: str | None) -> Who:
        """Return who it takes, at least, to say it in a status."""
        return self.only.get(status or "", self.who)

    def is_for(self, who: Who, status: str | None) -> bool:
        """Whether somebody may say it in a status."""
        return _RANKS.index(who) >= _RANKS.index(self.needs(status))


@dataclass(frozen=True, slots=True)
class Move:
    """A change of status that the service makes by itself, and when it does so; `event` tells of it, if one does."""

    source: str
    target: str
    when: str
    event: str = ""


def _verb(
    sources: str,
    target: str | None,
    effect: str,
    event: str,
    who: Who = "customers",
    *,
    settled: str = "",
    passing: str = "",
    lacking: str = "",
    only: Mapping[str, Who] | None = None,
) -> Verb:
    return Verb(
        frozenset(sources.split()),
        target,
        effect,
        event,
        who,
        frozenset(settled.split()),
        frozenset(passing.split()),
        frozenset(lacking.split()),
        only or {},
    )


VERBS: Final[Mapping[str, Mapping[str, Verb]]] = {
    "api_clients": {
        "rotate_secret": _verb(
            "", None, "Give it another secret; for a while the one so far works as well.", "rotate", "integrations"
        ),
        "revoke": _verb("", None, "End it, and all its tokens.", "revoke", "integrations"),
    },
    "issuers": {"revoke": _verb("", None, "End all tokens that it has issued.", "revoke", "integrations")},
    "access_tokens": {"revoke": _verb("", None, "End it, in every process.", "revoke", "integrations")},
    "orders": {
        "place": _verb(
            "pending placing",
            "placed",
            "Check everything, take the stock, ask the gateway.",
            "place",
            "guests",
            settled="placed approved",
            lacking="draft",
        ),
        "cancel": _verb(
            "draft pending placed approved",
            "cancelled",
            "End it, and give its stock back.",
            "cancel",
            "guests",
            settled="cancelled",
            passing="placing",
            only={"placed": "customers", "approved": "integrations"},
        ),
        "approve": _verb("placed", "approved", "Accept it.", "approve", "integrations", settled="approved"),
        "refresh_prices": _verb("draft pending", None, "Take today's prices over.", "update", "guests"),
        "create_subscriptions": _verb(
            "placed approved", None, "Make the subscriptions that its lines ask for.", "create_subscriptions"
        ),
    },
    "order_subscriptions": {
        "activate": _verb(
            "draft inactive", "active", "Begin, or go on after a deactivation.", "activate", settled="active"
        ),
        "deactivate": _verb(
            "active", "inactive", "Stop until it is activated again.", "deactivate", settled="inactive"
        ),
        "cancel": _verb("draft active inactive", "cancelled", "Stop for good.", "cancel", settled="cancelled"),
        "unpark": _verb("active inactive", None, "Take it into the schedule again.", "unpark", "integrations"),
        "pause_until": _verb("active inactive", None, "Leave out all runs before an instant.", "pause_until"),
        "resume": _verb("active inactive", None, "End the pause now.", "resume"),
        "skip_next": _verb("active inactive", None, "Leave the next run out.", "skip_next"),
        "delay": _verb("active inactive", None, "Put the next run off.", "delay"),
        "order_next_now": _verb("active", None, "Order the next run now, in place of its date.", "order_next_now"),
        "run_now": _verb("active inactive", None, "Run once at once, outside of the schedule.", "run_now"),
    },
    "occurrences": {
        "skip": _verb("planned", "skipped", "Leave it out.", "skip", settled="skipped"),
        "unskip": _verb("skipped", "planned", "Let it run after all.", "unskip", settled="planned"),
        "approve": _verb("held", "due", "Let it run at what it was held at.", "approve"),
        "reject": _verb("held", "skipped", "Leave it out, since it costs too much.", "reject"),
        "retry": _verb("failed", "due", "Run it again at once.", "retry"),
        "commit": _verb("planned skipped", None, "Put the drafts of its contents into force.", "commit"),
    },
    "order_subscription_items": {
        "reprice": _verb("", None, "Take today's price over.", "update", "integrations"),
        "unswap": _verb("", None, "Take back a swap that is still to come.", "unswap"),
        "swap": _verb("", None, "Order another sku in its place, at once or from a run on.", "swap"),
    },
    "customers": {"erase": _verb("", None, "Forget who it was.", "erase", "integrations")},
    "repeat_links": {
        "revoke": _verb("live expired used_up", "revoked", "Make it work no more.", "revoke"),
        "rotate": _verb("live expired used_up", None, "Give it another URL.", "rotate"),
    },
    "action_links": {
        "revoke": _verb("live expired", "revoked", "Make it work no more.", "revoke", settled="revoked used"),
    },
    "webhooks": {
        "enable": _verb(
            "disabled",
            "healthy",
            "Tell it of events again.",
            "enable",
            "integrations",
            settled="healthy failing stopped",
        ),
        "disable": _verb(
            "healthy failing stopped",
            "disabled",
            "Tell it of no more events.",
            "disable",
            "integrations",
            settled="disabled",
        ),
        "reset_circuit": _verb(
            "failing stopped",
            "healthy",
            "Count failures from 0, and send what waits.",
            "reset_circuit",
            "integrations",
            settled="healthy disabled",
        ),
        "rotate_secret": _verb(
            "", None, "Give it another secret; for a day the one so far signs as well.", "rotate_secret", "integrations"
        ),
        "test": _verb("healthy failing", None, "Send it an event, whatever its topics.", "test", "integrations"),
        "replay_since": _verb(
            "healthy failing stopped", None, "Send it the events of a time again.", "replay", "integrations"
        ),
    },
    "imports": {
        "interrupt": _verb(
            "pending in_progress",
            "interrupted",
            "End it: what was brought in stays.",
            "interrupt",
            "integrations",
            settled="interrupted completed",
        ),
    },
    "exports": {
        "start": _verb(
            "interrupted failed",
            "pending",
            "Begin it anew.",
            "restart",
            "integrations",
            settled="pending in_progress",
        ),
        "interrupt": _verb(
            "pending in_progress",
            "interrupted",
            "End it, without a file.",
            "interrupt",
            "integrations",
            settled="interrupted completed failed",
        ),
    },
    "events": {
        "trigger": _verb("", None, "Give it to the webhooks that want it, again.", "trigger", "integrations"),
    },
    "test_clocks": {
        "advance_to": _verb("ready", "advancing", "Go on to an instant.", "advance", "integrations"),
    },
}
"""Type -> verb -> what it does. Several that are sent together are done in this order."""

MOVES: Final[Mapping[str, tuple[Move, ...]]] = {
    "orders": (
        Move("draft", "pending", "it has a customer and a line", "pending"),
        Move("pending", "draft", "it has lost its customer, or its last line", "draft"),
        Move("pending", "placing", "its gateway is asked", "placing"),
        Move("placing", "placed", "it is paid", "place"),
        Move("placing", "pending", "its payment is refused", "pending"),
    ),
    "imports": (
        Move("pending", "in_progress", "a worker takes it up", "start"),
        Move("in_progress", "completed", "every record has been looked at", "complete"),
        Move("in_progress", "interrupted", "it can't be read to its end", "interrupt"),
    ),
    "exports": (
        Move("pending", "in_progress", "a worker takes it up", "start"),
        Move("in_progress", "completed", "every record is in the file", "complete"),
        Move("in_progress", "failed", "it can't be written", "fail"),
        Move("in_progress", "pending", "somebody was erased meanwhile"),
    ),
    "action_links": (Move("live", "used", "its page is submitted", "use"),),
    "order_subscriptions": (Move("draft", "active", "its source order is placed", "activate"),),
    "occurrences": (
        Move("planned", "due", "its time has come"),
        Move("planned", "skipped", "its time has come in a pause, after an end, or its subscription is cancelled"),
        Move("planned", "missed", "its time has come, and another is run for it"),
        Move("due", "claimed", "a worker takes it up"),
        Move("due", "skipped", "its subscription is cancelled"),
        Move("claimed", "completed", "its order is made"),
        Move("claimed", "failed", "its order can't be made"),
        Move("claimed", "held", "it would cost more than its subscription allows"),
        Move("claimed", "skipped", "its subscription is cancelled"),
        Move("held", "missed", "the next one comes up"),
        Move("held", "skipped", "its subscription is cancelled"),
    ),
    "order_factories": (
        Move("pending", "in_progress", "a worker takes it up", "start"),
        Move("in_progress", "pending", "the worker gives it back"),
        Move("in_progress", "completed", "its order is made", "complete"),
        Move("in_progress", "failed", "its order can't be made", "fail"),
        Move("in_progress", "aborted", "its order would cost more than its subscription allows", "abort"),
        Move("pending", "aborted", "its subscription is cancelled", "abort"),
    ),
    "carts": (
        Move("active", "converted", "an order is made of it", "convert"),
        Move("active", "abandoned", "another one takes its place, or its customer is forgotten", "abandon"),
    ),
    "test_clocks": (Move("advancing", "ready", "it has reached its goal", "ready"),),
    "webhooks": (
        Move("healthy", "failing", "an attempt has failed"),
        Move("failing", "healthy", "an attempt has succeeded"),
        Move("healthy", "stopped", "30 attempts in a row have failed"),
        Move("failing", "stopped", "30 attempts in a row have failed"),
        Move("healthy", "disabled", "it has answered 410"),
        Move("failing", "disabled", "it has answered 410"),
        Move("stopped", "disabled", "it has answered 410"),
    ),
}
"""Type -> what happens to its status without anybody saying so."""

WORDS: Final[Mapping[str, frozenset[str]]] = {
    "orders": frozenset(
        {
            "_payment_source_token",
            "_save_payment_source_to_customer_wallet",
            "_save_payment_source_to_order_subscription",
            "_due_amount_cents",
            "_repeat_link_factor",
        }
    ),
    "order_subscriptions": frozenset({"allow_duplicate", "_delay_unit", "expected_digest"}),
    "occurrences": frozenset({"expected_digest"}),
    "order_subscription_items": frozenset({"_swap_from", "expected_digest"}),
    "customer_payment_sources": frozenset({"payment_source_token", "customer_token"}),
    "imports": frozenset({"inputs"}),
    "stores": frozenset({"_gateway_secret"}),
    "api_clients": frozenset({"_overlap_seconds"}),
    "tokens": frozenset({"expires_in"}),
    "webhooks": frozenset({"_replay_until"}),
}
"""Type -> attributes that are sent and not kept, and no verbs: they say more of one, or of what is made."""

TAGGING: Final = frozenset({"_add_tags", "_remove_tags"})
"""The same, of every type with tags."""


def transitions(type_: str) -> Mapping[str, frozenset[str]]:
    """Status -> those that may follow, by a verb or by itself."""
    found: dict[str, set[str]] = {}
    for source, target, _ in edges(type_):
        found.setdefault(source, set()).add(target)
        found.setdefault(target, set())
    return {status: frozenset(after) for status, after in found.items()}


def edges(type_: str) -> Iterator[tuple[str, str, str]]:
    """Every change of a type's status: from, to, and the verb or when it happens."""
    for name, verb in VERBS.get(type_, {}).items():
        if verb.target is not None:
            yield from ((source, verb.target, f"_{name}") for source in sorted(verb.sources - {verb.target}))
    for move in MOVES.get(type_, ()):
        yield move.source, move.target, move.when


class Trigger(Protocol):
    """What a Schema says of a trigger."""

    @property
    def guarded(self) -> bool:
        """Whether only integrations may send it."""


def check(triggers: Mapping[str, Mapping[str, Trigger]], effects: Mapping[str, Collection[str]]) -> None:
    """Compare the tables with the triggers of each type's Schema, and with the effects that its writer has.

    Raises TypeError naming what doesn't fit.
    """
    for type_, declared in triggers.items():
        verbs = {f"_{name}": verb for name, verb in VERBS.get(type_, {}).items()}
        words = WORDS.get(type_, frozenset()) | TAGGING
        if missing := declared.keys() - verbs.keys() - words:
            raise TypeError(f"{type_}: {', '.join(sorted(missing))} has no row in service/rules/verbs.py.")
        if unknown := verbs.keys() - declared.keys():
            raise TypeError(f"{type_}: service/rules/verbs.py has {', '.join(sorted(unknown))}, its Schema has not.")
        if odd := VERBS.get(type_, {}).keys() ^ set(effects.get(type_, ())):
            raise TypeError(f"{type_}: of {', '.join(sorted(odd))} either the row or the writer's effect is missing.")
        for name, verb in verbs.items():
            if declared[name].guarded and verb.who != "integrations":
                raise TypeError(f"{type_}: {name} is for integrations only, service/rules/verbs.py says otherwise.")
