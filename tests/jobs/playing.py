"""Time as tests play it: a store on a test clock, advanced by a worker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from service.principal import Store
from tests.jobs.test_worker import until
from tests.spec.writing import Api, to


def said(at: datetime) -> str:
    """An instant as documents have it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def freeze(api: Api, store: Store, at: datetime) -> Any:
    """A clock that stands still, and the store on it."""
    made = await api.create("test_clocks", {"name": "year", "frozen_at": said(at)})
    answer = await api.update("stores", str(store.id), None, {"test_clock": to("test_clocks", made["id"])})
    assert answer.status_code == 200, answer.text
    return made


async def advance(api: Api, test_clock: Any, at: datetime) -> None:
    """Advance a clock and wait until it is there; a worker must run."""
    answer = await api.update("test_clocks", test_clock["id"], {"_advance_to": said(at)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["attributes"]["status"] == "advancing"
    await arrival(api, test_clock)


async def arrival(api: Api, test_clock: Any) -> None:
    """Wait until a clock that is on its way has arrived; a worker must run."""

    async def arrived() -> bool:
        return bool((await api.get(f"test_clocks/{test_clock['id']}"))["data"]["attributes"]["status"] == "ready")

    await until(arrived, 60)
