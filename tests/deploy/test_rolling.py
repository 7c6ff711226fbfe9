"""A new version takes over while customers buy: no request fails, and nothing is done twice."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from service.store import migrate
from service.store.pool import connect
from sql import MIGRATIONS
from tests import roles
from tests.chaos import world
from tests.deploy.rolling import Load, more, under_load
from tests.processes import Service, api_settings, finish, reprise, serving
from tests.proxying import free_port, need, proxied

STORE = 1003
SUBSCRIPTIONS = 300

PLACED = "select id from orders where store_id = $1 and placed_at is not null"
REORDERS = "select id from reorders where store_id = $1"

WIDENED = (
    "carts",
    "cart_items",
    "orders",
    "line_items",
    "order_subscriptions",
    "occurrences",
    "order_factories",
    "reorders",
    "events",
)
"""Tables that requests and workers use all the time."""


@pytest.fixture
async def token(own_url: str) -> str:
    """A token of the demo store, in a database of the test's own."""
    owner = api_settings(own_url) | {"DATABASE_URL": own_url, "REPRISE_DIRECT_URL": own_url}
    small = ("--customers", "20", "--skus", "40", "--orders", "30", "--subscriptions", "5")
    seeded = await asyncio.to_thread(reprise, "seed", *small, **owner)
    assert seeded.code == 0, seeded.err
    made = await asyncio.to_thread(reprise, "token", "create", "--store", str(STORE), **owner)
    assert made.code == 0, made.err
    return made.out.strip()


@contextmanager
def api(url: str, port: int, *options: str) -> Iterator[Service]:
    """A process of the API at a port, behind a proxy."""
    settings = api_settings(url) | {
        "REPRISE_TRUSTED_PROXIES": "127.0.0.1",
        "REPRISE_ALLOWED_HOSTS": "*",
        "REPRISE_RATE_LIMIT": "100000",
    }
    with serving("serve", "--port", str(port), *options, until="answers at", **settings) as service:
        yield service


@contextmanager
def worker(url: str) -> Iterator[Service]:
    """A worker."""
    settings = roles.of("worker", api_settings(url))
    with serving("work", until="Reprise works", **settings) as service:
        yield service


async def ids(url: str, statement: str) -> list[str]:
    """The ids that the demo store holds."""
    async with connect(url) as connection:
        return [row["id"] for row in await connection.fetch(statement, STORE)]


async def check(load: Load, url: str) -> None:
    """No request failed, and the database holds just the reorders that were told of."""
    assert load.failures == []
    assert len(load.reorders) > 50
    assert sorted(await ids(url, REORDERS)) == sorted(load.reorders)


@pytest.mark.timeout(600)
async def test_one_process_after_the_other_is_replaced(own_url: str, token: str, tmp_path: Path) -> None:
    need("nginx")
    orders = await ids(own_url, PLACED)
    options: dict[int, tuple[str, ...]] = {free_port(): (), free_port(): ("--workers", "2")}
    with ExitStack() as stack:

        async def begin(port: int) -> Service:
            return await asyncio.to_thread(stack.enter_context, api(own_url, port, *options[port]))

        running = {port: await begin(port) for port in options}
        front = stack.enter_context(proxied("nginx", tmp_path / "proxy", list(options)))
        async with under_load(str(front.base_url), token, front.headers["Host"], orders) as load:
            await more(load, 100)
            for port, old in running.items():
                ended = await asyncio.to_thread(old.stop, signal.SIGTERM)
                assert (ended.code, ended.err) == (0, "")
                await more(load, 100)
                await begin(port)
                await more(load, 100)
    await check(load, own_url)


@pytest.mark.timeout(600)
async def test_old_and_new_code_share_the_schema_of_the_new(own_url: str, token: str, tmp_path: Path) -> None:
    """The new release is this one: what it adds to the tables, no code knows."""
    orders = await ids(own_url, PLACED)
    async with connect(own_url) as connection:
        made = await world.build(connection, store_count=1, subscriptions=SUBSCRIPTIONS, first_store=2001)
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    added = [
        f"alter table {table} add column of_the_next text, add column next_{table} integer not null default 7;"
        for table in WIDENED
    ]
    (folder / "9999_next.sql").write_text("\n".join(["-- migrate:up", *added, ""]))
    with ExitStack() as stack:
        old_worker = await asyncio.to_thread(stack.enter_context, worker(own_url))
        old = await asyncio.to_thread(stack.enter_context, api(own_url, free_port()))
        async with under_load(old.url, token, "127.0.0.1", orders) as load:
            await more(load, 100)
            assert await migrate.migrate(own_url, folder) == ["9999_next"]
            await more(load, 100)
            await asyncio.to_thread(stack.enter_context, worker(own_url))
            await asyncio.to_thread(stack.enter_context, api(own_url, free_port()))
            await more(load, 50)
            ended = await asyncio.to_thread(old_worker.stop, signal.SIGTERM)
            assert ended.code == 0
        assert "a job failed" not in ended.err
        async with connect(own_url) as connection:
            deadline = time.monotonic() + 120
            while await world.left(connection):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
            doubled_or_lost = [line for line in await world.verdict(connection, made) if "2001" in line]
            failed = await connection.fetch(
                "select id from order_factories where store_id = 2001 and status = 'failed'"
            )
            assert (doubled_or_lost, failed) == ([], [])
    await check(load, own_url)
    clean = await asyncio.to_thread(reprise, "check-db", DATABASE_URL=own_url)
    assert clean.code == 0, clean.out


def test_what_a_proxy_has_sent_by_then_is_still_answered(own_url: str) -> None:
    """It can't know yet that the process stops: on a connection that is kept, one last request is taken."""
    with api(own_url, 0) as service:
        port = int(service.url.rpartition(":")[2])
        kept = HTTPConnection("127.0.0.1", port, timeout=30)
        kept.request("GET", "/healthz")
        assert kept.getresponse().read()
        service.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while _takes_connections(port):
            assert time.monotonic() < deadline
        kept.request("GET", "/healthz")
        last = kept.getresponse()
        assert (last.status, last.getheader("Connection")) == (200, "close")
        ended = finish(service.process)
    assert (ended.code, ended.err) == (0, "")


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
