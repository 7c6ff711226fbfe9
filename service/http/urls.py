"""The service's own URL, as clients reach it."""

from __future__ import annotations

import re
from functools import lru_cache

from starlette.requests import Request

from service.errors import InvalidHost
from service.http.exchange import exchange_of
from service.http.state import service_of

_PORT = re.compile(r":[0-9]{1,5}$", re.ASCII)


def origin(request: Request) -> str:
    """`https://host[:port]` without a trailing slash.

    It is the public URL of the settings, else made from the request's Host if that is allowed; worked out once for a
    request. Raises InvalidHost for a Host that isn't on the list: links made from it would lead wherever the sender
    likes.
    """
    exchange = exchange_of(request)
    if exchange.origin is None:
        exchange.origin = _origin(request)
    return exchange.origin


def api(request: Request) -> str:
    """The URL of the JSON:API root, `https://host/api`."""
    return f"{origin(request)}/api"


def _origin(request: Request) -> str:
    settings = service_of(request).settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = exchange_of(request).head.heard.get(b"host", b"")
    return _of_host(host.decode("latin-1"), request.scope["scheme"], settings.hosts)


@lru_cache(maxsize=256)
def _of_host(host: str, scheme: str, hosts: frozenset[str]) -> str:
    """Remembered, since requests name the same few hosts."""
    name, _, port = host.rpartition(":") if _PORT.search(host) else (host, "", "")
    if int(port or 0) > 65_535 or (name.lower() not in hosts and "*" not in hosts):
        raise InvalidHost(
            "This host name is not served here: REPRISE_ALLOWED_HOSTS or REPRISE_PUBLIC_URL lists the names that are.",
            header="Host",
        )
    return f"{scheme}://{host}"
