"""Roles: what each process is granted is what its statements do, and Postgres refuses all else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

import sql
from service.errors import StartupError
from service.store import migrate, roles
from service.store.pool import connect
from tests import roles as of_tests
from tests.database.rights import ROOTS, Needs, derived, page
from tests.processes import ROOT, reprise
from tests.reach import Definition, reachable

GRANTS = ROOT / "sql" / "grants.sql"


def test_what_is_granted_is_what_the_statements_do() -> None:
    assert GRANTS.read_text() == page(), "run `make generated`"
    assert sql.grants() == derived()


@pytest.mark.parametrize(
    ("statement", "rights"),
    [
        ("select id from orders where store_id = $1", {"orders": {"select": None}}),
        ("insert into orders (store_id) values ($1)", {"orders": {"insert": None}}),
        (
            "insert into orders (store_id) select store_id from carts returning id",
            {"carts": {"select": {"session", "browser"}}, "orders": {"select": None, "insert": None}},
        ),
        ("update orders set number = 1 where id = $1", {"orders": {"select": None, "update": {"number"}}}),
        (
            "with gone as (delete from orders where id = $1) update skus set name = '' from stores",
            {
                "orders": {"select": None, "delete": None},
                "skus": {"select": None, "update": {"name"}},
                "stores": {"select": {"gateway_secret"}},
            },
        ),
        (
            "insert into workers (id) values ($1) on conflict (id) do update set seen_at = excluded.seen_at",
            {"workers": {"select": None, "insert": None, "update": {"seen_at"}}},
        ),
        (
            "select o.id from orders o join skus s on true for no key update of o",
            {"orders": {"select": None, "update": {"updated_at"}}, "skus": {"select": None}},
        ),
        ("select hash from access_tokens", {"access_tokens": {"select": None}}),
        ("select id from access_tokens", {"access_tokens": {"select": {"hash"}}}),
        ("select * from access_tokens", {"access_tokens": {"select": None}}),
        ("delete from pgqueuer.pgqueuer_log", {"pgqueuer.pgqueuer_log": {"select": None, "delete": None}}),
        ("select 1 from pg_class", {}),
    ],
)
def test_what_a_statement_needs(statement: str, rights: Mapping[str, Mapping[str, set[str] | None]]) -> None:
    """Of a select that isn't of all columns, the columns are given that it leaves out."""
    needs = Needs()
    needs.statement(statement)
    found = needs.rights()
    whole = Needs()
    for table in found:
        whole.statement(f"select * from {table}")
    assert found.keys() == rights.keys()
    for table, verbs in found.items():
        assert verbs.keys() == rights[table].keys(), table
        for verb, columns in verbs.items():
            expected = rights[table][verb]
            if verb == "select" and expected is not None:
                assert columns is not None
                assert not columns & expected, table
                assert {"store_id", "id"} <= columns, table
            else:
                assert columns == expected, (table, verb)


def test_what_a_process_reaches() -> None:
    api, worker = (set(reachable(*ROOTS[process])) for process in ("api", "worker"))
    reorder = Definition("service.operations.repeating.reorders", "create")
    assert reorder in api - worker
    assert Definition("service.jobs.deliver", "Deliveries") in worker - api
    assert Definition("service.store.counts", "sum_up") in api & worker
    assert Definition("service.store.counts", "forget") not in api | worker
    with pytest.raises(KeyError):
        reachable(Definition("service.store.counts", "no_such_function"))


def test_what_happened_is_never_changed_but_for_a_person_who_is_erased_or_when_its_time_is_over() -> None:
    of_people = {
        "address", "payload", "request_id", "reference", "reference_origin", "metadata", "updated_at", "version",
    }  # fmt: skip
    assert sql.grants()["api"]["events"] == {"select": None, "insert": None, "update": of_people}
    of_worker = {"select": None, "insert": None, "update": {"address", "transaction_id"}, "delete": None}
    assert sql.grants()["worker"]["events"] == of_worker
    assert "carts" not in sql.grants()["worker"]


@pytest_asyncio.fixture
async def owner(own_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Who owns a database, connected to it."""
    async with connect(own_url) as connection:
        yield connection


@asynccontextmanager
async def user(
    owner: asyncpg.Connection[asyncpg.Record], url: str, options: str = ""
) -> AsyncIterator[tuple[str, str]]:
    """A user of the server: the name, and the URL of the database as the user has it."""
    name = f"u_{await owner.fetchval('select current_database()')}"[:50]
    await owner.execute(f"create role {name} login password 'of-the-tests' {options}")
    parts = urlsplit(url)
    try:
        yield name, urlunsplit(parts._replace(netloc=f"{name}:of-the-tests@{parts.netloc.rpartition('@')[2]}"))
    finally:
        await owner.execute(f"reassign owned by {name} to current_user; drop owned by {name}; drop role {name}")


async def forget(owner: asyncpg.Connection[asyncpg.Record], prefix: str) -> None:
    """Take the roles of a test away."""
    for role in roles.names(prefix).values():
        if await owner.fetchval("select exists (select from pg_roles where rolname = $1)", role):
            await owner.execute(
                f'reassign owned by "{role}" to current_user; drop owned by "{role}"; drop role "{role}"'
            )


NOBODY = [
    "create table mine (id int)",
    "create schema mine",
    "drop table orders",
    "alter table orders add x int",
    "truncate orders",
    "truncate events",
    "update events set name = 'orders.place'",
    "update events set changes = '{}'",
    "update events set actor_id = null",
    "update schema_migrations set version = '1'",
    "update deployment set id = 'mine'",
    "copy orders to program 'cat'",
    "create role mine",
]
NO_API = [
    "delete from events",
    "update events set transaction_id = 1",
    "delete from payment_attempts",
    "update signing_keys set private_key = ''",
]
NO_WORKER = [
    "delete from orders",
    "select hash from access_tokens",
    "select * from access_tokens",
    "insert into access_tokens (store_id) values (1)",
    "select private_key from signing_keys",
    "select session from carts",
    "update stores set gateway_secret = ''",
]


@pytest.mark.parametrize("process", ["api", "worker"])
async def test_what_a_process_can_not_do(owner: asyncpg.Connection[asyncpg.Record], process: str) -> None:
    prefix = await owner.fetchval("select current_database()")
    await roles.apply(owner, prefix)
    permitted = []
    try:
        await owner.execute(f"set role {roles.names(prefix)[process]}")
        for statement in [*NOBODY, *(NO_API if process == "api" else NO_WORKER)]:
            try:
                await owner.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                continue
            permitted.append(statement)
    finally:
        await owner.execute("reset role")
        await forget(owner, prefix)
    assert permitted == []


async def test_roles_are_made_once_and_keep_no_right_that_they_do_not_need(
    owner: asyncpg.Connection[asyncpg.Record],
) -> None:
    prefix = "Ship's " + await owner.fetchval("select left(current_database(), 20)")
    planned = await roles.plan(owner, prefix)
    assert f'create role "{prefix}_api" nologin' in planned
    assert not await owner.fetchval("select exists (select from pg_roles where rolname = $1)", f"{prefix}_api")
    try:
        said: list[str] = []
        assert await roles.apply(owner, prefix, said.append) == len(planned)
        assert said == [f"{statement};" for statement in planned]
        assert await roles.plan(owner, prefix) == []
        api = f'"{prefix}_api"'
        worker = f'"{prefix}_worker"'
        await owner.execute(f"grant all on deployment, stores to {api}; revoke update on orders from {api}")
        await owner.execute(f"grant select on carts to {worker}; grant update (inputs_size) on imports to {worker}")
        *whole, imports = await roles.plan(owner, prefix)
        assert whole == [
            f"revoke all on deployment from {api}; grant select on deployment to {api}",
            f"revoke all on orders from {api}; grant select, insert, update, delete on orders to {api}",
            f"revoke all on stores from {api}; grant select, update on stores to {api}",
            f"revoke all on carts from {worker}",
        ]
        assert imports.startswith(f"revoke all on imports from {worker}; grant select, update (completed_at, ")
        await roles.apply(owner, prefix)
        assert await roles.plan(owner, prefix) == []
    finally:
        await forget(owner, prefix)


async def test_what_a_later_release_adds_belongs_to_the_owner_too(
    owner: asyncpg.Connection[asyncpg.Record], own_url: str
) -> None:
    prefix = await owner.fetchval("select current_database()")
    whose = "select pg_get_userbyid(relowner) from pg_class where relname = $1"
    await roles.apply(owner, prefix)
    try:
        await owner.execute("drop table workers; delete from schema_migrations where version = '0010'")
        await owner.execute("drop table deployment; drop table if exists newer")
        assert await migrate.migrate(own_url) == ["0010_deployment"]
        assert {await owner.fetchval(whose, table) for table in ("workers", "deployment", "orders")} == {
            f"{prefix}_owner"
        }
        lacking = await roles.plan(owner, prefix)
        assert {statement.split(" on ")[1].split(" to ")[0] for statement in lacking} == {"workers", "deployment"}
    finally:
        await forget(owner, prefix)


async def test_who_owns_the_tables_may_do_it_with_the_right_to_make_roles(empty_url: str) -> None:
    """And goes on to have the owner's rights, as a member."""
    async with connect(empty_url) as admin, user(admin, empty_url, "createrole") as (name, url):
        prefix = await admin.fetchval("select current_database()")
        await admin.execute(f"alter database {prefix} owner to {name}")
        await migrate.migrate(url)
        try:
            async with connect(url) as own:
                await roles.apply(own, prefix)
                assert await roles.plan(own, prefix) == []
                await own.execute("alter table orders add column mine int")
            assert await migrate.migrate(url) == []
            async with connect(url) as own:
                assert await roles.plan(own, prefix) == []
        finally:
            await forget(admin, prefix)


async def test_who_may_not_is_told(owner: asyncpg.Connection[asyncpg.Record], own_url: str) -> None:
    async with user(owner, own_url) as (_, url), connect(url) as own:
        with pytest.raises(StartupError, match="Not permitted: permission denied to create role"):
            await roles.apply(own, "somebodys")
    with pytest.raises(StartupError, match="1 to 50 characters"):
        roles.names("p" * 51)


async def test_the_command(owner: asyncpg.Connection[asyncpg.Record], own_url: str) -> None:
    prefix = await owner.fetchval("select current_database()")
    command = ("migrate", "--roles", "--role-prefix", prefix, "--database-url", own_url)
    try:
        printed = reprise(*command, "--dry-run")
        assert printed.code == 0, printed.err
        assert printed.out.startswith(f"create role {prefix}_owner nologin;\n")
        assert f"grant select on deployment to {prefix}_api;\n" in printed.out
        assert f"{prefix}_api" not in {row[0] for row in await owner.fetch("select rolname from pg_roles")}
        done = reprise(*command)
        assert done.code == 0, done.err
        number = len(printed.out.splitlines())
        assert done.out == f"The database is up to date.\nChanged rights by {number} statements.\n"
        assert done.err == printed.out
        again = reprise(*command)
        assert again.out == "The database is up to date.\nThe roles have the rights that they need.\n"
        assert reprise(*command, "--dry-run").out == ""
        alone = reprise("migrate", "--dry-run", "--database-url", own_url)
        assert (alone.code, alone.err) == (1, "--dry-run goes with --roles.\n")
    finally:
        await forget(owner, prefix)


async def test_tests_run_with_the_rights_of_the_service(own_url: str) -> None:
    async with connect(of_tests.api(own_url)) as api, connect(of_tests.worker(own_url)) as worker:
        for connection in (api, worker):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("update events set name = 'orders.place'")
