"""A worker process that takes up what a dead one left behind within seconds instead of a minute."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

from service.gateways import configured, limits
from service.jobs import engine
from service.settings import Settings

if __name__ == "__main__":
    asyncio.run(
        engine.run(
            os.environ["DATABASE_URL"],
            stop=asyncio.Event(),
            gateways=configured(Settings()),
            keys=Settings().keys,
            receivers=limits(Settings()),
            heartbeat=timedelta(seconds=2),
            lease=timedelta(seconds=3),
        )
    )
