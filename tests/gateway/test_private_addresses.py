"""Whatever a shop names and however it is written: nobody is asked on a private address."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from service.gateways.outbound import Limits, NotSent, post
from service.rules.outside import Reach, may_be_asked
from tests.webhooks.receiving import receiver

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    # IPv4 as some resolvers read it: octal, hexadecimal, one number, fewer parts.
    "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "127.1", "0x7f.1", "017700000001", "127.0.1",
    # Names of this machine, and dots and digits of other scripts.
    "localhost", "localhost.", "LOCALHOST", "127\u30020\u30020\u30021",
    "127\uff0e0\uff0e0\uff0e1", "127\uff610\uff610\uff611", "\uff11\uff12\uff17.0.0.1", "%31%32%37.0.0.1", "127.0.0.1.",
    "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fec0::1]", "[ff02::1]",
    # IPv6 that leads to IPv4: mapped, compatible, NAT64 in both of its prefixes, 6to4, Teredo.
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[::a9fe:a9fe]", "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[64:ff9b:1::808:808]", "[2002:7f00:1::1]",
    "[2001:0:4136:e378:8000:63bf:5601:5601]", "[2002:a9fe:a9fe::]", "[2002:a00:1::1]",
    # Translated, of a tunnel inside of a site, and of networks that aren't the internet's.
    "[::ffff:0:7f00:1]", "[2606:4700::5efe:a00:1]", "[2606:4700::200:5efe:a9fe:a9fe]", "[fe80::5efe:a00:1]",
    "[64:ff9b::a00:1]", "[64:ff9b:1:fffe::a00:1]", "[3fff::1]", "[5f00::1]", "[100::1]", "[2001:db8::1]",
    "[::ffff:0.0.0.0]", "[fd00:ec2::254]",
]  # fmt: skip


@pytest.mark.rule("FM-81")
@pytest.mark.parametrize("host", PRIVATE)
async def test_a_private_address_is_not_connected_to(host: str) -> None:
    with pytest.raises(NotSent, match=r"private address|has no address|gaierror|Invalid"):
        await post(f"https://{host}/hooks", b"{}", {}, Limits(connect_timeout=1.0, timeout=2.0))


@pytest.mark.parametrize(
    "url",
    [
        "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://2130706433/", "https://127.1/", "ftp://shop.example.com/",
        "http://shop.example.com/", "https://user@shop.example.com/", "https:///hooks", "https://[::1/",
        "https://127\u30020\u30020\u30021/", "https://127\uff611/", "https://0x7f.1./", "https://\uff11\uff12\uff17.1/",
        "http://localhost./", "http://127.0.0.1.nip.io/",
    ],
)  # fmt: skip
def test_an_address_that_not_all_read_alike_is_no_url_to_keep(url: str) -> None:
    assert not may_be_asked(url)


def test_names_and_plain_addresses_may_be_kept_and_are_looked_at_when_they_are_asked() -> None:
    assert all(map(may_be_asked, ("https://shop.example.com/", "https://192.0.2.1/", "https://[2001:db8::1]:8443/")))


class Resolver:
    """Answers a name with other addresses each time that it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        del host
        found = self.answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@pytest.mark.rule("FM-81")
async def test_a_name_that_has_one_private_address_among_others_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", Resolver(["192.0.43.8", "10.0.0.1"]))
    with pytest.raises(NotSent, match="private address"):
        await post("https://shop.example.com/", b"{}", {}, Limits(connect_timeout=1.0, timeout=2.0))


@pytest.mark.rule("FM-81")
async def test_a_name_that_leads_elsewhere_the_second_time_is_asked_at_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiver() as hooks:
        port = hooks.origin.rpartition(":")[2]
        resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver)
        answer = await post(f"http://shop.example.com:{port}/ok/here", b"{}", {}, Limits(reach=Reach.EVERYWHERE))
        monkeypatch.undo()
        (sent,) = await hooks.sent(f"{hooks.origin}/ok/here")
    assert answer.status == 200
    assert sent["headers"]["host"] == f"shop.example.com:{port}"
    assert resolver.answers == [["169.254.169.254"]]
