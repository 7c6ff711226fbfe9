"""The judge of histories judged: a history that can have been so, and each way in which one can't."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.histories import history
from tests.histories.history import Does, Operation, Outcome, Step
from tests.histories.judging import Kind, judge


def _did(number: float, *steps: Step, outcome: Outcome = Outcome.OK, last: bool = False, client: int = 1) -> Operation:
    """What was done in the second of this number."""
    return Operation(client, "something", number, number + 0.9, outcome, steps, last)


def _add(key: str, value: int | str) -> Step:
    return Step(Does.ADD, key, value)


def _read(key: str, value: int | str | tuple[str, ...] | None, version: int | None = None) -> Step:
    return Step(Does.READ, key, value, version)


def _write(key: str, value: str, version: int | None, based_on: int | None = None) -> Step:
    return Step(Does.WRITE, key, value, version, based_on)


GOOD = [
    _did(0, _add("stock/A", 100)),
    _did(1, _add("stock/A", -3), outcome=Outcome.UNKNOWN),
    _did(2, _add("stock/A", -5)),
    _did(3, _read("stock/A", 95)),
    _did(4, _read("stock/A", 92)),
    _did(5, _add("stock/A", -90), outcome=Outcome.FAILED),
    _did(6, _read("addresses/1", "None", 1)),
    _did(7, _write("addresses/1", "a", 2, 1)),
    _did(8, _write("addresses/1", "b", 3)),
    _did(8.5, _read("addresses/1", "a", 2)),
    _did(10, _write("addresses/1", "c", None), outcome=Outcome.UNKNOWN),
    _did(11, _read("addresses/1", "c", 4)),
    _did(11.95, _write("addresses/1", "c", 4, 4)),
    _did(12, _add("tags", "t1"), _add("feed", "t1")),
    _did(13, _add("tags", "t2"), _add("feed", "t2")),
    _did(14, _add("tags", "t3"), _add("feed", "t3"), outcome=Outcome.UNKNOWN),
    _did(15, Step(Does.REMOVE, "tags", "t1")),
    _did(15.5, _read("tags", ("t1", "t2"))),
    _did(17, _read("tags", ("t2", "t3"))),
    _did(18, _read("feed", ("t2",)), client=2),
    _did(19, _read("feed", ("t1",)), client=2),
    _did(20, _read("feed", ()), client=3),
    _did(30, _read("stock/A", 92), last=True),
    _did(31, _read("addresses/1", "c", 4), last=True),
    _did(32, _read("tags", ("t2", "t3")), last=True),
    _did(33, _read("feed", ("t2", "t1", "t3")), last=True),
]
"""Of two followers one has seen two, in the order of the feed, which isn't that of the answers."""


def test_a_history_that_can_have_been_so_is_left_alone(tmp_path: Path) -> None:
    verdict = judge(GOOD)
    assert verdict.findings == []
    assert (verdict.outcomes["ok"], verdict.outcomes["failed"], verdict.outcomes["unknown"]) == (22, 1, 3)
    history.write(tmp_path / "kept", GOOD)
    assert history.read(tmp_path / "kept") == GOOD


Change = Callable[[Operation], Operation]


def _told(*steps: Step) -> Change:
    return lambda one: replace(one, steps=steps)


@pytest.mark.parametrize(
    ("began", "change", "kind"),
    [
        pytest.param(30, _told(_read("stock/A", 97)), Kind.DOUBLED, id="more in the end than was added"),
        pytest.param(30, _told(_read("stock/A", 91)), Kind.LOST, id="less in the end than was added"),
        pytest.param(4, _told(_read("stock/A", 100)), Kind.STALE, id="a counter before what was acknowledged"),
        pytest.param(3, _told(_read("stock/A", 2)), Kind.STALE, id="a counter after what was refused"),
        pytest.param(7, _told(_write("addresses/1", "a", 3, 1)), Kind.LOST, id="two writes that made one version"),
        pytest.param(8, _told(_write("addresses/1", "b", 3, 1)), Kind.LOST, id="two writes on one version"),
        pytest.param(8, _told(_write("addresses/1", "b", 1)), Kind.LOST, id="a write that an older version came of"),
        pytest.param(31, _told(_read("addresses/1", "b", 3)), Kind.STALE, id="a read that goes back"),
        pytest.param(11.95, _told(_write("addresses/1", "d", 4, 4)), Kind.LOST, id="a write that made no version"),
        pytest.param(11, _told(_read("addresses/1", "a", 2)), Kind.STALE, id="a read before an acknowledged write"),
        pytest.param(11, _told(_read("addresses/1", "d", 4)), Kind.INVENTED, id="what nobody wrote"),
        pytest.param(31, _told(_read("addresses/1", "d", 4)), Kind.INVENTED, id="one version with two values"),
        pytest.param(17, _told(_read("tags", ("t3",))), Kind.MISSED, id="a page that left something out"),
        pytest.param(32, _told(_read("tags", ("t3",))), Kind.LOST, id="a member that is gone"),
        pytest.param(17, _told(_read("tags", ("t2", "t2"))), Kind.DOUBLED, id="a member on two pages"),
        pytest.param(17, _told(_read("tags", ("t1", "t2"))), Kind.STALE, id="a member that was removed"),
        pytest.param(17, _told(_read("tags", ("t2", "t4"))), Kind.INVENTED, id="a member that nobody added"),
        pytest.param(18, _told(_read("feed", ())), Kind.MISSED, id="a follower who missed one"),
        pytest.param(33, _told(_read("feed", ("t2", "t1", "t1"))), Kind.DOUBLED, id="what happened twice"),
        pytest.param(33, _told(_read("feed", ("t2",))), Kind.LOST, id="what never happened"),
        pytest.param(33, _told(_read("feed", ("t2", "t1", "t9"))), Kind.INVENTED, id="what nobody did"),
    ],
)
def test_a_history_that_can_not_have_been_so_is_found(began: float, change: Change, kind: Kind) -> None:
    changed = [change(one) if one.began == began else one for one in GOOD]
    findings = judge(changed).findings
    assert kind in {one.kind for one in findings}, findings
