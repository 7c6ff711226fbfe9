"""The floor that reading is measured against: ASGI and asyncpg with nothing in between.

Postgres builds the JSON and its bytes are the answer. There are no tokens, links, negotiation, fieldsets or errors: no
service can do less. Run by uvicorn as `tests.bench.floor:app`; DATABASE_URL names the database.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import asyncpg

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_LINES = """(
    select json_agg(row_to_json(line_items)) from line_items
    where line_items.store_id = orders.store_id and line_items.order_id = orders.id
)"""

STATEMENTS = {
    "/order": "select row_to_json(orders)::text from orders where store_id = $1 and id = $2",
    "/tree": f"""
        select json_build_object(
            'order', row_to_json(orders),
            'lines', {_LINES},
            'customer', row_to_json(customers),
            'billing_address', row_to_json(billing),
            'shipping_address', row_to_json(shipping)
        )::text
        from orders
        left join customers on customers.store_id = orders.store_id and customers.id = orders.customer_id
        left join addresses as billing
            on billing.store_id = orders.store_id and billing.id = orders.billing_address_id
        left join addresses as shipping
            on shipping.store_id = orders.store_id and shipping.id = orders.shipping_address_id
        where orders.store_id = $1 and orders.id = $2
    """,
    "/page": """
        select json_agg(row_to_json(page))::text
        from (select * from orders where store_id = $1 and id > $2 order by id limit 25) as page
    """,
    "/customer": f"""
        select json_agg(json_build_object('order', row_to_json(orders), 'lines', {_LINES}))::text
        from (select * from orders where store_id = $1 and customer_id = $2 order by id limit 25) as orders
    """,
}
"""Path -> what it answers, for a store and the `id` of the query."""

_pool: asyncpg.Pool[asyncpg.Record] | None = None


async def _nothing(_: object) -> None:
    """Leave a connection as it is between two requests."""


async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
    """Answer `/<statement>?store=...&id=...`."""
    global _pool  # noqa: PLW0603 -- as little as can be
    if scope["type"] == "lifespan":
        await receive()
        _pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=16, reset=_nothing)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _pool.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    assert _pool is not None
    query = parse_qs(scope["query_string"].decode())
    async with _pool.acquire() as connection:
        text = await connection.fetchval(STATEMENTS[scope["path"]], int(query["store"][0]), query["id"][0])
    body = (text or "null").encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
