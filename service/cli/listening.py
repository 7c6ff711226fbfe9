"""What `reprise listen` shows of the events that it hears, and of those that it passes on."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime

import orjson
from rich.console import Console
from rich.text import Text

from service.cli.console import answer, say
from service.gateways import listening, receivers
from service.gateways.listening import Sent, Stream
from service.gateways.outbound import Limits
from service.gateways.receivers import Delivery, Reply
from service.gateways.signing import new_secret
from service.rules.outside import Reach
from service.texts import Phrase

_NEARBY = Limits(reach=Reach.EVERYWHERE)
"""Whoever develops listens on their own machine."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where events are passed on to, and what signs them."""

    url: str
    secret: str


async def listen(stream: Stream, forward_to: str | None) -> None:
    """Show events as they come, and pass them on, until cancelled. Raises StartupError when the service refuses."""
    receiver = None if forward_to is None else Receiver(forward_to, new_secret())
    if receiver is not None:
        say(Phrase("Events are passed on to {url}, signed with {secret}", url=receiver.url, secret=receiver.secret))
    heard = listening.listen(
        stream, connected=lambda: say(Phrase("Listening to {url} ...", url=stream.url)), lost=_tell_of_a_loss
    )
    show = _Board().show if sys.stdout.isatty() else _as_json
    async for sent in heard:
        show(sent, None if receiver is None else await _pass_on(sent, receiver))


def _tell_of_a_loss(reason: str) -> None:
    say(Phrase("The connection is lost, and taken up again in a moment. {reason}", reason=reason))


async def _pass_on(sent: Sent, receiver: Receiver) -> Reply:
    """Send an event as a webhook does."""
    delivery = Delivery(sent.id, sent.topic, receiver.url, sent.data.encode(), [receiver.secret])
    return await receivers.deliver(delivery, _NEARBY)


def _as_json(sent: Sent, reply: Reply | None) -> None:
    """A line for programs: what a webhook is sent, and in `meta` what the receiver answered."""
    document = orjson.loads(sent.data)
    if reply is not None:
        document["meta"]["forwarded"] = {"status": reply.status, "message": reply.message}
    answer(orjson.dumps(document).decode())


class _Board:
    """Lines for people: when by the store's clock, what, of which resource, what changed, the receiver's answer."""

    def __init__(self) -> None:
        self._console = Console()

    def show(self, sent: Sent, reply: Reply | None) -> None:
        """Show an event."""
        document = orjson.loads(sent.data)
        event, resource = document["meta"]["event"], document["data"]
        at = datetime.fromisoformat(event["created_at"]).astimezone()
        line = Text.assemble(
            (f"{at:%Y-%m-%d %H:%M:%S}  ", "dim"), (f"{sent.topic:<36}", "bold cyan"), f" {resource['id']}"
        )
        for name, both in event["changes"].items():
            line.append(f"  {name}", "dim")
            if both:
                line.append(f" {both.get('from', '')} → {both.get('to', '')}", "yellow")
        if reply is not None:
            told = f"{reply.status or ''} {reply.message}".strip()
            line.append(f"  ⇒ {told}", "green" if reply.accepted else "bold red")
        self._console.print(line, soft_wrap=True)
