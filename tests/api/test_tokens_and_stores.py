"""Tokens are remembered for a while, and with them their store: what changes about it counts at once all the same."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx2
import pytest

from service.principal import Store
from service.settings import Settings
from tests.jobs.playing import said
from tests.spec.operating import Batches, update
from tests.spec.writing import Api, to
from tests.support import Access

LATER = datetime(2031, 5, 6, tzinfo=UTC)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of an application that remembers tokens for longer than any test takes."""
    return settings.model_copy(update={"token_cache_seconds": 600})


@pytest.mark.parametrize("way", ["resource", "relationship", "operation"])
async def test_a_store_on_a_test_clock_has_its_time_from_then_on(
    client: httpx2.AsyncClient, integration: Access, store: Store, way: str
) -> None:
    api, id_ = Api(client, integration), str(store.id)
    test_clock = await api.create("test_clocks", {"frozen_at": said(LATER)})
    assert (await api.create("tags", {"name": "before"}))["attributes"]["created_at"] < said(LATER)
    linked = to("test_clocks", test_clock["id"])
    if way == "resource":
        answer = await api.update("stores", id_, None, {"test_clock": linked})
    elif way == "relationship":
        answer = await api.send("PATCH", f"stores/{id_}/relationships/test_clock", linked)
    else:
        answer = await Batches(client, integration).run(update("stores", None, {"test_clock": linked}, id=id_))
    assert answer.is_success, answer.text
    assert (await api.create("tags", {"name": "after"}))["attributes"]["created_at"] == said(LATER)
