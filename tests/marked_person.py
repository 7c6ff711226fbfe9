"""A customer all of whose words are markers: sent over HTTP wherever a client can say something, else put into rows.

What a client sends is marked whatever the columns' marks say, so that a column whose mark was forgotten is noticed;
what is put into rows follows from the marks and the database's catalogue, so that a new column is marked by itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx2
from starlette.applications import Starlette

from schemas.fields import Write
from schemas.graph import PUBLIC
from schemas.kinds import Email, JsonObject, Text, Url
from schemas.resource import Resource
from schemas.tables import marks
from service import clock
from service.operations.data import imports
from service.operations.webhooks import delivering, documents
from service.principal import Store
from service.resources import RESOURCES
from service.store import people
from service.store.people import Person
from service.store.pool import Connection, Database
from service.store.vault import SEALED, vault_of
from tests import factories
from tests.checkout.conftest import ADDRESS, Holder
from tests.contract.conftest import inhabit
from tests.pages import FORM, show, submit, url_of
from tests.sealed import put, with_session
from tests.spec.writing import Api, resource, to
from tests.support import Access, Grant

COLUMNS = """
    select a.attname, format_type(a.atttypid, null), exists (
        select from pg_constraint c where c.contype = 'f' and c.conrelid = a.attrelid and a.attnum = any(c.conkey)
    )
    from pg_attribute a where a.attrelid = $1::text::regclass and a.attnum > 0 and a.attgenerated = ''
"""
PLAIN = frozenset({"reference", "reference_origin", "metadata"})
OF_THE_SHOP = frozenset({"terms_url", "privacy_url", "coupon_code"})
"""What an order says that is the shop's: where its terms are, and a promotion's code."""


@dataclass
class Marked:
    """A customer of a store, and the markers that were accepted, each with where it was said."""

    connection: Connection
    store: Store
    client: httpx2.AsyncClient
    api: Api
    customer_id: str
    email: str = ""
    said: dict[str, str] = field(default_factory=dict)

    def marker(self, place: str) -> str:
        """Another marker, of letters and digits only."""
        made = f"Zq{self.store.id}m{len(self.said)}z"
        self.said[made] = place
        return made

    async def found(self) -> dict[str, list[str]]:
        """Where markers stand: in any column of any table, in any schema."""
        tables = await self.connection.fetch(
            "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p') and not c.relispartition"
            " and c.relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast')"
        )
        held: dict[str, list[str]] = {}
        for (table,) in tables:
            rows = await self.connection.fetch(f"select one::text from {table} one")
            text = "".join(row[0] for row in rows) + await self._unsealed(table)
            places = [place for marker, place in self.said.items() if marker in text or marker.encode().hex() in text]
            if places:
                held[table] = places
        return held

    async def _unsealed(self, table: str) -> str:
        """What is sealed in a table, as far as it is of this store."""
        found = ""
        for column, sealed in SEALED.items():
            of, _, name = column.partition(".")
            if of == table and of != "stores":
                text, source = sealed.text.format(column=name), sealed.names_original or "null"
                rows = await self.connection.fetch(
                    f"select id, {text}, {source}::text from {of} where store_id = $1 and {text} is not null",
                    self.store.id,
                )
                vault = vault_of(self.connection)
                found += "".join(vault.open(column, self.store.id, i, t, copy_of=o) or "" for i, t, o in rows)
        return found

    async def erase(self) -> httpx2.Response:
        """Erase the customer."""
        return await self.api.update("customers", self.customer_id, {"_erase": True})


async def person(
    *,
    app: Starlette,
    client: httpx2.AsyncClient,
    connection: Connection,
    database: Database,
    store: Store,
    integration: Access,
    grant: Grant,
) -> Marked:
    """A customer with a row of every type, who has said a marker wherever something can be said."""
    world = await inhabit(connection, store)
    marked = Marked(connection, store, client, Api(client, integration), world["customers"])
    marked.email = f"{marked.marker('customers.email')}@example.com"
    await _put_into_rows(marked)
    api, email = marked.api, marked.email
    assert (await api.update("customers", marked.customer_id, {"email": email})).status_code == 200
    await _said(marked, world)
    await _of_the_customer(marked, grant)
    await _of_guests(marked, app)
    await _imported(marked)
    await _delivered(marked, database)
    return marked


async def _put_into_rows(marked: Marked) -> None:
    """A marker into every personal column of every row of the customer."""
    connection, store = marked.connection, marked.store
    email = await connection.fetchval("select email from customers where id = $1", marked.customer_id)
    await connection.execute("update repeat_links set revoked_at = $2 where store_id = $1", store.id, clock.now())
    attempt = {"order_id": await connection.fetchval("select id from orders where store_id = $1 limit 1", store.id)}
    given: dict[str, Any] = {
        "gateway": "test",
        "status": "declined",
        "currency_code": "EUR",
        "amount_cents": 1,
        "key": f"k{store.id}",
    }
    given |= {"answered_at": clock.now()}
    await factories.insert(connection, "payment_attempts", store, **attempt, **given)
    ids = await people.found(connection, Person(store.id, marked.customer_id, email))
    for table, rows in ids.items():
        for column, type_, refers in await connection.fetch(COLUMNS, table):
            mark = marks()[table].get(column)
            if mark is None or mark.personal is None or refers or column in people.IDS:
                continue
            if f"{table}.{column}" in people.KEPT or type_ not in ("text", "jsonb", "double precision"):
                continue
            value = marked.marker(f"{table}.{column}")
            if type_ == "double precision":
                del marked.said[value]
                value = f"{len(marked.said) / 1000 + store.id % 7:.9f}1"
                marked.said[value] = f"{table}.{column}"
            sound = f"https://shop.example/{value}" if column.endswith("_url") else value
            sound += "@example.com" if column.endswith("email") else ""
            text = {"text": "$3::text", "jsonb": "jsonb_build_object('note', $3::text)"}.get(type_, "$3::text::float8")
            extra = " || id" if column == "options_digest" else ""
            if f"{table}.{column}" in SEALED:
                for id_ in rows:
                    await put(connection, store, table, id_, **{column: value})
                continue
            only = " and repeat_link_id is not null" if column == "browser" else ""
            done = await connection.execute(
                f"update {table} set {column} = {text}{extra} where store_id = $1 and id = any($2::text[]){only}",
                store.id, rows, sound,
            )  # fmt: skip
            if done == "UPDATE 0":
                del marked.said[value]


async def _of_the_customer(marked: Marked, grant: Grant) -> None:
    """A token by name, an address that is deleted again, both under keys; requests that are refused."""
    access = await grant(customer_id=marked.customer_id)
    await marked.connection.execute(
        "update access_tokens set name = $3 where store_id = $1 and id = $2",
        marked.store.id, access.id, marked.marker("access_tokens.name"),
    )  # fmt: skip
    own = Api(marked.client, access)
    street = {**ADDRESS, "line_1": marked.marker("an address under a key")}
    keyed = {"Idempotency-Key": marked.marker("a key"), "X-Request-Id": marked.marker("a request's id")}
    answer = await own.send("POST", "addresses", resource("addresses", street), **keyed)
    assert answer.status_code == 201, answer.text
    gone = {**ADDRESS, "notes": marked.marker("an address that is gone")}
    deleted = (await own.create("addresses", gone))["id"]
    assert (await own.send("DELETE", f"addresses/{deleted}")).status_code == 204
    refused = {
        "email": f"{marked.marker('a refused e-mail')} at example.com",
        "phone": marked.marker("a refused phone"),
    }
    answer = await own.send("POST", "addresses", resource("addresses", {**ADDRESS, **refused}))
    assert answer.status_code == 422
    answer = await own.send("GET", f"orders?filter[customer_email]={marked.marker('a filter')}")
    assert answer.status_code == 200


async def _of_guests(marked: Marked, app: Starlette) -> None:
    """Whoever holds a link of an order makes a cart, says where it goes, and has it become an order."""
    connection, store, client = marked.connection, marked.store, marked.client
    await connection.execute("delete from rate_limits where store_id = 0")
    shirt = await factories.sku(connection, store, price=2500)
    order_id = await factories.full_order(
        connection, store, [factories.Line(shirt, 1)], customer_id=marked.customer_id, code="REPEATED"
    )
    url = await url_of(app, connection, store, "REPEATED")
    await marked.api.get(f"orders/{order_id}")
    page = await show(client, url)
    assert (await submit(client, page.fields)).status_code == 303
    cart = await connection.fetchrow(
        "select id, session from carts where store_id = $1 and repeat_link_id is not null order by created_at desc",
        store.id,
    )
    assert cart is not None
    guest = Api(client, Holder(store, with_session(connection, store, cart)["session"]))
    street = {
        **ADDRESS,
        "line_1": marked.marker("a guest's address"),
        "metadata": {"k": marked.marker("a guest's JSON")},
    }
    keyed = {"Idempotency-Key": marked.marker("a guest's key")}
    answer = await guest.send("POST", "addresses", resource("addresses", street), **keyed)
    assert answer.status_code == 201, answer.text
    address = answer.json()["data"]["id"]
    email = f"{marked.marker('an e-mail of a guest')}@example.com"
    linked = {"shipping_address": to("addresses", address), "billing_address": to("addresses", address)}
    answer = await guest.update("carts", cart["id"], {"customer_email": email}, linked)
    assert answer.status_code == 200, answer.text
    answer = await guest.send("POST", "orders", resource("orders", None, {"cart": to("carts", cart["id"])}))
    assert answer.status_code in (201, 403), answer.text
    # Somebody with no link who says who they are, and it is the customer.
    other = await marked.api.create("carts", {"customer_email": marked.email, "currency_code": store.currency_code})
    note = {"reference": marked.marker("a cart by e-mail alone")}
    assert (await marked.api.update("carts", other["id"], note)).status_code == 200
    answer = await client.post("/repeat-order", content=f"token={marked.marker('a wrong link')}", headers=FORM)
    assert answer.status_code == 410


async def _said(marked: Marked, world: dict[str, str]) -> None:
    """A marker for all that an integration may say of what is the customer's, each under a key."""
    for type_, entry in RESOURCES.items():
        if entry.update is None or not _is_somebodys(entry.resource):
            continue
        for name, kind in entry.resource.attributes.items():
            sayable = type(kind) in (Text, Url, JsonObject, Email) and kind.write & Write.UPDATE
            if not sayable or name in OF_THE_SHOP:
                continue
            value = marked.marker(f"{type_}.{name}")
            sent: object = {"note": value} if isinstance(kind, JsonObject) else value
            sent = f"https://shop.example/{value}" if isinstance(kind, Url) else sent
            sent = f"{value}@example.com" if isinstance(kind, Email) else sent
            if type_ == "customers" and name == "email":
                marked.email = str(sent)
            also = {"_revoke": True} if name == "revoked_reason" else {}
            document = resource(type_, {name: sent, **also}, id=world[type_])
            answer = await marked.api.send("PATCH", f"{type_}/{world[type_]}", document, **{"Idempotency-Key": value})
            if answer.status_code != 200:
                del marked.said[value]
                assert name not in PLAIN, answer.text


def _is_somebodys(of: type[Resource]) -> bool:
    return of.owner not in (None, PUBLIC)


async def _imported(marked: Marked) -> None:
    """An import that changes the customer, and of which a record is refused."""
    inputs = [
        {"type": "customers", "id": marked.customer_id, "email": marked.email,
         "reference": marked.marker("an import's reference")},
        {"type": "customers", "email": f"{marked.marker('a refused record')} at example.com",
         "metadata": {"note": marked.marker("words of a refused record")}},
        {"type": "orders", "customer": {"email": marked.email}, "code": marked.marker("a refused order"),
         "status": "x"},
    ]  # fmt: skip
    sent = {"on_conflict": "update", "inputs": inputs}
    made = await marked.api.create("imports", sent)
    await imports.go_on(marked.connection, marked.store.id, made["id"])
    shown = (await marked.api.get(f"imports/{made['id']}"))["data"]["attributes"]
    assert (shown["status"], shown["updated_count"], shown["errors_count"]) == ("completed", 1, 2), shown


async def _delivered(marked: Marked, database: Database) -> None:
    """Events of the customer that were sent to a webhook, which repeats what it was sent."""
    connection, store = marked.connection, marked.store
    sent = {"topics": ["orders.*", "customers.*"], "callback_url": "http://127.0.0.1:9/"}
    hook = await marked.api.create("webhooks", sent | {"include_resources": ["customer", "shipping_address"]})
    order_id = await connection.fetchval("select id from orders where store_id = $1 and code = 'REPEATED'", store.id)
    note = {"metadata": {"note": marked.marker("what a webhook was sent")}}
    assert (await marked.api.update("orders", order_id, note)).status_code == 200
    held = None
    async with asyncio.timeout(30):
        # Events are passed on once no transaction may commit before them any more, of other tests too.
        while held is None:
            async with database.transaction() as working:
                await delivering.fan_out(working, store.id)
            held = await delivering.take_up(connection, store.id, hook["id"])
    receiver, attempts = held
    events = [attempt.event for attempt in attempts]
    texts = await documents.written(connection, store, receiver.shape, events, base="https://api.shop.example/api")
    written = {attempt.id: text for attempt, text in zip(attempts, texts, strict=True)}
    sent_text = "".join(written.values())
    assert "what a webhook was sent" in [place for value, place in marked.said.items() if value in sent_text]
    await delivering.settle_payloads(connection, store.id, written)
    said = marked.marker("what a receiver said")
    await connection.execute(
        "update event_callbacks set response_message = $2 where store_id = $1 and payload is not null", store.id, said
    )
    await connection.execute(
        "update webhooks set health_reason = $2, health = 'failing' where store_id = $1 and id = $3",
        store.id, said, hook["id"],
    )  # fmt: skip
