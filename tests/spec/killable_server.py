"""A real server that can be killed: python killable_server.py [answer|before|after] [--remember=SECONDS].

Prints its port. With `answer` it kills itself (SIGKILL) when the answer to a POST is about to leave, which is after the
commit of its effect and before anybody has read a byte; with `before` or `after` around what it asks of the gateway of
test payments. `--remember` says how long it believes a token.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.app import create_app
from service.gateways import configured
from service.gateways.port import Answer, Payment
from service.gateways.testing import TestGateway
from service.settings import Settings
from tests.support import KEYS


def dying(app: ASGIApp) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def last(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["method"] == "POST":
                os.kill(os.getpid(), signal.SIGKILL)
            await send(message)

        await app(scope, receive, last)

    return wrapped


class DyingGateway(TestGateway):
    """Dies before it is asked, or once it has done what it was asked; with a customer, at that one's payments alone."""

    def __init__(self, moment: str, customer_id: str | None = None) -> None:
        self._moment = moment
        self._customer_id = customer_id

    async def authorize(self, payment: Payment) -> Answer:
        if self._customer_id not in (None, payment.customer_id):
            return await super().authorize(payment)
        if self._moment == "after":
            await super().authorize(payment)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    async def void(self, payment: Payment) -> None:
        await self.authorize(payment)


def main() -> None:
    settings = Settings(
        secret_keys=",".join([*KEYS, "key-of-a-server-to-kill"]),
        log_level="warning",
        pool_size=4,
    )
    for option in sys.argv[1:]:
        if option.startswith("--remember="):
            settings = settings.model_copy(update={"token_cache_seconds": float(option.partition("=")[2])})
    if "--near" in sys.argv[1:]:
        settings = settings.model_copy(update={"allow_private_addresses": True})
    gateways = dict(configured(settings))
    for moment in {"before", "after"} & set(sys.argv[1:]):
        gateways["test"] = DyingGateway(moment)
    app: ASGIApp = create_app(settings, gateways)
    if "answer" in sys.argv[1:]:
        app = dying(app)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)  # noqa: T201 -- the test reads it
        # And nothing more: a pipe that is full of log lines stops a server.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
