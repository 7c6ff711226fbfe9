"""One embedded Postgres for all workers of a run, one database per worker, a fresh store per test.

The workers' databases are made from a migrated template.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio
from hypothesis import settings as hypothesis
from starlette.applications import Starlette

from service import clock
from service.app import create_app
from service.contract import openapi
from service.operations.access import tokens
from service.principal import CUSTOMER_SCOPES, SCOPES, Store
from service.resources import RESOURCES
from service.settings import Settings
from service.store import embedded
from service.store.pool import Connection, Database, open_database
from tests import bouncer, counted, loglines, nodes, roles
from tests.contract.contract import Contract
from tests.spec.writing import Api
from tests.support import KEYS, Access, Grant, make_store

# How long a generated example takes says more about the machine than about us.
hypothesis.register_profile("reprise", deadline=None)
# The walks through the verbs go on for longer: make walk.
hypothesis.register_profile("long", deadline=None)
hypothesis.load_profile("reprise")

TEMPLATE = "reprise_template"
CONNECTIONS = 400
ORIGIN = "http://127.0.0.1"


RUN_FOLDER = "TEST_RUN_FOLDER"


def pytest_configure(config: pytest.Config) -> None:
    """Make a folder that all workers of this run share; under /tmp, where an unprivileged Postgres can reach it.

    Commands speak English to the tests, whatever the language of the machine. Coverage ends at the workers: to measure
    the hundreds of commands that tests start would take longer than all tests do.
    """
    os.environ["LC_ALL"] = "C.UTF-8"
    if hasattr(config, "workerinput"):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    else:
        os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="reprise-tests-")
        Path(os.environ[RUN_FOLDER]).chmod(0o755)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder when the last worker has gone."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[RUN_FOLDER], ignore_errors=True)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Let no test set up the logs of those after it."""
    with loglines.kept():
        yield


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """A folder that all workers of this run share."""
    return Path(os.environ[RUN_FOLDER])


@pytest.fixture(scope="session")
def server_url(run_folder: Path) -> Iterator[str]:
    """The URL of the run's Postgres: TEST_DATABASE_URL's server when set, else an embedded one."""
    given = os.environ.get("TEST_DATABASE_URL")
    with ExitStack() as held:
        if given is None:
            _make_room(run_folder)
        url = given or held.enter_context(embedded.start(run_folder / "postgres")).url
        held.enter_context(bouncer.wherever_wanted(url))
        yield url


def _make_room(run_folder: Path) -> None:
    """Have the run's Postgres take the connections of all workers' pools and of the processes that their tests start.

    An embedded one takes 100, which are enough for the service alone.
    """
    with (run_folder / "room.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (run_folder / "postgres").exists():
            with embedded.start(run_folder / "postgres") as server:
                asyncio.run(nodes.execute(server.url, f"alter system set max_connections = {CONNECTIONS}"))
            # Whoever joined it before its end would have the old one.
            nodes.await_end(run_folder / "postgres")


@pytest.fixture(scope="session")
def template(server_url: str, run_folder: Path) -> str:
    """The name of the migrated template, made once per run; workers take turns at the lock."""
    with (run_folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(nodes.make_template(server_url, TEMPLATE))
    return TEMPLATE


@pytest_asyncio.fixture(scope="session")
async def database_url(server_url: str, template: str, worker_id: str) -> AsyncIterator[str]:
    """The URL of this worker's own migrated database."""
    async with nodes.made(server_url, f"reprise_{worker_id}_{os.getpid()}", template) as url:
        # What a test commits need not outlive a power cut.
        await nodes.execute(server_url, f"alter database {urlsplit(url).path[1:]} set synchronous_commit = off")
        yield url


@pytest_asyncio.fixture
async def own_url(server_url: str, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database that is the test's alone."""
    async with nodes.made(server_url, f"own_{uuid.uuid4().hex}", template) as url:
        yield url


@pytest_asyncio.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    """The service's own pool on this worker's database."""
    url, prepared = bouncer.through(database_url), bouncer.most_prepared()
    async with open_database(
        url, max_size=30, command_timeout=30.0, statement_cache_size=prepared, keys=KEYS
    ) as opened:
        yield opened
    await bouncer.check(database_url)
    await bouncer.check(roles.api(database_url))


@pytest_asyncio.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    """One connection, outside of a transaction."""
    async with database.connection() as taken:
        yield taken


@pytest_asyncio.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    """A store that no other test sees, and an empty queue. Whatever a test did to it was counted.

    What other tests left in the queue would come first: a worker once moved thirty of their clocks for a minute, while
    a test waited for its only copy.
    """
    made = await make_store(database)
    async with database.connection() as connection:
        await connection.execute("delete from pgqueuer.pgqueuer")
        await counted.begin(connection, made)
    yield made
    async with database.connection() as connection:
        assert await counted.uncounted(connection, made.id) == []


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings of an application under test, which has the rights of the API and no others.

    Tokens are asked for at every request, so that tests see revocations at once.
    """
    return Settings(
        **roles.reached("api", database_url),
        secret_keys=",".join(KEYS),
        token_cache_seconds=0,
        log_level="warning",
        pool_size=8,
        gateway_timeout=1.0,
        allow_private_addresses=True,
    )


@pytest_asyncio.fixture
async def app(settings: Settings, connection: Connection) -> AsyncIterator[Starlette]:
    """The real application with its lifespan, which has counted nobody's requests yet."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        await connection.execute("delete from rate_limits")
        yield application


@pytest.fixture(scope="session")
def contract() -> Contract:
    """What `openapi.yaml` says."""
    return Contract(openapi.build(RESOURCES))


@pytest_asyncio.fixture
async def client(app: Starlette, contract: Contract) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that talks to the real application without a socket, and holds every answer against the contract.

    It never follows redirects and sees 500s as answers.
    """

    async def check(answer: httpx2.Response) -> None:
        await answer.aread()
        contract.check(answer)

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN, event_hooks={"response": [check]}) as opened:
        yield opened


@pytest.fixture
def grant(database: Database, store: Store) -> Grant:
    """Makes tokens.

    `await grant()` for an integration with all scopes, `await grant(customer_id=...)`, `await grant(scopes=[...],
    store=other)`.
    """

    async def make(
        *, customer_id: str | None = None, scopes: Collection[str] | None = None, store: Store = store
    ) -> Access:
        wanted = scopes if scopes is not None else (CUSTOMER_SCOPES if customer_id else SCOPES)
        async with database.transaction() as connection:
            id_, token = await tokens.issue(
                connection, store.id, customer_id=customer_id, scopes=wanted, name=None, expires_at=None, at=clock.now()
            )
        return Access(id_, token)

    return make


@pytest_asyncio.fixture
async def integration(grant: Grant) -> Access:
    """An integration token of the test's store with all scopes."""
    return await grant()


@pytest.fixture
def api(client: httpx2.AsyncClient, integration: Access) -> Api:
    """What speaks JSON:API with the integration's token."""
    return Api(client, integration)
