"""Deliveries to one receiver share connections, and one that was closed meanwhile costs no attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.gateways import receivers
from service.gateways.outbound import Limits, Silence, Way
from service.gateways.receivers import Delivery
from service.gateways.signing import new_secret
from service.rules.outside import Reach

NEARBY = Limits(connect_timeout=1.0, timeout=2.0, reach=Reach.EVERYWHERE)


class Server:
    """Answers `each` requests of a connection with 204, then closes it without a word."""

    def __init__(self, each: int) -> None:
        self.each = each
        self.url = ""
        self.connections = self.requests = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for _ in range(self.each):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                self.requests += 1
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
            await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(each: int) -> AsyncIterator[Server]:
    found = Server(each)
    async with await asyncio.start_server(found.answer, "127.0.0.1", 0) as listening:
        found.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/hooks"
        yield found


def delivery(url: str, number: int) -> Delivery:
    return Delivery(f"e{number}", "orders.place", url, b"{}", [new_secret()])


async def test_deliveries_one_after_the_other_share_a_connection() -> None:
    async with serving(100) as server, receivers.reaching(server.url, NEARBY) as way:
        replies = [await receivers.deliver_by(way, delivery(server.url, number)) for number in range(20)]
    assert [reply.status for reply in replies] == [204] * 20
    assert (server.connections, server.requests) == (1, 20)


async def test_what_meets_a_connection_that_was_closed_is_sent_once_more() -> None:
    async with serving(3) as server, receivers.reaching(server.url, NEARBY) as way:
        replies = [await receivers.deliver_by(way, delivery(server.url, number)) for number in range(10)]
    assert [reply.status for reply in replies] == [204] * 10
    assert (server.connections, server.requests) == (4, 10)


async def test_a_connection_that_never_answered_is_a_failure_and_so_is_a_payment_that_met_a_closed_one() -> None:
    async with serving(0) as server, receivers.reaching(server.url, NEARBY) as way:
        assert not (await receivers.deliver_by(way, delivery(server.url, 1))).accepted
    assert server.connections == 1
    async with serving(1) as server, Way(server.url, NEARBY) as way:
        assert (await way.post(b"{}", {})).status == 204
        with pytest.raises(Silence):
            await way.post(b"{}", {})
    assert server.requests == 1
