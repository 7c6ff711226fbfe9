"""Behind a gateway: who asks, by which scheme and host, as the proxies in front of the service tell it.

Only proxies that the settings trust are believed: anybody can send these headers. `Forwarded` (RFC 7239) counts where
it is sent, else `X-Forwarded-For`, `-Proto` and `-Host`. Each proxy appends the address that it was asked from, so the
list is read from its end, up to the first address that is no trusted proxy's: that is who asks. `Forwarded` keeps
scheme and host in the same place; of the X- headers, which have one value for all, the first counts.
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

log = structlog.get_logger(part="proxies")

Networks = Sequence[IPv4Network | IPv6Network]

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


_MOST_TOLD = 20
"""Of how many addresses a process tells that they aren't trusted."""


class Proxies:
    """Puts what trusted proxies tell in the place of what the connection says.

    Who sends these headers and isn't trusted is told of once in the log: where that is a proxy that the settings don't
    name, everybody behind it is counted, and limited, as one.
    """

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted
        self._told: set[str] = set()

    def look_behind(self, scope: Scope, head: Head) -> Head:
        """Believe the proxy that a request comes from, if there is one that is trusted. Returns its head then."""
        client = scope.get("client")
        if not client or not (head.is_forwarded or self._trusted):
            return head
        if self._trusted and _among(client[0], self._trusted):
            self._believe(scope)
            return head_of(scope["headers"])
        if head.is_forwarded and len(self._told) < _MOST_TOLD and client[0] not in self._told:
            self._told.add(client[0])
            log.warning(
                "a forwarding header comes from an address that isn't trusted",
                address=client[0],
                header="forwarded" if b"forwarded" in head.heard else "x-forwarded-for",
                hint="If it is your proxy, name it in REPRISE_TRUSTED_PROXIES.",
            )
        return head

    def _believe(self, scope: Scope) -> None:
        scope["headers"] = [*scope["headers"]]  # other requests with this head may share them
        headers = Headers(scope=scope)
        sent = headers.getlist("forwarded")
        hops = hops_of(sent) if any(sent) else _hops_of_x(headers)
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


def hops_of(lines: Sequence[str]) -> list[Mapping[str, str]]:
    """The hops of the lines of a Forwarded header, one per proxy, the first one first; none if one can't be read."""
    # An element of Forwarded is all parameters: there is nothing before the first.
    read = [parameters(f";{element}") for element in elements(lines)]
    return [] if None in read else [dict(pairs) for _, pairs in filter(None, read)]


def _hops_of_x(headers: Headers) -> list[Mapping[str, str]]:
    """The X-Forwarded headers in the form of `Forwarded`."""
    names = (("proto", "x-forwarded-proto"), ("host", "x-forwarded-host"))
    rest = {name: headers.get(header, "").partition(",")[0].strip() for name, header in names}
    addresses = ", ".join(headers.getlist("x-forwarded-for")).split(",")
    return [rest | {"for": address.strip()} for address in addresses]


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
