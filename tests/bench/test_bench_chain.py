"""The short form of `make chain`: its sizes are as asked for, and its rows keep every invariant."""

from __future__ import annotations

import pytest

from service.store.checks import violations
from service.store.pool import connect
from tests.bench.chain import loading, measuring, planning
from tests.bench.chain.__main__ import STEPS, main
from tests.bench.chain.loading import LARGEST, Plan, kinds
from tests.bench.world import execute
from tests.chaos.fleet import own_folder

LARGE = ("orders", "order_subscriptions", "order_factories", "occurrences")


@pytest.mark.parametrize("stores", [1, 2, 10, 30, 1_000])
def test_one_store_has_half_of_everything(stores: int) -> None:
    found = list(kinds(Plan(stores, 10_000_000, 1_000_000)))
    lines = {kind.stores: kind.lines * kind.tiles * len(kind.stores) for kind in map(_frozen, found)}
    assert sum(len(stores) for stores in lines) == stores
    assert lines[(LARGEST,)] == pytest.approx(5_000_000)
    if stores > 1:
        assert sum(lines.values()) == pytest.approx(10_000_000)


def _frozen(kind: loading.Kind) -> loading.Kind:
    return loading.Kind(tuple(kind.stores), kind.tiles, kind.lines, kind.active)


async def test_a_small_chain_is_whole(own_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Several tiles of a store, which differ in every number, code and id.
    monkeypatch.setattr(loading, "TILE_LINES", 1_000)
    told: list[tuple[int, int]] = []
    await loading.load(own_url, Plan(stores=5, lines=6_000, subscriptions=600), lambda *at: told.append(at))
    async with connect(own_url) as connection:
        assert await violations(connection) == []
    found = await loading.counted(own_url)
    assert await loading.orphans(own_url, lambda *_: None) == []
    assert found["stores"] == 5
    assert found["order_lines"] == pytest.approx(6_000, rel=0.15)
    assert found["lines_of_the_largest"] == pytest.approx(3_000, rel=0.2)
    assert found["active_subscriptions"] == pytest.approx(600, rel=0.15)
    assert told[-1][0] == told[-1][1]


@pytest.mark.timeout(280)
async def test_the_largest_of_many_stores_is_planned_for(own_url: str) -> None:
    await loading.load(own_url, Plan(stores=60, lines=24_000, subscriptions=4_000), lambda *_: None)
    assert await planning.gone_through(own_url) == []
    # As Postgres would plan by itself: for a store of middling size, of which there are sixty.
    await execute(
        own_url, *(f"alter table {table} alter column store_id reset (n_distinct)" for table in LARGE), "analyze"
    )
    assert await planning.gone_through(own_url)


@pytest.mark.timeout(500)
def test_each_step_is_taken_and_told_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # As with a whole chain: there is no room for a copy.
    monkeypatch.setattr(measuring, "ROOM", 10**9)
    with own_folder("chain") as folder:
        sizes = ["--stores", "6", "--lines", "4000", "--subscriptions", "900", "--deliveries", "500"]
        told = _told(capsys, "--folder", str(folder), *sizes, "--only", "read one order", "--only", "by hand")
        again = _refusal(capsys, "pages", "--folder", str(folder))
        assert "Used: Pages were counted on this very chain before" in again
        assert (
            _refusal(capsys, "--folder", str(folder))
            == f"There is a chain in {folder}: name the steps to take on it, or another --folder."
        )
    assert list(dict.fromkeys(step for step, _ in told)) == list(STEPS)
    assert int(told["load", "active subscriptions"].replace(" ", "")) == pytest.approx(900, rel=0.2)
    assert told["check", "rows that break an invariant or a foreign key"].startswith("0,")
    for step, most in (("drain", 450), ("flood", 900)):
        due = int(told[step, "subscriptions that were due"].replace(" ", ""))
        made, _, left = told[step, "made"].partition(";")
        assert due == pytest.approx(most, rel=0.2)
        assert left == " 0 left"
        # A subscription that comes to its end is due once more, and is no copy.
        assert 0 < int(made.partition(" copies")[0].replace(" ", "")) <= due + 50
    assert told["pages", "operations that grow with the store"] == "0"
    assert told["pages", "statements that go through a store for an id"] == "0"
    assert told["months", "500 deliveries deleted at once"].endswith("0 MB of log")


def test_steps_are_taken_on_a_chain_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with own_folder("chain") as folder:
        assert (
            _refusal(capsys, "pages", "--folder", str(folder))
            == f"There is no chain in {folder}: begin with the step load."
        )
        assert "GB are needed" in _refusal(capsys, "--folder", str(folder), "--lines", str(10**12))
    with pytest.raises(SystemExit):
        main(["months", "everything"])
    assert "everything is none of load, check," in capsys.readouterr().err


def _told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[tuple[str, str], str]:
    """The table that is printed in the end: how much of what each step found."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 0, said
    table = said.out.partition("| step | what | how much |")[2].strip().splitlines()[1:]
    return {(step, what): how_much for step, what, how_much in (line.strip("| ").split(" | ") for line in table)}


def _refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    return capsys.readouterr().err.strip()
