"""Twenty who press at once, and a server that is killed with -9 in the middle: what was asked for is done once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from service import clock
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.api.pressing import nonce
from tests.factories import Line
from tests.jobs.steps import make, offences
from tests.jobs.test_worker import until
from tests.servers import server
from tests.spec.writing import Api, offenders, resource, to
from tests.support import Access

PRESSES = 20
Pressing = Callable[[httpx2.AsyncClient], Awaitable[Sequence[int]]]
ORDER, DELAY = {"_order_next_now": True}, {"_delay": 2}


@pytest.fixture
async def subscription(api: Api, connection: Connection, store: Store) -> dict[str, Any]:
    """A weekly one, the next run of which comes tomorrow."""
    line = Line(await factories.sku(connection, store))
    order_id = await factories.full_order(connection, store, [line], placed_at=clock.now() - timedelta(days=6))
    whose = {"source_order": to("orders", order_id)}
    made: dict[str, Any] = await api.create("order_subscriptions", {"frequency": "weekly"}, whose)
    return made


async def presses(
    client: httpx2.AsyncClient, access: Access, id_: str, sent: dict[str, Any], **headers: str
) -> Sequence[int]:
    """Press so often at once; gives the statuses of those that were answered."""
    document = resource("order_subscriptions", sent, id=id_)

    async def press() -> int:
        try:
            answer = await client.patch(
                f"/api/order_subscriptions/{id_}", json=document, headers=access.headers | headers
            )
        except httpx2.TransportError:
            return 0
        return answer.status_code

    return [status for status in await asyncio.gather(*(press() for _ in range(PRESSES))) if status]


async def killed_in_the_middle(
    database_url: str, connection: Connection, store: Store, pressing: Pressing, *, committed: bool
) -> Sequence[int]:
    """Have a server of its own pressed, and kill it on the way: with `committed` once something was done."""
    written = "select version from order_subscriptions where store_id = $1"
    begun = await connection.fetchval(written, store.id)

    async def is_done() -> bool:
        return bool(await connection.fetchval(written, store.id) != begun)

    async with server(database_url) as (process, client):
        task = asyncio.ensure_future(pressing(client))
        await (until(is_done) if committed else asyncio.sleep(0.05))
        process.send_signal(signal.SIGKILL)
        found = await task
        assert await process.wait() == -signal.SIGKILL
        return found


@pytest.mark.parametrize("committed", [False, True])
async def test_the_next_run_is_ordered_once_whatever_was_killed(
    *, database: Database, database_url: str, connection: Connection, store: Store, integration: Access,
    subscription: dict[str, Any], api: Api, committed: bool,
) -> None:  # fmt: skip
    """Before anything was done, or as soon as something was, also where nobody was told of it."""
    id_ = subscription["id"]

    def pressing(client: httpx2.AsyncClient) -> Awaitable[Sequence[int]]:
        return presses(client, integration, id_, ORDER)

    first = await killed_in_the_middle(database_url, connection, store, pressing, committed=committed)
    async with server(database_url) as (_, client):
        second = await pressing(client)
    assert len(second) == PRESSES
    assert [*first, *second].count(200) <= 1, "what is ordered ahead isn't ordered ahead again"
    assert {*first, *second} <= {200, 409, 503}
    copies = (await api.get(f"order_subscriptions/{id_}/recurring_order_copies"))["data"]
    assert [copy["attributes"]["status"] for copy in copies] == ["pending"]
    await make(database, store, copies[0]["id"])
    assert len((await api.get(f"order_subscriptions/{id_}/orders"))["data"]) == 1
    told = "select count(*) from events where store_id = $1 and name = 'order_subscriptions.order_next_now'"
    assert await connection.fetchval(told, store.id) == 1
    assert await offences(connection, store) == []
    assert await offenders(connection, store) == []


@pytest.mark.parametrize("committed", [False, True])
async def test_a_delay_with_a_key_is_done_once_whatever_was_killed(
    *, database_url: str, connection: Connection, store: Store, integration: Access, subscription: dict[str, Any],
    api: Api, committed: bool,
) -> None:  # fmt: skip
    """A delay adds up; presses of one button have one key."""
    id_, before = subscription["id"], datetime.fromisoformat(subscription["attributes"]["next_run_at"])

    def pressing(client: httpx2.AsyncClient) -> Awaitable[Sequence[int]]:
        return presses(client, integration, id_, DELAY, **{"Idempotency-Key": "one-button"})

    first = await killed_in_the_middle(database_url, connection, store, pressing, committed=committed)
    async with server(database_url) as (_, client):
        second = await pressing(client)
        document = resource("order_subscriptions", DELAY, id=id_)
        headers = integration.headers | {"Idempotency-Key": "one-button"}
        answer = await client.patch(f"/api/order_subscriptions/{id_}", json=document, headers=headers)
    assert {*first, *second} <= {200, 409, 503}, "while one is being answered the others are told to wait"
    assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (200, "true")
    shown = (await api.get(f"order_subscriptions/{id_}"))["data"]["attributes"]
    assert datetime.fromisoformat(shown["next_run_at"]) == before + timedelta(days=2)
    assert await offenders(connection, store) == []


@pytest.mark.parametrize(("action", "days", "copies", "later"), [("order_now", None, 1, 7), ("delay", 2, 0, 2)])
async def test_a_link_does_it_once_whatever_was_killed(
    *, database_url: str, connection: Connection, store: Store, api: Api, subscription: dict[str, Any], action: str,
    days: int | None, copies: int, later: int,
) -> None:  # fmt: skip
    id_, before = subscription["id"], datetime.fromisoformat(subscription["attributes"]["next_run_at"])
    related = {"order_subscription": to("order_subscriptions", id_)}
    made = await api.create("action_links", {"action": action, "days": days}, related)
    path = urlsplit(made["attributes"]["url"]).path

    async def pressing(client: httpx2.AsyncClient) -> Sequence[int]:
        async def press(data: dict[str, str]) -> int:
            try:
                return (await client.post(path, data=data)).status_code
            except httpx2.TransportError:
                return 0

        data = {"nonce": nonce(await client.get(path))}
        return await asyncio.gather(*(press(data) for _ in range(PRESSES)))

    await killed_in_the_middle(database_url, connection, store, pressing, committed=True)
    async with server(database_url) as (_, client):
        page = await client.get(path)
        assert "This was done on" in page.text
        assert "<button" not in page.text
    found = (await api.get(f"order_subscriptions/{id_}/recurring_order_copies"))["data"]
    assert len(found) == copies
    shown = (await api.get(f"order_subscriptions/{id_}"))["data"]["attributes"]
    assert datetime.fromisoformat(shown["next_run_at"]) == before + timedelta(days=later)
    uses = "select count(*) from events where store_id = $1 and name = 'action_links.use'"
    assert await connection.fetchval(uses, store.id) == 1
    assert await offences(connection, store) == []
