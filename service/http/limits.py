"""How often somebody may ask, and the headers that say so on every answer.

Both families of headers are sent: `X-RateLimit-Limit` and `X-RateLimit-Remaining`, and `RateLimit-Policy` and
`RateLimit` (draft-ietf-httpapi-ratelimit-headers); `Retry-After` (RFC 9110) when nothing remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import Request

from service import clock
from service.errors import TooManyRequests
from service.http.allowances import Allowance
from service.http.exchange import exchange_of
from service.http.state import service_of
from service.principal import Principal
from service.store import limits as counters
from service.store.limits import Limit, Window

LimitFor = Callable[[Principal | None], Limit]
"""The limit of whoever asks; None is somebody without a good token."""


def of_class(request: Request, name: str) -> LimitFor:
    """The limit of a class of routes: the setting's, and ten times that for an integration, which asks for many."""
    amount = service_of(request).settings.rate_limit

    def limit(principal: Principal | None) -> Limit:
        for_many = principal is not None and principal.owner is None
        return Limit(name, 10 * amount if for_many else amount)

    return limit


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
    """Who is counted: the customer, the guest's cart, the token, or else the network that the request came from."""
    return f"address:{network(request)}" if principal is None else principal.sender


def network(request: Request) -> str:
    """The address that a request came from; of IPv6 its /64, all of which one client has to itself."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
