"""What the chapters on Atomic Operations share: a client that posts operations, and short ways to write them."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from tests.spec.writing import Api, resource
from tests.support import Access

ATOMIC = "https://jsonapi.org/ext/atomic"
MEDIA_TYPE = f'application/vnd.api+json; ext="{ATOMIC}"'
URL = "/api/operations"


class Batches:
    """Posts operations with one token, and checks what holds for every answer to them."""

    def __init__(self, client: httpx2.AsyncClient, access: Access) -> None:
        self._client = client
        self._access = access

    async def send(self, document: Any, **headers: str) -> httpx2.Response:
        sent = self._access.headers | {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE} | headers
        content = document if isinstance(document, bytes) else json.dumps(document)
        answer = await self._client.post(URL, content=content, headers=sent)
        assert answer.status_code < 500, answer.text
        if answer.status_code == 200:
            whole = answer.json()
            assert answer.headers["content-type"] == MEDIA_TYPE
            assert whole.keys() == {"jsonapi", "atomic:results"}
            assert whole["jsonapi"] == {"version": "1.1", "ext": [ATOMIC]}
            assert len(whole["atomic:results"]) == len(document["atomic:operations"])
        return answer

    async def run(self, *operations: Any, **headers: str) -> httpx2.Response:
        """The answer to operations."""
        return await self.send({"atomic:operations": list(operations)}, **headers)

    async def results(self, *operations: Any) -> list[Any]:
        """The `data` of each result, None where there is none; all must go well."""
        answer = await self.run(*operations)
        assert answer.status_code == 200, answer.text
        return [result.get("data") for result in answer.json()["atomic:results"]]


def add(type_: str, attributes: Any = None, relationships: Any = None, **members: Any) -> dict[str, Any]:
    """An operation that makes a resource."""
    return {"op": "add", **resource(type_, attributes, relationships, **members)}


def update(type_: str, attributes: Any = None, relationships: Any = None, **members: Any) -> dict[str, Any]:
    """An operation that changes the resource that `id` or `lid` among the members names."""
    return {"op": "update", **resource(type_, attributes, relationships, **members)}


def remove(type_: str, id_: str, **members: Any) -> dict[str, Any]:
    """An operation that deletes a resource."""
    return {"op": "remove", "ref": {"type": type_, "id": id_}, **members}


def relate(code: str, type_: str, id_: str, name: str, data: Any, **members: Any) -> dict[str, Any]:
    """An operation on a relationship."""
    return {"op": code, "ref": {"type": type_, "id": id_, "relationship": name}, "data": data, **members}


def one(type_: str, id_: str) -> dict[str, str]:
    """A resource identifier object."""
    return {"type": type_, "id": id_}


def local(type_: str, lid: str) -> dict[str, str]:
    """A resource identifier object with a local id."""
    return {"type": type_, "lid": lid}


GOOD = add("tags", {"name": "a"})
"""An operation with which nothing is wrong."""


async def names(api: Api) -> list[str]:
    """The names of the store's tags."""
    return sorted(tag["attributes"]["name"] for tag in (await api.get("tags?page[size]=100"))["data"])
