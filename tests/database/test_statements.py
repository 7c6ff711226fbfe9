"""Every statement of sql/queries is one that Postgres accepts, and returns what the service says that it does."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import asyncpg
import pytest

import sql
from service import clock
from service.errors import StartupError
from service.operations.access import tokens
from service.operations.tenant import tenants
from service.store.limits import Window
from service.store.pool import Connection, connect
from service.store.statements import Command, Declared, Many, One, Only, OnlyValue, Value, Values
from sql import Statement
from tests.database.declared import declared, faults

STATEMENTS = [statement for topic in sql.topics() for statement in sql.statements(topic).values()]


def numbers_itself(statement: Statement) -> bool:
    """Whether the parameters of a statement have no names yet."""
    return not statement.parameters and re.search(r"\$\d", statement.text) is not None


NAMED = {topic for topic in sql.topics() if not any(map(numbers_itself, sql.statements(topic).values()))}
"""The files whose statements name their parameters."""


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.path)
async def test_postgres_accepts_every_statement(connection: Connection, statement: Statement) -> None:
    prepared = await connection.prepare(statement.text)
    if not numbers_itself(statement):
        assert len(prepared.get_parameters()) == len(statement.parameters)


@pytest.mark.parametrize("place", declared())
async def test_a_statement_returns_what_is_declared(connection: Connection, place: str) -> None:
    assert await faults(connection, declared()[place]) == []


def test_a_statement_is_declared_in_one_place() -> None:
    places = Counter(statement.statement.path for statement in declared().values())
    assert [path for path, number in places.items() if number > 1] == []


def test_no_statement_is_left_over() -> None:
    used = {statement.statement.path for statement in declared().values()}
    used |= {match["path"] for path in sql.QUERIES.rglob("*.sql") for match in sql.INCLUDED.finditer(path.read_text())}
    assert [found.path for found in STATEMENTS if found.topic in NAMED and found.path not in used] == []


class Look(NamedTuple):
    hits: int | None
    expires_at: datetime | None


class Reversed(NamedTuple):
    expires_at: datetime
    hits: int


class Renamed(NamedTuple):
    hits: int
    ends_at: datetime


class Retyped(NamedTuple):
    hits: bool
    expires_at: datetime


class Mixed(NamedTuple):
    hits: int | str
    expires_at: datetime


class Longer(NamedTuple):
    hits: int
    expires_at: datetime
    key: str


@pytest.mark.parametrize(
    ("declaration", "fault"),
    [
        (One("runtime/limits.look", Look), None),
        (One("runtime/limits.look", Reversed), "column 1 is hits int8, declared as expires_at"),
        (One("runtime/limits.look", Renamed), "column 2 is expires_at timestamptz, declared as ends_at"),
        (One("runtime/limits.look", Retyped), "column 1 is hits int8, declared as hits <class 'bool'>"),
        (One("runtime/limits.look", Mixed), "column 1 is hits int8, declared as hits int | str"),
        (One("runtime/limits.look", Longer), "returns (hits, expires_at), 3 columns are declared"),
        (Value("runtime/limits.look", int), "returns (hits, expires_at), 1 columns are declared"),
        (Value("runtime/deployment.owner", str), None),
        (Value("runtime/deployment.owner", int), "column 1 is id text, declared as a value <class 'int'>"),
        (Value("runtime/deployment.owner", list[str]), "column 1 is id text"),
    ],
)
async def test_a_declaration_can_be_wrong(connection: Connection, declaration: Declared, fault: str | None) -> None:
    found = await faults(connection, declaration)
    assert found == [] if fault is None else found[0].startswith(fault), found


@dataclass(frozen=True, slots=True)
class Ends:
    expires_at: datetime


class Nested(NamedTuple):
    hits: Literal[1, 2]
    window: Ends


async def test_rows_may_be_made_of_rows(connection: Connection) -> None:
    hit, at = Only("runtime/limits.hit", Nested), clock.now()
    key = uuid.uuid4().hex
    assert await faults(connection, hit) == []
    assert await hit(connection, store=0, key=key, at=at, expires_at=at + timedelta(1), number=1) == Nested(
        1, Ends(at + timedelta(1))
    )


async def test_a_view_may_get_a_column_while_older_processes_run(own_url: str) -> None:
    async with connect(own_url) as connection:
        made = await tenants.create(connection, store_id=1, name="Shop", at=clock.now())
        view = (await connection.fetchval("select pg_get_viewdef('store_facts')")).rstrip(";")
        await connection.execute(f"create or replace view store_facts as select old.*, 1 as extra from ({view}) old")
        assert await tenants.find(connection, 1) == made
        _, token = await tokens.issue(
            connection, 1, customer_id=None, scopes=[], name=None, expires_at=None, at=clock.now()
        )
        bearer = await tokens.find(connection, token, clock.now())
        assert bearer is not None
        assert bearer.store == made


async def test_what_each_kind_of_statement_returns(connection: Connection) -> None:
    key, at = {"store": 0, "key": uuid.uuid4().hex}, clock.now()
    look, look_at_all = One("runtime/limits.look", Window), Many("runtime/limits.look", Window)
    hits, only_hits, all_hits = (kind("runtime/limits.look", int) for kind in (Value, OnlyValue, Values))
    assert await look(connection, **key, at=at) is None
    assert await look_at_all(connection, **key, at=at) == []
    assert await hits(connection, **key, at=at) is None
    assert await all_hits(connection, **key, at=at) == []
    for missing in (Only("runtime/limits.look", Window), only_hits):
        with pytest.raises(LookupError, match=r"runtime/limits\.look"):
            await missing(connection, **key, at=at)
    window = await Only("runtime/limits.hit", Window)(connection, **key, at=at, expires_at=at + timedelta(1), number=1)
    assert await look(connection, **key, at=at) == window
    assert await Only("runtime/limits.look", Window)(connection, **key, at=at) == window
    assert await look_at_all(connection, **key, at=at) == [window]
    assert await hits(connection, **key, at=at) == await only_hits(connection, **key, at=at) == 1
    assert await all_hits(connection, **key, at=at) == [1]


async def test_a_command_tells_how_many_rows_it_wrote(connection: Connection) -> None:
    seen, leave = Command("runtime/workers.seen"), Command("runtime/workers.leave")
    worker, at = uuid.uuid4().hex, clock.now()
    assert await seen(connection, id=worker, name="a", started_at=at, at=at) == 1
    assert await leave(connection, id=worker) == 1
    assert await leave(connection, id=worker) == 0
    assert await Command("runtime/deployment.owner")(connection) == 0


@pytest.mark.parametrize("given", [(), ("id", "name"), ("ids",), ("id", "id_")])
async def test_arguments_are_the_parameters(connection: Connection, given: Sequence[str]) -> None:
    with pytest.raises(TypeError, match=rf"runtime/workers\.leave takes \(id\), not \({', '.join(given)}\)"):
        await Command("runtime/workers.leave")(connection, **dict.fromkeys(given))


async def test_errors_of_the_database_pass_through(connection: Connection) -> None:
    with pytest.raises(asyncpg.NotNullViolationError):
        await Command("runtime/workers.seen")(connection, id="a", name=None, started_at=clock.now(), at=clock.now())


def test_only_statements_that_exist_are_declared() -> None:
    with pytest.raises(StartupError, match=r"limits\.sql has no statement named hits"):
        Command("runtime/limits.hits")
    with pytest.raises(TypeError, match="str is neither a NamedTuple nor a dataclass"):
        One("runtime/limits.look", str)
