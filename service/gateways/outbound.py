"""Requests to addresses that shops name: JSON by POST, with nothing followed, nothing kept and nowhere private.

A shop must not make the service reach into its own network: host names are looked up first, and unless the settings
allow private addresses only public ones are connected to, over TLS, at the very address that was checked. Redirects are
answers like any other.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv6Address, ip_address
from ssl import SSLContext

import httpx2

LONGEST_ANSWER = 65_536
"""How many bytes of an answer are read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long connecting and a whole request may take, in seconds, and where it may go."""

    connect_timeout: float = 3.0
    timeout: float = 10.0
    private_addresses: bool = False


class NotSent(Exception):
    """The request never left: there is nobody at that address, or it is one that nobody may be sent to."""


class Silence(Exception):
    """The request may have arrived, but no answer came back in time, or none that was whole."""


async def post(url: str, body: bytes, headers: Mapping[str, str], limits: Limits) -> tuple[int, bytes]:
    """Send a body of JSON; gives status and body of the answer. Raises NotSent and Silence.

    All of it has the time of the limits together, however many addresses there are, and however the answer trickles in.
    """
    try:
        async with asyncio.timeout(limits.timeout):
            return await _post(url, body, headers, limits)
    except TimeoutError as error:
        raise Silence("the answer takes too long") from error


async def _post(url: str, body: bytes, headers: Mapping[str, str], limits: Limits) -> tuple[int, bytes]:
    try:
        target = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise NotSent(repr(error)) from error
    if target.scheme != "https" and not limits.private_addresses:
        raise NotSent("only https is allowed")
    refusal: Exception = NotSent("the host has no address")
    timeout = httpx2.Timeout(limits.timeout, connect=limits.connect_timeout)
    # A proxy of the environment would look the name up once more, by itself.
    async with httpx2.AsyncClient(timeout=timeout, verify=_certificates(), trust_env=False) as client:
        for address in await _addresses(target, limits):
            try:
                return await _exchange(client, target, address, body, headers)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                refusal = error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise Silence(repr(error)) from error
    raise NotSent(repr(refusal)) from refusal


async def _exchange(
    client: httpx2.AsyncClient, target: httpx2.URL, address: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    request = client.build_request(
        "POST",
        target.copy_with(host=address),
        content=body,
        headers={
            "User-Agent": "reprise",
            "Content-Type": "application/json",
            "Accept": "application/json",
            **headers,
            "Host": target.netloc.decode("ascii"),
        },
        # The certificate is checked for the name, while the address stays the one that was looked at.
        extensions={"sni_hostname": target.host},
    )
    answer = await client.send(request, stream=True)
    try:
        read = bytearray()
        async for chunk in answer.aiter_bytes():
            read += chunk
            if len(read) > LONGEST_ANSWER:
                raise Silence("the answer is too long")
        return answer.status_code, bytes(read)
    finally:
        await answer.aclose()


async def _addresses(target: httpx2.URL, limits: Limits) -> list[str]:
    """The addresses of a host, if all of them may be connected to. Raises NotSent."""
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSent(repr(error)) from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if not limits.private_addresses and not all(map(_is_public, addresses)):
        raise NotSent("the host has a private address")
    return addresses


def _is_public(address: str) -> bool:
    """Whether an address is of the internet at large; IPv4 inside of IPv6 is looked at as what it is."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


@cache
def _certificates() -> SSLContext:
    """Whom to trust; reading that takes a while."""
    return httpx2.create_ssl_context(trust_env=False)
