"""A worker that dies around its call to the gateway of test payments: python killable_worker.py URL before|after ID.

It dies at payments of the customer of this id: what other tests left behind is paid as by any worker.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from service.gateways import configured
from service.jobs import engine
from service.settings import Settings
from tests.bouncer import most_prepared
from tests.spec.killable_server import DyingGateway
from tests.support import KEYS

if __name__ == "__main__":
    gateways = {**configured(Settings()), "test": DyingGateway(sys.argv[2], sys.argv[3])}
    second = timedelta(seconds=1)
    stop = asyncio.Event()
    asyncio.run(
        engine.run(
            sys.argv[1],
            stop=stop,
            gateways=gateways,
            keys=KEYS,
            concurrency=2,
            statement_cache_size=most_prepared(),
            heartbeat=second,
            lease=second,
        )
    )
