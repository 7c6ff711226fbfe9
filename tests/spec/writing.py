"""What the chapters on writing share: a client that speaks JSON:API for one token, and documents to send."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from service.principal import Store
from service.store.pool import Connection
from sql import checks
from tests.support import Access


class Api:
    """Sends JSON:API requests with one token."""

    def __init__(self, client: httpx2.AsyncClient, access: Access) -> None:
        self._client = client
        self._access = access

    async def send(self, method: str, url: str, document: Any = None, **headers: str) -> httpx2.Response:
        content = None if document is None else json.dumps(document)
        sent = self._access.headers | headers
        answer = await self._client.request(method, f"/api/{url}", content=content, headers=sent)
        assert answer.status_code < 500, answer.text
        return answer

    async def get(self, url: str) -> Any:
        """The document at a URL, which must be there."""
        answer = await self.send("GET", url)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def create(self, type_: str, attributes: Any = None, relationships: Any = None, **members: Any) -> Any:
        """The resource object that a create answers with."""
        answer = await self.send("POST", type_, resource(type_, attributes, relationships, **members))
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def update(self, type_: str, id_: str, attributes: Any = None, relationships: Any = None) -> httpx2.Response:
        return await self.send("PATCH", f"{type_}/{id_}", resource(type_, attributes, relationships, id=id_))


def resource(type_: str, attributes: Any = None, relationships: Any = None, **members: Any) -> dict[str, Any]:
    """A document with one resource object; members that are None are left out."""
    data = {"type": type_, "attributes": attributes, "relationships": relationships, **members}
    return {"data": {name: value for name, value in data.items() if value is not None}}


def to(type_: str, id_: str | None) -> dict[str, Any]:
    """A to-one relationship object."""
    return {"data": None if id_ is None else {"type": type_, "id": id_}}


def to_all(type_: str, *ids: str) -> dict[str, Any]:
    """A to-many relationship object, which is also the document of a relationship's URL."""
    return {"data": [{"type": type_, "id": id_} for id_ in ids]}


def pointers(answer: httpx2.Response) -> list[str | None]:
    """Where the errors of an answer are."""
    return [error.get("source", {}).get("pointer") for error in answer.json()["errors"]]


def ids(document: Any) -> list[str]:
    """The ids of a document's primary data."""
    return [one["id"] for one in document["data"]]


async def offenders(connection: Connection, store: Store) -> list[Any]:
    """The rows of a store that break an invariant of sql/checks.sql."""
    return [
        (check.name, dict(row))
        for check in checks()
        for row in await connection.fetch(check.text)
        if row["store_id"] == store.id
    ]
