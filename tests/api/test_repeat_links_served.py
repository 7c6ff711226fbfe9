"""Repeat links on real servers: keys that rotate between restarts, and what logs, headers, pages and URLs give away."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import orjson
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.pages import FORM, Page
from tests.processes import Service, api_settings, serving
from tests.support import Access, Grant

OLD, NEW = "the-first-key-of-these-tests", "the-second-key-of-these-tests"
PERSON = {
    "first_name": "Wilhelmina",
    "last_name": "Kattenburg",
    "line_1": "Prinsengracht 263",
    "city": "Zierikzee",
    "zip_code": "4301 KL",
    "phone": "+31 6 55667788",
    "email": "mina@kattenburg.example",
    "notes": "behind the blue door",
}


@contextmanager
def server(database_url: str, keys: str = OLD) -> Iterator[Service]:
    environment = api_settings(database_url) | {"REPRISE_SECRET_KEYS": keys, "REPRISE_LOG_LEVEL": "debug"}
    with serving("serve", "--port", "0", until="answers at", **environment) as service:
        yield service


def repeat_order_url(service: Service, store: Store, code: str, access: Access) -> str:
    answer = httpx2.get(f"{service.url}/api/v3/{store.id}/orders/{code}/repeatURL", headers=access.headers)
    url = urlsplit(answer.json()["repeatOrderUrl"])
    return f"{url.path}?{url.query}"


async def test_a_new_signing_key_changes_no_url_and_an_old_one_can_be_taken_away(
    database_url: str, connection: Connection, store: Store, integration: Access
) -> None:
    mug = factories.Line(await factories.sku(connection, store))
    for code in ("OLD", "NEW"):
        await factories.order(connection, store, [mug], code=code)
    with server(database_url) as service:
        old = repeat_order_url(service, store, "OLD", integration)
        assert httpx2.get(service.url + old).status_code == 200
    with server(database_url, f"{NEW},{OLD}") as service:
        assert repeat_order_url(service, store, "OLD", integration) == old
        assert httpx2.get(service.url + old).status_code == 200
        new = repeat_order_url(service, store, "NEW", integration)
    # With the first key gone only what it signed stops; the route then hands out a working URL again.
    with server(database_url, NEW) as service:
        assert [httpx2.get(service.url + url).status_code for url in (old, new)] == [410, 200]
        listed = httpx2.get(f"{service.url}/api/repeat_links?sort=created_at", headers=integration.headers).json()
        assert [one["attributes"]["url"] is None for one in listed["data"]] == [True, False]
        again = repeat_order_url(service, store, "OLD", integration)
        assert again != old
        assert httpx2.get(service.url + again).status_code == 200
    assert await connection.fetchval("select count(*) from repeat_links where store_id = $1", store.id) == 2


@dataclass
class Seen:
    """All that a run produced which others than its customer could see, by where it was seen."""

    client: httpx2.Client
    texts: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, method: str, url: str, **sent: object) -> httpx2.Response:
        answer = self.client.request(method, url, **sent)  # type: ignore[arg-type]
        where = f"{method} {urlsplit(str(answer.request.url)).path}"
        self.texts += [(f"{where}: headers", str(dict(answer.headers))), (f"{where}: body", answer.text)]
        return answer


def without(text: tuple[str, str], secret: str) -> tuple[str, str]:
    """What was seen, but for a secret that has to be there."""
    return text[0], text[1].replace(secret, "")


def order_in_checkout(seen: Seen, location: str, store: Store, email: str) -> None:
    """Place the order of a link's cart by its postal code, and look at all that its session opens."""
    shown = Page(seen.ask("GET", location).text)
    fields = {name: value for name, value in shown.fields.items() if name in ("store", "session", "nonce", "shown")}
    # The form, and what leads back to it, have to hold the session.
    seen.texts[-1] = without(seen.texts[-1], fields["session"])
    for factor, status in (("4301 XX", 422), (PERSON["zip_code"], 303)):
        placed = seen.ask("POST", "/demo/checkout", content=urlencode(fields | {"factor": factor}), headers=FORM)
        assert placed.status_code == status, placed.text
        seen.texts[-2:] = [without(one, fields["session"]) for one in seen.texts[-2:]]
    assert "Thank you" in seen.ask("GET", location).text
    guest = {"X-Cart-Session": f"{store.id}.{fields['session']}", "Accept": "application/vnd.api+json"}
    for path in ("carts", "orders?include=line_items,cart,shipping_address", "addresses"):
        assert seen.ask("GET", f"/api/{path}", headers=guest).status_code == 200
    hidden = seen.ask("GET", f"/api/orders?filter[q][customer_email_start]={email[:3]}", headers=guest)
    assert hidden.status_code == 400


@pytest.mark.rule("FM-35")
async def test_a_run_gives_away_no_token_and_nothing_of_the_customer(
    database_url: str, connection: Connection, store: Store, integration: Access, grant: Grant
) -> None:
    sku = await factories.sku(connection, store, price=2500, image_url="https://pictures.example/shirt.png")
    order_id = await factories.full_order(connection, store, [factories.Line(sku, 2)], code="JJ5HH")
    assignments = ", ".join(f"{name} = ${n}" for n, name in enumerate(PERSON, 2))
    await connection.execute(f"update addresses set {assignments} where store_id = $1", store.id, *PERSON.values())
    await connection.execute("update stores set repeat_link_factor = 'zip_code' where store_id = $1", store.id)
    email, customer_id = await connection.fetchrow(
        "select customer_email, customer_id from orders where store_id = $1", store.id
    ) or ("", "")
    reader = await grant(scopes=["read_catalog"])
    with server(database_url) as service, httpx2.Client(base_url=service.url) as client:
        seen = Seen(client)
        url = repeat_order_url(service, store, "JJ5HH", integration)
        token = dict(parse_qsl(urlsplit(url).query))["token"]
        bearer = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.api+json"}
        page = Page(seen.ask("GET", url).text)
        fields = page.fields
        # The form holds what it has to send back; nothing else of the page may hold it.
        seen.texts[-1] = (seen.texts[-1][0], seen.texts[-1][1].replace(f'value="{token}"', "", 1))
        commit = seen.ask("POST", "/repeat-order", content=urlencode(fields), headers=FORM)
        assert commit.status_code == 303
        location = commit.headers["location"]
        assert dict(parse_qsl(urlsplit(location).query)).keys() == {"store", "session"}
        session = dict(parse_qsl(urlsplit(location).query))["session"]
        order_in_checkout(seen, location, store, email)
        # In test mode the link's page, and the one that stands in for a checkout, say what to type.
        hint = f"In this test it is {PERSON['zip_code']}."
        saying = ("GET /repeat-order", "/demo/checkout")
        seen.texts = [
            (where, text.replace(hint, "", 1) if any(page in where for page in saying) else text)
            for where, text in seen.texts
        ]
        assert seen.ask("GET", "/api/repeat_link_preview", headers=bearer).status_code == 200
        made = seen.ask("POST", "/api/repeat_link_commits", headers=bearer)
        assert made.status_code == 201
        other = made.json()["data"]["attributes"]["session"]
        for wrong in (url.replace("JJ5HH", "OTHER"), url.replace("token=", "token=x")):
            assert seen.ask("GET", wrong).status_code == 410
        forged = bearer | {"Authorization": f"Bearer {token}x"}
        assert seen.ask("GET", "/api/repeat_link_preview", headers=forged).status_code == 410
        assert seen.ask("GET", f"/api/repeat_links?filter[token]={token}", headers=reader.headers).status_code == 403
        assert seen.ask("DELETE", url).status_code == 405
        stale = seen.ask("POST", "/repeat-order", content=f"id=JJ5HH&token={token}&nonce=x", headers=FORM)
        assert stale.status_code == 400
        # It offers to open the link again, and so holds its URL.
        seen.texts[-1] = (seen.texts[-1][0], seen.texts[-1][1].replace(token, "", 1))
        native = seen.ask("GET", f"/api/repeat_links?filter[order]={order_id}", headers=integration.headers)
        assert token in native.json()["data"][0]["attributes"]["url"]
        seen.texts.pop()  # an integration may know
        outcome = service.stop(signal.SIGTERM)
    logged = service.said + outcome.out + outcome.err
    lines = [orjson.loads(line) for line in logged.splitlines() if line.startswith("{")]
    assert len([line for line in lines if line.get("event") == "request"]) >= 13, logged
    for secret in (token, token.rpartition(".")[2], session, other, fields["nonce"], integration.token):
        assert secret not in logged, re.sub(re.escape(secret), "<SECRET>", logged)
    personal = [*PERSON.values(), email, customer_id, "Kattenburg"]
    for where, text in [*seen.texts, ("log", logged)]:
        assert [value for value in personal if value in text] == [], where
        assert token not in text, where
