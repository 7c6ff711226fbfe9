"""Behind a gateway: who asks, by which scheme and host, as the proxies in front of the service tell it.

Only proxies that the settings trust are believed, and of what they send only the headers that the settings name: a
proxy passes on whatever else a client sends. Each proxy appends the address that it was asked from, so the list is read
from its end, up to the first address that is no trusted proxy's: that is who asks. `Forwarded` (RFC 7239) keeps scheme
and host in the same place; the X- headers beside `X-Forwarded-For` are lists of their own, or have one value for all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from service.http.hearing import Head, head_of
from service.jsonapi.headers import elements, parameters
from service.settings import Settings

log = structlog.get_logger(part="proxies")

Networks = Sequence[IPv4Network | IPv6Network]

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")

_ADDRESSES = (b"forwarded", b"x-forwarded-for")
"""The headers that say who asks."""
_FROM_PROXIES = frozenset({*_ADDRESSES, b"x-forwarded-proto", b"x-forwarded-host"})
"""All headers by which the service can be told of what is in front of a proxy."""
_FROM_PEERS = frozenset({b"x-request-id", b"traceparent"})
"""Headers that a proxy gives to requests, which those that go around it can't be told by."""

_MOST_TOLD = 20
"""Of how many addresses a process tells that they aren't trusted."""


class Proxies:
    """Puts what trusted proxies tell in the place of what the connection says.

    Who sends these headers and isn't trusted is told of once in the log: where that is a proxy that the settings don't
    name, everybody behind it is counted, and limited, as one.
    """

    def __init__(self, settings: Settings) -> None:
        self._trusted = settings.proxies
        self._believed = settings.forwarding
        self._dropped = _FROM_PROXIES - {name.encode() for name in self._believed}
        self.untrusted: set[str] = set()
        """Addresses that have sent such headers, and aren't trusted."""

    def look_behind(self, scope: Scope, head: Head) -> Head:
        """Believe the proxy that a request comes from, if there is one that is trusted. Returns what counts then."""
        client = scope.get("client")
        if not client or not (head.is_forwarded or self._trusted):
            return head
        if not self._trusted:
            self._tell(client[0], head.heard)
            return head
        if not _among(client[0], self._trusted):
            self._tell(client[0], head.heard)
            return _without(head, _FROM_PROXIES | _FROM_PEERS)
        self._believe(scope)
        return _without(head_of(scope["headers"]), self._dropped)

    def _believe(self, scope: Scope) -> None:
        scope["headers"] = [*scope["headers"]]  # other requests with this head may share them
        headers = Headers(scope=scope)
        forwarded = "forwarded" in self._believed
        hops = hops_of(headers.getlist("forwarded")) if forwarded else _hops_of_x(headers, self._believed)
        for hop in reversed(hops):
            address = _address(hop.get("for", ""))
            if address is not None:
                scope["client"] = (address, 0)
            if hop.get("proto", "").lower() in ("http", "https"):
                scope["scheme"] = hop["proto"].lower()
            if _HOST.fullmatch(hop.get("host", "")):
                MutableHeaders(scope=scope)["host"] = hop["host"]
            if address is None or not _among(address, self._trusted):
                return

    def _tell(self, address: str, heard: Mapping[bytes, bytes]) -> None:
        sent = next((name for name in _ADDRESSES if name in heard), None)
        if sent is None or len(self.untrusted) >= _MOST_TOLD or address in self.untrusted:
            return
        self.untrusted.add(address)
        log.warning(
            "a forwarding header comes from an address that isn't trusted",
            address=address,
            header=sent.decode("ascii"),
            hint="If it is your proxy, name it in REPRISE_TRUSTED_PROXIES.",
        )


def hops_of(lines: Sequence[str]) -> list[Mapping[str, str]]:
    """The hops of the lines of a Forwarded header, one per proxy, the first one first; none if one can't be read."""
    # An element of Forwarded is all parameters: there is nothing before the first.
    read = [parameters(f";{element}") for element in elements(lines)]
    return [] if None in read else [dict(pairs) for _, pairs in filter(None, read)]


def _hops_of_x(headers: Headers, believed: frozenset[str]) -> list[Mapping[str, str]]:
    """The X-Forwarded headers that are believed, in the form of `Forwarded`: one hop for each address."""
    listed = {
        name: [value.strip() for value in ", ".join(headers.getlist(f"x-forwarded-{name}")).split(",")]
        for name in ("for", "proto", "host")
        if f"x-forwarded-{name}" in believed
    }
    hops = max(map(len, listed.values()), default=0) if "for" not in listed else len(listed["for"])
    # The last value is the last proxy's; a list that is shorter has its first value for all hops before.
    return [{name: values[max(len(values) - hops + n, 0)] for name, values in listed.items()} for n in range(hops)]


def _without(head: Head, names: frozenset[bytes]) -> Head:
    """A head but for some headers."""
    if names.isdisjoint(head.heard):
        return head
    return head_of([(name, value) for name, value in head.lines if name not in names])


def _address(node: str) -> str | None:
    """The address of a node, without port and brackets; None for `unknown` and made-up names."""
    host = node.partition("]")[0].lstrip("[") if node.startswith("[") else node
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def _among(host: str, networks: Networks) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)
