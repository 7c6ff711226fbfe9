"""A replica that answers reads of what clients act on: it stands still again and again, and its reads are counted."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import httpx2

from tests.chaos.fleet import LOST
from tests.replica import Follower, following, reads

LONGEST_LAG = 1.0
"""Seconds that it may be behind: beyond them the primary answers, which is to happen too."""
PAUSES, STANDS_STILL = (0.2, 2.0), (0.2, 2.0)
EVERY = 0.5
TOKEN = "of-metrics"


class Beside:
    """A replica beside a server; `settings` are those of processes that read from it."""

    def __init__(self, follower: Follower, url: str) -> None:
        self._follower, self._url = follower, url
        self.settings = {
            "REPRISE_REPLICA_URL": follower.over(url),
            "REPRISE_REPLICA_MAX_LAG": str(LONGEST_LAG),
            "REPRISE_METRICS_TOKEN": TOKEN,
        }
        self.stood_still = 0
        self._seen: dict[tuple[str, str], float] = {}
        self._before: Counter[str] = Counter()

    @property
    def reads(self) -> Mapping[str, float]:
        """How many reads replica and primary have answered, as far as processes that were killed have told."""
        now = Counter(self._before)
        for (_, by), number in self._seen.items():
            now[by] += int(number)
        return now

    async def trouble(self, seed: int, urls: Sequence[str], is_over: Callable[[], bool]) -> None:
        """Stop its replay and let it go on, and count its reads, until all is over."""
        counting = asyncio.create_task(self._count(urls))
        chance = random.Random(seed)
        try:
            while not is_over():
                await asyncio.sleep(chance.uniform(*PAUSES))
                # It is told by way of a connection, which ends with the server.
                with suppress(*LOST):
                    async with asyncio.timeout(30):
                        await self._follower.freeze(self._url)
                    self.stood_still += 1
                    await asyncio.sleep(chance.uniform(*STANDS_STILL))
                    await self._follower.thaw(self._url)
        finally:
            counting.cancel()
            await self._follower.thaw(self._url)

    async def _count(self, urls: Sequence[str]) -> None:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            while True:
                for url in urls:
                    with suppress(httpx2.HTTPError):
                        self._note(url, reads((await http.get(f"{url}/metrics")).text))
                await asyncio.sleep(EVERY)

    def _note(self, url: str, told: Mapping[str, float]) -> None:
        """Take what a process says; one that says less than before is another, which has begun anew."""
        for by, number in told.items():
            known = self._seen.get((url, by), 0.0)
            if number < known:
                self._before[by] += int(known)
            self._seen[url, by] = number


@contextmanager
def beside(url: str) -> Iterator[Beside]:
    """A replica of a server meanwhile."""
    with following(url) as follower:
        yield Beside(follower, url)
