"""The tables of verbs, the Schemas and the database know the same statuses and triggers."""

from __future__ import annotations

import re

import pytest

import service.resources  # noqa: F401 -- declares the graph
from schemas.graph import graph
from service.rules import verbs
from service.store.pool import Connection

TYPES = sorted(verbs.MOVES)


@pytest.mark.parametrize("type_", TYPES)
async def test_the_tables_lead_to_the_statuses_that_the_database_takes(connection: Connection, type_: str) -> None:
    definition = await connection.fetchval(
        """
        select pg_get_constraintdef(oid) from pg_constraint
        where conrelid = $1::regclass and conname like '%_have_a_known_status'
        """,
        graph[type_].table,
    )
    taken = set(re.findall(r"'([a-z_]+)'::text", definition))
    assert set(verbs.transitions(type_)) == taken
    for verb in verbs.VERBS.get(type_, {}).values():
        assert verb.sources | ({verb.target} if verb.target else set()) <= taken


def test_a_trigger_without_a_row_keeps_the_service_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    triggers = {type_: dict(resource.triggers) for type_, resource in graph.items()}
    verbs.check(triggers)
    triggers["occurrences"]["_postpone"] = triggers["occurrences"]["_skip"]
    with pytest.raises(TypeError, match="occurrences: _postpone has no row"):
        verbs.check(triggers)
    del triggers["occurrences"]["_postpone"], triggers["occurrences"]["_skip"]
    with pytest.raises(TypeError, match=r"occurrences: .* has _skip, its Schema has not"):
        verbs.check(triggers)
    guarded = graph["orders"].triggers["_approve"]
    monkeypatch.setitem(graph["orders"].triggers, "_cancel", guarded)
    with pytest.raises(TypeError, match="orders: _cancel is for integrations only"):
        verbs.check({"orders": graph["orders"].triggers})
