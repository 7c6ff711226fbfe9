"""Two real processes and many clients at once: nobody is ever allowed one more than the limit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import httpx2
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.reorders import document
from tests.processes import serving
from tests.spec.writing import resource
from tests.support import Grant

ADDRESS = {"first_name": "Ann", "last_name": "Bo", "line_1": "Street 1", "city": "Utrecht", "country_code": "NL"}
CASES: Mapping[str, tuple[int, int, int]] = {
    "reading": (200, 200, 100),
    "writing": (60, 201, 20),
    "costly": (60, 404, 30),
    "anonymous": (90, 410, 50),
    "tokens": (90, 401, 60),
    "sessions": (60, 401, 30),
    "clients": (60, 401, 30),
    "coupons": (30, 422, 5),
}
"""How many requests are sent, and what how many of them are answered; the others are told to come back later."""


@pytest.fixture(scope="module")
def servers(database_url: str) -> Iterator[Sequence[str]]:
    """The URLs of two processes on one database."""
    settings = {
        "DATABASE_URL": database_url, "REPRISE_SECRET_KEYS": "first-key-of-the-tests", "REPRISE_LOG_LEVEL": "warning",
        "REPRISE_READ_LIMIT": "100", "REPRISE_WRITE_LIMIT": "20", "REPRISE_RATE_LIMIT": "30",
        "REPRISE_ANONYMOUS_LIMIT": "50",
    }  # fmt: skip
    with ExitStack() as held:
        yield [
            held.enter_context(serving("serve", "--port", "0", until="answers at", **settings)).url for _ in range(2)
        ]


@pytest.mark.parametrize("what", CASES)
async def test_never_one_more_than_allowed(
    servers: Sequence[str], connection: Connection, store: Store, grant: Grant, what: str
) -> None:
    await connection.execute("delete from rate_limits")
    customer = await factories.customer(connection, store)
    cart = await factories.cart(connection, store, customer_id=customer)
    headers = (await grant(customer_id=customer)).headers

    link, coupon = "/repeat-order?id=x&token=y&type=order", "coupon_code"
    client = {"grant_type": "client_credentials", "client_secret": "guessed"}
    requests: Mapping[str, Callable[[int], tuple[str, str, Mapping[str, str], object]]] = {
        "reading": lambda _: ("GET", "/api/orders", headers, None),
        "writing": lambda _: ("POST", "/api/addresses", headers, resource("addresses", ADDRESS)),
        "costly": lambda _: ("POST", "/api/reorders", headers, document("unknown")),
        "anonymous": lambda _: ("GET", link, {}, None),
        "tokens": lambda n: ("GET", "/api/orders", {"Authorization": f"Bearer secret_{store.id}_{n:043}"}, None),
        "sessions": lambda n: ("GET", "/api/carts", {"X-Cart-Session": f"{store.id}.{n:032}"}, None),
        "clients": lambda n: ("POST", "/oauth/token", {}, client | {"client_id": f"c{n}"}),
        "coupons": lambda n: (
            "PATCH",
            f"/api/carts/{cart}",
            headers,
            resource("carts", {coupon: f"X{n}"}, id=cart),
        ),
    }
    number, status, allowed = CASES[what]
    async with httpx2.AsyncClient(base_url=servers[0]) as one, httpx2.AsyncClient(base_url=servers[1]) as other:

        async def send(place: int) -> httpx2.Response:
            method, path, sent, body = requests[what](place)
            return await (one, other)[place % 2].request(method, path, headers=sent, json=body, timeout=60)

        answers = await asyncio.gather(*map(send, range(number)))
    assert Counter(answer.status_code for answer in answers) == {status: allowed, 429: number - allowed}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 429)
