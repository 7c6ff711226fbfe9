"""Reads by a streaming replica: each client sees what it wrote, and no write is decided by what a replica says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from service.app import create_app
from service.settings import Settings
from service.store import migrate
from service.store.pool import connect
from tests.chaos.fleet import Postgres
from tests.drills import load
from tests.drills.load import MEDIA_TYPE, NO_LIMITS, Outcome, Shopper
from tests.replica import Follower, following, reads


class Scene:
    """A server, its replica, two customers, and the API on both."""

    def __init__(self, server: Postgres, follower: Follower, client: httpx2.AsyncClient, people: list[Shopper]) -> None:
        self.server, self.follower, self.client = server, follower, client
        self.one, self.other = people

    async def ask(self, who: Shopper, method: str, path: str, **given: object) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {who.token}", "Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
        given_headers = given.pop("headers", {})
        assert isinstance(given_headers, dict)
        return await self.client.request(method, path, headers=headers | given_headers, **given)  # type: ignore[arg-type]

    async def name(self, who: Shopper, name: str) -> httpx2.Response:
        """Have a customer write an address."""
        attributes = {
            "first_name": name, "last_name": "Rivers", "line_1": "Dorpsstraat 1", "city": "Utrecht",
            "zip_code": "3511 AB", "country_code": "NL", "phone": "+31 30 1234567",
        }  # fmt: skip
        answer = await self.ask(
            who, "POST", "/api/addresses", json={"data": {"type": "addresses", "attributes": attributes}}
        )
        assert answer.status_code == 201, answer.text
        return answer

    async def names(self, who: Shopper, **headers: str) -> set[str]:
        """The first names of a customer's addresses, as they are read, without the one that comes with the customer."""
        answer = await self.ask(who, "GET", "/api/addresses?page[size]=100&sort=-created_at", headers=headers)
        assert answer.status_code == 200, answer.text
        return {one["attributes"]["first_name"] for one in answer.json()["data"]} - {"Sam"}

    async def by(self) -> dict[str, float]:
        """How many reads either has answered."""
        return reads((await self.client.get("/metrics", headers={"Authorization": "Bearer of-metrics"})).text)

    async def notes(self) -> list[str]:
        """What is noted of readiness."""
        return [note["code"] for note in (await self.client.get("/readyz")).json().get("notes", [])]


@asynccontextmanager
async def _scene(folder: Path) -> AsyncIterator[Scene]:
    server = Postgres(folder)
    try:
        await migrate.migrate(server.url)
        people = await load.shoppers(server.url, 2)
        with following(server.url) as follower:
            settings = Settings(
                database_url=server.url,
                replica_url=follower.over(server.url),
                replica_max_lag=1.5,
                secret_keys=NO_LIMITS["REPRISE_SECRET_KEYS"],
                rate_limit=10**9,
                metrics_token="of-metrics",
                log_level="error",
            )
            app = create_app(settings)
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            async with (
                app.router.lifespan_context(app),
                httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
            ):
                yield Scene(server, follower, client, people)
    finally:
        server.stop()


@pytest_asyncio.fixture
async def scene(run_folder: Path, worker_id: str, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with _scene(run_folder / f"followed-{worker_id}-{abs(hash(request.node.name))}") as made:
        await _until(lambda: _answers_by(made, "replica"))
        yield made


async def _answers_by(scene: Scene, by: str) -> bool:
    """Whether a read is answered by the one or the other."""
    before = await scene.by()
    await scene.names(scene.other)
    return (await scene.by())[by] > before[by]


async def _is_noted(scene: Scene, code: str) -> bool:
    return code in await scene.notes()


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 -- what is waited for is asked of the service
            await asyncio.sleep(0.1)


@pytest.mark.timeout(180)
async def test_clients_read_what_they_wrote_and_writes_are_decided_by_the_primary(scene: Scene) -> None:
    """The replica stands still, as an endless lag, and answers all the same until that is noticed."""
    await scene.follower.freeze(scene.server.url)
    made = await scene.name(scene.one, "Mina")
    position = made.headers["x-reprise-position"]
    assert await scene.names(scene.one) == {"Mina"}
    id_ = made.json()["data"]["id"]
    # What the replica has never seen is found, changed, held against its version, and deleted.
    document = {"data": {"type": "addresses", "id": id_, "attributes": {"first_name": "Mira"}}}
    tag = (await scene.ask(scene.one, "GET", f"/api/addresses/{id_}")).headers["etag"]
    path = f"/api/addresses/{id_}"
    assert (await scene.ask(scene.one, "PATCH", path, json=document, headers={"If-Match": tag})).status_code == 200
    assert (await scene.ask(scene.one, "PATCH", path, json=document, headers={"If-Match": tag})).status_code == 412
    assert await scene.names(scene.one) == {"Mira"}
    outcome = Outcome()
    source = {"data": {"type": "orders", "id": scene.one.order_id}}
    reordered = {"data": {"type": "reorders", "relationships": {"source_order": source}}}
    for number in (1, 2, 3):
        headers = {"Idempotency-Key": f"key-{number % 2}"}
        assert (await scene.ask(scene.one, "POST", "/api/reorders", json=reordered, headers=headers)).status_code == 201
    await load.count(scene.server.url, outcome)
    assert (outcome.found, outcome.wrong) == (2, [])
    # Beyond the limit nobody reads from it, and it is told.
    await _until(lambda: _answers_by(scene, "primary"))
    await _until(lambda: _is_noted(scene, "replica_behind"))
    await scene.follower.thaw(scene.server.url)
    await _until(lambda: _answers_by(scene, "replica"))
    assert await scene.names(scene.one, **{"X-Reprise-Position": position}) == {"Mira"}
    assert await scene.notes() in ([], ["no_worker"])


@pytest.mark.timeout(180)
async def test_who_sends_no_position_may_read_what_was_and_who_does_reads_what_is(scene: Scene) -> None:
    await scene.follower.freeze(scene.server.url)
    assert await _answers_by(scene, "replica")
    async with connect(scene.server.url) as connection:
        # As another process writes: this one remembers nothing of it.
        await connection.execute("update customers set email = 'changed@' || lower(id) || '.example'")
        written = await connection.fetchval("select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")

    async def is_changed(**headers: str) -> bool:
        answer = await scene.ask(scene.other, "GET", "/api/customers", headers=headers)
        return str(answer.json()["data"][0]["attributes"]["email"]).startswith("changed@")

    assert not await is_changed()
    for sent in (str(written), "9" * 19, "nonsense"):
        assert await is_changed(**{"X-Reprise-Position": sent})


@pytest.mark.timeout(180)
async def test_a_replica_that_is_dead_or_promoted_answers_nothing(scene: Scene) -> None:
    await asyncio.to_thread(scene.follower.kill)
    await _until(lambda: _is_noted(scene, "replica_away"))
    await scene.name(scene.one, "Mina")
    assert await scene.names(scene.one) == {"Mina"}
    await asyncio.to_thread(scene.follower.start)
    await _until(lambda: _answers_by(scene, "replica"))
    await asyncio.to_thread(scene.follower.promote)
    await _until(lambda: _answers_by(scene, "primary"))
    await _until(lambda: _is_noted(scene, "replica_away"))
    await scene.name(scene.one, "Mira")
    assert await scene.names(scene.one) == {"Mina", "Mira"}
