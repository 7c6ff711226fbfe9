"""The retry ladder: which ones there are, and when the next attempt is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.rules.ladders import DEFAULT, is_ladder, retry_at

AT = datetime(2026, 1, 31, 9, tzinfo=UTC)


def test_each_refusal_is_followed_by_the_next_step_until_there_is_none() -> None:
    assert [retry_at([2, 5], refusals, AT) for refusals in (1, 2, 3)] == [
        AT + timedelta(hours=2),
        AT + timedelta(hours=5),
        None,
    ]
    assert retry_at([], 1, AT) is None


def test_a_store_that_does_not_say_has_the_default() -> None:
    steps = [retry_at(None, refusals, AT) for refusals in range(1, len(DEFAULT) + 2)]
    assert steps == [*(AT + timedelta(hours=hours) for hours in DEFAULT), None]


@pytest.mark.parametrize("value", [[], [1], [720] * 10, list(DEFAULT)])
def test_ladders(value: Any) -> None:
    assert is_ladder(value)


@pytest.mark.parametrize("value", [None, 24, "1, 2", {}, [0], [721], [1.5], [True], ["1"], [None], [-1], [1] * 11])
def test_no_ladders(value: Any) -> None:
    assert not is_ladder(value)
