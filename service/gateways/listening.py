"""Reading a service's stream of events from outside, and going on where it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import httpx2
import orjson

from service.errors import StartupError

PATH: Final = "/api/events/stream"
SILENCE: Final = 45.0
"""Seconds of silence after which a connection is lost: the service says something every 15."""
PAUSE: Final = 2.0
"""Seconds before the next connection, unless the service says otherwise."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Where a stream is, what it is asked for, and the token for it."""

    url: str
    token: str
    topics: str
    payload: str
    include_resources: str
    after: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it was sent: `data` is the document that a webhook is sent."""

    id: str
    topic: str
    data: str


async def listen(stream: Stream, *, connected: Callable[[], None], lost: Callable[[str], None]) -> AsyncIterator[Sent]:
    """Events as they come, for ever: after each loss from the last one on. `lost` is told why a connection was.

    Raises StartupError when the service refuses.
    """
    parameters = {
        name: value
        for name in ("topics", "payload", "include_resources", "after")
        if (value := str(getattr(stream, name)))
    }
    headers = {"Authorization": f"Bearer {stream.token}", "Accept": "text/event-stream"}
    timeout = httpx2.Timeout(10, read=SILENCE)
    pause = PAUSE
    async with httpx2.AsyncClient(headers=headers, timeout=timeout) as client:
        last: dict[str, str] = {}
        while True:
            try:
                async with client.stream("GET", stream.url + PATH, params=parameters, headers=last) as answer:
                    await _check(answer)
                    connected()
                    async for event in httpx2.EventSource(answer):
                        pause = pause if event.retry is None else event.retry / 1000
                        if event.data:
                            last = {"Last-Event-ID": event.id}
                            yield Sent(event.id, event.event, event.data)
                lost("")
            except httpx2.TransportError as error:
                lost(str(error) or type(error).__name__)
            await asyncio.sleep(pause)


async def _check(answer: httpx2.Response) -> None:
    """Raise StartupError for a refusal, and TransportError for what may pass."""
    if answer.status_code == 200:
        return
    body = await answer.aread()
    if answer.status_code in (429, 500, 502, 503, 504):
        raise httpx2.RemoteProtocolError(f"{answer.status_code} {answer.reason_phrase}")
    try:
        said = "; ".join(error["detail"] for error in orjson.loads(body)["errors"])
    except (ValueError, KeyError, TypeError):
        said = f"{answer.status_code} {answer.reason_phrase}"
    raise StartupError("{url} refuses: {reason}", url=str(answer.url.copy_with(query=None)), reason=said)
