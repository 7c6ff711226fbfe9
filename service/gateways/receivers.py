"""Receivers of webhooks: each delivery is one POST, and any answer but a status of 2xx is a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime

from service import clock
from service.gateways.outbound import Limits, NotSent, Silence, Way
from service.gateways.signing import digest, signed

_KEPT = 255
"""Bytes of an answer that are kept."""

LONGEST_WAIT = timedelta(hours=24)
"""How long `Retry-After` is obeyed at most."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent: `id` is the message's, the same at every attempt; `secrets` sign it, the newest first."""

    id: str
    topic: str
    url: str
    body: bytes
    secrets: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the status, None where nothing did, the first words, and how long the receiver asks to wait."""

    status: int | None
    message: str
    wait: timedelta | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver has taken the delivery."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no further delivery."""
        return self.status == 410


async def deliver(delivery: Delivery, limits: Limits) -> Reply:
    """Send a delivery once, and return what came back."""
    async with reaching(delivery.url, limits) as way:
        return await deliver_by(way, delivery)


def reaching(url: str, limits: Limits) -> Way:
    """The way to a receiver, for `async with`."""
    return Way(url, replace(limits, longest_answer=_KEPT, cut=True))


async def deliver_by(way: Way, delivery: Delivery) -> Reply:
    """Send a delivery once, and return what came back: on a connection of others before it, if there is one."""
    headers = {
        **signed(delivery.secrets, delivery.id, delivery.body),
        "X-CommerceLayer-Topic": delivery.topic,
        "X-CommerceLayer-Signature": digest(delivery.secrets[0], delivery.body),
    }
    try:
        answer = await way.post(delivery.body, headers, again=True)
    except (NotSent, Silence) as error:
        return Reply(None, _words(str(error)))
    return Reply(answer.status, _words(answer.body.decode("utf-8", "replace")), _wait(answer.retry_after))


def _words(text: str) -> str:
    """A text as it can be kept."""
    return text.replace("\0", "")[:_KEPT]


def _wait(text: str | None) -> timedelta | None:
    """What `Retry-After` says: a number of seconds, or a date (RFC 9110, 10.2.3); None for anything else."""
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        return min(timedelta(seconds=min(int(text), 10**9)), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
        return min(max(until - clock.now(), timedelta(0)), LONGEST_WAIT)
    except (TypeError, ValueError, OverflowError):
        return None
