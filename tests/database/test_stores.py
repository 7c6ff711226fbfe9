"""Making a store: what comes with it, and what can't be made."""

from __future__ import annotations

import itertools

import pytest

from service import clock
from service.errors import Conflict
from service.operations.tenant import tenants
from service.store.pool import Connection

_numbers = itertools.count(800_001)


async def test_a_store_comes_with_its_market_and_their_events(connection: Connection) -> None:
    number = next(_numbers)
    made = await tenants.create(
        connection, store_id=number, name=f"Blümchen & Söhne {number}", currency_code="CHF", at=clock.now()
    )
    assert made == await tenants.find(connection, number)
    assert (made.slug, made.currency_code, made.mode) == (f"blumchen-sohne-{number}", "CHF", "test")
    markets = await connection.fetch("select name, code from markets where store_id = $1", number)
    assert [tuple(row) for row in markets] == [(made.name, made.slug)]
    events = await connection.fetch("select name from events where store_id = $1", number)
    assert {row["name"] for row in events} == {"stores.create", "markets.create"}


async def test_a_number_and_a_slug_are_taken_once(connection: Connection) -> None:
    number = next(_numbers)
    await tenants.create(connection, store_id=number, name="First", slug=f"first-{number}", at=clock.now())
    with pytest.raises(Conflict):
        await tenants.create(connection, store_id=number, name="Second", at=clock.now())
    with pytest.raises(Conflict):
        await tenants.create(connection, store_id=next(_numbers), name="Third", slug=f"first-{number}", at=clock.now())
    found = await tenants.find(connection, number)
    assert found is not None
    assert found.name == "First"


async def test_a_name_without_a_latin_letter_gets_a_slug_all_the_same(connection: Connection) -> None:
    number = next(_numbers)
    made = await tenants.create(connection, store_id=number, name="花屋", at=clock.now())
    assert made.slug == f"store-{number}"


@pytest.mark.parametrize(
    ("name", "slug"), [("Blue  Shop!", "blue-shop"), ("-a-", "a"), ("x" * 62 + " y", "x" * 62), ("...", "")]
)
def test_slugs(name: str, slug: str) -> None:
    assert tenants.slugify(name) == slug
