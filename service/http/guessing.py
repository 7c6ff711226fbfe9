"""How often somebody may be wrong about what only some know: a link, an answer that proves a customer, a coupon.

Only wrong guesses count, and delays grow for each secret and network, so that nobody is kept from a link by wrong ones
of another link. Under them lies a slow ceiling for each secret, so that many networks guess no faster.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request

from service import clock
from service.errors import ApiError, Gone, TooManyRequests, WrongGuess
from service.http import limits
from service.http.state import service_of
from service.jsonapi.body import Draft
from service.operations.orders import checkout
from service.principal import Principal
from service.rules.guesses import Ladder
from service.store import guesses
from service.store import limits as counters
from service.store.limits import Limit, Window
from service.store.pool import Connection

LIMIT = Limit("wrong_links", 60)
"""How many links that don't work a network may try. Links that work are never counted, and always open."""

FACTORS = Ladder(3, tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60)))
"""Wrong answers of a network about the customer of one link."""
FACTORS_OF_LINK = Limit("wrong_factors", 12, 3_600)
"""Wrong answers about the customer of one link together: more than a network alone can give in an hour."""

COUPONS = Ladder(5, (timedelta(seconds=30), *(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))))
"""Coupon codes that are none, of a customer or into one cart."""
COUPONS_OF_NETWORK = 60
"""Coupon codes that are none, of a network in ten minutes; ten times as many of a shop's own server."""


@dataclass(frozen=True, slots=True)
class _Guess:
    """What is guessed at, by whom (`key`, None where all are under the ceiling alone), and whose ceiling that is."""

    store_id: int
    ladder: Ladder
    key: str | None
    ceiling: Limit
    whose: str


@dataclass(frozen=True, slots=True)
class Tries:
    """What somebody may guess at: who the customer of a repeat link is, and a coupon of the cart or order of an id."""

    factor: bool = False
    coupon: bool = False
    id: str | None = None


def tries_of(draft: Draft) -> Tries:
    """What may be guessed at in a draft."""
    coupon = draft.attributes.get("coupon_code") is not None and draft.resource.type_ in ("carts", "orders")
    return Tries(draft.triggers.get(checkout.FACTOR) is not None, coupon, draft.id)


@asynccontextmanager
async def limited(request: Request) -> AsyncIterator[None]:
    """Around whatever opens a link: counts the request before, and the attempt when that raises Gone.

    Beyond the limit of wrong ones it raises TooManyRequests in its place, so that somebody who tries many is told
    nothing.
    """
    await limits.count_request(request, limits.ANONYMOUS, None)
    try:
        yield
    except Gone:
        await limits.count(request, LIMIT, None, told=False)
        raise


@asynccontextmanager
async def guarded(request: Request, principal: Principal, *tries: Tries) -> AsyncIterator[None]:
    """Around whatever writes that in which something may be guessed: WrongGuess counts, everything else doesn't.

    Raises TooManyRequests, with Retry-After and before anything is looked at, for a guess that comes too early.
    """
    found = [guess for one in tries for guess in await _guesses(request, principal, one)]
    counted: list[tuple[_Guess, Window]] = []
    database = service_of(request).database
    try:
        for guess in dict.fromkeys(found):
            async with database.connection() as connection:
                counted.append((guess, await _count(connection, guess, at=clock.now())))
        yield
    except ApiError as error:
        if not any(isinstance(problem, WrongGuess) for problem in error.problems):
            await _take_back(request, counted)
        raise
    except BaseException:
        await _take_back(request, counted)
        raise
    else:
        await _take_back(request, counted)


async def _guesses(request: Request, principal: Principal, tries: Tries) -> list[_Guess]:
    """What is guessed at, and by whom. Integrations know what they send, but for coupons that their shoppers type."""
    store, network = principal.store, limits.network(request)
    found: list[_Guess] = []
    if tries.factor and principal.cart_id is not None:
        async with service_of(request).database.connection() as connection:
            link_id = await checkout.link_of(connection, store, principal.cart_id)
        if link_id is not None:
            key = f"wrong_factors/{link_id}/{network}"
            found.append(_Guess(store.id, FACTORS, key, FACTORS_OF_LINK, link_id))
    if tries.coupon:
        integration = principal.owner is None
        ceiling = Limit("wrong_coupons", COUPONS_OF_NETWORK * (10 if integration else 1), 600)
        who = f"cart:{tries.id}" if integration and tries.id is not None else limits.who(request, principal)
        found.append(_Guess(store.id, COUPONS, f"wrong_coupons/{who}", ceiling, network))
    return found


async def _count(connection: Connection, guess: _Guess, *, at: datetime) -> Window:
    """Count a guess as wrong, both for who makes it and under the ceiling. Raises TooManyRequests."""
    if guess.key is not None:
        early = await guesses.guess(connection, guess.store_id, guess.key, guess.ladder, at=at)
        if early is not None:
            raise _too_early(early)
    window = await counters.hit(connection, guess.store_id, guess.ceiling, guess.whose, at=at)
    if window.hits > guess.ceiling.amount:
        await _uncount(connection, guess, window)
        raise _too_early(window.expires_at - at)
    return window


async def _take_back(request: Request, counted: list[tuple[_Guess, Window]]) -> None:
    for guess, window in counted:
        async with service_of(request).database.connection() as connection:
            await _uncount(connection, guess, window)


async def _uncount(connection: Connection, guess: _Guess, window: Window) -> None:
    if guess.key is not None:
        await guesses.take_back(connection, guess.store_id, guess.key, guess.ladder, at=clock.now())
    await counters.take_back(connection, guess.store_id, guess.ceiling, guess.whose, window)


def _too_early(wait: timedelta) -> TooManyRequests:
    seconds = max(math.ceil(wait.total_seconds()), 1)
    return TooManyRequests(
        "Too many wrong answers: try again in {seconds} seconds.",
        seconds=seconds,
        headers={"Retry-After": str(seconds)},
    )
