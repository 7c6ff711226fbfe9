"""Test clocks that do nothing, or would turn time back, say so."""

from __future__ import annotations

import pytest

from service.principal import Store
from service.store.pool import Connection, Database
from tests.faults.playing import Shop, on
from tests.jobs.playing import freeze, said
from tests.spec.writing import Api, pointers, to


@pytest.mark.rule("FM-117")
async def test_a_clock_that_no_store_keeps_says_so(api: Api, store: Store) -> None:
    alone = await api.create("test_clocks", {"name": "alone", "frozen_at": said(on("2026-01-31 09:00"))})
    answer = await api.update("test_clocks", alone["id"], {"_advance_to": said(on("2026-02-01 09:00"))})
    assert answer.status_code == 200, answer.text
    (warning,) = answer.json()["meta"]["warnings"]
    assert "No store keeps" in warning
    assert (await api.get(f"test_clocks/{alone['id']}"))["meta"]["warnings"] == [warning]
    kept = await freeze(api, store, on("2026-01-31 09:00"))
    answer = await api.update("test_clocks", kept["id"], {"_advance_to": said(on("2026-02-01 09:00"))})
    assert "meta" not in answer.json()
    assert "meta" not in await api.get(f"test_clocks/{kept['id']}")


@pytest.mark.rule("FM-117")
@pytest.mark.parametrize("way", ["at once", "by real time"])
async def test_a_store_is_not_put_back_on_an_earlier_clock(
    *, api: Api, database: Database, connection: Connection, store: Store, way: str
) -> None:
    shop = await Shop.open(api, database, connection, store, "2040-01-31 09:00")
    await shop.subscribe("2040-01-31 09:00", frequency="daily")
    await shop.wait_until("2040-02-02 10:00")
    if way == "by real time":
        off = await api.update("stores", str(store.id), None, {"test_clock": to("test_clocks", None)})
        assert off.status_code == 200, off.text
    earlier = await api.create("test_clocks", {"name": "earlier", "frozen_at": said(on("2040-02-01 12:00"))})
    back = await api.update("stores", str(store.id), None, {"test_clock": to("test_clocks", earlier["id"])})
    assert (back.status_code, pointers(back)) == (409, ["/data/relationships/test_clock/data"])
    later = await api.create("test_clocks", {"name": "later", "frozen_at": said(on("2040-02-03 12:00"))})
    on_it = await api.update("stores", str(store.id), None, {"test_clock": to("test_clocks", later["id"])})
    assert on_it.status_code == 200, on_it.text
