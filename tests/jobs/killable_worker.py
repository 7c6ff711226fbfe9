"""A worker that dies around its call to the gateway of test payments: python killable_worker.py URL before|after."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import cast

from service.gateways import GATEWAYS
from service.gateways.port import Gateway
from service.jobs import engine
from tests.spec.killable_server import DyingGateway

if __name__ == "__main__":
    cast("dict[str, Gateway]", GATEWAYS)["test"] = DyingGateway(sys.argv[2])
    second = timedelta(seconds=1)
    asyncio.run(engine.run(sys.argv[1], stop=asyncio.Event(), concurrency=2, heartbeat=second, lease=second))
