"""Whatever a shop names and however it is written: nobody is asked on a private address."""

from __future__ import annotations

import pytest

from service.gateways.outbound import Limits, NotSent, may_be_asked, post

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    # IPv4 as some resolvers read it: octal, hexadecimal, one number, fewer parts.
    "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "127.1",
    "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fec0::1]", "[ff02::1]",
    # IPv6 that leads to IPv4: mapped, compatible, NAT64 in both of its prefixes, 6to4, Teredo.
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[::a9fe:a9fe]", "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[64:ff9b:1::808:808]", "[2002:7f00:1::1]",
    "[2001:0:4136:e378:8000:63bf:5601:5601]",
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
    ],
)  # fmt: skip
def test_an_address_that_not_all_read_alike_is_no_url_to_keep(url: str) -> None:
    assert not may_be_asked(url)


def test_names_and_plain_addresses_may_be_kept_and_are_looked_at_when_they_are_asked() -> None:
    assert all(map(may_be_asked, ("https://shop.example.com/", "https://192.0.2.1/", "https://[2001:db8::1]:8443/")))
