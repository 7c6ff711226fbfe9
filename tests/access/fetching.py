"""Clients that fetch tokens, and what they get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from service.operations.access import clients
from service.principal import Store
from service.store.pool import Database
from tests.support import Access

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLAIMS = "https://commercelayer.io/claims"


@dataclass(frozen=True)
class Client:
    """A client with its secret, by the id of its resource where that matters."""

    client_id: str
    secret: str
    id: str = ""

    @property
    def credentials(self) -> dict[str, str]:
        """What it shows."""
        return {"client_id": self.client_id, "client_secret": self.secret}


async def made(database: Database, store: Store, kind: str = "integration", **options: Any) -> Client:
    """A new client of a store."""
    async with database.transaction() as connection:
        id_, client_id, secret = await clients.make(
            connection, store, kind=kind, name="Shop", scopes=options.get("scopes"), actor="operators"
        )
    return Client(client_id, secret, id_)


async def asked(client: httpx2.AsyncClient, **sent: Any) -> httpx2.Response:
    """The answer to a request for a token."""
    return await client.post("/oauth/token", json=sent)


async def fetch(client: httpx2.AsyncClient, shown: Client, **sent: Any) -> Access:
    """A token that a client gets by its own credentials."""
    answer = await asked(client, **{"grant_type": "client_credentials", **shown.credentials, **sent})
    assert answer.status_code == 200, answer.text
    return Access("", answer.json()["access_token"])


def owner(customer_id: str) -> Mapping[str, object]:
    """The claims of an assertion that names a customer."""
    return {CLAIMS: {"owner": {"type": "Customer", "id": customer_id}}}
