"""How often somebody may ask, and the headers that say so on every answer.

A request is of one class: it reads, it writes, or it asks for something costly, each kind of which has a limit of its
own. What is done without a token is limited by network. Both families of headers are sent: `X-RateLimit-Limit` and
`X-RateLimit-Remaining`, and `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers); `Retry-After`
(RFC 9110) when nothing remains.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import wraps
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request
from starlette.responses import Response

from service import clock
from service.errors import TooManyRequests
from service.http.allowances import Allowance
from service.http.exchange import exchange_of
from service.http.state import service_of
from service.principal import Principal
from service.resources import Entry
from service.settings import Settings
from service.store import limits as counters
from service.store.limits import Limit, Window

READING, WRITING, ANONYMOUS = "reading", "writing", "anonymous"
"""The names of the limits of requests that are not costly, and of those without a token."""
_TIMES = {READING: 20, WRITING: 5, ANONYMOUS: 10}
"""How many times more there may be of them than of something costly, where the settings don't say."""
FOR_MANY = 10
"""How many times more an integration may ask, which does so for many."""

LimitFor = Callable[[Principal | None], Limit]
"""The limit of whoever asks; None is somebody without a good token."""


def of_class(request: Request, name: str) -> LimitFor:
    """The limit of a class of routes: the setting's, and ten times that for an integration, which asks for many."""
    amount = service_of(request).settings.rate_limit

    def limit(principal: Principal | None) -> Limit:
        for_many = principal is not None and principal.owner is None
        return Limit(name, FOR_MANY * amount if for_many else amount)

    return limit


def of_requests(settings: Settings, name: str, principal: Principal | None) -> Limit | None:
    """The limit of requests of a class that isn't costly, or of those without a token; None where there is none.

    Where the settings don't say, a shop's own integrations have none: their requests wait for their turns.
    """
    for_many = principal is not None and principal.owner is None
    chosen = {READING: settings.read_limit, WRITING: settings.write_limit, ANONYMOUS: settings.anonymous_limit}[name]
    if chosen is None:
        return None if for_many else Limit(name, _TIMES[name] * settings.rate_limit)
    return Limit(name, FOR_MANY * chosen if for_many else chosen) if chosen else None


async def count_request(request: Request, name: str, principal: Principal | None, *, number: int = 1) -> None:
    """Count a request of a class that isn't costly, as so many; without a statement most of the time.

    Raises TooManyRequests, with Retry-After, beyond the limit.
    """
    service = service_of(request)
    limit = of_requests(service.settings, name, principal)
    if limit is None:
        return
    # A batch that is larger than the whole limit takes all of it.
    number = min(number, max(limit.amount - 1, 1))
    at, store_id = clock.now(), 0 if principal is None else principal.store.id
    window = await service.leases.spend(store_id, limit, who(request, principal), at=at, number=number)
    _settle(request, limit, window, at)


Endpoint = Callable[[Request], Awaitable[Response]]


def for_anybody(endpoint: Endpoint) -> Endpoint:
    """An endpoint that works for whoever asks, without a token: its requests are counted before, by network."""

    @wraps(endpoint)
    async def counted(request: Request) -> Response:
        await count_request(request, ANONYMOUS, None)
        return await endpoint(request)

    return counted


async def count_creation(request: Request, entry: Entry, principal: Principal) -> None:
    """Count that somebody makes a resource, where there is a limit to how many. Raises TooManyRequests beyond it.

    A sales channel's shoppers own nothing until they have a cart: those that they make are counted by network.
    """
    if entry.limited:
        await count(request, of_class(request, entry.resource.type_)(principal), principal)
    elif principal.is_channel:
        await count_carts(request)


async def count_carts(request: Request) -> None:
    """Count a cart that nobody owns, by network, as `count` does."""
    limit = Limit("carts", _TIMES[ANONYMOUS] * service_of(request).settings.rate_limit, 3_600)
    await count(request, limit, None, told=False)


async def count(request: Request, limit: Limit, principal: Principal | None, *, told: bool = True) -> None:
    """Count a request against a limit: the customer's, the guest's cart's, the token's, or else the address's.

    Its answer has headers that say what is left, unless that is not to be `told`. Raises TooManyRequests, with
    Retry-After, beyond the limit.
    """
    store_id = 0 if principal is None else principal.store.id
    await count_as(request, limit, who(request, principal), store_id=store_id, told=told)


async def count_as(request: Request, limit: Limit, who: str, *, store_id: int = 0, told: bool = True) -> None:
    """Count a request against the limit of whom the caller names, as `count` does."""
    at = clock.now()
    async with service_of(request).database.connection() as connection:
        window = await counters.hit(connection, store_id, limit, who, at=at)
    _settle(request, limit, window, at, told=told)


def _settle(request: Request, limit: Limit, window: Window, at: datetime, *, told: bool = True) -> None:
    """Have the answer say what is left, or raise TooManyRequests."""
    seconds = _seconds(limit, window, at)
    if told:
        exchange_of(request).allowance = Allowance(limit, max(limit.amount - window.hits, 0), seconds)
    if window.hits > limit.amount:
        raise _too_many(limit, seconds)


def _seconds(limit: Limit, window: Window, at: datetime) -> int:
    """Whole seconds until a window ends, at least one."""
    # Somebody who looked at the clock a little later may have begun the window.
    return min(max(math.ceil((window.expires_at - at).total_seconds()), 1), limit.seconds)


def _too_many(limit: Limit, seconds: int) -> TooManyRequests:
    return TooManyRequests(
        "Too many requests: {amount} are allowed in {seconds} seconds.",
        amount=limit.amount,
        seconds=limit.seconds,
        headers={"Retry-After": str(seconds)},
    )


def who(request: Request, principal: Principal | None) -> str:
    """Who is counted: the customer, the guest's cart, the token, or else the network that the request came from.

    Who bears a sales channel's token, as all its shoppers do, is counted by both.
    """
    if principal is None:
        return f"address:{network(request)}"
    return f"{principal.sender}/{network(request)}" if principal.is_channel else principal.sender


def network(request: Request) -> str:
    """The address that a request came from; of IPv6 its /64, all of which one client has to itself."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
