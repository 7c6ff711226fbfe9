"""docs/how-to/stream-with-debezium.md: the outbox has the columns that the configuration names, of types that fit."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest_asyncio

from service.store.pool import Connection, connect
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "how-to" / "stream-with-debezium.md").read_text()
ROUTER = "transforms.outbox."


def configured() -> dict[str, str]:
    """The configuration of the page's connector."""
    found = re.search(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    config: dict[str, str] = json.loads(found[1])["config"]
    return config


@pytest_asyncio.fixture
async def own_connection(own_url: str) -> AsyncIterator[Connection]:
    """On a database of the test's own: publications are of a whole one."""
    async with connect(own_url) as connection:
        yield connection


async def test_the_outbox_has_what_the_configuration_of_the_router_names(own_connection: Connection) -> None:
    config = configured()
    placed = [part.split(":") for part in config[f"{ROUTER}table.fields.additional.placement"].split(",")]
    assert all((len(part), part[1]) == (3, "header") for part in placed)
    named = [
        *(config[f"{ROUTER}table.field.event.{name}"] for name in ("id", "key", "payload")),
        config[f"{ROUTER}route.by.field"],
        *(part[0] for part in placed),
    ]
    (schema, table) = config["table.include.list"].split(".")
    columns = await own_connection.fetch(
        "select column_name, data_type, is_nullable from information_schema.columns"
        " where table_schema = $1 and table_name = $2",
        schema, table,
    )  # fmt: skip
    types = {row[0]: (row[1], row[2]) for row in columns}
    assert types.keys() >= set(named)
    for name in ("id", "resource_id", "resource_type"):
        assert types[name] == ("text", "NO")
    assert types["payload"] == ("jsonb", "NO")


async def test_the_publication_of_the_page_is_of_new_rows_alone(own_connection: Connection) -> None:
    statement = re.search(r"^create publication .*;$", PAGE, re.MULTILINE)
    assert statement is not None
    await own_connection.execute(statement[0])
    (published,) = await own_connection.fetch(
        "select p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, t.tablename from pg_publication p"
        " join pg_publication_tables t on t.pubname = p.pubname where p.pubname = 'reprise_outbox'"
    )
    assert tuple(published) == (True, False, False, False, "events")
