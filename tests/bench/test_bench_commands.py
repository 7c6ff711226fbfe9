"""Commands are measured, and the shortest loads little more than Python does."""

from __future__ import annotations

from tests.bench.commands import COMMANDS, measured


def test_each_command_costs_more_the_more_it_needs() -> None:
    least = measured(rounds=3)
    assert list(least) == list(COMMANDS)
    bare, version, token, serve = least.values()
    assert 0 < bare < version < token < serve
    assert version < serve / 3
