"""After erasing, nothing that a person has said is left: in no table, no kept answer, no queue, no log line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import httpx2
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from schemas.fields import HARMLESS, Mark, Personal
from schemas.graph import PUBLIC
from schemas.history import RECORDS, fields_of
from schemas.tables import marks
from service.operations.data import exporting
from service.operations.data.exporting import Choice
from service.principal import Store
from service.store import people
from service.store.people import Person
from service.store.pool import Connection, Database
from tests import counted
from tests.marked_person import Marked, person
from tests.spec.writing import offenders
from tests.support import Access, Grant

Make = Callable[[], Awaitable[Marked]]


@pytest_asyncio.fixture
async def make(
    *,
    app: Starlette,
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    integration: Access,
    grant: Grant,
) -> Make:
    async def made() -> Marked:
        found = await person(
            app=app, client=client, connection=connection, database=database, store=store,
            integration=integration, grant=grant,
        )  # fmt: skip
        await counted.anew(connection, store)
        return found

    return made


@pytest.mark.rule("FM-148")
async def test_of_an_erased_person_nothing_is_left(
    make: Make, connection: Connection, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    marked = await make()
    logged = "".join(capfd.readouterr())
    before = await marked.found()
    held = {place for places in before.values() for place in places}
    assert {"addresses", "orders", "carts", "line_items", "cart_items", "customers", "access_tokens",
            "repeat_links",
            "idempotency_keys", "event_callbacks", "events", "webhooks", "payment_attempts",
            "customer_payment_sources", "order_subscriptions", "occurrences", "occurrence_items",
            "reorders"} <= before.keys()  # fmt: skip
    assert {"a guest's address", "a guest's JSON", "orders.return_url", "line_items.options", "a guest's key",
            "access_tokens.name", "customers.tax_exemption_code", "repeat_links.revoked_reason", "addresses.lat",
            "occurrence_items.options", "occurrence_items.reference", "occurrence_items.metadata",
            "what a receiver said"} <= held  # fmt: skip
    # Events tell none of it by themselves: what is in them was put into their rows.
    assert [place for place in before["events"] if not place.startswith("events.")] == ["a request's id"]
    answer = await marked.erase()
    assert answer.status_code == 200, answer.text
    assert await marked.found() == {}
    # What a client calls its request stands in log lines: that is what it is for.
    assert [place for marker, place in marked.said.items() if marker in logged] == ["a request's id"]
    assert [place for marker, place in marked.said.items() if marker in answer.text] == []
    assert await offenders(connection, store) == []


async def test_what_a_shop_has_to_keep_stays_and_is_read_and_handed_out(
    make: Make, connection: Connection, store: Store
) -> None:
    marked = await make()
    amounts = "select id, number, code, total_amount_cents, placed_at from orders where store_id = $1 order by id"
    lines = "select id, sku_code, name, quantity, total_amount_cents from line_items where store_id = $1 order by id"
    before = [await connection.fetch(kept, store.id) for kept in (amounts, lines)]
    assert (await marked.erase()).status_code == 200
    await connection.execute(
        "update order_factories set status = 'aborted' where store_id = $1 and status = 'pending'", store.id
    )
    assert [await connection.fetch(kept, store.id) for kept in (amounts, lines)] == before
    for type_ in ("customers", "orders", "line_items", "addresses", "carts", "order_subscriptions", "repeat_links"):
        shown = await marked.api.get(f"{type_}?page[size]=100")
        assert shown["data"], type_
    async with connection.transaction():
        handed = b"".join([line async for line in exporting.lines(connection, store)])
    assert [place for marker, place in marked.said.items() if marker.encode() in handed] == []
    assert b'"type":"orders"' in handed


async def test_what_is_held_of_a_customer_is_handed_out(make: Make, connection: Connection, store: Store) -> None:
    """Every personal field of every record, of which the Schemas say whose it is."""
    marked = await make()
    await connection.execute(
        "update order_factories set status = 'aborted' where store_id = $1 and status = 'pending'", store.id
    )
    async with connection.transaction():
        handed = b"".join(
            [line async for line in exporting.lines(connection, store, Choice(customer_id=marked.customer_id))]
        )
    held = {place for marker, place in marked.said.items() if marker.encode() in handed}
    asked = {
        f"{record.resource.table}.{field.column}"
        for record in RECORDS.values()
        if record.resource.owner not in (None, PUBLIC)
        for field in fields_of(record.type_).values()
        if (mark := marks()[record.resource.table].get(field.column)) and mark.personal
    }
    assert len(asked) > 50
    # What was said over HTTP has taken the place of some of it.
    there = {place for table, places in (await marked.found()).items() for place in places if place.startswith(table)}
    assert len(asked & there) > 40
    assert sorted((asked & there) - held) == []


async def test_what_is_forgotten_is_noticed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = await make()
    wrong: dict[str, dict[str, Mark | None]] = {name: dict(columns) for name, columns in marks().items()}
    wrong["orders"]["return_url"] = wrong["line_items"]["options"] = HARMLESS
    ways = [way for way in people._ways() if way[0] != "occurrences"]  # noqa: SLF001 -- one is forgotten
    found = people.found

    async def forgetful(connection: Connection, person: Person) -> people.Found:
        return {table: ids for table, ids in (await found(connection, person)).items() if table != "occurrences"}

    monkeypatch.setattr(people, "marks", lambda: wrong)
    monkeypatch.setattr(people, "_ways", lambda: ways)
    monkeypatch.setattr(people, "found", forgetful)
    assert "occurrences" in people.check(wrong)
    assert (await marked.erase()).status_code == 200
    left = await marked.found()
    assert left["orders"] == ["orders.return_url"]
    assert left["line_items"] == ["line_items.options"]
    assert {"occurrences.reference", "occurrences.metadata"} <= {*left["occurrences"]}
    assert left.keys() == {"orders", "line_items", "occurrences", *(left.keys() & {"events"})}


def test_every_table_with_something_personal_says_how_it_is_erased() -> None:
    assert people.check(marks()) == [], "say it in service/store/people.py"


@pytest.mark.parametrize(
    "added",
    [
        {"diaries": {"store_id": HARMLESS, "page": Mark(Personal.WORDS)}},
        {"diaries": {"store_id": HARMLESS, "page": None}},
        {"webhook_logs": {"address": Mark(Personal.NETWORK)}},
    ],
)
def test_a_new_table_has_to_say_so(added: Mapping[str, Mapping[str, Mark | None]]) -> None:
    assert people.check({**marks(), **added}) == [*added]


def test_what_deviates_is_of_a_column() -> None:
    columns = {f"{table}.{column}" for table, of_table in marks().items() for column in of_table}
    assert {*people.INSTEAD, *people.KEPT} <= columns
    assert {*people.OTHERS, *people.DELETED, *people.LED} <= marks().keys()
