"""The short form of `make histories`, and services with a fault, each of which is found."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.settings import Settings
from tests.drills.load import NO_LIMITS
from tests.histories import actions, judging, meddling, play
from tests.histories.actions import Action
from tests.histories.judging import Kind, Verdict
from tests.histories.meddling import Fault
from tests.histories.shop import Shop, open_shop
from tests.replica import FOR_EVER, standing_still
from tests.servers import served_here


@pytest.mark.timeout(400)
async def test_clients_of_what_is_killed_are_told_nothing_that_can_not_be(run_folder: Path) -> None:
    plan = play.Plan(operations=300, clients=6, customers=3, kills=3)
    report = await play.play(plan, run_folder / f"histories-{uuid.uuid4().hex[:8]}")
    assert report.is_well, str(report)
    assert report.verdict.outcomes["ok"] > 200
    assert (report.process_kills >= 2, report.postgres_kills) == (True, 1)


def _settings(url: str, **others: Any) -> Settings:
    secret_keys = NO_LIMITS["REPRISE_SECRET_KEYS"]
    return Settings(database_url=url, secret_keys=secret_keys, rate_limit=10**9, log_level="error", **others)


async def _told(url: str, fault: Fault, mix: Mapping[Action, int]) -> Verdict:
    """What clients are told by a service with a fault."""
    with served_here(_settings(url)) as served:
        return await _acted(url, await open_shop(url, 1), served, fault, mix)


async def _acted(
    url: str, shop: Shop, served: str, fault: Fault, mix: Mapping[Action, int], *, by_replica: bool = False
) -> Verdict:
    plan = play.Plan(operations=160, clients=6, mix=mix)
    async with meddling.meddling(served, fault) as proxy:
        stage = play.Stage(shop, [proxy])
        assert await play.act(plan, stage, lambda: play.heard(url)) == []
    return judging.judge(stage.recorder.operations, by_replica=by_replica)


@pytest.fixture
async def shop(own_url: str) -> Shop:
    """A shop of one customer."""
    return await open_shop(own_url, 1)


@pytest.fixture
def still_url(own_url: str, shop: Shop) -> Iterator[str]:
    """A replica of the test's database that goes on showing the shop as it opens."""
    assert shop.customers
    if "host" not in own_url:
        pytest.skip("Only an embedded server is followed here.")
    with standing_still(own_url) as url:
        yield url


@pytest.mark.timeout(300)
async def test_a_stale_read_of_a_replica_is_found_and_who_says_what_they_have_seen_meets_none(
    own_url: str, shop: Shop, still_url: str
) -> None:
    replica = {"replica_url": still_url, "replica_max_lag": FOR_EVER}
    with served_here(_settings(own_url, **replica)) as writing, served_here(_settings(own_url, **replica)) as reading:
        await _found_its_replica(reading)
        for known in (True, False):
            fault = meddling.reading_at(reading, saying_what_is_known=known)
            verdict = await _acted(own_url, shop, writing, fault, ADDRESSES, by_replica=True)
            kinds = {(one.kind, one.key.partition("/")[0]) for one in verdict.findings}
            assert ((Kind.STALE, "addresses") in kinds, bool(kinds)) == (not known, not known), str(verdict)


async def _found_its_replica(url: str) -> None:
    async with httpx2.AsyncClient() as http, asyncio.timeout(60):
        while "replica_away" in (await http.get(f"{url}/readyz")).text:  # noqa: ASYNC110 -- it is asked for
            await asyncio.sleep(0.1)


ADDRESSES: Mapping[Action, int] = {actions.read_address: 1, actions.change_address: 2}
CARTS: Mapping[Action, int] = {actions.reorder: 2, actions.look: 2, actions.change_item: 1}
TAGS: Mapping[Action, int] = {actions.tag: 6, actions.list_tags: 1, actions.follow: 2}


async def test_a_proxy_without_a_fault_is_found_to_have_none(own_url: str) -> None:
    verdict = await _told(own_url, meddling.honest, {**ADDRESSES, **CARTS, **TAGS})
    assert verdict.findings == []
    assert verdict.outcomes["ok"] > 100


@pytest.mark.parametrize(
    ("fault", "mix", "kind", "word"),
    [
        pytest.param(meddling.blind, ADDRESSES, Kind.LOST, "addresses", id="If-Match is not looked at"),
        pytest.param(meddling.forgetful, TAGS, Kind.LOST, "tags", id="acknowledged and not kept"),
        pytest.param(meddling.twofold, CARTS, Kind.DOUBLED, "pieces", id="done twice"),
        pytest.param(meddling.remembering(), ADDRESSES, Kind.STALE, "addresses", id="an old answer"),
        pytest.param(meddling.skipping("/api/tags"), TAGS, Kind.MISSED, "tags", id="left out of a page"),
        pytest.param(meddling.skipping("/api/events"), TAGS, Kind.MISSED, "feed", id="left out of a feed"),
    ],
)
async def test_a_service_with_a_fault_is_found(
    own_url: str, fault: Fault, mix: Mapping[Action, int], kind: Kind, word: str
) -> None:
    verdict = await _told(own_url, fault, mix)
    assert (kind, word) in {(one.kind, one.key.partition("/")[0]) for one in verdict.findings}, str(verdict)
