"""The short form of `make histories`, and services with a fault, each of which is found."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from service.settings import Settings
from tests.drills.load import NO_LIMITS
from tests.histories import actions, judging, meddling, play
from tests.histories.actions import Action
from tests.histories.judging import Kind, Verdict
from tests.histories.meddling import Fault
from tests.histories.shop import open_shop
from tests.servers import served_here


@pytest.mark.timeout(400)
async def test_clients_of_what_is_killed_are_told_nothing_that_can_not_be(run_folder: Path) -> None:
    plan = play.Plan(operations=300, clients=6, customers=3, kills=3)
    report = await play.play(plan, run_folder / f"histories-{uuid.uuid4().hex[:8]}")
    assert report.is_well, str(report)
    assert report.verdict.outcomes["ok"] > 200
    assert (report.process_kills >= 2, report.postgres_kills) == (True, 1)


async def _told(url: str, fault: Fault, mix: Mapping[Action, int]) -> Verdict:
    """What clients are told by a service with a fault."""
    plan = play.Plan(operations=160, clients=6, mix=mix)
    shop = await open_shop(url, 1)
    settings = Settings(
        database_url=url, secret_keys=NO_LIMITS["REPRISE_SECRET_KEYS"], rate_limit=10**9, log_level="error"
    )
    with served_here(settings) as served:
        async with meddling.meddling(served, fault) as proxy:
            stage = play.Stage(shop, [proxy])
            assert await play.act(plan, stage, lambda: play.heard(url)) == []
    return judging.judge(stage.recorder.operations)


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
