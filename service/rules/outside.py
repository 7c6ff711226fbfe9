"""URLs outside that a shop may name: of its gateway, of receivers of webhooks, of issuers of tokens.

A shop must not make the service reach into its own network. So what is named is looked at when it is kept, as far as
the URL itself says where it leads, and again at each request, once its host has been looked up.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from unicodedata import normalize
from urllib.parse import urlsplit

from service.settings import Settings

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class Reach(IntEnum):
    """How far the service connects: each of these reaches all that the one before it does."""

    INTERNET = 0
    """Public addresses, over TLS."""
    THIS_MACHINE = 1
    """Also this very machine, where a receiver is being developed, and without TLS."""
    EVERYWHERE = 2
    """Also private networks, and everywhere without TLS."""

    def of(self, mode: str) -> Reach:
        """How far it is for a store in this mode, `test` or `live`: nobody develops in a live one."""
        return Reach.INTERNET if self is Reach.THIS_MACHINE and mode != "test" else self


def configured_reach(settings: Settings) -> Reach:
    """How far a process with these settings connects."""
    if settings.allow_private_addresses:
        return Reach.EVERYWHERE
    return Reach.THIS_MACHINE if settings.allow_local_receivers else Reach.INTERNET


def may_be_asked(url: str) -> bool:
    """Whether a shop may name this URL: over TLS, or on this very machine, where it is being developed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or parts.fragment or not _is_plain(host):
        return False
    return parts.scheme == "https" or host in _THIS_MACHINE


def is_within(url: str, reach: Reach) -> bool:
    """Whether a URL that may be asked leads no further than this. A name may turn out to, once it is looked up."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and needs_tls(host, reach):
        return False
    try:
        return may_be_sent_to(str(ip_address(host)), reach)
    except ValueError:
        return host != "localhost" or reach >= Reach.THIS_MACHINE


def needs_tls(host: str, reach: Reach) -> bool:
    """Whether a host is connected to over TLS alone."""
    return reach < (Reach.THIS_MACHINE if host in _THIS_MACHINE else Reach.EVERYWHERE)


def may_be_sent_to(address: str, reach: Reach) -> bool:
    """Whether an address of a host may be connected to."""
    if reach is Reach.EVERYWHERE or _is_public(address):
        return True
    return reach is Reach.THIS_MACHINE and ip_address(address.partition("%")[0]).is_loopback


def _is_plain(host: str) -> bool:
    """Whether a host is a name, or an address as everybody writes it: not `0177.0.0.1`, which some read as 127.0.0.1.

    A host is meant as an address when its last label is a number (WHATWG URL, "ends in a number").
    """
    read = normalize("NFKC", host).translate(_DOTS)
    last = read.rstrip(".").rpartition(".")[2].lower()
    if not (last.isdecimal() or last.startswith("0x")):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
"""What stands for a dot in international names (RFC 3490, 3.1)."""


def _is_public(address: str) -> bool:
    """Whether an address is of the internet at large; IPv4 inside of IPv6 is looked at as what it is."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if any(ip in network for network in _OF_A_NETWORK):
            return False
        ip = _within(ip) or ip
    return ip.is_global and not ip.is_multicast


_LEAD_TO_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"))
"""IPv4 in the last 32 bits: NAT64 (RFC 6052), as IPv6 once wrote it (RFC 4291, 2.5.5.1), and translated (RFC 7915)."""
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""What comes before the IPv4 in an address of a tunnel inside of a site (RFC 5214)."""
_OF_A_NETWORK = (
    IPv6Network("64:ff9b:1::/48"),  # NAT64 as a network likes it (RFC 8215)
    IPv6Network("fec0::/10"),  # addresses of a site, which are no more (RFC 3879)
    IPv6Network("3fff::/20"),  # for documentation (RFC 9637)
    IPv6Network("5f00::/16"),  # segments of a network's routes (RFC 9602)
)


def _within(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to; None for one that leads to none."""
    last = IPv4Address(int(ip) & 0xFFFF_FFFF)
    if int(ip) > 1 and any(ip in network for network in _LEAD_TO_IPV4):
        return last
    if (int(ip) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return last
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
