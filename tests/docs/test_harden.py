"""The page on hardening: the users that it makes can do their work, and no more."""

from __future__ import annotations

import re
import signal
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest

from service.principal import Store
from service.store import roles
from tests.processes import ROOT, reprise, serving
from tests.support import KEYS

PAGE = ROOT / "docs" / "how-to" / "harden.md"


def blocks(language: str) -> list[str]:
    """The page's blocks of a language."""
    return re.findall(rf"```{language}\n(.+?)```", PAGE.read_text(), re.DOTALL)


async def test_three_users_migrate_serve_and_work(database_url: str, store: Store) -> None:
    prefix = f"hardened_{store.id}"
    (command,), (block,) = blocks("sh"), blocks("sql")
    users = {user: f"{user}_{store.id}" for user in ("shop_admin", "shop_api", "shop_worker")}
    owner = await asyncpg.connect(database_url)
    settings = {"REPRISE_SECRET_KEYS": ",".join(KEYS), "REPRISE_LOG_LEVEL": "warning"}

    def environment(user: str) -> dict[str, str]:
        parts = urlsplit(database_url)
        password = re.search(rf"create role {user} login password '(.+?)'", block)
        assert password is not None
        netloc = f"{users[user]}:{password[1].replace(' ', '%20')}@{parts.netloc.rpartition('@')[2]}"
        return settings | {"DATABASE_URL": parts._replace(netloc=netloc).geturl()}

    former = await owner.fetchval("select pg_get_userbyid(relowner) from pg_class where relname = 'orders'")
    try:
        made = reprise(*command.split()[1:], "--role-prefix", prefix, DATABASE_URL=database_url)
        assert made.code == 0, made.err
        ours = re.sub(r"create role (\w+)", lambda found: f"create role {users[found[1]]}", block)
        await owner.execute(ours.replace("in role reprise_", f"in role {prefix}_"))
        assert reprise("migrate", **environment("shop_admin")).code == 0
        token = reprise("token", "create", "--store", str(store.id), **environment("shop_admin"))
        assert token.code == 0, token.err
        with (
            serving("serve", "--port", "0", until="answers at", **environment("shop_api")) as api,
            serving("work", until="works", **environment("shop_worker")) as worker,
        ):
            sent = {"data": {"type": "customers", "attributes": {"email": f"{prefix}@example.com"}}}
            headers = {"Authorization": f"Bearer {token.out.strip()}", "Content-Type": "application/vnd.api+json"}
            answer = httpx2.post(f"{api.url}/api/customers", json=sent, headers=headers)
            assert answer.status_code == 201, answer.text
            gone = httpx2.delete(f"{api.url}/api/customers/{answer.json()['data']['id']}", headers=headers)
            assert gone.status_code == 204, gone.text
            for service in (api, worker):
                outcome = service.stop(signal.SIGTERM)
                # Other tests leave secrets in this database that are sealed with keys of their own.
                said = [line for line in outcome.err.splitlines() if '"part":"secrets"' not in line]
                assert (outcome.code, said) == (0, [])
        refused = reprise("migrate", "--roles", **environment("shop_api"))
        assert refused.code == 1
        asked = ("store", "create", "--id", "77", "--name", "Tea", "--currency", "EUR")
        refused = reprise(*asked, **environment("shop_api"))
        told = f"The database's user {users['shop_api']} may not do this (permission denied for "
        assert (refused.code, refused.out) == (1, ""), refused.err
        assert "Traceback" not in refused.err
        (line,) = [one for one in refused.err.splitlines() if one.startswith(told)]
        assert "run the command with the user that ran `reprise migrate`" in line
        for user in ("shop_api", "shop_worker"):
            connection = await asyncpg.connect(environment(user)["DATABASE_URL"])
            try:
                for statement in (
                    "create table public.mine (id int)",
                    "drop table orders",
                    "update events set resource_type = '' where false",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
            finally:
                await connection.close()
    finally:
        await owner.execute(f"reassign owned by {prefix}_owner to {former}")
        for role in (*users.values(), *roles.names(prefix).values()):
            await owner.execute(f"drop owned by {role}; drop role {role}")
        await owner.close()
