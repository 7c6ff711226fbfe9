"""A worker process that publishes: python worker.py DATABASE_URL NATS_URL. It takes over from a dead one in seconds."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from service.gateways.jetstream import Destination
from service.jobs import engine
from service.jobs.publish import Feed
from tests.streams.jetstream import EVERYTHING, TEMPLATE

if __name__ == "__main__":
    database_url, nats_url = sys.argv[1:]
    feed = Feed(Destination([nats_url], "reprise", EVERYTHING), TEMPLATE, history=True)
    second = timedelta(seconds=2)
    asyncio.run(
        engine.run(
            database_url, stop=asyncio.Event(), gateways={}, feed=feed, concurrency=2, heartbeat=second, lease=second
        )
    )
