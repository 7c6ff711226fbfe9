"""Commerce Layer's libraries for tokens and for many resources, unmodified, against a server at their hosts' names."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.principal import Store
from service.store.pool import Database
from tests.access.fetching import Client, made
from tests.clients.conftest import Shop
from tests.clients.test_javascript import run
from tests.clients.tls import Terminator, certificates
from tests.processes import serving

DOMAIN = "reprise.test"


def shown(client: Client) -> dict[str, str]:
    """A client as the library takes it."""
    return {"clientId": client.client_id, "clientSecret": client.secret}


async def test_tokens_and_utilities(
    shop: Shop, environment: dict[str, str], database: Database, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    async with database.connection() as connection:
        row = await connection.fetchrow(
            "select s.* from store_facts s join orders o on o.store_id = s.id where o.id = $1", shop.known["order"]
        )
    assert row is not None
    store = Store(*row)
    clients = {
        "integration": shown(await made(database, store)),
        "channel": shown(await made(database, store, "sales_channel")),
    }
    found = certificates(tmp_path, f"auth.{DOMAIN}", f"{store.slug}.{DOMAIN}")
    with Terminator(found).running() as terminator:
        domain = f"{DOMAIN}:{terminator.port}"
        settings = {
            "REPRISE_PUBLIC_URL": f"https://{store.slug}.{domain}",
            "REPRISE_TOKEN_ISSUER": f"https://auth.{domain}",
        }
        with serving("serve", "--port", "0", until="answers at", **environment, **settings) as server:
            there = urlsplit(server.url)
            assert there.hostname is not None
            assert there.port is not None
            terminator.origin = (there.hostname, there.port)
            organization = {"id": str(store.id), "slug": store.slug}
            known = shop.known | {"domain": domain, "organization": organization, **clients}
            node = {
                "NODE_EXTRA_CA_CERTS": str(found.trusted),
                "NODE_OPTIONS": "--require ./names.cjs",
                "REPRISE_DOMAIN": domain,
            }
            with pytest.MonkeyPatch.context() as patch:
                for name, value in node.items():
                    patch.setitem(os.environ, name, value)
                run("commerce_layer_auth.js", dataclasses.replace(shop, known=known), subtests)
