"""The keys of outside issuers: fetched where they are published, and kept in memory by each process.

Whoever sends tokens decides neither when nor how often an issuer is asked, and a slow one holds nobody up: one request
to it is on its way at a time, with a deadline, and never soon after the last. Keys that are known verify meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import orjson
import structlog

from service.gateways import outbound
from service.gateways.outbound import Limits, NotSent, Silence
from service.rules import jwts
from service.rules.jwts import Header, Key
from service.rules.outside import may_be_asked

DISCOVERY: Final = "/.well-known/openid-configuration"
"""Where an issuer says where its keys are (OpenID Connect Discovery 1.0, section 4)."""
MOST_KEYS: Final = 50
"""How many keys of an issuer are looked at."""
MOST_ISSUERS: Final = 1_000
"""Of how many issuers a process keeps keys; those that were asked for longest ago go first."""
DEADLINE: Final = 5.0
"""Seconds that an issuer has to tell its keys."""

log = structlog.get_logger(part="issuers")


class Source(NamedTuple):
    """Where keys are: the issuer, and the URL of its keys where that is known."""

    issuer: str
    jwks_url: str | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often an issuer is asked, and for how long its keys are believed, in seconds.

    Keys are `fresh` for so long; then they are fetched again, and verify on meanwhile, until they are `stale` because
    nobody could fetch them. A key that isn't known has them fetched, but never `seldom` after the last time, or `soon`
    after one that failed.
    """

    fresh: float = 600.0
    stale: float = 86_400.0
    seldom: float = 30.0
    soon: float = 5.0


class NoKeys(Exception):
    """An issuer's keys can't be had at the moment."""


class _Wrong(Exception):
    """What an issuer answers is none of its keys."""


@dataclass(slots=True)
class _Held:
    keys: Sequence[Key] = ()
    fetched_at: float | None = None
    next_at: float = 0.0
    fetching: asyncio.Task[None] | None = None


class IssuerKeys:
    """The keys of issuers as a process knows them. Takes how long others may take, and where they may be."""

    def __init__(self, limits: Limits, pace: Pace | None = None) -> None:
        self._limits = replace(limits, timeout=min(limits.timeout, DEADLINE))
        self._pace = pace or Pace()
        self._held: OrderedDict[Source, _Held] = OrderedDict()

    async def find(self, source: Source, header: Header) -> Key | None:
        """The key that a token says it is signed with; None when its issuer has none such.

        Raises NoKeys where none of the issuer's keys are known and can't be had.
        """
        held = self._held_of(source)
        key = self._known(held, header)
        if key is not None:
            if self._age(held) > self._pace.fresh:
                self._fetch(source, held)
            return key
        fetching = self._fetch(source, held)
        if fetching is not None:
            # Who stops waiting stops nobody else, nor the fetching.
            await asyncio.wait([fetching], timeout=self._limits.timeout)
        if self._age(held) > self._pace.stale:
            raise NoKeys
        return self._known(held, header)

    def close(self) -> None:
        """Stop asking."""
        for held in self._held.values():
            if held.fetching is not None:
                held.fetching.cancel()

    def _held_of(self, source: Source) -> _Held:
        held = self._held.setdefault(source, _Held())
        self._held.move_to_end(source)
        if len(self._held) > MOST_ISSUERS:
            _, gone = self._held.popitem(last=False)
            if gone.fetching is not None:
                gone.fetching.cancel()
        return held

    def _age(self, held: _Held) -> float:
        return float("inf") if held.fetched_at is None else time.monotonic() - held.fetched_at

    def _known(self, held: _Held, header: Header) -> Key | None:
        return jwts.pick(held.keys, header) if self._age(held) <= self._pace.stale else None

    def _fetch(self, source: Source, held: _Held) -> asyncio.Task[None] | None:
        """The fetching that is on its way, begun now if it is time; None when it isn't."""
        if held.fetching is None and time.monotonic() >= held.next_at:
            held.fetching = asyncio.create_task(self._keep(source, held))
        return held.fetching

    async def _keep(self, source: Source, held: _Held) -> None:
        wait = self._pace.soon
        try:
            async with asyncio.timeout(self._limits.timeout):
                held.keys = await fetch(source, self._limits)
            held.fetched_at, wait = time.monotonic(), self._pace.seldom
        except (NotSent, Silence, _Wrong, TimeoutError) as error:
            log.warning("an issuer's keys can't be had", issuer=source.issuer, error=str(error) or repr(error))
        finally:
            held.next_at, held.fetching = time.monotonic() + wait, None


async def fetch(source: Source, limits: Limits) -> Sequence[Key]:
    """Ask an issuer for its keys. Raises NotSent, Silence, and _Wrong for an answer that is none."""
    url = source.jwks_url
    if url is None:
        told = await _json(f"{source.issuer.rstrip('/')}{DISCOVERY}", limits)
        named = told.get("jwks_uri")
        if told.get("issuer") != source.issuer or not isinstance(named, str) or not may_be_asked(named):
            raise _Wrong("it describes another issuer, or says not where its keys are")
        url = named
    keys = (await _json(url, limits)).get("keys")
    if not isinstance(keys, list):
        raise _Wrong("there is no list of keys")
    return [key for key in keys[:MOST_KEYS] if isinstance(key, dict)]


async def _json(url: str, limits: Limits) -> Mapping[str, object]:
    answer = await outbound.get(url, limits)
    if answer.status != 200:
        raise _Wrong(f"the answer has the status {answer.status}")
    try:
        told = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise _Wrong("the answer is no JSON") from error
    if not isinstance(told, dict):
        raise _Wrong("the answer is no object")
    return told
