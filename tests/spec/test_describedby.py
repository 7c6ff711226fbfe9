"""The link `describedby`: the JSON Schema that it leads to describes the document, and nothing else ("Top Level")."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import pytest_asyncio

from schemas.relationships import ToMany
from service.resources import RESOURCES
from tests.spec.reading import PROFILE
from tests.support import Access

NAMES = (*RESOURCES, "errors")


class Schemas:
    """Asks for documents and holds each against the schema that its link `describedby` leads to."""

    def __init__(self, client: httpx2.AsyncClient, access: Access) -> None:
        self._client = client
        self._access = access
        self._known: jsonschema_rs.Registry | None = None
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    async def fetch(self) -> None:
        """Get all schemas, as a validator does that follows references from one to another."""
        urls = [f"http://127.0.0.1/api/schemas/{name}.json" for name in NAMES]
        found = [(url, (await self._client.get(url)).json()) for url in urls]
        for _, schema in found:
            assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
            jsonschema_rs.meta.validate(schema)
        self._known = jsonschema_rs.Registry(found, draft=jsonschema_rs.Draft202012)

    def validator(self, url: str) -> jsonschema_rs.Draft202012Validator:
        if url not in self._validators:
            self._validators[url] = jsonschema_rs.Draft202012Validator({"$ref": url}, registry=self._known)
        return self._validators[url]

    async def describe(self, answer: httpx2.Response, name: str) -> Any:
        """The document of an answer, which must be as the schema of a type or of errors says."""
        document = answer.json()
        link = document["links"]["describedby"]
        assert link == {"href": f"http://127.0.0.1/api/schemas/{name}.json", "type": "application/schema+json"}
        self.validator(link["href"]).validate(document)
        return document

    async def get(self, url: str, name: str, **headers: str) -> Any:
        return await self.describe(await self._client.get(url, headers=self._access.headers | headers), name)


@pytest_asyncio.fixture
async def described(client: httpx2.AsyncClient, integration: Access) -> AsyncIterator[Schemas]:
    schemas = Schemas(client, integration)
    await schemas.fetch()
    yield schemas


@pytest.mark.rule("LK-04")
async def test_every_kind_of_document_of_every_type(described: Schemas, world: dict[str, str]) -> None:
    by_cursor = {"Accept": f'application/vnd.api+json; profile="{PROFILE}"'}
    for type_, entry in RESOURCES.items():
        relationships = entry.resource.relationships
        includable = ",".join(name for name, found in relationships.items() if found.includable)
        url = f"/api/{type_}?include={includable}"
        (one, *_) = (await described.get(url, type_))["data"]
        assert "profile" in (await described.get(url, type_, **by_cursor))["jsonapi"]
        url = f"/api/{type_}/{world.get(type_, one['id'])}"
        await described.get(url, type_)
        for name, found in relationships.items():
            for place in (f"{url}/{name}", f"{url}/relationships/{name}"):
                await described.get(place, found.type_)
                if isinstance(found, ToMany):
                    await described.get(place, found.type_, **by_cursor)


@pytest.mark.rule("LK-04")
async def test_errors_and_what_is_written(
    described: Schemas, client: httpx2.AsyncClient, integration: Access, world: dict[str, str]
) -> None:
    for url in ("/api/orders/none", "/api/orders?x=1", "/api/nothing", "/nothing"):
        await described.get(url, "errors")
    customer = {"data": {"type": "customers", "id": world["customers"]}}
    for data, name in (
        ({"type": "tags", "attributes": {"name": "new"}}, "tags"),
        ({"type": "tokens", "relationships": {"customer": customer}}, "tokens"),
        ({"type": "tags"}, "errors"),
    ):
        answer = await client.post(f"/api/{data['type']}", json={"data": data}, headers=integration.headers)
        await described.describe(answer, name)


async def test_a_schema_describes_its_own_documents_alone(described: Schemas, world: dict[str, str]) -> None:
    order = await described.get(f"/api/orders/{world['orders']}?include=customer", "orders")
    orders = described.validator("http://127.0.0.1/api/schemas/orders.json")
    assert not described.validator("http://127.0.0.1/api/schemas/tags.json").is_valid(order)
    assert not described.validator("http://127.0.0.1/api/schemas/errors.json").is_valid(order)
    for path, value in (
        (("data", "attributes", "status"), "nonsense"),
        (("data", "attributes", "nonsense"), 1),
        (("data", "relationships", "customer", "data"), {"type": "tags", "id": "A"}),
        (("included", 0, "attributes", "email"), 1),
        (("links", "describedby"), None),
    ):
        broken = copy.deepcopy(order)
        *way, last = path
        at: Any = broken
        for key in way:
            at = at[key]
        at[last] = value
        assert not orders.is_valid(broken), path


async def test_there_is_none_of_other_names(client: httpx2.AsyncClient) -> None:
    for name in ("nothing", "Orders", "orders.json", "api"):
        assert (await client.get(f"/api/schemas/{name}.json")).status_code == 404
