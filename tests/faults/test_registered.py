"""Nobody finds out who is registered, or what others have, by what is taken; nobody takes it from them."""

from __future__ import annotations

import uuid

import httpx2
import pytest

from schemas.fields import Write
from schemas.graph import PUBLIC, graph
from schemas.relationships import ToOne
from service import clock
from service.principal import Store
from service.store.constraints import catalogue
from service.store.pool import Connection
from tests import factories
from tests.checkout.conftest import ADDRESS, Holder
from tests.sealed import session_of
from tests.spec.writing import Api, pointers, resource
from tests.support import Grant


@pytest.fixture
async def own(connection: Connection, store: Store) -> str:
    return await factories.customer(connection, store, email="sam@example.com")


@pytest.fixture
async def customer(client: httpx2.AsyncClient, grant: Grant, own: str) -> Api:
    return Api(client, await grant(customer_id=own))


@pytest.fixture
async def guest(client: httpx2.AsyncClient, connection: Connection, store: Store) -> Api:
    cart = await factories.cart(connection, store)
    session = await session_of(connection, store, cart)
    return Api(client, Holder(store, str(session)))


@pytest.mark.rule("FM-149")
async def test_an_address_is_refused_whether_it_is_registered_or_not(
    customer: Api, api: Api, own: str, connection: Connection, store: Store
) -> None:
    await factories.customer(connection, store, email="bea@example.com")
    answers = [
        await customer.update("customers", own, {"email": email}) for email in ("bea@example.com", "new@example.com")
    ]
    told = [(answer.status_code, pointers(answer), answer.json()["errors"][0]["detail"]) for answer in answers]
    assert told[0] == told[1]
    assert told[0][:2] == (403, ["/data/attributes/email"])
    assert await connection.fetchval("select email from customers where id = $1", own) == "sam@example.com"
    assert (await customer.update("customers", own, {"email": "sam@example.com"})).status_code == 200
    assert (await customer.update("customers", own, {"metadata": {"a": 1}})).status_code == 200
    assert (await api.update("customers", own, {"email": "new@example.com"})).status_code == 200
    assert (await api.update("customers", own, {"email": "bea@example.com"})).status_code == 409


@pytest.mark.rule("FM-149", "CI-01")
@pytest.mark.parametrize("who", ["customer", "guest"])
async def test_an_id_that_can_be_guessed_is_refused_whether_it_is_taken_or_not(
    *, customer: Api, guest: Api, api: Api, connection: Connection, store: Store, who: str
) -> None:
    asking = {"customer": customer, "guest": guest}[who]
    other = await factories.customer(connection, store)
    await factories.address(connection, store, customer_id=other, id="10001")
    answers = [await asking.send("POST", "addresses", resource("addresses", ADDRESS, id=id_)) for id_ in ("10001", "7")]
    told = [(answer.status_code, pointers(answer), answer.json()["errors"][0]["detail"]) for answer in answers]
    assert told[0] == told[1]
    assert told[0][:2] == (403, ["/data/id"])
    for id_ in (clock.new_id(), str(uuid.uuid4())):
        made = await asking.send("POST", "addresses", resource("addresses", ADDRESS, id=id_))
        assert (made.status_code, made.json()["data"]["id"]) == (201, id_), made.text
        again = await asking.send("POST", "addresses", resource("addresses", ADDRESS, id=id_))
        assert (again.status_code, pointers(again)) == (409, ["/data/id"])
    assert (await api.create("addresses", ADDRESS, id="7"))["id"] == "7"


@pytest.mark.rule("FM-149")
async def test_nothing_that_is_unique_in_a_store_is_a_customers_to_choose(connection: Connection) -> None:
    """For every unique constraint of every type: customers send nothing of it but what is their own anyway."""
    indexes = await connection.fetch(
        "select c.relname, i.indrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indexrelid"
        " where i.indisunique and c.relnamespace = 'public'::regnamespace"
    )
    known, looked_at = await catalogue(connection), 0
    for name, table in indexes:
        columns = set(known[name].columns) - {"id"}
        for type_ in [one for one in graph.values() if one.table == table and one.owner not in (None, PUBLIC)]:
            fields = {**type_.attributes, **type_.relationships}
            sent = {
                field.column
                for field in fields.values()
                if getattr(field, "column", "") in columns and field.write & Write.BOTH and not field.guarded
            }
            # With a reference to what is the sender's own among them, no other's row can be in the way.
            owned = {
                one.column for one in type_.relationships.values() if isinstance(one, ToOne) and one.column in columns
            }
            assert not sent or owned, f"{name}: {type_.type_} lets customers choose {sent}"
            looked_at += 1
    assert looked_at > 15
