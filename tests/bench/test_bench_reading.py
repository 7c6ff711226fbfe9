"""The short form of `make bench`: it runs, and both sides have something to say."""

from __future__ import annotations

from tests.bench import reading


def test_reading_is_measured_beside_the_floor() -> None:
    results = reading.measure(requests=160, rounds=1, orders=200)
    assert [result.case.name for result in results] == [case.name for case in reading.cases("", "")]
    assert all(result.floor > 0 and result.service > 0 for result in results)
