"""`/oauth/token`, `/oauth/revoke` and the keys: every grant that is offered, and every way to be refused."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
from joserfc import jwk, jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette

from service import clock
from service.operations.access import keyring
from service.operations.access.keyring import LIFETIME, SIGNING_KEYS
from service.operations.runtime import cleaning
from service.principal import Store
from service.rules.sealing import Seals
from service.settings import Settings
from service.store.pool import Connection, Database
from tests import factories
from tests.access.fetching import CLAIMS, JWT_BEARER, Client, asked, fetch, made, owner
from tests.processes import reprise
from tests.servers import server
from tests.support import Access, make_store

KEY = "first-key-of-the-tests"


def claims_of(token: str) -> Any:
    """What a token says, unverified."""
    middle = token.split(".")[1]
    return orjson.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


def assertion(secret: str, claims: Mapping[str, object], alg: str = "HS512", **header: str) -> str:
    """A token that is signed with a secret: by hand, since the library keeps its users from such keys."""
    parts = [orjson.dumps({"alg": alg, "typ": "JWT", **header}), orjson.dumps(dict(claims))]
    content = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    digest = hmac.digest(secret.encode(), content, f"sha{alg[2:]}")
    return (content + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()


@pytest.fixture
async def shown(database: Database, store: Store) -> Client:
    """A client of the test's store that keeps its secret."""
    return await made(database, store)


@pytest.fixture
async def customer(connection: Connection, store: Store) -> str:
    """A customer of the test's store."""
    return await factories.customer(connection, store, email="ada@example.com")


async def test_a_client_fetches_a_token_of_its_own(
    client: httpx2.AsyncClient, connection: Connection, store: Store, shown: Client
) -> None:
    before = int(time.time())
    answer = await asked(client, grant_type="client_credentials", **shown.credentials)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told.keys() == {"access_token", "token_type", "expires_in", "scope", "created_at"}
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("bearer", 7200, "market:all")
    claims = claims_of(told["access_token"])
    assert claims["organization"] == {"id": str(store.id), "slug": store.slug, "enterprise": False, "region": ""}
    assert claims["application"] == {
        "id": shown.id, "kind": "integration", "public": False, "client_id": shown.client_id, "confidential": True,
    }  # fmt: skip
    assert "owner" not in claims
    assert "market" not in claims
    assert claims["test"] is True
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 7200
    listed = await connection.fetchrow("select * from access_tokens where store_id = $1", store.id)
    assert listed is not None
    assert (listed["id"], listed["kind"], listed["api_client_id"]) == (claims["jti"], "integration", shown.id)
    event = await connection.fetchrow("select * from events where resource_id = $1", claims["jti"])
    assert event is not None
    assert (event["name"], event["actor_type"], event["actor_id"]) == ("access_tokens.create", "api_clients", shown.id)
    orders = await client.get("/api/orders", headers=Access("", told["access_token"]).headers)
    assert orders.status_code == 200


@pytest.mark.parametrize("way", ["form", "basic", "form and basic id"])
async def test_a_client_shows_itself_as_rfc_6749_lets_it(
    client: httpx2.AsyncClient, shown: Client, *, way: str
) -> None:
    sent = {"grant_type": "client_credentials"} | ({} if way == "basic" else {"client_id": shown.client_id})
    if way == "form":
        answer = await client.post("/oauth/token", data=sent | {"client_secret": shown.secret})
    else:
        answer = await client.post("/oauth/token", data=sent, auth=httpx2.BasicAuth(shown.client_id, shown.secret))
    assert answer.status_code == 200, answer.text


async def test_what_a_scope_names_is_given_or_refused(
    client: httpx2.AsyncClient, connection: Connection, store: Store, shown: Client
) -> None:
    market = await connection.fetchrow("select id, code from markets where store_id = $1", store.id)
    assert market is not None
    for scope in ("market:all", f"market:id:{market['id']}", f"market:code:{market['code']}"):
        answer = await asked(client, grant_type="client_credentials", scope=scope, **shown.credentials)
        assert answer.json()["scope"] == scope, answer.text
        named = claims_of(answer.json()["access_token"]).get("market")
        assert (named is None) == (scope == "market:all")
        assert named is None or named["id"] == [market["id"]]
    for scope in (f"store:id:{store.id}", f"store:code:{store.slug}"):
        assert (await asked(client, grant_type="client_credentials", scope=scope, **shown.credentials)).is_success
    narrow = await fetch(client, shown, scope="market:all read_orders")
    assert (await client.get("/api/orders", headers=narrow.headers)).status_code == 200
    assert (await client.get("/api/skus", headers=narrow.headers)).status_code == 403
    for scope in ("market:id:none", "market:", "stock_location:id:1", "store:id:1", "read_minds", "provisioning-api"):
        answer = await asked(client, grant_type="client_credentials", scope=scope, **shown.credentials)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope"), scope


async def test_a_customer_gets_a_token_by_assertion_and_the_next_by_refreshing(
    client: httpx2.AsyncClient, store: Store, database: Database, customer: str
) -> None:
    channel = await made(database, store, "sales_channel")
    for key in (channel.secret, "cl"):
        sent = {"grant_type": JWT_BEARER, "assertion": assertion(key, {**owner(customer), "iat": int(time.time())})}
        answer = await asked(client, **sent, **channel.credentials)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["owner_id"], told["owner_type"]) == (customer, "customer")
        claims = claims_of(told["access_token"])
        assert claims["owner"] == {"type": "Customer", "id": customer}
        assert (claims["application"]["kind"], claims["application"]["public"]) == ("sales_channel", True)
        held = Access(claims["jti"], told["access_token"])
        own = await client.get("/api/customers", headers=held.headers)
        assert [one["id"] for one in own.json()["data"]] == [customer]

        # A storefront in a browser has no secret.
        refresh = {"grant_type": "refresh_token", "client_id": channel.client_id}
        again = await asked(client, **refresh, refresh_token=told["refresh_token"])
        assert again.status_code == 200, again.text
        assert again.json()["owner_id"] == customer
        assert again.json()["refresh_token"] != told["refresh_token"]
        newer = Access("", again.json()["access_token"])
        assert (await client.get("/api/customers", headers=newer.headers)).status_code == 200


async def test_a_refresh_token_that_is_used_again_ends_all_of_its_grant(
    client: httpx2.AsyncClient,
    connection: Connection,
    shown: Client,
    customer: str,
    *,
    database: Database,
    store: Store,
) -> None:
    sent = {"grant_type": JWT_BEARER, "assertion": assertion(shown.secret, owner(customer))}
    first = (await asked(client, **sent, **shown.credentials)).json()
    refresh = {"grant_type": "refresh_token", **shown.credentials}
    second = (await asked(client, **refresh, refresh_token=first["refresh_token"])).json()
    at_once = await asked(client, **refresh, refresh_token=first["refresh_token"])
    assert at_once.status_code == 200, "the answer may have got lost"
    long_ago = clock.now() - timedelta(minutes=1)
    await connection.execute(
        "update refresh_tokens set used_at = $2 where store_id = $1 and used_at is not null", store.id, long_ago
    )
    reused = await asked(client, **refresh, refresh_token=first["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    for token in (first, second, at_once.json()):
        answer = await client.get("/api/customers", headers=Access("", token["access_token"]).headers)
        assert answer.status_code == 401
        answer = await asked(client, **refresh, refresh_token=token["refresh_token"])
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")

    third = (await asked(client, **sent, **shown.credentials)).json()
    other = await made(database, store)
    stolen = await asked(client, grant_type="refresh_token", **other.credentials, refresh_token=third["refresh_token"])
    assert stolen.json()["error"] == "invalid_grant"
    no_secret = await asked(
        client, grant_type="refresh_token", client_id=shown.client_id, refresh_token=third["refresh_token"]
    )
    assert (no_secret.status_code, no_secret.json()["error"]) == (401, "invalid_client")
    assert (await client.get("/api/skus", headers=Access("", third["refresh_token"]).headers)).status_code == 401


async def test_what_ends_a_customers_token_ends_its_refreshing(
    client: httpx2.AsyncClient, shown: Client, customer: str, integration: Access
) -> None:
    async def grant() -> Any:
        sent = {"grant_type": JWT_BEARER, "assertion": assertion(shown.secret, owner(customer))}
        return (await asked(client, **sent, **shown.credentials)).json()

    async def patch(type_: str, id_: str, verb: str) -> None:
        sent = {"data": {"type": type_, "id": id_, "attributes": {verb: True}}}
        answer = await client.patch(f"/api/{type_}/{id_}", json=sent, headers=integration.headers)
        assert answer.status_code == 200, answer.text

    by_token, by_refreshing, erased = await grant(), await grant(), await grant()
    await patch("access_tokens", claims_of(by_token["access_token"])["jti"], "_revoke")
    ended = await client.post("/oauth/revoke", json={"token": by_refreshing["refresh_token"], **shown.credentials})
    assert (ended.status_code, ended.json()) == (200, {})
    await patch("customers", customer, "_erase")
    for told in (by_token, by_refreshing, erased):
        refresh = {"grant_type": "refresh_token", **shown.credentials, "refresh_token": told["refresh_token"]}
        assert (await asked(client, **refresh)).json()["error"] == "invalid_grant"
        answer = await client.get("/api/customers", headers=Access("", told["access_token"]).headers)
        assert answer.status_code == 401


def tampered(token: str) -> list[str]:
    """A token as nobody has signed it."""
    head, body, signature = token.split(".")

    def part(value: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")

    header = orjson.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    other = part({**claims_of(token), "organization": {"id": "1", "slug": "x"}})
    return [
        f"{part({**header, 'alg': 'none'})}.{body}.",
        f"{part({**header, 'alg': 'none'})}.{body}.{signature}",
        f"{part({**header, 'alg': 'HS512'})}.{body}.{signature}",
        f"{part({**header, 'alg': 'RS256'})}.{body}.{signature}",
        f"{part({**header, 'kid': 'nobody'})}.{body}.{signature}",
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        f"{head}.{body}.",
        f"{head}.{body}",
        "..",
        "a.b.c",
        f"{part({'kid': None})}.{body}.{signature}",
        f"{part({'kid': ['x']})}.{body}.{signature}",
        token + "A" * 4_000,
    ]


async def test_a_token_that_we_have_not_signed_is_none(client: httpx2.AsyncClient, shown: Client) -> None:
    held = await fetch(client, shown)
    public = (await client.get("/.well-known/jwks.json")).json()["keys"][0]
    pem = RSAKey.import_key(public).as_pem(private=False).decode()
    confused = [
        assertion(secret, claims_of(held.token), alg, kid=public["kid"])
        for secret in (pem, public["n"])
        for alg in ("HS256", "HS512")
    ]
    own = RSAKey.generate_key(2048, {"kid": public["kid"]})
    confused.append(
        jwt.encode({"alg": "RS512", "kid": public["kid"]}, claims_of(held.token), own, algorithms=["RS512"])
    )
    for token in [*tampered(held.token), *confused]:
        answer = await client.get("/api/skus", headers=Access("", token).headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "INVALID_TOKEN"), token[:60]
    assert (await client.get("/api/skus", headers=held.headers)).status_code == 200


async def test_a_token_ends(client: httpx2.AsyncClient, connection: Connection, shown: Client) -> None:
    held = await fetch(client, shown)
    await connection.execute("update access_tokens set expires_at = $1", clock.now())
    assert (await client.get("/api/skus", headers=held.headers)).status_code == 401


@pytest.mark.parametrize(
    ("key", "alg", "claims", "error"),
    [
        (None, "HS512", {}, None),
        (None, "HS256", {}, None),
        (None, "HS512", {"exp": 60, "nbf": -60, "iat": 0}, None),
        ("another secret of a client", "HS512", {}, "invalid_grant"),
        (None, "HS512", {"exp": -90}, "invalid_grant"),
        (None, "HS512", {"nbf": 90}, "invalid_grant"),
        (None, "HS512", {"iat": 90}, "invalid_grant"),
        (None, "HS512", {"exp": "soon"}, "invalid_grant"),
        (None, "HS512", {"exp": True}, "invalid_grant"),
        (None, "HS512", {CLAIMS: None}, "invalid_grant"),
        (None, "HS512", {CLAIMS: {"owner": {"type": "User", "id": "x"}}}, "invalid_grant"),
        (None, "HS512", {CLAIMS: {"owner": {"type": "Customer", "id": "nobody"}}}, "invalid_grant"),
        (None, "HS512", {CLAIMS: {"owner": {"type": "Customer", "id": {}}}}, "invalid_grant"),
        (None, "HS512", {CLAIMS: {"owner": {"type": "Customer", "id": "a'--"}}}, "invalid_grant"),
    ],
)
async def test_an_assertion_is_checked(
    client: httpx2.AsyncClient,
    shown: Client,
    customer: str,
    *,
    key: str | None,
    alg: str,
    claims: dict[str, Any],
    error: str | None,
) -> None:
    now = int(time.time())
    timed = {name: now + value if type(value) is int else value for name, value in claims.items()}
    signed = assertion(key or shown.secret, {**owner(customer), **timed}, alg)
    answer = await asked(client, grant_type=JWT_BEARER, assertion=signed, **shown.credentials)
    assert answer.json().get("error") == error, answer.text
    if error is None:
        unsigned = ".".join([*signed.split(".")[:2], ""])
        for token in (unsigned, "", "x", "a.b.c", base64.urlsafe_b64encode(b'{"alg":"none"}').decode() + unsigned):
            answer = await asked(client, grant_type=JWT_BEARER, assertion=token, **shown.credentials)
            assert answer.json()["error"] == ("invalid_request" if token == "" else "invalid_grant")


async def test_an_assertion_says_nothing_without_the_secret_or_in_another_store(
    client: httpx2.AsyncClient, database: Database, store: Store, customer: str
) -> None:
    channel = await made(database, store, "sales_channel")
    signed = assertion("cl", owner(customer))
    answer = await asked(client, grant_type=JWT_BEARER, assertion=signed, client_id=channel.client_id)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    foreign = await made(database, await make_store(database))
    answer = await asked(client, grant_type=JWT_BEARER, assertion=signed, **foreign.credentials)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


HOSTILE: list[tuple[dict[str, Any], bytes, str]] = [
    ({}, b"", "invalid_request"),
    ({"content-type": "application/json"}, b"", "invalid_request"),
    ({"content-type": "application/json"}, b"[]", "invalid_request"),
    ({"content-type": "application/json"}, b"null", "invalid_request"),
    ({"content-type": "application/json"}, b"{", "invalid_request"),
    ({"content-type": "application/json"}, b"[" * 10_000, "invalid_request"),
    ({"content-type": "application/json"}, b'{"grant_type": 1}', "invalid_request"),
    ({"content-type": "application/json"}, b'{"grant_type": ["client_credentials"]}', "invalid_request"),
    ({"content-type": "application/json"}, b'{"grant_type": "client_credentials"}', "invalid_request"),
    ({"content-type": "application/json"}, b'{"grant_type": "\\u0000"}', "invalid_request"),
    ({"content-type": "application/json"}, b'{"grant_type": "password", "username": "a"}', "unsupported_grant_type"),
    ({"content-type": "application/json"}, b'{"grant_type": "authorization_code"}', "unsupported_grant_type"),
    ({"content-type": "application/x-www-form-urlencoded"}, b"\xff\xfe", "invalid_request"),
    ({"content-type": "application/x-www-form-urlencoded"}, b"grant_type=a&grant_type=b", "invalid_request"),
    ({"content-type": "application/x-www-form-urlencoded"}, b"a=b&" * 500, "invalid_request"),
    ({"content-type": "text/plain"}, b"grant_type=client_credentials", "invalid_request"),
    ({"content-type": "application/json"}, b'{"grant_type": "client_credentials", "client_id": "x"}', "invalid_client"),
    (
        {"content-type": "application/json", "authorization": "Basic !!"},
        b'{"grant_type": "client_credentials"}',
        "invalid_client",
    ),
    (
        {"content-type": "application/json", "authorization": "Bearer x"},  # proves no client
        b'{"grant_type": "client_credentials"}',
        "invalid_request",
    ),
]


@pytest.mark.parametrize(("headers", "body", "error"), HOSTILE)
async def test_what_can_not_be_read_or_granted_is_a_clear_error(
    client: httpx2.AsyncClient, *, headers: dict[str, str], body: bytes, error: str
) -> None:
    answer = await client.post("/oauth/token", content=body, headers=headers)
    told = answer.json()
    assert (answer.status_code, told["error"]) == (401 if error == "invalid_client" else 400, error), answer.text
    assert told["errors"][0]["meta"] == {"error": error}
    assert ("www-authenticate" in answer.headers) == headers.get("authorization", "").startswith("Basic")


async def test_a_secret_is_needed_and_never_wrong(
    client: httpx2.AsyncClient, database: Database, store: Store, shown: Client
) -> None:
    channel = await made(database, store, "sales_channel")
    for sent in (
        {"client_id": shown.client_id},
        {"client_id": shown.client_id, "client_secret": "wrong"},
        {"client_id": shown.client_id, "client_secret": channel.secret},
        {"client_id": channel.client_id, "client_secret": "wrong"},
        {"client_id": f"client_{store.id}_unknownunknown", "client_secret": shown.secret},
        {"client_id": "client_99999999999999999999_unknownunknown", "client_secret": shown.secret},
    ):
        answer = await asked(client, grant_type="client_credentials", **sent)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), sent
    two_ways = await client.post(
        "/oauth/token",
        data={"grant_type": "client_credentials", "client_secret": shown.secret},
        auth=httpx2.BasicAuth(shown.client_id, shown.secret),
    )
    assert two_ways.json()["error"] == "invalid_request"


async def test_guesses_and_requests_are_limited(client: httpx2.AsyncClient, shown: Client) -> None:
    for number in range(31):
        answer = await asked(client, grant_type="client_credentials", client_id=f"x{number}", client_secret="guess")
    assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
    assert int(answer.headers["retry-after"]) > 0
    assert (await asked(client, grant_type="client_credentials", **shown.credentials)).status_code == 200
    for _ in range(60):
        answer = await asked(client, grant_type="client_credentials", **shown.credentials)
    assert answer.status_code == 429
    assert answer.headers["x-ratelimit-remaining"] == "0"


async def test_no_secret_is_logged(
    client: httpx2.AsyncClient, connection: Connection, shown: Client, customer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = {"grant_type": JWT_BEARER, "assertion": assertion(shown.secret, owner(customer))}
    told = (await asked(client, **sent, **shown.credentials)).json()
    out = capsys.readouterr()
    rows = await connection.fetch("select payload::text from events")
    kept = out.out + out.err + "".join(row[0] for row in rows)
    for secret in (shown.secret, told["access_token"], told["refresh_token"], sent["assertion"]):
        assert secret not in kept


async def test_the_keys_verify_and_hold_no_private_part(
    client: httpx2.AsyncClient, connection: Connection, shown: Client
) -> None:
    held = await fetch(client, shown)
    answer = await client.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    key = answer.json()["keys"][0]
    assert key.keys() == {"kty", "kid", "use", "alg", "n", "e"}
    assert jwt.decode(held.token, jwk.import_key(key), algorithms=["RS512"]).claims == claims_of(held.token)
    kept = await connection.fetchval("select private_key from signing_keys where id = $1", key["kid"])
    assert "PRIVATE" not in kept
    assert Seals([KEY], SIGNING_KEYS).open(kept, key["kid"]).startswith("-----BEGIN")


async def test_a_change_of_keys_refuses_no_request(
    database: Database, database_url: str, store: Store, shown: Client
) -> None:
    """Two processes fetch and use tokens all the while, each from the other, as keys change under them."""
    keys, refused, used = {"REPRISE_SECRET_KEYS": "key-of-a-server-to-kill", "DATABASE_URL": database_url}, [], set()
    async with server(database_url) as (_, one), server(database_url) as (_, two):
        done = asyncio.Event()

        async def shop(fetcher: httpx2.AsyncClient, user: httpx2.AsyncClient) -> None:
            mine, number = [], 0
            while not done.is_set():
                number += 1
                # Not all from one client: what one fetches is limited.
                held = await fetch(fetcher, shown if number % 2 else await made(database, store))
                used.add(orjson.loads(base64.urlsafe_b64decode(held.token.split(".")[0] + "=="))["kid"])
                mine.append(held)
                for access in mine[-4:]:
                    answer = await user.get("/api/skus", headers=access.headers)
                    if answer.status_code != 200:
                        refused.append(answer.text)
                await asyncio.sleep(0.3)

        shoppers = [asyncio.create_task(shop(one, two)), asyncio.create_task(shop(two, one))]
        for _ in range(3):
            await asyncio.sleep(0.6)
            rotated = await asyncio.to_thread(reprise, "keys", "rotate", **keys)
            assert rotated.code == 0, rotated.err
        await asyncio.sleep(1)
        done.set()
        await asyncio.gather(*shoppers)
        assert refused == []
        assert len(used) >= 3
        published = {key["kid"] for key in (await one.get("/.well-known/jwks.json")).json()["keys"]}
        assert used <= published


async def test_a_retired_key_verifies_for_as_long_as_its_tokens_live_and_is_then_deleted(
    connection: Connection, settings: Settings, client: httpx2.AsyncClient, shown: Client
) -> None:
    await fetch(client, shown)
    await keyring.rotate(connection, Seals(settings.keys, SIGNING_KEYS))
    rows = await connection.fetch("select retired_at, expires_at from signing_keys order by created_at")
    assert [row["retired_at"] is None for row in rows] == [*[False] * (len(rows) - 1), True]
    for row in rows[:-1]:
        assert row["expires_at"] - row["retired_at"] >= LIFETIME + timedelta(minutes=1)
    await cleaning.clean(connection, clock.now() + timedelta(days=1))
    assert await connection.fetchval("select count(*) from signing_keys") == 1


async def test_a_key_that_the_settings_can_not_open_any_more_is_replaced(
    app: Starlette, client: httpx2.AsyncClient, connection: Connection, shown: Client
) -> None:
    held = await fetch(client, shown)
    await connection.execute("update signing_keys set private_key = 'gone.AAAA' where retired_at is null")
    app.state.service.keyring.forget()
    again = await fetch(client, shown)
    for access in (held, again):
        assert (await client.get("/api/skus", headers=access.headers)).status_code == 200


async def test_keys_are_encrypted_with_the_newest_key_of_the_settings(
    connection: Connection, client: httpx2.AsyncClient, shown: Client
) -> None:
    await fetch(client, shown)
    newer = Seals(["a-newer-key-of-the-tests", KEY], SIGNING_KEYS)
    assert await keyring.reseal(connection, newer) >= 1
    assert await keyring.reseal(connection, newer) == 0
    row = await connection.fetchrow("select id, private_key from signing_keys where retired_at is null")
    assert row is not None
    assert Seals(["a-newer-key-of-the-tests"], SIGNING_KEYS).open(row["private_key"], row["id"])
    await connection.execute("delete from signing_keys")


async def test_tokens_of_clients_are_deleted_long_after_they_ended(
    client: httpx2.AsyncClient,
    connection: Connection,
    integration: Access,
    shown: Client,
    customer: str,
) -> None:
    sent = {"grant_type": JWT_BEARER, "assertion": assertion(shown.secret, owner(customer))}
    await asked(client, **sent, **shown.credentials)
    kept = "select array_agg(id order by created_at) from access_tokens where store_id ="
    kept += " (select store_id from access_tokens where id = $1)"
    assert len(await connection.fetchval(kept, integration.id)) == 2
    await cleaning.clean(connection, clock.now() + timedelta(days=29))
    assert len(await connection.fetchval(kept, integration.id)) == 2
    await cleaning.clean(connection, clock.now() + timedelta(days=60))
    assert await connection.fetchval(kept, integration.id) == [integration.id], "the token made by hand stays"
    left = "select count(*) from refresh_tokens where api_client_id = $1"
    assert await connection.fetchval(left, shown.id) == 0
