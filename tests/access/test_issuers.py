"""Customers who sign in elsewhere: tokens of outside issuers, whose keys a process of its own publishes."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey
from starlette.applications import Starlette

from service.gateways.issuers import IssuerKeys, NoKeys, Pace, Source
from service.gateways.outbound import Limits
from service.http.state import Service
from service.operations.access.issuers import Outside
from service.principal import Store
from service.rules.jwts import Header
from service.rules.outside import Reach
from service.store.pool import Connection, Database
from tests import factories
from tests.access.issuing import AUDIENCE, Provider, bearer, key_for, provider, signed
from tests.servers import server
from tests.spec.writing import Api, pointers
from tests.support import Access, Grant, make_store

NEAR = Limits(connect_timeout=1.0, timeout=1.0, reach=Reach.EVERYWHERE)


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Provider]:
    async with provider() as running:
        await running.publish("RS256")
        yield running


async def register(api: Api, running: Provider, **more: Any) -> str:
    """Register an issuer; gives its id."""
    attributes = {"issuer": running.origin, "audience": AUDIENCE, **more}
    return str((await api.create("issuers", attributes))["id"])


async def status(client: httpx2.AsyncClient, token: str, path: str = "orders") -> int:
    return (await client.get(f"/api/{path}", headers=bearer(token))).status_code


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def paced(app: Starlette, **pace: float) -> IssuerKeys:
    """Have the service ask issuers at another pace; gives what asks them."""
    service: Service = app.state.service
    keys = IssuerKeys(NEAR, Pace(**pace))
    object.__setattr__(service, "outside", Outside(keys))
    return keys


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_a_token_acts_as_its_customer(
    client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, issuer: Provider, *, algorithm: str
) -> None:
    await issuer.publish(algorithm)
    await register(api, issuer, algorithms=[algorithm])
    customer, other = [await factories.customer(connection, store) for _ in range(2)]
    sku = await factories.sku(connection, store)
    own, foreign = [
        await factories.full_order(connection, store, [factories.Line(sku, 1)], customer_id=whose)
        for whose in (customer, other)
    ]
    own_token = Api(client, Access("", issuer.token(customer, algorithm)))
    assert [one["id"] for one in (await own_token.get("orders"))["data"]] == [own]
    assert (await own_token.send("GET", f"orders/{foreign}")).status_code == 404
    assert (await own_token.send("GET", "webhooks")).status_code == 403


async def test_customers_are_found_by_what_the_issuer_is_registered_for(
    client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    await connection.execute("update customers set reference = 'auth0|1', email = 'Kim@x.nl' where id = $1", customer)
    id_ = await register(api, issuer, customer_field="reference")
    assert await status(client, issuer.token("auth0|1")) == 200
    assert await status(client, issuer.token(customer)) == 401
    twin = await factories.customer(connection, store)
    await connection.execute("update customers set reference = 'auth0|1' where id = $1", twin)
    assert await status(client, issuer.token("auth0|1", jti="another")) == 401
    await api.update("issuers", id_, {"customer_field": "email", "customer_claim": "email"})
    for verified, expected in ((True, 200), (False, 401), ("true", 401), (None, 401)):
        token = issuer.token("x", email="kim@X.nl", email_verified=verified)
        assert await status(client, token) == expected, verified


async def test_customers_do_not_take_a_name_that_they_are_found_by(
    client: httpx2.AsyncClient, api: Api, grant: Grant, connection: Connection, store: Store, *, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    own = Api(client, await grant(customer_id=customer))
    assert (await own.update("customers", customer, {"reference": "mine"})).status_code == 200
    await register(api, issuer, customer_field="reference")
    answer = await own.update("customers", customer, {"reference": "auth0|2"})
    assert (answer.status_code, pointers(answer)) == (403, ["/data/attributes/reference"])
    assert (await api.update("customers", customer, {"reference": "auth0|2"})).status_code == 200


async def test_what_is_not_exactly_so_is_refused(
    client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    await register(api, issuer)
    now = int(time.time())
    assert await status(client, issuer.token(customer)) == 200
    assert await status(client, issuer.token(customer, aud=["other", AUDIENCE])) == 200
    assert await status(client, issuer.token(customer, exp=now - 30, jti="leeway")) == 200
    wrong: list[dict[str, Any]] = [
        {"aud": "other"}, {"aud": None}, {"aud": [AUDIENCE + "/"]}, {"iss": issuer.origin + "/"}, {"iss": None},
        {"exp": now - 90}, {"exp": None}, {"exp": "never"}, {"exp": True}, {"nbf": now + 90}, {"iat": now + 90},
        {"sub": "nobody"}, {"sub": None}, {"sub": 1}, {"sub": [customer]}, {"sub": "a\0b"},
    ]  # fmt: skip
    for said in wrong:
        assert await status(client, issuer.token(**{"sub": customer, **said})) == 401, said


async def test_an_algorithm_that_was_swapped_is_refused(
    client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    await issuer.publish("RS256", "ES256")
    await register(api, issuer)
    claims, public = issuer.claims(customer), issuer.keys["RS256"].as_pem(private=False)

    def unsigned(algorithm: str) -> str:
        return ".".join(_encoded(json.dumps(one).encode()) for one in ({"alg": algorithm, "kid": "one"}, claims))

    shared = unsigned("HS256")
    assert await status(client, issuer.token(customer)) == 200
    swapped = [
        *(f"{unsigned(name)}." for name in ("none", "None", "RS256", "HS256")),
        f"{shared}.{_encoded(hmac.digest(public, shared.encode(), 'sha256'))}",
        signed(claims, {"alg": "PS256", "kid": "one"}, RSAKey.import_key(issuer.keys["RS256"].as_pem(private=True))),
        issuer.token(customer, "ES256"),
        signed(claims, {"alg": "RS256", "kid": "one"}, key_for("RS256")),
        signed(claims, {"alg": "RS256", "kid": "one-ES256"}, issuer.keys["RS256"]),
    ]
    for token in swapped:
        assert await status(client, token) == 401, token


async def test_keys_rotate_and_are_fetched_at_most_so_often(
    app: Starlette, client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, *, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    keys = paced(app, seldom=0.5)
    await register(api, issuer)
    assert await status(client, issuer.token(customer)) == 200
    assert await issuer.asked() == 1
    await asyncio.sleep(0.6)
    await issuer.publish("RS256", kid="two")
    new = issuer.token(customer)
    assert await status(client, new) == 200
    assert await issuer.asked() == 2
    # A storm of keys that nobody has, at once and one after the other.
    stranger = key_for("RS256", "nobody")
    bad = [
        signed(issuer.claims(customer, jti=str(n)), {"alg": "RS256", "kid": f"bad{n}"}, stranger) for n in range(200)
    ]
    began = time.monotonic()
    found = await asyncio.gather(*(status(client, token) for token in bad))
    assert set(found) <= {401, 429}
    source = Source(issuer.origin, None)
    storm = (keys.find(source, Header("RS256", f"worse{n}")) for n in range(500))
    assert set(await asyncio.gather(*storm)) == {None}
    assert await issuer.asked() <= 3 + (time.monotonic() - began) / 0.5
    assert await status(client, new) == 200


async def test_a_slow_issuer_holds_nobody_up(
    app: Starlette, client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, *, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    paced(app, fresh=0.0, seldom=0.0, soon=60.0)
    await register(api, issuer)
    assert await status(client, issuer.token(customer)) == 200
    await issuer.tell(seconds=5)
    before = await issuer.asked()
    # Keys that are known verify while they are fetched anew.
    began = time.monotonic()
    known = await asyncio.gather(*(status(client, issuer.token(customer, jti=str(n))) for n in range(30)))
    assert set(known) == {200}
    assert time.monotonic() - began < 4
    # Those who need another key wait for the one request that is on its way, and hold no connection meanwhile.
    stranger = key_for("RS256", "nobody")
    waiting = [
        asyncio.create_task(
            status(client, signed(issuer.claims("x", jti=str(n)), {"alg": "RS256", "kid": "no"}, stranger))
        )
        for n in range(40)
    ]
    ours = await asyncio.gather(*(api.send("GET", "orders") for _ in range(5)))
    assert {answer.status_code for answer in ours} == {200}
    assert set(await asyncio.gather(*waiting)) <= {401, 429}
    assert await issuer.asked() - before <= 1


async def test_keys_of_a_dead_issuer_verify_until_they_are_stale(
    app: Starlette, client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, *, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    paced(app, fresh=0.0, stale=2.0, seldom=0.0, soon=0.0)
    await register(api, issuer)
    assert await status(client, issuer.token(customer)) == 200
    await issuer.tell(status=500)
    assert await status(client, issuer.token(customer, jti="stale")) == 200
    await asyncio.sleep(2.1)
    answer = await client.get("/api/orders", headers=bearer(issuer.token(customer, jti="too stale")))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    await issuer.tell(status=200)
    assert await status(client, issuer.token(customer, jti="well again")) == 200


@pytest.mark.parametrize("wrong", [{"issuer": "https://another.example.com"}, {"jwks_uri": "http://10.0.0.1/jwks"}])
async def test_a_description_of_another_issuer_is_not_believed(
    client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, issuer: Provider, *, wrong: Any
) -> None:
    customer = await factories.customer(connection, store)
    await issuer.tell(**wrong)
    await register(api, issuer)
    assert await status(client, issuer.token(customer)) == 503


async def test_private_addresses_are_not_asked(issuer: Provider) -> None:
    keys = IssuerKeys(Limits(connect_timeout=1.0, timeout=1.0))
    with pytest.raises(NoKeys):
        await keys.find(Source(issuer.origin, f"{issuer.origin}/jwks"), Header("RS256", "one"))
    assert await issuer.asked() == 0


async def test_a_token_names_its_store_where_several_have_its_issuer(
    client: httpx2.AsyncClient, api: Api, grant: Grant, database: Database, connection: Connection, *, store: Store,
    issuer: Provider,
) -> None:  # fmt: skip
    other = await make_store(database)
    customer = await factories.customer(connection, store)
    await register(api, issuer)
    token = issuer.token(customer)
    assert await status(client, token) == 200
    elsewhere = Api(client, await grant(store=other))
    await register(elsewhere, issuer)
    again = issuer.token(customer, jti="again")
    assert await status(client, again) == 401
    assert await status(client, f"{store.id}.{again}") == 200
    assert await status(client, f"{other.id}.{again}") == 401
    assert await status(client, f"999.{again}") == 401


@pytest.mark.parametrize("way", ["revoke", "delete"])
async def test_what_ended_is_refused_by_every_process_at_once(
    database_url: str, grant: Grant, connection: Connection, store: Store, issuer: Provider, *, way: str
) -> None:
    """Each process remembers tokens for an hour here; it is a notice that ends them."""
    customer = await factories.customer(connection, store)
    options = ("--remember=3600", "--near")
    async with server(database_url, *options) as (_, first), server(database_url, *options) as (_, second):
        api = Api(first, await grant())
        id_ = await register(api, issuer)
        token = issuer.token(customer, iat=int(time.time()) - 1)
        assert [await status(each, token) for each in (first, second)] == [200, 200]
        if way == "revoke":
            assert (await api.update("issuers", id_, {"_revoke": True})).status_code == 200
        else:
            assert (await api.send("DELETE", f"issuers/{id_}")).status_code == 204
        assert await status(first, token) == 401
        for _ in range(100):
            if await status(second, token) == 401:
                break
            await asyncio.sleep(0.05)
        assert await status(second, token) == 401
        if way == "revoke":
            later = issuer.token(customer, iat=int(time.time()) + 2)
            assert [await status(each, later) for each in (first, second)] == [200, 200]


async def test_an_erased_customer_is_refused(
    client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    await register(api, issuer)
    assert await status(client, issuer.token(customer)) == 200
    await api.update("customers", customer, {"_erase": True})
    assert await status(client, issuer.token(customer)) == 401


async def test_the_trail_names_the_issuer(
    client: httpx2.AsyncClient, api: Api, connection: Connection, store: Store, issuer: Provider
) -> None:
    customer = await factories.customer(connection, store)
    id_ = await register(api, issuer)
    own = Api(client, Access("", issuer.token(customer)))
    await own.create("carts")
    (entry,) = (await api.get("event_stores?filter[name]=carts.create"))["data"]
    assert entry["attributes"]["who"] == {"token": {"id": id_}, "owner": {"type": "Customer", "id": customer}}


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"issuer": "http://shop.example.com"}, "issuer"),
        ({"jwks_url": "https://user@shop.example.com/"}, "jwks_url"),
        ({"scopes": ["update_catalog"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"customer_field": "phone"}, "customer_field"),
    ],
)
async def test_what_can_not_be_registered(api: Api, attributes: dict[str, Any], name: str) -> None:
    whole = {"issuer": "https://shop.example.com", "audience": "shop", **attributes}
    answer = await api.send("POST", "issuers", {"data": {"type": "issuers", "attributes": whole}})
    assert (answer.status_code, pointers(answer)) == (422, [f"/data/attributes/{name}"])


async def test_no_issuer_gives_more_than_who_registers_it(
    client: httpx2.AsyncClient, grant: Grant, issuer: Provider, connection: Connection, store: Store
) -> None:
    customer = await factories.customer(connection, store)
    backend = Api(client, await grant(scopes=["create_tokens", "read_orders", "read_store_profile"]))
    await register(backend, issuer)
    token = issuer.token(customer)
    assert [await status(client, token, path) for path in ("orders", "carts")] == [200, 403]
