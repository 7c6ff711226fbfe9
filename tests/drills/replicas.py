"""Drills of a streaming replica, which answers reads: it falls behind, and it takes the place of its primary."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx2

from service.store.pool import connect
from tests.drills import load, network, server
from tests.drills.load import Outcome
from tests.drills.server import Size
from tests.processes import Service
from tests.replica import following, reads

LONGEST_LAG = 1.0
_METRICS_TOKEN = "of-metrics"


async def lagging(folder: Path, size: Size) -> Outcome:
    """The replica falls behind further than is allowed, again and again, while shoppers look at what they ordered."""
    seconds = LONGEST_LAG * 2 + size.pause
    outcome = Outcome(suffered=f"the replica {size.blows} times {seconds:.1f} s behind", seen=0)
    async with server.postgres(folder) as primary:
        people = await load.shoppers(primary.url, size.shoppers)
        with following(primary.url) as replica, load.api(primary.url, **_reading(replica.over(primary.url))) as served:
            async with load.shopping(served.url, people, outcome):
                for _ in range(size.blows):
                    await asyncio.sleep(size.pause)
                    await replica.freeze(primary.url)
                    await asyncio.sleep(seconds)
                    await replica.thaw(primary.url)
                await _read_by_replica(served.url)
                await asyncio.sleep(size.pause)
            by = await _reads(served.url)
            outcome.suffered += f"; reads answered by the replica: {by['replica']:.0f}, primary: {by['primary']:.0f}"
            outcome.wrong += [f"the {who} answered no read" for who, number in by.items() if not number]
        await load.count(primary.url, outcome)
    return outcome


async def promoted(folder: Path, size: Size) -> Outcome:
    """The primary is killed for good, and its synchronous replica takes its place."""
    outcome = Outcome(suffered="the primary killed for good, its synchronous replica promoted", seen=0)
    async with server.postgres(folder) as primary:
        people = await load.shoppers(primary.url, size.shoppers)
        with following(primary.url) as replica:
            url = replica.over(primary.url)
            await _wait_for_replicas(primary.url)
            async with network.between(primary.url) as way, _api(way.url, **_reading(url)) as served:
                async with load.shopping(served.url, people, outcome):
                    await asyncio.sleep(size.pause * 2)
                    os.kill(primary.postmaster, signal.SIGKILL)
                    await asyncio.sleep(size.pause)
                    await asyncio.to_thread(replica.promote)
                    way.lead_to(url)
                    before = outcome.acknowledged
                    await asyncio.sleep(size.pause * 2)
                outcome.wrong += [] if outcome.acknowledged > before else ["nothing was done after it"]
            await load.count(url, outcome)
    return outcome


@asynccontextmanager
async def _api(url: str, **settings: str) -> AsyncIterator[Service]:
    """A process that serves the API, started while this one goes on: its database is reached through us."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, load.api(url, **settings))


def _reading(replica_url: str) -> dict[str, str]:
    """The settings of a process whose reads a replica answers."""
    return {
        "REPRISE_REPLICA_URL": replica_url,
        "REPRISE_REPLICA_MAX_LAG": str(LONGEST_LAG),
        "REPRISE_METRICS_TOKEN": _METRICS_TOKEN,
    }


async def _wait_for_replicas(url: str) -> None:
    """Have the server acknowledge nothing that its replica doesn't hold."""
    async with connect(url) as connection:
        await connection.execute("alter system set synchronous_standby_names = '*'")
        await connection.execute("select pg_reload_conf()")
        in_step = "select exists (select from pg_stat_replication where sync_state = 'sync')"
        async with asyncio.timeout(60):
            while not await connection.fetchval(in_step):  # noqa: ASYNC110 -- it happens in the database
                await asyncio.sleep(0.1)


async def _reads(url: str) -> dict[str, float]:
    """How many reads replica and primary have answered."""
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{url}/metrics", headers={"Authorization": f"Bearer {_METRICS_TOKEN}"})
    return reads(answer.text)


async def _read_by_replica(url: str) -> None:
    """Wait until the replica answers reads again."""
    before = await _reads(url)
    async with asyncio.timeout(60):
        while (await _reads(url))["replica"] <= before["replica"]:  # noqa: ASYNC110 -- it is asked for
            await asyncio.sleep(0.1)
