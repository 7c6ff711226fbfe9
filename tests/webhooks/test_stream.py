"""The stream of events: each once, in order, whoever writes beside it and however often its reader is cut off."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from service import clock
from service.http import protocol
from service.http.api import event_stream
from service.http.streams import KEPT, PER_TOKEN
from service.operations.events import outbox
from service.operations.events.outbox import Event
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.jobs.test_worker import until
from tests.spec.writing import Api
from tests.support import Access, Grant, make_store
from tests.webhooks.streaming import SSE, Heard, listening, read, reading
from tests.webhooks.test_passing_over_nothing import WRITINGS, Writing

URL = event_stream.PATH


@pytest_asyncio.fixture
async def served(app: Starlette) -> AsyncIterator[str]:
    async with listening(app) as url:
        yield url


async def happens(database: Database, store: Store, number: int, name: str = "skus.create") -> list[str]:
    """Events of resources that there needn't be."""
    events = [Event(name, clock.new_id()) for _ in range(number)]
    async with database.transaction() as connection:
        await outbox.record_first(connection, store, events, actor=outbox.WORKER)
    return [event.id for event in events]


async def heard_all(heard: Heard, number: int, seconds: float = 30) -> None:
    async def enough() -> bool:
        return len(heard.blocks) >= number

    await until(enough, seconds)


async def test_an_event_is_sent_as_a_webhook_is_sent_it(
    *, api: Api, served: str, connection: Connection, store: Store, integration: Access
) -> None:
    group = await factories.insert(connection, "customer_groups", store, name="Gold")
    url = f"{served}{URL}?topics=customers.*,orders.place&include_resources=customer_group"
    async with reading(url, integration.headers) as heard:
        to = {"customer_group": {"data": {"type": "customer_groups", "id": group}}}
        await api.create("tags", {"name": "vip"})
        customer = await api.create("customers", {"email": "ada@example.com"}, to)
        await heard_all(heard, 1)
    (block,) = heard.blocks
    assert (block.event, block.id) == ("customers.create", block.data["meta"]["event"]["id"])
    assert heard.lines[0] == "retry: 2000"
    asked = await api.get(f"customers/{customer['id']}?include=customer_group")
    assert block.data["data"]["attributes"] == asked["data"]["attributes"]
    assert [one["id"] for one in block.data["included"]] == [group]
    event = (await api.get(f"events/{block.id}"))["data"]["attributes"]
    told = block.data["meta"]["event"]
    assert {name: told[name] for name in ("name", "sequence", "payload", "changes", "actor_type", "actor_id")} == {
        name: event[name] for name in ("name", "sequence", "payload", "changes", "actor_type", "actor_id")
    }


async def test_thin_ones_hold_the_id_alone_and_take_no_further_scope(
    *, served: str, store: Store, database: Database, grant: Grant
) -> None:
    own = await grant(scopes=["read_store_profile"])
    async with reading(f"{served}{URL}?payload=thin", own.headers) as heard:
        await happens(database, store, 1)
        await heard_all(heard, 1)
    assert heard.blocks[0].data["data"].keys() == {"type", "id"}
    async with httpx2.AsyncClient(base_url=served) as client:
        refusal = await client.get(URL, headers=own.headers | SSE)
        assert (refusal.status_code, refusal.json()["errors"][0]["code"]) == (403, "FORBIDDEN")


async def test_who_goes_on_from_an_event_hears_what_came_after_it(
    *, served: str, store: Store, database: Database, integration: Access
) -> None:
    ids = [(await happens(database, store, 1))[0] for _ in range(4)]
    heard: dict[str, list[str]] = {}
    async with httpx2.AsyncClient(base_url=served) as client:
        for name, query, headers, number in (
            ("after", f"?topics=skus.*&after={ids[0]}", {}, 3),
            ("start", "?topics=skus.*&after=start", {}, 4),
            ("header", "?topics=skus.*&after=start", {"Last-Event-ID": ids[1]}, 2),
        ):
            found = Heard()
            async with asyncio.timeout(20):
                await read(client, URL + query, integration.headers | headers, found, number=number)
            heard[name] = found.ids
    assert heard == {"after": ids[1:], "start": ids, "header": ids[2:]}


async def test_who_is_far_behind_is_told_all_from_the_database(
    *, served: str, store: Store, database: Database, integration: Access
) -> None:
    async with reading(f"{served}{URL}?topics=skus.*&payload=thin&after=start", integration.headers) as early:
        ids = [id_ for _ in range(6) for id_ in await happens(database, store, KEPT // 2)]
        await heard_all(early, len(ids), 60)
        async with reading(f"{served}{URL}?topics=skus.*&payload=thin&after=start", integration.headers) as late:
            ids += await happens(database, store, 3)
            await heard_all(late, len(ids), 60)
        await heard_all(early, len(ids))
    assert early.ids == late.ids == ids


@settings(max_examples=6, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writings=WRITINGS, seed=st.integers(0, 1_000))
async def test_every_event_that_commits_is_heard_once_however_often_a_reader_is_cut_off(
    *, writings: list[Writing], seed: int, database: Database, grant: Grant, served: str
) -> None:
    store = await make_store(database)
    access, heard, draw = await grant(store=store), Heard(), random.Random(seed)

    async def go_on() -> None:
        async with httpx2.AsyncClient(base_url=served) as client:
            while True:
                last = {"Last-Event-ID": heard.ids[-1]} if heard.blocks else {}
                number = len(heard.blocks) + draw.randint(1, 4)
                await read(
                    client, f"{URL}?topics=skus.*&after=start&payload=thin", access.headers | last, heard, number=number
                )

    reader = asyncio.create_task(go_on())
    await asyncio.gather(*(writing.run(database, store) for writing in writings))
    committed = {id_ for writing in writings for id_ in writing.written}
    await heard_all(heard, len(committed))
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert sorted(heard.ids) == sorted(committed)
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select id from events where store_id = $1 and resource_type = 'skus' order by transaction_id, id", store.id
        )
    assert heard.ids == [row["id"] for row in rows]


async def test_many_readers_look_at_the_outbox_together(
    *, app: Starlette, served: str, store: Store, database: Database, grant: Grant
) -> None:
    looks = 0
    pool = app.state.service.database

    def count(record: object) -> None:
        nonlocal looks
        looks += "from events" in str(getattr(record, "query", ""))

    async def looked() -> int:
        nonlocal looks
        await asyncio.sleep(0.5)
        looks = 0
        for lent in [*pool._spare]:  # noqa: SLF001 -- the connections that looks are made by
            lent.add_query_logger(count)
        await asyncio.sleep(2)
        for lent in [*pool._spare]:  # noqa: SLF001 -- the connections that looks are made by
            lent.remove_query_logger(count)
        return looks

    readers = [await grant() for _ in range(3)]
    async with reading(f"{served}{URL}?topics=skus.*", readers[0].headers) as first:
        alone = await looked()
        async with (
            reading(f"{served}{URL}?topics=skus.*", readers[1].headers) as second,
            reading(f"{served}{URL}?topics=skus.*", readers[2].headers) as third,
        ):
            together = await looked()
            ids = await happens(database, store, 3)
            for heard in (first, second, third):
                await heard_all(heard, 3)
                assert heard.ids == ids
    assert 0 < together <= alone + 2

    async def nobody() -> bool:
        return bool(app.state.service.streams.number == 0)

    await until(nobody)


async def test_a_reader_that_stops_reading_is_cut_off_and_disturbs_nobody(
    *, monkeypatch: pytest.MonkeyPatch, app: Starlette, served: str, store: Store, database: Database, grant: Grant
) -> None:
    monkeypatch.setattr(protocol, "TAKING_SECONDS", 2.0)
    stuck, other = await grant(), await grant()
    port = int(served.rpartition(":")[2])
    # Those of the tokens may be told of still, where others write beside.
    url = f"{URL}?payload=thin&topics=skus.*"
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", port))
        asked = f"GET {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {stuck.token}\r\n\r\n"
        raw.sendall(asked.encode())
        async with reading(f"{served}{url}", other.headers) as heard:

            async def both() -> bool:
                return bool(app.state.service.streams.number == 2)

            await until(both)
            ids = [id_ for _ in range(20) for id_ in await happens(database, store, 500)]
            await heard_all(heard, len(ids), 120)
            assert heard.ids == ids

            async def one() -> bool:
                return bool(app.state.service.streams.number == 1)

            await until(one, 30)
        # What the kernels hold of it is still there, and then it is over.
        raw.settimeout(10)
        assert _rest(raw).count(b"\nid: ") < len(ids)


def _rest(raw: socket.socket) -> bytes:
    """What is left of an answer."""
    parts = []
    try:
        while part := raw.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


async def test_silence_is_filled_with_comments_and_no_deadline_cuts_it(
    *, monkeypatch: pytest.MonkeyPatch, served: str, store: Store, database: Database, integration: Access
) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT", 1.0)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.5)
    async with reading(f"{served}{URL}?topics=skus.*", integration.headers) as heard:
        await asyncio.sleep(4.5)
        assert heard.lines[:4] == ["retry: 2000", ":", ":", ":"]
        await happens(database, store, 1)
        await heard_all(heard, 1)


async def test_a_token_that_is_ended_ends_its_streams(
    *, served: str, store: Store, connection: Connection, grant: Grant
) -> None:
    access, heard = await grant(), Heard()
    async with httpx2.AsyncClient(base_url=served) as client:
        stream = asyncio.create_task(read(client, URL, access.headers, heard))
        await asyncio.sleep(0.5)
        await connection.execute(
            "update access_tokens set revoked_at = $3 where store_id = $1 and id = $2", store.id, access.id, clock.now()
        )
        async with asyncio.timeout(event_stream.LOOK + 5):
            assert await stream == 200
        assert await read(client, URL, access.headers, heard) == 401


async def test_a_token_reads_so_many_streams_and_they_take_no_turn_of_its_requests(
    *, served: str, integration: Access, grant: Grant
) -> None:
    async with httpx2.AsyncClient(base_url=served) as client, asyncio.TaskGroup() as group:
        streams = [group.create_task(read(client, URL, integration.headers, Heard())) for _ in range(PER_TOKEN)]
        await asyncio.sleep(1)
        refusal = await client.get(URL, headers=integration.headers | SSE)
        assert (refusal.status_code, refusal.headers["retry-after"]) == (429, "5")
        assert (await client.head(URL, headers=integration.headers | SSE)).status_code == 429
        assert (await client.get("/api/tags", headers=integration.headers)).status_code == 200
        other = await grant()
        assert (await client.head(URL, headers=other.headers | SSE)).status_code == 200
        for stream in streams:
            stream.cancel()


async def test_a_server_stops_without_waiting_for_streams(app: Starlette, integration: Access) -> None:
    heard = Heard()
    async with httpx2.AsyncClient() as client:
        async with listening(app) as url:
            stream = asyncio.create_task(read(client, url + URL, integration.headers, heard))
            await asyncio.sleep(0.5)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        # It ends as an answer does, not in the middle.
        assert await stream == 200


async def test_nothing_is_compressed_and_proxies_are_told_to_hold_nothing_back(
    served: str, integration: Access
) -> None:
    headers = integration.headers | SSE | {"Accept-Encoding": "gzip, br, zstd"}
    async with (
        httpx2.AsyncClient(base_url=served) as client,
        client.stream("GET", URL, headers=headers) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        assert "content-encoding" not in answer.headers
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["cache-control"] == "no-store, no-transform"


@pytest.mark.parametrize("accept", ["text/event-stream", "text/*", "*/*", "", "text/event-stream;q=0.1, text/html"])
async def test_head_asks_for_no_event(client: httpx2.AsyncClient, integration: Access, accept: str) -> None:
    answer = await client.head(URL, headers=integration.headers | {"Accept": accept})
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("accept", ["application/vnd.api+json", "text/html", "*/*, text/event-stream;q=0"])
async def test_another_media_type_is_406(client: httpx2.AsyncClient, integration: Access, accept: str) -> None:
    answer = await client.get(URL, headers=integration.headers | {"Accept": accept})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["source"]) == (406, {"header": "Accept"})


async def test_other_methods_are_told_what_is_offered(client: httpx2.AsyncClient, integration: Access) -> None:
    options = await client.options(URL)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    for method in ("POST", "PATCH", "DELETE"):
        answer = await client.request(method, URL, headers=integration.headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS"), method


@pytest.mark.parametrize(
    ("query", "parameter", "suggestion"),
    [
        ("topic=orders.*", "topic", "topics"),
        ("topics=orders.placed", "topics", "orders.place"),
        ("topics=", "topics", None),
        ("topics=orders.*&topics=skus.*", "topics", None),
        ("payload=whole", "payload", None),
        ("include_resources=nothing", "include_resources", None),
        ("after=01KB9XR4ZQ0000000000000000", "after", None),
        ("filter[name]=orders.place", "filter[name]", None),
    ],
)
async def test_what_is_asked_wrongly_is_400(
    *, client: httpx2.AsyncClient, integration: Access, query: str, parameter: str, suggestion: str | None
) -> None:
    answer = await client.get(f"{URL}?{query}", headers=integration.headers | SSE)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["source"]) == (400, {"parameter": parameter})
    assert error.get("meta", {}).get("suggestion") == suggestion


async def test_an_id_that_no_event_has_is_refused_in_the_header_too(
    client: httpx2.AsyncClient, integration: Access
) -> None:
    answer = await client.get(URL, headers=integration.headers | SSE | {"Last-Event-ID": "gone"})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["source"]) == (400, {"header": "Last-Event-ID"})


async def test_customers_guests_and_strangers_read_none(
    *, client: httpx2.AsyncClient, connection: Connection, store: Store, grant: Grant
) -> None:
    own = await grant(customer_id=await factories.customer(connection, store))
    assert (await client.get(URL, headers=own.headers | SSE)).status_code == 403
    lacking = await grant(scopes=["read_orders"])
    assert (await client.get(URL, headers=lacking.headers | SSE)).status_code == 403
    assert (await client.get(URL, headers=SSE)).status_code == 401


async def test_an_event_of_another_store_is_none(
    client: httpx2.AsyncClient, database: Database, integration: Access
) -> None:
    (foreign,) = await happens(database, await make_store(database), 1)
    answer = await client.get(f"{URL}?after={foreign}", headers=integration.headers | SSE)
    assert answer.status_code == 400
