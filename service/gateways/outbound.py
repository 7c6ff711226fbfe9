"""Requests to addresses that shops name: JSON by POST or GET, with nothing followed, nothing kept and nowhere private.

A shop must not make the service reach into its own network: host names are looked up first, and unless the settings
allow private addresses only public ones are connected to, over TLS, at the very address that was checked. Redirects are
answers like any other. Payment gateways, receivers of webhooks and issuers of tokens are asked in this way, and nobody
in another.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Self

import httpx2

from service.rules.outside import Reach, may_be_sent_to, needs_tls

LONGEST_ANSWER = 65_536
"""How many bytes of an answer are read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long connecting and a whole request may take, in seconds, and how far it may go.

    An answer is read up to `longest_answer` bytes; a longer one is none, or with `cut` read so far.
    """

    connect_timeout: float = 3.0
    timeout: float = 10.0
    reach: Reach = Reach.INTERNET
    longest_answer: int = LONGEST_ANSWER
    cut: bool = False


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back: the status, the body, and for how long to wait as `Retry-After` has it, None without one."""

    status: int
    body: bytes
    retry_after: str | None = None


class NotSent(Exception):
    """The request never left: there is nobody at that address, or it is one that nobody may be sent to."""


class Silence(Exception):
    """The request may have arrived, but no answer came back in time, or none that was whole."""


async def get(url: str, limits: Limits) -> Answered:
    """Ask for JSON, and return the answer. Raises NotSent and Silence."""
    async with Way(url, limits) as way:
        return await way.get()


async def post(url: str, body: bytes, headers: Mapping[str, str], limits: Limits) -> Answered:
    """Send a body of JSON, and return the answer. Raises NotSent and Silence.

    All of it has the time of the limits together, however many addresses there are, and however the answer trickles in.
    """
    async with Way(url, limits) as way:
        return await way.post(body, headers)


class Way:
    """A way to one URL, for `async with`: its host is looked up once, and connections are used again."""

    def __init__(self, url: str, limits: Limits) -> None:
        self._url = url
        self._limits = limits
        timeout = httpx2.Timeout(limits.timeout, connect=limits.connect_timeout)
        # A proxy of the environment would look the name up once more, by itself.
        self._client = httpx2.AsyncClient(timeout=timeout, verify=_certificates(), trust_env=False)
        self._found: asyncio.Task[list[str]] | None = None
        self._works = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._found is not None:
            self._found.cancel()
            await asyncio.gather(self._found, return_exceptions=True)
        await self._client.aclose()

    async def get(self) -> Answered:
        """Ask for JSON, and return the answer. Raises NotSent and Silence."""
        return await self._in_time(None, {}, again=False)

    async def post(self, body: bytes, headers: Mapping[str, str], *, again: bool = False) -> Answered:
        """Send a body of JSON, and return the answer. Raises NotSent and Silence.

        `again` allows to send it once more where a connection that was used before turns out to be closed.
        """
        return await self._in_time(body, headers, again=again)

    async def _in_time(self, body: bytes | None, headers: Mapping[str, str], *, again: bool) -> Answered:
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await self._send(body, headers, again=again)
        except TimeoutError as error:
            raise Silence("the answer takes too long") from error

    async def _send(self, body: bytes | None, headers: Mapping[str, str], *, again: bool) -> Answered:
        target = self._target()
        refusal: Exception = NotSent("the host has no address")
        for address in await self._addresses(target):
            request = _request(self._client, target, address, body, headers)
            may_be_closed = self._works and again
            try:
                answered = await _exchange(self._client, request, self._limits)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                refusal = error
                continue
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError) as error:
                if may_be_closed:
                    return await self._send(body, headers, again=False)
                raise Silence(repr(error)) from error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise Silence(repr(error)) from error
            self._works = True
            return answered
        raise NotSent(repr(refusal)) from refusal

    def _target(self) -> httpx2.URL:
        try:
            target = httpx2.URL(self._url)
        except httpx2.InvalidURL as error:
            raise NotSent(repr(error)) from error
        if target.scheme != "https" and needs_tls(target.host, self._limits.reach):
            raise NotSent("only https is allowed, unless REPRISE_ALLOW_PRIVATE_ADDRESSES is true")
        return target

    async def _addresses(self, target: httpx2.URL) -> list[str]:
        """The addresses of the host, the same for as long as this way is used."""
        if self._found is None:
            self._found = asyncio.create_task(_addresses(target, self._limits))
        return await asyncio.shield(self._found)


def _request(
    client: httpx2.AsyncClient, target: httpx2.URL, address: str, body: bytes | None, headers: Mapping[str, str]
) -> httpx2.Request:
    return client.build_request(
        "GET" if body is None else "POST",
        target.copy_with(host=address),
        content=body,
        headers={
            "User-Agent": "reprise",
            **({} if body is None else {"Content-Type": "application/json"}),
            "Accept": "application/json",
            **headers,
            "Host": target.netloc.decode("ascii"),
        },
        # The certificate is checked for the name, while the address stays the one that was looked at.
        extensions={"sni_hostname": target.host},
    )


async def _exchange(client: httpx2.AsyncClient, request: httpx2.Request, limits: Limits) -> Answered:
    answer = await client.send(request, stream=True)
    try:
        read = bytearray()
        async for chunk in answer.aiter_bytes():
            read += chunk
            if len(read) > limits.longest_answer:
                if limits.cut:
                    break
                raise Silence("the answer is too long")
        return Answered(answer.status_code, bytes(read[: limits.longest_answer]), answer.headers.get("Retry-After"))
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
    if not all(may_be_sent_to(address, limits.reach) for address in addresses):
        raise NotSent("the host has a private address")
    return addresses


@cache
def _certificates() -> SSLContext:
    """Whom to trust; reading that takes a while."""
    return httpx2.create_ssl_context(trust_env=False)
