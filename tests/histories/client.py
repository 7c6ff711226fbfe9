"""A client: sends requests to whichever process answers, and takes down what it was told."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.drills.load import MEDIA_TYPE
from tests.histories.history import Outcome, Recorder, Step
from tests.histories.shop import Shop
from tests.histories.wire import Answer, CutError, Http, UnreachableError

REPLY_SECONDS = 20.0
PAUSE = 0.05
PATIENCE = 240.0
"""How long a request that is sent again and again may stay without an answer.

A payment that a killed process was at has a lease of a minute, and is looked for every half minute after it.
"""

POSITION = "X-Reprise-Position"
"""What comes with the answer to a write where there is a replica: who sends it back reads nothing that is older."""

Document = Any
"""A JSON:API document, as it is read."""
Steps = Iterable[Step]


class NeverAnsweredError(Exception):
    """A request that nobody answered, however often it was sent."""


@dataclass(frozen=True)
class Request:
    """What is sent, by whom. With `again` it is sent until it is answered, under one Idempotency-Key."""

    method: str
    path: str
    token: str
    document: Document = None
    headers: dict[str, str] = field(default_factory=dict)
    again: bool = False


class Client:
    """One client, which does one thing at a time."""

    def __init__(self, number: int, urls: Sequence[str], shop: Shop, to: Recorder) -> None:
        self.number, self.shop = number, shop
        self.chance = random.Random(number)
        self.cursor = "start"
        self._urls, self._recorder = urls, to
        self._http = Http(REPLY_SECONDS)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    async def do(
        self, what: str, request: Request, told: Callable[[Document], Steps], hoped: Steps = ()
    ) -> Document | None:
        """Send a request and take down what came of it: the steps that the answer tells of, or those hoped for.

        Returns the answer if it is one of success. Raises NeverAnsweredError.
        """
        began = time.monotonic()
        try:
            answer = await self._sent(request)
        except NeverAnsweredError:
            self._recorder.note(self.number, what, began, Outcome.UNKNOWN, hoped)
            raise
        if answer is None:
            self._recorder.note(self.number, what, began, Outcome.UNKNOWN, hoped)
            return None
        if not answer.is_success:
            self._recorder.note(self.number, f"{what} {answer.status}", began, Outcome.FAILED, ())
            return None
        document = answer.json() if answer.content else {}
        self._recorder.note(self.number, what, began, Outcome.OK, told(document))
        return document

    async def pages(self, what: str, path: str, token: str, told: Callable[[list[Document]], Steps]) -> None:
        """Page through a collection by cursor, as one operation; given up where a page is not to be had."""
        began = time.monotonic()
        found: list[Document] = []
        after: str | None = "start"
        while after is not None:
            answer = await self._sent(Request("GET", f"{path}&page[after]={after}", token))
            if answer is None or not answer.is_success:
                self._recorder.note(self.number, what, began, Outcome.UNKNOWN, ())
                return
            document = answer.json()
            found += document["data"]
            after = document["data"][-1]["meta"]["page"]["cursor"] if document["links"].get("next") else None
        self._recorder.note(self.number, what, began, Outcome.OK, told(found))

    def _seen(self, request: Request) -> dict[str, str]:
        """What says how much a read is to show at least."""
        position = self.shop.position(request.token) if request.method == "GET" else 0
        return {POSITION: str(position)} if position else {}

    async def _sent(self, request: Request) -> Answer | None:
        """The answer; None where it isn't known what became of a request."""
        key = {"Idempotency-Key": uuid.uuid4().hex} if request.again else {}
        headers = {"Authorization": f"Bearer {request.token}", "Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = await self._http.request(
                    request.method,
                    f"{self.chance.choice(self._urls)}/api/{request.path}",
                    headers | request.headers | key | self._seen(request),
                    request.document,
                )
                self.shop.tell(request.token, int(answer.headers.get(POSITION.lower(), 0)))
                # 503 may be said of a transaction whose end nobody knows; 409 with Retry-After is one that goes on.
                if answer.status < 500 and "retry-after" not in answer.headers:
                    return answer
                is_sent = True
            except CutError:
                is_sent = True
            except UnreachableError:
                is_sent = False  # it is sent to whoever is there
            if is_sent and not request.again:
                return None
            if time.monotonic() > deadline:
                raise NeverAnsweredError(f"{request.method} {request.path}")
            await asyncio.sleep(PAUSE)
