"""Webhooks: made with a secret, told of their topics, stopped and started, tested, and told again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final

from schemas.graph import graph
from schemas.kinds import render_timestamp
from service import clock
from service.errors import Forbidden, Invalid
from service.gateways.signing import new_secret
from service.jsonapi.nearness import nearest
from service.operations.generic.change import Change
from service.operations.generic.outside import check_url
from service.operations.generic.writing import Effect, Writer
from service.operations.webhooks import delivering, documents
from service.operations.webhooks.documents import leads_somewhere
from service.rules import deliveries, topics
from service.store.pool import Connection
from service.store.statements import Command, Values
from service.store.vault import vault_of
from service.store.write import Columns

_SECRET: Final = "webhooks.shared_secret"  # noqa: S105 -- a column
_LAST_TEST = Values("webhooks/webhooks.last_test", str)
_IN_RANGE = Values("webhooks/webhooks.in_range", str)
_GIVE = Command("webhooks/webhooks.give")
_WAKE = Command("webhooks/webhooks.wake")
_HASTEN = Command("webhooks/webhooks.hasten")

MOST_TOPICS: Final = 100
"""How many topics a webhook has at most."""
MOST_REPLAYED: Final = 10_000
"""How many events are sent again at once."""


async def _enabled(_: Change) -> Columns | None:
    return {"disabled_at": None, **_CLOSED}


async def _disabled(change: Change) -> Columns | None:
    return {"disabled_at": change.at}


async def _closed(change: Change) -> Columns | None:
    """Count failures from 0, if there are any."""
    return _CLOSED if change.value("circuit_failure_count") else None


_CLOSED: Final = {"circuit_state": "closed", "circuit_failure_count": 0}


async def _rotated(change: Change) -> Columns | None:
    """Let the secret so far sign for a day along with a new one."""
    so_far: str = change.before["shared_secret"]
    return {
        "shared_secret": new_secret(),
        "previous_secret": vault_of(change.connection).open(_SECRET, change.store.id, change.id, so_far),
        "previous_secret_expires_at": clock.now() + deliveries.OLD_SECRET,
    }


async def _tested(_: Change) -> Columns | None:
    return {}


async def _replayed(change: Change) -> Columns | None:
    """Take note of the events in the range, if they aren't too many."""
    since: datetime = change.draft.triggers["_replay_since"]
    until: datetime = change.draft.triggers.get("_replay_until", clock.LATEST)
    found = await _IN_RANGE(
        change.connection,
        store=change.store.id,
        webhook=change.id,
        since=since,
        until=until,
        most=MOST_REPLAYED + 1,
    )
    if len(found) > MOST_REPLAYED:
        change.problems.append(
            Invalid(
                "_replay_since - takes in more than {most} events: send _replay_until too",
                most=MOST_REPLAYED,
                pointer=change.draft.pointer("_replay_since"),
            )
        )
        return None
    change.kept["replayed"] = found
    change.said |= {"since": render_timestamp(since), "until": render_timestamp(until)}
    return {}


class Webhooks(Writer):
    """Webhooks. `scope_of` tells which scope it takes to read a type: nobody is told of what they may not read."""

    effects: ClassVar[Mapping[str, Effect]] = {
        "enable": _enabled,
        "disable": _disabled,
        "reset_circuit": _closed,
        "rotate_secret": _rotated,
        "test": _tested,
        "replay_since": _replayed,
    }

    def __init__(self, scope_of: Callable[[str], str | None]) -> None:
        self._scope_of = scope_of

    def status(self, change: Change) -> str | None:
        """Return how it stands."""
        health: str = change.value("health")
        return health

    async def validate(self, change: Change) -> None:
        """Settle the topics, and check them, what is sent along, and where to."""
        if change.new:
            change.columns |= {"shared_secret": new_secret(), "health": "healthy", "health_since": clock.now()}
        _settle_topics(change)
        if change.sets("topics", "include_resources") and change.value("topics"):
            _check_topics(change)
            self._check_scopes(change)
        check_url(change, "callback_url", events=True)

    async def before_write(self, change: Change) -> None:
        """Work out how it stands, and its name."""
        if change.new and change.value("name") is None:
            change.columns["name"] = f"Webhook {change.id}"
        circuit = deliveries.Circuit(
            change.value("circuit_failure_count") or 0,
            change.value("circuit_state") == "open",
            change.value("disabled_at") is not None,
        )
        if circuit.health != change.value("health"):
            change.columns |= {"health": circuit.health, "health_since": clock.now(), "health_reason": None}
        if change.sets("disabled_at") and circuit.is_disabled:
            change.columns["health_reason"] = "_disable"

    async def after_write(self, change: Change) -> None:
        """Begin to read events for a new one, and send what was asked for."""
        connection, store, at = change.connection, change.store, clock.now()
        told = {"store": store.id, "webhook": change.id}
        if change.new or "enable" in change.done:
            await delivering.begin(connection, store.id)
        if "test" in change.done:
            await give(connection, store.id, await _LAST_TEST(connection, **told), [change.id])
        if "replay_since" in change.done:
            await give(connection, store.id, change.kept["replayed"], [change.id])
        if {"reset_circuit", "enable"} & set(change.done):
            await _HASTEN(connection, **told, at=at)
            await _WAKE(connection, **told, at=at)

    def _check_scopes(self, change: Change) -> None:
        """Note the scopes that a token lacks to read what it wants to be told of."""
        told = documents.types_told(_known(change), change.value("include_resources") or ())
        needed = {scope for scope in map(self._scope_of, told) if scope is not None}
        if lacking := sorted(needed - change.principal.scopes):
            change.problems.append(
                Forbidden(
                    "The access token lacks the scope {scope}, which these topics take.",
                    scope=lacking[0],
                    pointer=change.draft.pointer("topics", "topic"),
                )
            )


async def give(connection: Connection, store_id: int, events: Sequence[str], webhooks: Sequence[str]) -> None:
    """Have webhooks told of events now, under the ids that these have, and again where they were told before."""
    await _GIVE(connection, store=store_id, events=events, webhooks=webhooks, at=clock.now())


def _settle_topics(change: Change) -> None:
    """Make `topic` the first of `topics`, whichever of them was sent; note when neither was, or they contradict."""
    sent, several = change.sets("topic"), change.sets("topics")
    first, all_ = change.value("topic"), change.value("topics")
    if several and all_:
        if sent and first != all_[0]:
            change.problems.append(
                Invalid("topic - must be the first of topics", pointer=change.draft.pointer("topic"))
            )
        change.columns["topic"] = all_[0]
    elif several or not first:
        name = "topics" if several else "topic"
        change.problems.append(Invalid("{name} - can't be blank", name=name, pointer=change.draft.pointer(name)))
    elif sent:
        change.columns["topics"] = [first]


def _known(change: Change) -> list[str]:
    """Those of its topics that exist."""
    return [topic for topic in change.value("topics") if topics.is_known(topic)]


def _check_topics(change: Change) -> None:
    """Note topics that don't exist, and what is to be sent along and leads nowhere."""
    pointer = change.draft.pointer("topics", "topic")
    wanted: list[str] = change.value("topics")
    if len(wanted) > MOST_TOPICS or len(set(wanted)) < len(wanted):
        change.problems.append(Invalid("topics - must be at most {most}, each once", most=MOST_TOPICS, pointer=pointer))
    known = _known(change)
    for topic in dict.fromkeys(wanted):
        if topic not in known:
            change.problems.append(
                Invalid(
                    "{topic} is no topic.", topic=topic, pointer=pointer, suggestion=nearest(topic, topics.all_known())
                )
            )
    resources = [graph[type_] for topic in known for type_ in topics.types(topic)]
    for path in change.value("include_resources") or ():
        if known and not any(leads_somewhere(resource, path) for resource in resources):
            change.problems.append(
                Invalid(
                    "include_resources - {path} leads nowhere from {types}",
                    path=path,
                    types=sorted({resource.type_ for resource in resources}),
                    pointer=change.draft.pointer("include_resources"),
                )
            )
