"""The floor that the service is measured against: ASGI and asyncpg with nothing in between, and nothing of our code.

Postgres builds the JSON and its bytes are the answer. There are no tokens, links, negotiation, fieldsets, rules or
errors: no service can do less. What is written is what the service writes for the same request, in one statement.
Run by uvicorn as `tests.bench.floor:app`; DATABASE_URL names the database, FLOOR_COLUMNS the columns that are read of
each table, as JSON, so that both sides read the same.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import asyncpg

from tests.bench import floor_writes

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_COLUMNS = json.loads(os.environ.get("FLOOR_COLUMNS", "{}"))


def _columns(table: str, alias: str) -> str:
    return ", ".join(f"{alias}.{column}" for column in _COLUMNS.get(table, ["id"]))


def _one(table: str, alias: str, condition: str) -> str:
    """A subquery: a row of a table as JSON."""
    return f"""(
        select row_to_json(found) from (
            select {_columns(table, alias)} from {table} as {alias} where {alias}.store_id = $1 and {condition}
        ) as found
    )"""


_LINES = f"""(
    select json_agg(row_to_json(line)) from (
        select {_columns("line_items", "l")} from line_items as l where l.store_id = $1 and l.order_id = o.id
    ) as line
)"""

_PAGE = f"""
    select json_agg(row_to_json(page)) from (
        select {_columns("orders", "o")} from orders as o where o.store_id = $1 and o.id > $2 order by o.id limit 25
    ) as page
"""

READS = {
    "/order": f"select {_one('orders', 'o', 'o.id = $2')}::text",
    "/tree": f"""
        select json_build_object(
            'order', {_one("orders", "p", "p.id = o.id")},
            'lines', {_LINES},
            'customer', {_one("customers", "c", "c.id = o.customer_id")},
            'billing_address', {_one("addresses", "a", "a.id = o.billing_address_id")},
            'shipping_address', {_one("addresses", "a", "a.id = o.shipping_address_id")}
        )::text
        from orders as o where o.store_id = $1 and o.id = $2
    """,
    "/page": f"select ({_PAGE})::text",
    "/short-page": f"select ({_PAGE.replace('limit 25', 'limit 10')})::text",
    "/counted": f"""
        select json_build_object(
            'total', (select count(*) from orders where store_id = $1),
            'data', ({_PAGE.replace("limit 25", "limit 25 offset 25")})
        )::text
    """,
    "/customer": f"""
        select json_agg(row_to_json(page))::text from (
            select {_columns("orders", "o")}, {_LINES} as lines
            from orders as o where o.store_id = $1 and o.customer_id = $2 order by o.id limit 25
        ) as page
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
    binds: list[object] = [int(query["store"][0]), query["id"][0]]
    statement = READS.get(scope["path"])
    if statement is None:
        statement = floor_writes.WRITES[scope["path"]]
        binds += [datetime.now(UTC), uuid.uuid4().hex]
        if scope["path"] in floor_writes.WITH_BODY:
            binds.append((await receive())["body"].decode())
    async with _pool.acquire() as connection:
        text = await connection.fetchval(statement, *binds)
    body = (text or "null").encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200 if text else 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
