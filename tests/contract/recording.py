"""A day in the demo store: requests whose real answers become the contract's examples.

Every type is created where clients may, changed, read, listed and reached by what is linked with it; then come the
routes of other APIs, and mistakes of each kind. Of equal answers, which the contract describes once, the first is kept.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import orjson

from schemas.relationships import ToMany
from service.contract import examples
from service.gateways.testing import DECLINES
from service.resources import RESOURCES
from tests.contract.contract import JSON_API, Contract
from tests.contract.generated.running import Shop
from tests.samples import SAMPLES, Target

ORIGIN = "http://127.0.0.1:8000"
"""Where examples seem to come from: where `make run` serves."""

ATOMIC = f'{JSON_API}; ext="https://jsonapi.org/ext/atomic"'
JSON = "application/json"
WEMASY = "/api/services/webshop/v1/customer/orders/reorder"
REPEAT_URL = "/api/v3/1003/orders/none/repeatURL"
OTHERWISE = ((WEMASY, "customer"), ("/mcp", "customer"), ("/oauth/token", ""), ("/oauth/revoke", ""))
"""The routes with bodies that are no JSON:API's, each with the credential that it takes."""

PROTOCOL = "2026-07-28"
"""The version of the Model Context Protocol that has no handshake."""

CLICKS = 12
"""How many clicks at once one of which finds another at work."""

GUESSES = 70
"""More wrong tokens, links and clients than an address may try in a minute."""

FIELDS = 2
"""How many attributes are asked for where the resource is not shown whole."""

LONG = 500
"""Of a request with a longer URL the beginning is shown."""

WHOLE = {
    *("orders", "recurring_order_copies", "reorders", "repeat_links"),
}
"""The types of which one is shown whole."""

SHOWN = {
    "orders": "ABCRtyUpBa",
    "order_subscriptions": "BCDRtyUpBa",
    "customers": "sam-sample",
}
"""Type -> the id of the one to look at; of other types it is the first."""


class Recorder:
    """Asks a shop, holds each answer against the contract, and keeps what is to be an example."""

    def __init__(self, shop: Shop, contract: Contract, client: httpx2.Client) -> None:
        self._shop = shop
        self._contract = contract
        self._client = client
        self._seen: set[bytes] = set()
        self._made: dict[str, str] = {}
        self._committed = ""
        self.records: list[dict[str, Any]] = []

    def ask(
        self, method: str, url: str, sent: Any = None, *, kind: str = "integration", show: bool = True, **headers: str
    ) -> httpx2.Response:
        """The answer to a request; `sent` is its body, `kind` the credential, "" for none.

        With `show` the answer is an example, unless there is one like it.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if sent is not None:
            named = {"Content-Type": JSON_API} | named
        if kind:
            name, value = self._shop.credentials[kind]
            named[name] = value
        content = sent if isinstance(sent, bytes) else None if sent is None else orjson.dumps(sent)
        answer = self._client.request(method, url, content=content, headers=named)
        self._contract.check(answer)
        self._keep(method, url, sent, answer, show=show)
        return answer

    def _keep(self, method: str, url: str, sent: Any, answer: httpx2.Response, *, show: bool) -> None:
        operation = self._contract.operation(method, url.partition("?")[0])
        asked = f"{method} {url}"
        record = {"operation": operation["operationId"], "request": asked if len(asked) < LONG else f"{asked[:60]}..."}
        body = operation.get("requestBody", {})
        if answer.is_success and sent is not None and not isinstance(sent, bytes) and self._is_new(body):
            record["sent"] = sent
        status = str(answer.status_code)
        content = self._contract.resolve(operation["responses"][status]).get("content", {})
        media_type = answer.headers.get("content-type", "")
        media_type = media_type if media_type in content else media_type.partition(";")[0]
        if show and "json" in media_type:
            name = examples.name(operation, status, content[media_type]["schema"])
            if self._is_new(name):
                record |= {"status": status, "media_type": media_type, "name": name, "answer": answer.json()}
        if record.keys() & {"sent", "name"}:
            text = orjson.dumps(record).replace(self._shop.url.encode(), ORIGIN.encode())
            self.records.append(orjson.loads(text))

    def _is_new(self, place: Any) -> bool:
        """Whether nothing was shown there before."""
        key = orjson.dumps(place)
        new = key not in self._seen
        self._seen.add(key)
        return new

    def sample(self, type_: str) -> str | None:
        """The id of the resource of a type to look at, if the shop has one."""
        if type_ not in SHOWN:
            found = self._look(f"/api/{type_}")["data"]
            return found[0]["id"] if found else None
        return SHOWN[type_]

    def _look(self, url: str) -> dict[str, Any]:
        """The document at a URL, of which nothing is kept."""
        document: dict[str, Any] = self._client.get(url, headers=[self._shop.credentials["integration"]]).json()
        return document

    def be_refused(self) -> None:
        """Show a client with a wrong secret, so that there is a refusal to look at; writing it takes seconds."""
        shown = self._make_client() | {"client_secret": "wrong", "grant_type": "client_credentials"}
        assert self._client.post("/oauth/token", json=shown).status_code == 401
        deadline = time.monotonic() + 60
        while self.sample("refused_authentications") is None:
            assert time.monotonic() < deadline, "no refusal was written"
            time.sleep(0.5)

    def create(self) -> None:
        """Make one of every type that clients make."""
        for type_, sample in SAMPLES.items():
            if not sample.created:
                continue
            targets = {name: {"data": self._identifier(target)} for name, target in sample.targets.items()}
            data = {"type": type_, "attributes": sample.attributes} | ({"relationships": targets} if targets else {})
            # What discloses nothing is shown as it is read.
            show = bool(RESOURCES[type_].resource.disclosed)
            url = f"/api/{type_}?{fields(type_)}"
            made = self.ask("POST", url, {"data": data}, show=show, Prefer="return=representation")
            assert made.status_code == 201, made.text
            self._made[type_] = made.json()["data"]["id"]

    def _identifier(self, target: Target) -> dict[str, str | None]:
        type_, made = target.type_, self._made.get(target.type_)
        return {"type": type_, "id": made if target.made else self.sample(type_) or made}

    def change(self) -> None:
        """Change one of every type that clients change."""
        for type_, sample in SAMPLES.items():
            if not sample.change:
                continue
            id_ = self._changeable(type_)
            data = {"type": type_, "id": id_, "attributes": sample.change}
            url = f"/api/{type_}/{id_}?{fields(type_, *sample.change)}"
            answer = self.ask("PATCH", url, {"data": data}, show=False)
            assert answer.status_code == 200, answer.text

    def _changeable(self, type_: str) -> str | None:
        if type_ == "occurrences":
            subscription = SHOWN["order_subscriptions"]
            url = f"/api/order_subscriptions/{subscription}/occurrences?filter[status]=planned&sort=-scheduled_at"
            id_: str = self._look(url)["data"][0]["id"]
            return id_
        return (
            SHOWN["order_subscriptions"]
            if type_ == "order_subscriptions"
            else self._made.get(type_) or self.sample(type_)
        )

    def relate(self) -> None:
        """Change every relationship that clients change, to what it leads to already."""
        for type_, entry in RESOURCES.items():
            id_ = self._made.get(type_) or self.sample(type_)
            for name in entry.resource.relationships:
                url = f"/api/{type_}/{id_}/relationships/{name}"
                for method in entry.on_relationship(name)[2:]:
                    linked = self._look(url)["data"]
                    if method != "PATCH":
                        to = entry.resource.relationships[name].type_
                        linked = [{"type": to, "id": self._made.get(to) or self.sample(to)}]
                    self.ask(method, url, {"data": linked})

    def read(self) -> None:
        """Look at one of every type and at a page of each, and follow all relationships."""
        empty = []
        for type_, entry in RESOURCES.items():
            self.ask("GET", f"/api/{type_}?{fields(type_)}&page[size]=1")
            id_ = self.sample(type_)
            self.ask("GET", f"/api/{type_}/{id_}" if type_ in WHOLE else f"/api/{type_}/{id_}?{fields(type_)}")
            for name, found in entry.resource.relationships.items():
                size = "page[size]=1" if isinstance(found, ToMany) else ""
                related = f"/api/{type_}/{id_}/{name}?{fields(found.type_)}&{size}".rstrip("&")
                linkage = f"/api/{type_}/{id_}/relationships/{name}?{size}".rstrip("?")
                if self._look(linkage)["data"]:
                    self.ask("GET", related)
                    self.ask("GET", linkage)
                else:
                    empty += [related, linkage]
        for url in empty:
            self.ask("GET", url)
        self.ask("GET", "/api/orders?fields[orders]=number,status&sort=-placed_at&page[after]=start&page[size]=2")

    def tell_again(self) -> None:
        """Give an event to a webhook that wants it, which is there for that alone."""
        wanted = {"name": "ERP", "topics": ["*"], "callback_url": "https://shop.example.com/hooks/reprise"}
        sent = {"data": {"type": "webhooks", "attributes": wanted}}
        made = self.ask("POST", "/api/webhooks", sent, show=False).json()["data"]["id"]
        id_ = self.sample("events")
        data = {"type": "events", "id": id_, "attributes": {"_trigger": True}}
        answer = self.ask("PATCH", f"/api/events/{id_}?{fields('events')}", {"data": data}, show=False)
        assert answer.status_code == 200, answer.text
        self.ask("DELETE", f"/api/webhooks/{made}", show=False)

    def delete(self) -> None:
        """Delete what can be told about."""
        self.ask("DELETE", f"/api/tags/{self._made['tags']}", Prefer="return=representation")

    def clear(self) -> None:
        """Delete what was made, the last first, of which nothing is kept; some of it can't be, by what came of it."""
        header = [self._shop.credentials["integration"]]
        for type_, id_ in reversed(self._made.items()):
            self._client.delete(f"/api/{type_}/{id_}", headers=header)

    def speak_otherwise(self) -> None:
        """Routes beside the types' own."""
        self.ask("GET", "/api", kind="")
        self.ask("GET", "/healthz", kind="")
        self._fetch_tokens()
        self.ask("GET", "/api/v3/1003/orders/JJ5HH/repeatURL")
        called = {"name": "list_past_orders", "arguments": {"limit": 1}}
        sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": called}
        self.ask("POST", "/mcp", sent, kind="customer", Content_Type="application/json", Accept="application/json")
        self.ask(
            "POST",
            "/api/services/webshop/v1/customer/orders/reorder",
            {"order_id": 2502},
            kind="customer",
            Content_Type="application/json",
        )
        source = {"source_order": {"data": {"type": "orders", "id": SHOWN["orders"]}}}
        self.ask("POST", "/api/reorder_previews", {"data": {"type": "reorder_previews", "relationships": source}})
        self.ask("GET", f"/api/order_subscriptions/{SHOWN['order_subscriptions']}/forecast?page[size]=2")
        subject = {"subject": {"data": {"type": "order_subscriptions", "id": SHOWN["order_subscriptions"]}}}
        later = {"type": "subscription_previews", "attributes": {"_delay": 3}, "relationships": subject}
        self.ask("POST", "/api/subscription_previews", {"data": later})
        self.ask("GET", "/api/repeat_link_preview", kind="link")
        committed = self.ask("POST", "/api/repeat_link_commits", {"data": {"type": "repeat_link_commits"}}, kind="link")
        self._committed = committed.json()["data"]["id"]
        operations = [
            {"op": "add", "data": {"type": "customers", "lid": "kim", "attributes": {"email": "kim@example.com"}}},
            {
                "op": "add",
                "data": {
                    "type": "addresses",
                    "attributes": {"first_name": "Kim", "last_name": "Sample", "line_1": "Sample Avenue 9"}
                    | {"city": "Sampleton", "country_code": "NL"},
                    "relationships": {"customer": {"data": {"type": "customers", "lid": "kim"}}},
                },
            },
        ]
        sent = {"atomic:operations": operations}
        self.ask("POST", "/api/operations", sent, Content_Type=ATOMIC, Accept=ATOMIC)

    def _make_client(self) -> dict[str, str]:
        """A new client of the API: what it shows of itself."""
        made = self._client.post(
            "/api/api_clients",
            headers=dict([self._shop.credentials["integration"], ("Content-Type", JSON_API)]),
            content=orjson.dumps({"data": {"type": "api_clients", "attributes": {"name": "ERP"}}}),
        )
        client = made.json()["data"]["attributes"]
        return {name: client[name] for name in ("client_id", "client_secret")}

    def _fetch_tokens(self) -> None:
        """A client fetches a token for itself, and ends it."""
        shown = self._make_client()
        sent = {"grant_type": "client_credentials", **shown, "scope": "market:all"}
        fetched = self.ask("POST", "/oauth/token", sent, kind="", Content_Type="application/json")
        sent = {**shown, "token": fetched.json()["access_token"]}
        self.ask("POST", "/oauth/revoke", sent, kind="", Content_Type="application/json")
        self.ask("POST", "/oauth/token", {"grant_type": "password"}, kind="", Content_Type="application/json")
        self.ask("GET", "/.well-known/jwks.json", kind="")

    def err(self) -> None:
        """Mistakes, one for each answer to them that can be had without breaking anything."""
        order = f"/api/orders/{SHOWN['orders']}"
        data = {"type": "orders", "id": SHOWN["orders"], "attributes": {"customer_email": "nobody", "number": "1"}}
        self.ask("GET", f"{order}?include=nothing")
        self.ask("GET", "/api/orders?filter[status]=lost&sort=colour")
        self.ask("DELETE", f"{order}?force=true")
        self.ask("POST", "/api/orders", b"{")
        self.ask("GET", "/api/orders", kind="")
        self.ask("GET", "/api/events", kind="customer")
        self.ask("PATCH", order, {"data": data | {"attributes": {"number": "1"}}})
        self.ask("GET", "/api/orders/none")
        self.ask("GET", "/api/orders", Accept="text/html")
        self.ask("POST", "/api/orders", {"data": {"type": "carts"}})
        self.ask("PATCH", order, {"data": data | {"attributes": {"reference": "PO-21"}}}, If_Match='"0-0"')
        self.ask("POST", "/api/orders", b" " * 3_000_000)
        self.ask("POST", "/api/orders", b"x", Content_Type="text/plain")
        self.ask("POST", "/api/customers", {"data": {"type": "customers", "attributes": {"email": "nobody"}}})
        self.ask("GET", "/api/repeat_link_preview", kind="", Authorization="Bearer 1003.none.none")
        self.ask("GET", f"/api/orders/{'x' * 17_000}")
        self.ask("GET", order, Accept_Language="x" * 9_000)
        self.ask("GET", "/api/events/stream?payload=none")
        self._err_without_tag(order)

    def _err_without_tag(self, order: str) -> None:
        """A change without `If-Match` in a store that asks for it, for that long."""
        id_ = self.sample("stores")
        policies = self._look(f"/api/stores/{id_}")["data"]["attributes"]["policies"]
        for found in (policies | {"require_if_match": True}, policies):
            data = {"type": "stores", "id": id_, "attributes": {"policies": found}}
            changed = self.ask("PATCH", f"/api/stores/{id_}", {"data": data}, show=False, If_Match="*")
            assert changed.status_code == 200, changed.text
            if found is not policies:
                self.ask("PATCH", order, {"data": {"type": "orders", "id": SHOWN["orders"], "attributes": {}}})

    def err_otherwise(self) -> None:
        """The same at the routes beside the types' own."""
        for kind in ("integration", "", "customer"):
            self.ask("GET", REPEAT_URL, kind=kind)
        self.ask("GET", f"/api/v3/1003/orders/{'x' * 17_000}/repeatURL")
        for sent in ({"order_id": 1}, {"order_id": "x"}):
            self.ask("POST", WEMASY, sent, kind="customer", Content_Type=JSON)
        self.ask("POST", WEMASY, {"order_id": 1}, kind="", Content_Type=JSON)
        for kind in ("", "integration"):
            self.ask("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, kind=kind, Content_Type=JSON)
        for body, accepted in ((b"{", JSON), (b"{}", "text/html")):
            self.ask("POST", "/mcp", body, kind="customer", Content_Type=JSON, Accept=accepted)
        client = {"client_id": "none", "client_secret": "none"}
        for url, sent in (("/oauth/token", {"grant_type": "client_credentials"}), ("/oauth/revoke", {"token": "none"})):
            self.ask("POST", url, sent | client, kind="", Content_Type=JSON)
        self.ask("POST", "/oauth/revoke", {}, kind="", Content_Type=JSON)
        for url, kind in OTHERWISE:
            self.ask("POST", url, b" " * 3_000_000, kind=kind, Content_Type=JSON)
            self.ask("POST", f"{url}?{'x' * 17_000}", b"{}", kind=kind, Content_Type=JSON)
            self.ask("POST", url, b"{}", kind=kind, Content_Type=JSON, Accept_Language="x" * 9_000)
            self.ask("POST", url, b"x", kind=kind, Content_Type="text/plain")

    def err_rarely(self) -> None:
        """What takes a gateway that refuses, a host that isn't served, a token with less, or two clicks at once."""
        pending = self._look("/api/orders?filter[status]=pending&fields[orders]=number")["data"]
        for order in pending:
            refused = {"_place": True, "_payment_source_token": DECLINES}
            data = {"type": "orders", "id": order["id"], "attributes": refused}
            if self.ask("PATCH", f"/api/orders/{order['id']}", {"data": data}).status_code == 402:
                break
        self.ask("GET", REPEAT_URL, Host="shop.example")
        self.ask("POST", WEMASY, {"order_id": 2502}, kind="customer", Content_Type=JSON, Idempotency_Key="one click")
        about = {"protocolVersion": PROTOCOL, "clientInfo": {"name": "a", "version": "1"}, "clientCapabilities": {}}
        sent = {"_meta": {f"io.modelcontextprotocol/{name}": value for name, value in about.items()}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "nobody/knows", "params": sent}
        self.ask(
            "POST",
            "/mcp",
            call,
            kind="customer",
            Content_Type=JSON,
            Accept=JSON,
            MCP_Protocol_Version=PROTOCOL,
            Mcp_Method="nobody/knows",
        )
        data = {
            "type": "tokens",
            "attributes": {"scopes": ["read_orders"]},
            "relationships": {"customer": {"data": {"type": "customers", "id": SHOWN["customers"]}}},
        }
        token = self.ask("POST", "/api/tokens", {"data": data}, show=False).json()["data"]["attributes"]["token"]
        self.ask("POST", WEMASY, {"order_id": 2502}, kind="", Authorization=f"Bearer {token}", Content_Type=JSON)
        for url in ("/oauth/token", "/oauth/revoke"):
            self.ask("POST", url, b"{}", kind="", Content_Type=JSON, Content_Encoding="compress")
        self._withdraw()
        # One of them is first, and the others come while it is at work.
        with ThreadPoolExecutor(CLICKS) as pool:
            list(pool.map(self._click, range(CLICKS)))

    def _withdraw(self) -> None:
        """Take back the link that a cart came by, and order the cart."""
        link = self._look(f"/api/carts/{self._committed}/repeat_link")["data"]["id"]
        data = {"type": "repeat_links", "id": link, "attributes": {"_revoke": True}}
        self.ask("PATCH", f"/api/repeat_links/{link}", {"data": data}, show=False)
        cart = {"data": {"type": "carts", "id": self._committed}}
        ordered = self.ask("POST", "/api/orders", {"data": {"type": "orders", "relationships": {"cart": cart}}})
        assert ordered.status_code == 410, ordered.text

    def _click(self, _: int) -> None:
        self.ask("POST", WEMASY, {"order_id": 2502}, kind="customer", Content_Type=JSON, Idempotency_Key="one-click")

    def guess(self) -> None:
        """Ask with what is wrong until that is refused, after which nothing more can be asked for a minute."""
        wrong = {"client_id": "none", "client_secret": "none", "grant_type": "client_credentials", "token": "none"}
        for _ in range(GUESSES):
            self._client.get("/api/orders", headers={"Authorization": "Bearer none"})
            self._client.get("/api/repeat_link_preview", headers={"Authorization": "Bearer 1003.none.none"})
            self._client.post("/oauth/token", json=wrong)
        for url in ("/api/orders", REPEAT_URL):
            self.ask("GET", url, kind="", Authorization="Bearer none")
        self.ask("GET", "/api/repeat_link_preview", kind="", Authorization="Bearer 1003.none.none")
        for url in (WEMASY, "/mcp"):
            self.ask("POST", url, {}, kind="", Content_Type=JSON, Authorization="Bearer none")
        for url in ("/oauth/token", "/oauth/revoke"):
            self.ask("POST", url, wrong, kind="", Content_Type=JSON)

    def play(self) -> list[dict[str, Any]]:
        """All of it, in the order in which the contract has its operations."""
        steps = (
            self.be_refused,
            self.create,
            self.change,
            self.relate,
            self.read,
            self.tell_again,
            self.delete,
            self.speak_otherwise,
            self.err,
            self.err_otherwise,
            self.err_rarely,
        )
        for step in steps:
            step()
        return self.records


def fields(type_: str, *further: str) -> str:
    """A fieldset with the first attributes of a type, and what else is asked for of it."""
    attributes = RESOURCES[type_].resource.attributes
    own = [name for name in attributes if name not in ("created_at", "updated_at", "metadata")][:FIELDS]
    return f"fields[{type_}]={','.join(dict.fromkeys([*own, *(name for name in further if name in attributes)]))}"
