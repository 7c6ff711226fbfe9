"""docs/how-to/add-a-resource-type.md, followed to the letter: its three blocks make a type that the API serves."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from openapi_spec_validator import validate

from schemas import fields, kinds, relationships
from schemas.graph import graph
from service import resources
from service.contract import openapi
from service.principal import Store
from service.resources import RESOURCES
from service.store import migrate
from service.store.pool import Connection
from sql import MIGRATIONS
from tests import factories, roles
from tests.contract.contract import Contract
from tests.support import Access, Grant

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-resource-type.md"
TYPE = "gift_cards"


def blocks() -> dict[str, list[str]]:
    """The page's code blocks by their language."""
    found: dict[str, list[str]] = {}
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        found.setdefault(language, []).append(text)
    return found


def forget_what_is_visible() -> None:
    """The registry changes while the application runs, which it never does outside of this test."""
    resources._visible.cache_clear()  # noqa: SLF001


def register(line: str) -> None:
    """Put a line of the page into the registry."""
    RESOURCES[TYPE] = eval(line.strip().rstrip(","), vars(resources))
    forget_what_is_visible()


class CurrentContract(Contract):
    """The contract of the moment: what it describes changes while these tests run."""

    def check(self, answer: httpx2.Response) -> Any:
        return Contract(openapi.build(RESOURCES)).check(answer)


@pytest.fixture
def contract() -> Contract:
    """What the client holds answers against."""
    return CurrentContract(openapi.build(RESOURCES))


@pytest_asyncio.fixture
async def toy(connection: Connection, database_url: str, tmp_path: Path) -> AsyncIterator[None]:
    """The type of the page, made by its three edits and unmade again."""
    declaration, line, _ = blocks()["python"]
    (migration,) = blocks()["sql"]
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    (folder / "9999_gift_cards.sql").write_text(migration)
    exec(declaration, vars(fields) | vars(relationships) | vars(kinds))
    register(line)
    try:
        assert await migrate.migrate(database_url, folder) == ["9999_gift_cards"]
        # What `make new` writes into sql/grants.sql.
        await roles.grant_table(connection, TYPE)
        yield
    finally:
        del RESOURCES[TYPE]
        graph.remove(TYPE)
        forget_what_is_visible()
        await connection.execute(f"drop table if exists {TYPE}")
        await connection.execute("delete from schema_migrations where version = '9999'")
        await connection.execute("delete from collection_changes where collection = $1", TYPE)


@pytest_asyncio.fixture
async def card(toy: None, connection: Connection, store: Store) -> dict[str, Any]:  # noqa: ARG001 -- makes the table
    """A gift card with its customer."""
    columns = {
        "code": "GIFT-1",
        "currency_code": "EUR",
        "balance_amount_cents": 2500,
        "customer_id": await factories.customer(connection, store),
    }
    return columns | {"id": await factories.insert(connection, TYPE, store, **columns)}


async def test_the_api_serves_it(client: httpx2.AsyncClient, integration: Access, card: dict[str, Any]) -> None:
    contract = Contract(openapi.build(RESOURCES))
    validate(contract.document)
    assert None not in graph[TYPE].marks().values()

    async def get(url: str) -> Any:
        return contract.check(await client.get(url, headers=integration.headers))

    (request,) = blocks()[""]
    asked = request.strip().removeprefix("GET ").replace("01JD8R6Q0VN3T5W7Y9ABCDEFGH", card["customer_id"])
    page = await get(asked)
    assert [found["id"] for found in page["data"]] == [card["id"]]
    assert [found["id"] for found in page["included"]] == [card["customer_id"]]
    one = await get(f"/api/{TYPE}/{card['id']}")
    assert one["data"]["attributes"]["formatted_balance_amount"] == "€25.00"
    related = await get(f"/api/{TYPE}/{card['id']}/customer")
    assert related["data"]["id"] == card["customer_id"]
    linkage = await get(f"/api/{TYPE}/{card['id']}/relationships/customer")
    assert linkage["data"] == {"type": "customers", "id": card["customer_id"]}
    for parameter in contract.parameters("GET", f"/api/{TYPE}"):
        if parameter["name"] == "sort":
            everything = ",".join(parameter["schema"]["items"]["enum"])
            assert (await get(f"/api/{TYPE}?sort={everything}"))["meta"]["record_count"] == 1
    assert TYPE in (await get("/api"))["meta"]["types"]
    refused = await client.get(f"/api/{TYPE}?sort=metadata", headers=integration.headers)
    assert contract.check(refused)["errors"][0]["code"] == "INVALID_SORT_CRITERIA"


async def test_customers_see_their_own(
    client: httpx2.AsyncClient, grant: Grant, connection: Connection, store: Store, card: dict[str, Any]
) -> None:
    owner = await grant(customer_id=card["customer_id"])
    stranger = await grant(customer_id=await factories.customer(connection, store))
    assert (await client.get(f"/api/{TYPE}/{card['id']}", headers=owner.headers)).status_code == 200
    assert (await client.get(f"/api/{TYPE}/{card['id']}", headers=stranger.headers)).status_code == 404


async def test_clients_write_it_when_its_line_says_so(
    client: httpx2.AsyncClient, integration: Access, card: dict[str, Any]
) -> None:
    url, headers = f"/api/{TYPE}/{card['id']}", integration.headers
    change = {"data": {"type": TYPE, "id": card["id"], "attributes": {"reference": "A-1"}}}
    assert (await client.patch(url, json=change, headers=headers)).status_code == 403
    *_, writable = blocks()["python"]
    register(writable)
    changed = await client.patch(url, json=change, headers=headers)
    assert changed.json()["data"]["attributes"]["reference"] == "A-1"
    assert (await client.delete(url, headers=headers)).status_code == 204
    assert (await client.get(url, headers=headers)).status_code == 404


async def test_it_is_gone_again(client: httpx2.AsyncClient, integration: Access, connection: Connection) -> None:
    assert TYPE not in graph
    assert await connection.fetchval("select to_regclass($1) is null", TYPE)
    assert (await client.get(f"/api/{TYPE}", headers=integration.headers)).status_code == 404
