"""The page on hardening: the role that it gives to what serves can do its work, and no more."""

from __future__ import annotations

import re
import signal
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest

from service.principal import Store
from tests.processes import ROOT, reprise, serving

PAGE = ROOT / "docs" / "how-to" / "harden.md"


async def test_a_role_that_can_make_no_tables_serves_and_works(database_url: str, store: Store) -> None:
    (block,) = re.findall(r"```sql\n(.+?)```", PAGE.read_text(), re.DOTALL)
    role = f"serving_{store.id}"
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute(block.replace("reprise_serving", role).replace("'another one'", "'swordfish'"))
        parts = urlsplit(database_url)
        url = parts._replace(netloc=f"{role}:swordfish@{parts.netloc.rpartition('@')[2]}").geturl()
        settings = {"DATABASE_URL": url, "REPRISE_SECRET_KEYS": "a-key-of-the-tests", "REPRISE_LOG_LEVEL": "warning"}
        made = reprise("token", "create", "--store", str(store.id), **settings)
        assert made.code == 0, made.err
        with (
            serving("serve", "--port", "0", until="answers at", **settings) as api,
            serving("work", until="works", **settings) as worker,
        ):
            sent = {"data": {"type": "customers", "attributes": {"email": f"{role}@example.com"}}}
            headers = {"Authorization": f"Bearer {made.out.strip()}", "Content-Type": "application/vnd.api+json"}
            answer = httpx2.post(f"{api.url}/api/customers", json=sent, headers=headers)
            assert answer.status_code == 201, answer.text
            gone = httpx2.delete(f"{api.url}/api/customers/{answer.json()['data']['id']}", headers=headers)
            assert gone.status_code == 204, gone.text
            for service in (api, worker):
                outcome = service.stop(signal.SIGTERM)
                assert (outcome.code, outcome.err) == (0, "")
        served = await asyncpg.connect(url)
        try:
            for statement in ("create table public.mine (id int)", "drop table orders", "alter table orders add x int"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await served.execute(statement)
        finally:
            await served.close()
    finally:
        await owner.execute(f"drop owned by {role}; drop role {role}")
        await owner.close()
