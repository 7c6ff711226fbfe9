"""Secrets at rest: whatever is a credential is sealed, hashed or derived, and nothing of it stands in the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from schemas.graph import graph
from schemas.tables import marks
from service.demo.documents import SESSION
from service.errors import StartupError
from service.principal import Store
from service.rules.sealing import Seals, Unreadable
from service.store import resealing
from service.store.pool import Connection, open_database
from service.store.vault import SEALED, Vault, vault_of
from tests import factories, sealed
from tests.sealed import HASHED, kept_as
from tests.spec.writing import Api, to
from tests.support import KEYS, Access, Grant

WALLET = "customer_payment_sources"
GATEWAYS = "whsec_c2VjcmV0LW9mLWF0LWxlYXN0LTI0LWJ5dGVz"


def secret_columns() -> set[str]:
    """The columns that the marks declare to be credentials, or what these are checked against."""
    return {
        f"{table}.{column}"
        for table, columns in marks().items()
        for column, mark in columns.items()
        if mark is not None and mark.secret
    }


def test_every_secret_is_sealed_or_hashed() -> None:
    assert {kept_as(column) for column in secret_columns()} == {"sealed", "hash", "digest"}
    digests = {f"{column.partition('.')[0]}.{found.digest}" for column, found in SEALED.items() if found.digest}
    assert {*HASHED, *digests, *SEALED} - {"imports.inputs"} <= secret_columns()
    with pytest.raises(KeyError):
        kept_as("orders.pin")


def test_what_is_shown_and_secret_is_kept_nowhere_else() -> None:
    """Attributes that are credentials are derived from keys, or opened from what is sealed."""
    for type_, resource in graph.items():
        for name, field in resource.attributes.items():
            if field.mark is not None and field.mark.secret:
                assert field.inputs, f"{type_}.{name}"
                assert not getattr(field, "column", ""), f"{type_}.{name}"


def test_what_is_sealed_opens_in_its_own_place_only() -> None:
    vault = Vault(["key-of-a-vault-1"])
    kept = vault.seal(f"{WALLET}.payment_source_token", 1, "a", "card_1")
    assert "card_1" not in kept
    assert vault.open(f"{WALLET}.payment_source_token", 1, "a", kept) == "card_1"
    for column, store_id, id_ in (
        (f"{WALLET}.payment_source_token", 2, "a"),
        (f"{WALLET}.payment_source_token", 1, "b"),
        (f"{WALLET}.customer_token", 1, "a"),
        ("payment_attempts.source_token", 1, "a"),
        ("webhooks.shared_secret", 1, "a"),
    ):
        assert vault.open(column, store_id, id_, kept) is None
    assert vault.open("payment_attempts.source_token", 1, "b", kept, copy_of="a") == "card_1"
    assert vault.open("payment_attempts.source_token", 1, "b", kept, copy_of="b") is None
    assert Vault(["key-of-a-vault-2"]).open(f"{WALLET}.payment_source_token", 1, "a", kept) is None
    assert Vault(["key-of-a-vault-2", "key-of-a-vault-1"]).open(f"{WALLET}.payment_source_token", 1, "a", kept)
    damaged = kept[:-4] + ("AAAA" if not kept.endswith("AAAA") else "BBBB")
    assert vault.open(f"{WALLET}.payment_source_token", 1, "a", damaged) is None


def test_a_digest_takes_the_key_and_tells_stores_apart() -> None:
    one, other = Vault(["key-of-a-vault-1"]), Vault(["key-of-a-vault-2", "key-of-a-vault-1"])
    column = "carts.session"
    assert one.digest(column, 1, SESSION) != one.digest(column, 2, SESSION)
    assert one.digest(column, 1, SESSION) != other.digest(column, 1, SESSION)
    assert one.digest(column, 1, SESSION) in other.digests(column, 1, SESSION)
    assert one.digest(column, 1, SESSION) != one.digest(f"{WALLET}.payment_source_token", 1, SESSION)


def test_each_purpose_has_a_key_of_its_own() -> None:
    purposes = {found.purpose for found in SEALED.values()}
    assert purposes == {"gateway secrets", "webhook secrets", "wallet tokens", "cart sessions", "exports", "imports"}
    kept = Seals(["key-of-a-vault-1"], "cart sessions").seal("x", "place")
    for purpose in purposes - {"cart sessions"}:
        with pytest.raises(Unreadable):
            Seals(["key-of-a-vault-1"], purpose).open(kept, "place")


def test_without_keys_nothing_is_sealed() -> None:
    with pytest.raises(StartupError, match="Set REPRISE_SECRET_KEYS"):
        Vault(()).seal("carts.session", 1, "a", SESSION)


TEXTS = """
    select n.nspname || '.' || c.relname as table, a.attname as column
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'pgqueuer') and c.relkind in ('r', 'p')
        and not c.relispartition and a.attnum > 0 and not a.attisdropped
        and a.atttypid in ('text'::regtype, 'jsonb'::regtype, 'json'::regtype, 'bytea'::regtype, 'text[]'::regtype)
"""


async def where_it_stands(connection: Connection, secret: str) -> list[str]:
    """The columns of the database in which a text stands somewhere."""
    found = []
    for table, column in await connection.fetch(TEXTS):
        text = f'select exists (select from {table} where position($1 in "{column}"::text) > 0)'
        if await connection.fetchval(text, secret):
            found.append(f"{table}.{column}")
        escaped = f'select exists (select from {table} where position($1 in "{column}"::text) > 0)'
        if await connection.fetchval(escaped, secret.encode().hex()):
            found.append(f"{table}.{column} (bytes)")
    return found


async def test_no_secret_stands_in_the_database_after_a_session_of_use(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store, *, grant: Grant
) -> None:
    """Each secret is what somebody sent or was shown; whoever dumps the database finds none of them."""
    api = Api(client, integration)
    secrets: dict[str, str] = {}
    await api.update("stores", str(store.id), {"gateway_url": "https://pay.example/", "_gateway_secret": GATEWAYS})
    secrets["gateway"] = GATEWAYS
    hook = await api.create("webhooks", {"topic": "*", "callback_url": "https://shop.example/"})
    secrets["webhook"] = hook["attributes"]["shared_secret"]
    rotated = await api.update("webhooks", hook["id"], {"_rotate_secret": True})
    secrets["rotated webhook"] = rotated.json()["data"]["attributes"]["shared_secret"]
    customer_id = await factories.customer(connection, store)
    tokens = {"payment_source_token": "card_of_a_wallet_1", "customer_token": "cus_of_a_wallet_1"}
    await api.create(WALLET, {"gateway": "test", **tokens}, {"customer": to("customers", customer_id)})
    secrets |= tokens
    key = {"Idempotency-Key": "a-key-of-the-test"}
    cart = await client.post("/api/carts", json={"data": {"type": "carts"}}, headers={**integration.headers, **key})
    secrets["session"] = cart.json()["data"]["attributes"]["session"]
    inputs = [{"id": "w", "customer_id": customer_id, "gateway": "test", "payment_source_token": "card_of_an_import"}]
    await api.create("imports", {"resource_type": WALLET, "inputs": inputs})
    secrets["import"] = "card_of_an_import"
    made = await api.create("api_clients", {"name": "A", "kind": "integration", "scopes": ["read_orders"]})
    secrets["client"] = made["attributes"]["client_secret"]
    customers = await grant(customer_id=customer_id)
    secrets["token"], secrets["customer's token"] = integration.token, customers.token
    shop = factories.Line(await factories.sku(connection, store, price=1900, stock=5))
    order_id = await factories.full_order(connection, store, [shop], customer_id=customer_id)
    payment = await factories.payment_method(connection, store, name="Card", gateway="test")
    await connection.execute(
        "update orders set status = 'pending', placed_at = null, payment_status = 'unpaid', payment_method_id = $3"
        " where store_id = $1 and id = $2",
        *(store.id, order_id, payment),
    )
    placed = await api.update("orders", order_id, {"_place": True, "_payment_source_token": "tok_approve"})
    assert placed.status_code == 200, placed.text
    assert (await connection.fetchval("select count(*) from payment_attempts where store_id = $1", store.id)) == 1
    secrets["paid with"] = "tok_approve"
    link = await api.create("repeat_links", None, {"order": to("orders", order_id)})
    secrets["link"] = link["attributes"]["url"].partition("token=")[2].partition("&")[0]
    subscription_id = await factories.subscription(connection, store, order_id)
    calendar = (await api.get(f"order_subscriptions/{subscription_id}"))["data"]["attributes"]["calendar_url"]
    secrets["calendar"] = calendar.rpartition("/")[2].removesuffix(".ics").rpartition(".")[2]
    assert all(len(secret) > 8 for secret in secrets.values()), secrets
    assert {
        name: stands for name, secret in secrets.items() if (stands := await where_it_stands(connection, secret))
    } == {}
    assert await where_it_stands(connection, customer_id) != [], "what isn't secret is found"


@pytest_asyncio.fixture
async def kept(connection: Connection, store: Store) -> dict[str, tuple[str, str]]:
    """Secrets of each kind that the first key has sealed: column -> the row's id, and the secret."""
    customer_id = await factories.customer(connection, store)
    source = await factories.payment_source(
        connection, store, customer_id, payment_source_token="card_1", customer_token="cus_1"
    )
    cart = await factories.cart(connection, store, session="a-session-of-the-test")
    await sealed.put(connection, store, "stores", str(store.id), gateway_secret=GATEWAYS)
    return {
        f"{WALLET}.payment_source_token": (source, "card_1"),
        f"{WALLET}.customer_token": (source, "cus_1"),
        "carts.session": (cart, "a-session-of-the-test"),
        "stores.gateway_secret": (str(store.id), GATEWAYS),
    }


@pytest_asyncio.fixture
async def newer(database_url: str) -> AsyncIterator[Connection]:
    """A connection of somebody who has put a new key before the one so far."""
    async with (
        open_database(database_url, max_size=1, keys=["a-newer-key-of-the-tests", *KEYS]) as opened,
        opened.connection() as connection,
    ):
        yield connection


async def states(connection: Connection, store: Store, kept: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """What stands in the columns of secrets."""
    found = {}
    for column, (id_, _) in kept.items():
        table, _, name = column.partition(".")
        text = f"select {name} from {table} where store_id = $1 and id = $2"
        found[column] = await connection.fetchval(text, store.id, id_)
    return found


async def test_secrets_are_sealed_anew_in_batches_and_only_once(
    connection: Connection, newer: Connection, store: Store, kept: dict[str, tuple[str, str]]
) -> None:
    before = await states(connection, store, kept)
    seen: list[int] = []
    number = await resealing.stale(newer)
    done = await resealing.reseal(newer, seen.append, batch=2)
    assert done.done >= len(kept)
    assert seen == sorted(seen)
    assert seen[-1] == number == done.done + done.lost
    after = await states(connection, store, kept)
    vault, alone = vault_of(newer), Vault(["a-newer-key-of-the-tests"])
    for column, (id_, secret) in kept.items():
        assert after[column] != before[column]
        assert after[column].startswith(vault.newest(column))
        assert alone.open(column, store.id, id_, after[column]) == secret
        assert vault_of(connection).open(column, store.id, id_, after[column]) is None
    digest = await connection.fetchval("select session_digest from carts where store_id = $1", store.id)
    assert digest == alone.digest("carts.session", store.id, "a-session-of-the-test")
    again = await resealing.reseal(newer)
    assert (again.done, again.lost) == (0, done.lost)
    back = await resealing.reseal(connection)
    assert back.done == 0, "who has the old key alone opens nothing"


async def test_what_changes_meanwhile_stays(
    connection: Connection, newer: Connection, store: Store, kept: dict[str, tuple[str, str]]
) -> None:
    """Between the look and the write somebody gives a source another token."""
    source, _ = kept[f"{WALLET}.payment_source_token"]
    held = connection.transaction()
    await held.start()
    await sealed.put(connection, store, WALLET, source, payment_source_token="card_2")
    task = asyncio.create_task(resealing.reseal(newer))
    await asyncio.sleep(0.5)
    await held.commit()
    await task
    row = await connection.fetchrow(f"select * from {WALLET} where store_id = $1 and id = $2", store.id, source)
    assert row is not None
    assert (
        vault_of(newer).open(f"{WALLET}.payment_source_token", store.id, source, row["payment_source_token"])
        == "card_2"
    )
    await resealing.reseal(newer)
    row = await connection.fetchrow(f"select * from {WALLET} where store_id = $1 and id = $2", store.id, source)
    assert row is not None
    assert row["payment_source_token"].startswith(vault_of(newer).newest(f"{WALLET}.payment_source_token"))


async def test_what_no_key_opens_is_counted_and_left(
    newer: Connection, connection: Connection, store: Store, kept: dict[str, tuple[str, str]]
) -> None:
    cart, _ = kept["carts.session"]
    lost = Vault(["a-key-that-was-lost"]).seal("carts.session", store.id, cart, "gone")
    await connection.execute("update carts set session = $3 where store_id = $1 and id = $2", store.id, cart, lost)
    done = await resealing.reseal(newer)
    assert done.lost >= 1
    assert await connection.fetchval("select session from carts where store_id = $1", store.id) == lost


async def test_nobody_is_erased_while_a_sealed_import_waits(
    client: httpx2.AsyncClient, integration: Access, connection: Connection, store: Store
) -> None:
    """Nobody can see whom it names."""
    api = Api(client, integration)
    customer_id, other = [await factories.customer(connection, store) for _ in range(2)]
    inputs = [{"id": "w", "customer_id": other, "gateway": "test", "payment_source_token": "card_1"}]
    waiting = await api.create("imports", {"resource_type": WALLET, "inputs": inputs})
    refused = await api.update("customers", customer_id, {"_erase": True})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "INVALID_STATE")
    assert (await client.delete(f"/api/imports/{waiting['id']}", headers=integration.headers)).status_code == 204
    assert (await api.update("customers", customer_id, {"_erase": True})).status_code == 200
