"""The script of `make bench-copies` runs the statements that there are, with all their parameters."""

from __future__ import annotations

import re

import asyncpg

from tests.bench.copies import CLIENTS, run_bare, script_of


def test_the_script_gives_every_statement_its_parameters() -> None:
    script = script_of(1, "'2026-01-01'::timestamptz")
    assert "insert into events" in script
    assert not re.search(r"^run |\$|--", script, re.MULTILINE)


async def test_the_script_makes_copies(own_url: str) -> None:
    connection = await asyncpg.connect(own_url)
    try:
        assert await run_bare(connection, own_url, CLIENTS) > 0
        made = "select count(*) from orders where occurrence_id is not null and code like 'B%'"
        assert await connection.fetchval(made) >= CLIENTS
    finally:
        await connection.close()
