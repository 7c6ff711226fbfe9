"""What happened is told without people: in log lines, in the queue's tracebacks, in events, and of deliveries."""

from __future__ import annotations

import traceback

import asyncpg
import httpx2
import orjson
import pytest

from schemas.graph import graph
from service.cli import logs
from service.jobs import metrics
from service.principal import SCOPES, Store
from service.resources import RESOURCES
from service.store.accidents import LEFT_OUT
from service.store.pool import Connection
from tests import factories
from tests.contract.conftest import inhabit
from tests.spec.writing import Api
from tests.support import Grant

MARKER = "Zqsaidbysam"
STATEMENTS = {
    "unique": "insert into customers (store_id, id, email, created_at, updated_at)"
    f" select store_id, id || 'x', email, created_at, updated_at from customers where email = '{MARKER}@example.com'",
    "check": f"update customers set status = '{MARKER}' where email = '{MARKER}@example.com'",
    "cast": f"select '{MARKER}'::bigint",
    "json": f"select '{MARKER}'::jsonb",
    "instant": f"select '{MARKER}'::timestamptz",
}


async def failure(connection: Connection, store: Store, name: str) -> Exception:
    """What the database raises of a statement in which a marker is."""
    if name in ("unique", "check"):
        await factories.customer(connection, store, email=f"{MARKER}@example.com")
    try:
        await connection.execute("select $1::bigint", MARKER) if name == "bind" else await connection.execute(
            STATEMENTS[name]
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        accident = RuntimeError("an accident")
        accident.__cause__ = error
        return accident
    raise AssertionError("it was accepted")


@pytest.mark.parametrize("name", [*STATEMENTS, "bind"])
async def test_a_log_line_holds_no_value_of_a_row(connection: Connection, store: Store, name: str) -> None:
    error = await failure(connection, store, name)
    assert MARKER in "".join(traceback.format_exception(error)), "else there is nothing to leave out"
    line = orjson.loads(logs._line(None, "error", {"event": "accident", "exc_info": error}))  # noqa: SLF001 -- as it is written
    assert "an accident" in line["exception"]
    assert MARKER not in line["exception"]
    if name == "unique":
        assert "one_customer_per_email" in line["exception"]
    elif name != "check":
        assert LEFT_OUT in line["exception"]


async def test_the_queue_keeps_no_value_of_a_row(connection: Connection, store: Store) -> None:
    class Job:
        attempts = 0

    async def fails(_: object) -> None:
        raise await failure(connection, store, "unique")

    with pytest.raises(RuntimeError) as raised:
        await metrics.counted("copies", fails)(Job())  # type: ignore[arg-type]  # what it reads of one
    # So does PgQueuer write it down.
    assert MARKER not in "".join(traceback.format_exception(raised.value))


async def test_a_delivery_shows_no_more_than_its_reader_may_read(
    client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    """`payload` holds whole resources: it is null for tokens that may not read every type, and can't be searched."""
    world = await inhabit(connection, store)
    url = f"event_callbacks/{world['event_callbacks']}"
    everything = Api(client, await grant(scopes=SCOPES))
    assert (await everything.get(url))["data"]["attributes"]["payload"]["data"]["type"] == "orders"
    assert (await everything.get('event_callbacks?filter[payload][jcont]={"data":{"type":"orders"}}'))["data"]
    for scopes in (["read_webhooks"], sorted({*SCOPES} - {"read_orders"})):
        some = Api(client, await grant(scopes=scopes))
        for path in (url, f"webhooks/{world['webhooks']}/last_event_callbacks", "event_callbacks"):
            shown = (await some.get(path))["data"]
            for one in shown if isinstance(shown, list) else [shown]:
                assert one["attributes"]["payload"] is None
                assert one["attributes"]["status"] == "pending"
        for way in ("filter[payload][jcont]", "filter[q][payload_jcont]"):
            answer = await some.send("GET", f"event_callbacks?{way}={{}}")
            assert (answer.status_code, answer.json()["errors"][0]["source"]) == (400, {"parameter": way})
    assert [name for name in graph["event_callbacks"].attributes if graph["event_callbacks"].attributes[name].repeats]
    assert {entry.reads for entry in RESOURCES.values()} <= {*SCOPES}
