"""The tables of verbs, the Schemas and the database know the same statuses and triggers."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from schemas.action_links import ActionLinkState
from schemas.graph import graph
from schemas.repeating import LinkState
from service.resources import RESOURCES
from service.rules import verbs
from service.store.pool import Connection

DERIVED = {"action_links": ActionLinkState, "repeat_links": LinkState}
"""Links, whose states follow from other columns."""
TYPES = sorted(verbs.MOVES.keys() - DERIVED.keys())


@pytest.mark.parametrize("type_", TYPES)
async def test_the_tables_lead_to_the_statuses_that_the_database_takes(connection: Connection, type_: str) -> None:
    definition = await connection.fetchval(
        """
        select pg_get_constraintdef(oid) from pg_constraint
        where conrelid = $1::regclass and conname ~ '_have_a_known_(status|health)$'
        """,
        graph[type_].table,
    )
    taken = set(re.findall(r"'([a-z_]+)'::text", definition))
    assert set(verbs.transitions(type_)) == taken
    for verb in verbs.VERBS.get(type_, {}).values():
        assert _named(verb) <= taken


@pytest.mark.parametrize("type_", DERIVED)
def test_so_do_those_of_links_whose_states_are_in_no_column(type_: str) -> None:
    states = set(get_args(DERIVED[type_]))
    assert verbs.transitions(type_).keys() <= states
    for verb in verbs.VERBS[type_].values():
        assert _named(verb) <= states


def _named(verb: verbs.Verb) -> set[str]:
    """Every status that a row names."""
    target = {verb.target} if verb.target else set()
    return {*verb.sources, *target, *verb.settled, *verb.passing, *verb.lacking, *verb.only}


def test_a_trigger_without_a_row_keeps_the_service_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    triggers = {type_: dict(resource.triggers) for type_, resource in graph.items()}
    effects = {type_: entry.update.effects for type_, entry in RESOURCES.items() if entry.update is not None}
    verbs.check(triggers, effects)
    triggers["occurrences"]["_postpone"] = triggers["occurrences"]["_skip"]
    with pytest.raises(TypeError, match="occurrences: _postpone has no row"):
        verbs.check(triggers, effects)
    del triggers["occurrences"]["_postpone"], triggers["occurrences"]["_skip"]
    with pytest.raises(TypeError, match=r"occurrences: .* has _skip, its Schema has not"):
        verbs.check(triggers, effects)
    guarded = graph["orders"].triggers["_approve"]
    monkeypatch.setitem(graph["orders"].triggers, "_cancel", guarded)
    with pytest.raises(TypeError, match="orders: _cancel is for integrations only"):
        verbs.check({"orders": graph["orders"].triggers}, effects)


def test_so_does_a_row_whose_writer_has_no_effect() -> None:
    triggers = {"test_clocks": graph["test_clocks"].triggers}
    verbs.check(triggers, {"test_clocks": {"advance_to"}})
    for effects in ({}, {"test_clocks": {"advance_to", "stop"}}):
        with pytest.raises(TypeError, match=r"test_clocks: of .* either the row or the writer's effect is missing"):
            verbs.check(triggers, effects)
