"""Metrics that the pages name exist, and all that exist are named."""

from __future__ import annotations

import re

import httpx2
import prometheus_client
import pytest

from service.jobs import metrics as _  # noqa: F401 -- registers what workers count
from service.settings import Settings
from tests.processes import ROOT


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a token for the metrics."""
    return settings.model_copy(update={"metrics_token": "a-secret"})


PAGES = [ROOT / "docs" / "reference" / "http.md", ROOT / "docs" / "how-to" / "run-workers.md"]


def named(text: str) -> set[str]:
    """The metrics that a page names; `_most` after a comma continues the name before it."""
    found = set(re.findall(r"(?<!#)\breprise_[a-z_]+", text))
    return found | {"reprise_database_connections_most"} if "reprise_database_connections_held" in found else found


def plain(name: str) -> str:
    """The name of a family: without what samples of counters and histograms have after it."""
    return re.sub(r"_(total|bucket|count|sum|created)$", "", name)


async def test_every_metric_is_documented_and_every_one_that_is_documented_exists(client: httpx2.AsyncClient) -> None:
    own = {family.name for family in prometheus_client.REGISTRY.collect() if family.name.startswith("reprise_")}
    seen = {plain(name) for name in re.findall(r"^# TYPE (reprise_[a-z_]+)", await _told(client), re.MULTILINE)}
    documented = {plain(name) for page in PAGES for name in named(page.read_text())}
    assert documented == own | seen | STREAM


STREAM = {"reprise_events_waiting", "reprise_event_lateness_seconds", "reprise_stream_failing_seconds"}
"""Told where events are published: tests/streams sees them."""


async def _told(client: httpx2.AsyncClient) -> str:
    answer = await client.get("/metrics", headers={"Authorization": "Bearer a-secret"})
    assert answer.status_code == 200
    return answer.text
