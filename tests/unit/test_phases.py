"""Which phase a run is in, against a list of all runs, and which shapes a phase can have."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from schemas.phases import check_phases
from service.rules.phases import phase_of, phases_of

percentages = st.integers(0, 10_000).map(lambda number: number / 100)
off = st.one_of(
    st.fixed_dictionaries({"percentage": percentages}),
    st.fixed_dictionaries({"amount_cents": st.integers(0, 10**12)}),
)
counted = st.tuples(st.integers(1, 6), off)


@st.composite
def lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Phases as clients send them."""
    found: list[dict[str, Any]] = [{"occurrences": runs, **less} for runs, less in draw(st.lists(counted, max_size=5))]
    if draw(st.booleans()):
        found.append({"occurrences": None, **draw(off)})
    return found


@given(lists(), st.integers(1, 40))
def test_a_run_is_in_the_phase_that_a_list_of_all_runs_has_for_it(sent: list[dict[str, Any]], run: int) -> None:
    check_phases(sent)
    one_by_one = [phase for phase in sent for _ in range(40 if phase["occurrences"] is None else phase["occurrences"])]
    expected = one_by_one[run - 1] if run <= len(one_by_one) else None
    found = phase_of(phases_of(orjson.dumps(sent)), run)
    if expected is None:
        assert found is None
        return
    assert found is not None
    percentage = expected.get("percentage")
    assert found.percentage == (None if percentage is None else Decimal(str(percentage)))
    assert found.amount_cents == expected.get("amount_cents")


@pytest.mark.parametrize(
    "phase",
    [
        {},
        None,
        [],
        {"percentage": 5},
        {"occurrences": 3},
        {"occurrences": 0, "percentage": 5},
        {"occurrences": 1001, "percentage": 5},
        {"occurrences": True, "percentage": 5},
        {"occurrences": 1.5, "percentage": 5},
        {"occurrences": "3", "percentage": 5},
        {"occurrences": 3, "percentage": 100.5},
        {"occurrences": 3, "percentage": -1},
        {"occurrences": 3, "percentage": 0.125},
        {"occurrences": 3, "percentage": "5"},
        {"occurrences": 3, "percentage": None},
        {"occurrences": 3, "percentage": True},
        {"occurrences": 3, "percentage": float("nan")},
        {"occurrences": 3, "amount_cents": -1},
        {"occurrences": 3, "amount_cents": 1.0},
        {"occurrences": 3, "percentage": 5, "amount_cents": 5},
        {"occurrences": 3, "percentage": 5, "name": "x"},
    ],
)
def test_what_is_no_phase_is_refused(phase: Any) -> None:
    fine = {"occurrences": 3, "percentage": 5}
    with pytest.raises(ValidationError, match="phase 2 must have"):
        check_phases([fine, phase, fine])


def test_only_the_last_goes_on_without_end_and_there_are_not_too_many() -> None:
    endless, counted = {"occurrences": None, "percentage": 5}, {"occurrences": 1, "percentage": 5}
    check_phases([counted, endless])
    with pytest.raises(ValidationError, match="phase 1 must have"):
        check_phases([endless, counted])
    check_phases([counted] * 20)
    with pytest.raises(ValidationError, match="at most 20 phases"):
        check_phases([counted] * 21)
