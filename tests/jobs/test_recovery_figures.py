"""What is counted of failed runs: once each, by what failed, and by the try that paid."""

from __future__ import annotations

from prometheus_client import REGISTRY

from service.principal import Store
from service.store.pool import Connection, Database
from tests.jobs.paying import prepare
from tests.jobs.test_failure_types import BROKEN, MENDED, only, scheduled, sweep_and_make
from tests.spec.writing import Api


def counted() -> dict[str, float]:
    """The figures of this process."""
    asked = {
        "failed": ("failed", {"type": "payment"}),
        "sold out": ("failed", {"type": "inventory"}),
        "at the third": ("recovered", {"try": "3"}),
        "at another": ("recovered", {"try": "2"}),
        "lost": ("lost", {"type": "payment"}),
    }
    return {
        name: REGISTRY.get_sample_value(f"reprise_renewals_{metric}_total", labels) or 0
        for name, (metric, labels) in asked.items()
    }


def since(before: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in counted().items() if value != before[name]}


async def test_a_run_that_is_paid_at_the_third_try(database: Database, connection: Connection, store: Store) -> None:
    before = counted()
    run = await prepare(database, connection, store, token="tok_decline")
    await run.begin()
    for _ in range(2):
        await run.pay(times=2)
        await run.make_due()
    assert since(before) == {"failed": 1}
    await run.token("tok_approve")
    await run.pay(times=3)
    assert since(before) == {"failed": 1, "at the third": 1}


async def test_a_run_that_stays_unpaid(database: Database, connection: Connection, store: Store) -> None:
    before = counted()
    run = await prepare(database, connection, store, token="tok_decline_hard")
    await run.begin()
    await run.pay(times=3)
    assert since(before) == {"failed": 1, "lost": 1}


async def test_a_run_that_was_paid_at_once_and_one_that_was_sold_out(
    database: Database, connection: Connection, store: Store
) -> None:
    before = counted()
    run = await prepare(database, connection, store)
    await run.begin()
    await run.pay()
    assert since(before) == {}
    sold_out = await scheduled(database, connection, store)
    await connection.execute(BROKEN["inventory"], store.id)
    await sweep_and_make(sold_out)
    assert since(before) == {"sold out": 1}


async def test_a_run_that_is_tried_again_failed_once(
    api: Api, database: Database, connection: Connection, store: Store
) -> None:
    """Whether there is still no order, or one whose payment is refused."""
    before = counted()
    run = await scheduled(database, connection, store)
    await run.token("tok_decline_hard")
    await connection.execute(BROKEN["inventory"], store.id)
    await sweep_and_make(run)
    occurrence = await only(api, f"order_subscriptions/{run.subscription_id}/occurrences?filter[status]=failed")
    for meanwhile in (BROKEN["inventory"], MENDED["inventory"]):
        await connection.execute(meanwhile, store.id)
        assert (await api.update("occurrences", occurrence["id"], {"_retry": True})).status_code == 200
        await sweep_and_make(run)
    await run.pay()
    assert await run.statuses() == ["declined"]
    assert since(before) == {"sold out": 1, "lost": 1}
