"""A shop's own gateway over HTTP: what is asked, what is believed, and where nobody is sent."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from service.gateways.circuits import Circuits
from service.gateways.external import ExternalGateway
from service.gateways.outbound import Limits, NotSent, Silence, post
from service.gateways.port import Endpoint, NoAnswer, Payment, Unreachable, release, settle
from service.gateways.signing import is_secret, signed
from service.rules.outside import Reach
from tests.gateways import SECRET, Example

HERE = Limits(connect_timeout=1.0, timeout=1.0, reach=Reach.EVERYWHERE)

_keys = itertools.count(1)


def asking(circuits: Circuits | None = None, limits: Limits = HERE) -> ExternalGateway:
    return ExternalGateway(limits, circuits)


def payment(gateway: Example | str, token: str = "tok_1", secret: str = SECRET) -> Payment:
    url = gateway if isinstance(gateway, str) else gateway.url
    return Payment(f"1/test/{next(_keys)}", "EUR", 5495, token, "order", Endpoint(1, url, secret))


@asynccontextmanager
async def saying(answer: bytes, pause: float | None = None) -> AsyncIterator[str]:
    """A server that says one thing, whatever it is asked, a byte each `pause` (seconds) if there is one; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        with suppress(ConnectionError):
            for drip in [answer] if pause is None else [bytes([byte]) for byte in answer]:
                writer.write(drip)
                await writer.drain()
                await asyncio.sleep(pause or 0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def http(body: bytes, status: str = "200 OK", *headers: bytes) -> bytes:
    lines = (f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), b"Connection: close", *headers)
    return b"\r\n".join((*lines, b"", body))


async def test_a_payment_is_authorized_found_and_let_go(gateway: Example) -> None:
    asked, outside = payment(gateway), asking()
    assert await outside.find(asked) is None
    answer = await settle(outside, asked)
    assert answer is not None
    assert (answer.status, answer.reference is not None) == ("authorized", True)
    assert await settle(outside, asked, again=True) == answer
    assert (await gateway.payments())[asked.key]["amount_cents"] == 5495
    assert await release(outside, asked)
    withdrawn = await settle(outside, asked, again=True)
    assert withdrawn is not None
    assert withdrawn.status == "failed"


@pytest.mark.parametrize(
    ("token", "code", "hard"), [("tok_short", "insufficient_funds", False), ("tok_stolen", "stolen_card", True)]
)
async def test_a_decline_says_whether_it_is_for_good(gateway: Example, token: str, code: str, *, hard: bool) -> None:
    answer = await settle(asking(), payment(gateway, token))
    assert answer is not None
    assert (answer.status, answer.decline_code, answer.hard) == ("declined", code, hard)


async def test_silence_is_no_decline(gateway: Example) -> None:
    asked = payment(gateway, "tok_slow")
    answer = await settle(asking(), asked)
    assert answer is not None
    assert answer.status == "authorized"
    assert [action for action, key in (await gateway.books())["asked"] if key == asked.key] == ["authorize", "find"]


async def test_whom_nobody_waits_for_is_asked_for_the_same_payment_later(gateway: Example) -> None:
    asked, outside = payment(gateway, "tok_lost"), asking()
    assert await settle(outside, asked, patient=True) is None
    assert await settle(outside, asked, again=True, patient=True) is None
    given_up = await settle(outside, asked, again=True)
    assert given_up is not None
    assert given_up.status == "failed"
    assert (await gateway.payments())[asked.key]["status"] == "voided"


async def test_a_gateway_may_take_its_time(gateway: Example) -> None:
    asked = payment(gateway, "tok_pending")
    assert await settle(asking(), asked) is None
    answer = await settle(asking(), asked, again=True)
    assert answer is not None
    assert answer.status == "authorized"


async def test_who_does_not_know_the_secret_gets_no_answer(gateway: Example) -> None:
    with pytest.raises(NoAnswer):
        await asking().authorize(payment(gateway, secret=f"whsec_{'A' * 32}"))


def test_the_signature_is_that_of_standard_webhooks() -> None:
    headers = signed([SECRET], "1/a/1/find", b"{}")
    again = signed([SECRET], "1/a/1/find", b"{ }")
    assert headers["webhook-id"] == "1/a/1/find"
    assert headers["webhook-timestamp"].isdecimal()
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["webhook-signature"] != again["webhook-signature"]


def test_a_secret_is_long_enough_to_keep() -> None:
    assert is_secret(SECRET)
    assert not any(
        map(is_secret, ("", "whsec_", SECRET.removeprefix("whsec_"), "whsec_c2hvcnQ=", "whsec_!" + "A" * 40))
    )


@pytest.mark.parametrize(
    "answer",
    [
        http(b"{}"),
        http(b"[]"),
        http(b"not json"),
        http(b'{"status": "done"}'),
        http(b'{"status": "authorized"}', "201 Created"),
        http(b'{"status": "authorized"}', "500 Internal Server Error"),
        http(b"", "302 Found", b"Location: http://169.254.169.254/"),
        http(b'{"status": "authorized", "reference": "' + b"x" * 70_000 + b'"}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"not http at all\r\n\r\n",
    ],
)
async def test_what_is_no_proper_answer_is_none(answer: bytes) -> None:
    async with saying(answer) as url:
        with pytest.raises(NoAnswer) as raised:
            await asking().authorize(payment(url))
    assert not isinstance(raised.value, Unreachable)


async def test_what_is_odd_in_an_answer_takes_nothing_from_it() -> None:
    async with saying(http(b'{"status": "authorized", "reference": 7, "hard": "yes"}')) as url:
        answer = await asking().authorize(payment(url))
    assert (answer.status, answer.reference, answer.hard) == ("authorized", None, False)
    async with saying(http(b'{"status": "declined", "detail": "a\\u0000b", "decline_code": ""}')) as url:
        answer = await asking().authorize(payment(url))
    assert (answer.decline_code, answer.detail) == ("declined", "ab")


async def test_a_gateway_that_is_not_there_was_not_asked() -> None:
    async with saying(b"") as url:
        pass
    with pytest.raises(Unreachable):
        await asking().authorize(payment(url))
    refused = await settle(asking(), payment(url))
    assert refused is not None
    assert refused.status == "failed"
    assert await settle(asking(), payment(url), again=True) is None
    assert await settle(asking(), payment(url), patient=True) is None
    with pytest.raises(Unreachable):
        await asking().authorize(Payment("k", "EUR", 1, "tok"))


async def test_a_gateway_that_keeps_failing_is_left_alone_for_a_while() -> None:
    now = 0.0
    circuits = Circuits(failures=2, pause=30.0, clock=lambda: now)
    outside = asking(circuits)
    async with saying(http(b"", "503 Service Unavailable")) as url:
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await outside.authorize(payment(url))
        with pytest.raises(Unreachable):
            await outside.authorize(payment(url))
        async with saying(http(b'{"status": "authorized"}')) as other:
            assert (await outside.authorize(payment(other))).status == "authorized", "a circuit is one gateway's own"
        now = 31.0
        with pytest.raises(NoAnswer) as one:
            await outside.authorize(payment(url))
        assert not isinstance(one.value, Unreachable)
        with pytest.raises(Unreachable):
            await outside.authorize(payment(url))


async def test_a_gateway_that_answers_in_drips_is_left_alone_too() -> None:
    outside = asking(Circuits(failures=1), replace(HERE, timeout=0.4))
    async with saying(http(b'{"status": "authorized"}'), pause=0.1) as url:
        with pytest.raises(NoAnswer) as silence:
            await outside.authorize(payment(url))
        assert not isinstance(silence.value, Unreachable), "it may have taken the money"
        with pytest.raises(Unreachable):
            await outside.authorize(payment(url))


def test_a_circuit_closes_with_the_first_answer() -> None:
    circuits = Circuits(failures=1, pause=0.0, clock=lambda: 0.0)
    circuits.failed("shop")
    assert circuits.lets_through("shop")
    circuits.answered("shop")
    circuits.pause = 99.0
    assert circuits.lets_through("shop")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[2002:a00:1::]/",
        "https://2130706433/",
        "https://nobody.invalid/",
    ],
)
async def test_nobody_is_sent_into_the_services_own_network(url: str) -> None:
    with pytest.raises(NotSent):
        await post(url, b"{}", {}, Limits(connect_timeout=1.0, timeout=1.0))


async def test_an_answer_that_is_too_long_is_not_read() -> None:
    async with saying(http(b"x" * 70_000)) as url:
        with pytest.raises(Silence):
            await post(url, b"{}", {}, HERE)
