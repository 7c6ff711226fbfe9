"""A real server that can be killed: python killable_server.py DATABASE_URL [answer].

Prints its port. With `answer` it kills itself (SIGKILL) when the answer to a POST is about to leave, which is after the
commit of its effect and before anybody has read a byte.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.app import create_app
from service.settings import Settings


def dying(app: ASGIApp) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def last(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["method"] == "POST":
                os.kill(os.getpid(), signal.SIGKILL)
            await send(message)

        await app(scope, receive, last)

    return wrapped


def main() -> None:
    app: ASGIApp = create_app(
        Settings(database_url=sys.argv[1], secret_keys="key-of-a-server-to-kill", log_level="warning", pool_size=4)
    )
    if "answer" in sys.argv[2:]:
        app = dying(app)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)  # noqa: T201 -- the test reads it
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
