"""Real answers of the real application, each held against openapi.yaml and against JSON:API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson
import pytest
import yaml

from schemas.fields import Write
from schemas.relationships import ToMany
from service.contract import openapi
from service.principal import Store
from service.resources import RESOURCES
from service.store.pool import Connection
from tests import factories
from tests.contract.contract import Contract
from tests.support import Access, Grant

World = dict[str, str]


def linked(**ids: tuple[str, str]) -> dict[str, Any]:
    return {name: {"data": {"type": type_, "id": id_}} for name, (type_, id_) in ids.items()}


async def send(client: httpx2.AsyncClient, url: str, access: Access, document: Any) -> httpx2.Response:
    return await client.post(url, headers=access.headers, content=orjson.dumps(document))


@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_url_of_every_type(
    client: httpx2.AsyncClient, contract: Contract, integration: Access, world: World, type_: str
) -> None:
    resource = RESOURCES[type_].resource
    includable = ",".join(name for name, found in resource.relationships.items() if found.includable)
    collection = contract.check(
        await client.get(f"/api/{type_}", params={"include": includable}, headers=integration.headers)
    )
    assert collection["data"], f"the world has no {type_}"
    id_ = world.get(type_, collection["data"][0]["id"])
    one = contract.check(await client.get(f"/api/{type_}/{id_}", headers=integration.headers))
    assert one["data"]["id"] == id_
    for name, found in resource.relationships.items():
        related = contract.check(await client.get(f"/api/{type_}/{id_}/{name}", headers=integration.headers))
        include = f"?include={name}" if found.includable else ""
        linkage = contract.check(
            await client.get(f"/api/{type_}/{id_}/relationships/{name}{include}", headers=integration.headers)
        )
        if isinstance(found, ToMany):
            assert [one["id"] for one in linkage["data"]] == [one["id"] for one in related["data"]]
        else:
            assert (linkage["data"] or {}).get("id") == (related["data"] or {}).get("id")


@pytest.mark.parametrize("type_", RESOURCES)
async def test_every_described_parameter_is_taken(
    client: httpx2.AsyncClient, contract: Contract, integration: Access, type_: str
) -> None:
    for url in (
        f"/api/{type_}",
        *(f"/api/{type_}/none/relationships/{n}" for n in RESOURCES[type_].resource.relationships),
    ):
        for parameter in contract.parameters("GET", url):
            for asked in queries(parameter):
                answer = await client.get(url, params=asked, headers=integration.headers)
                assert answer.status_code == (200 if url.count("/") == 2 else 404), (url, parameter, answer.text)


def queries(parameter: dict[str, Any]) -> list[dict[str, str]]:
    """Query strings that a parameter allows: its own examples, else what its schema says."""
    name = parameter["name"]
    if "examples" in parameter:
        return [dict(nested(name, example["value"])) for example in parameter["examples"].values()]
    return [{name: value} for value in [parameter.get("example")] if value] or [
        {name: value} for value in samples(parameter["schema"])
    ]


def nested(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The query parameters of an object: `filter[name][matcher]`."""
    if isinstance(value, str):
        yield name, value
    else:
        for key, inner in value.items():
            yield from nested(f"{name}[{key}]", inner)


def samples(schema: dict[str, Any]) -> list[str]:
    """Values that a parameter's schema allows: all those that it lists, at once."""
    items = schema.get("items", schema)
    paths = re.match(r"\^\(([a-z_|]+)\)", items.get("pattern", ""))
    listed = items.get("enum") or (paths[1].split("|") if paths else None)
    if listed:
        return [",".join(listed)]
    if items.get("format") == "date-time":
        return ["2026-01-31T12:00:00Z"]
    return {
        "integer": [str(items.get("minimum", 1)), str(items.get("maximum", 7))],
        "boolean": ["true,false"] if "items" in schema else ["true", "false"],
        "number": ["0.21"],
    }.get(items["type"], ["1" if "pattern" in items else ""])


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/api?x=1", 400),
        ("/api/orders?nonsense=1", 400),
        ("/api/orders?include=nonsense", 400),
        ("/api/orders?fields[orders]=nonsense", 400),
        ("/api/orders?sort=nonsense", 400),
        ("/api/orders?filter[nonsense]=1", 400),
        ("/api/orders?filter[status]=nonsense", 400),
        ("/api/orders?page[size]=101", 400),
        ("/api/orders/none?sort=id", 400),
        ("/api/orders/none", 404),
        ("/api/orders/none/customer", 404),
        ("/api/orders/none/line_items", 404),
        ("/api/orders/none/relationships/customer", 404),
        ("/api/orders/none/relationships/line_items", 404),
    ],
)
async def test_refused_reads(
    client: httpx2.AsyncClient, contract: Contract, integration: Access, url: str, status: int
) -> None:
    answer = await client.get(url, headers=integration.headers)
    assert answer.status_code == status
    contract.check(answer)


@pytest.mark.parametrize("url", ["/api/orders", "/api/orders/x", "/api/orders/x/customer", "/api/tags/x/orders"])
async def test_refused_askers(client: httpx2.AsyncClient, contract: Contract, grant: Grant, url: str) -> None:
    good = (await grant()).headers
    poor = (await grant(scopes=["create_tokens"])).headers
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        (poor, 403),
        (good | {"Accept": "text/html"}, 406),
        (good | {"Content-Type": "application/vnd.api+json; charset=utf-8"}, 415),
        (good | {"Host": "evil.example"}, 400),
    ):
        answer = await client.get(url, headers=headers)
        assert answer.status_code == status, (headers, answer.text)
        contract.check(answer)


async def test_the_entry_point_and_health(client: httpx2.AsyncClient, contract: Contract) -> None:
    types = contract.check(await client.get("/api"))["meta"]["types"]
    assert {urlsplit(url).path for url in types.values()} == {f"/api/{type_}" for type_ in RESOURCES}
    for url in ("/healthz", "/readyz"):
        assert contract.check(await client.get(url))["status"] == "ok"


async def test_a_token_is_shown_once(
    client: httpx2.AsyncClient, contract: Contract, integration: Access, world: World
) -> None:
    data = {"type": "tokens", "relationships": linked(customer=("customers", world["customers"]))}
    answer = await send(client, "/api/tokens", integration, {"data": data})
    assert answer.status_code == 201
    made = contract.check(answer)["data"]
    assert made["attributes"]["token"].startswith("customer_")
    again = contract.check(await client.get(f"/api/tokens/{made['id']}", headers=integration.headers))
    assert "token" not in again["data"]["attributes"]


async def test_a_native_reorder(
    client: httpx2.AsyncClient, contract: Contract, integration: Access, world: World
) -> None:
    data = {"type": "reorders", "relationships": linked(source_order=("orders", world["orders"]))}
    answer = await send(client, "/api/reorders?include=reorder_outcomes", integration, {"data": data})
    assert answer.status_code == 201, answer.text
    contract.check(answer)


async def test_a_recurring_order_copy(
    client: httpx2.AsyncClient, contract: Contract, integration: Access, world: World
) -> None:
    relationships = linked(
        source_order=("orders", world["orders"]),
        order_subscription=("order_subscriptions", world["order_subscriptions"]),
    )
    data = {"type": "recurring_order_copies", "relationships": relationships}
    answer = await send(client, "/api/recurring_order_copies", integration, {"data": data})
    assert answer.status_code == 201, answer.text
    assert contract.check(answer)["data"]["attributes"]["status"] == "pending"


@pytest.mark.parametrize("type_", [type_ for type_, entry in RESOURCES.items() if entry.create])
async def test_refused_creations(
    client: httpx2.AsyncClient, contract: Contract, grant: Grant, integration: Access, type_: str
) -> None:
    resource = RESOURCES[type_].resource
    url = f"/api/{type_}"
    missing = {
        name: {"data": {"type": found.type_, "id": "none"}}
        for name, found in resource.relationships.items()
        if found.write & Write.CREATE and not isinstance(found, ToMany)
    }
    # What is missing is told together with the rest, and then the status is that of them all.
    needy = any(field.required for field in (*resource.attributes.values(), *resource.triggers.values()))
    for document, status in (
        ([], 400),
        ({"data": None}, 400),
        ({"data": {"type": "events"}}, 409),
        ({"data": {"type": type_, "attributes": {"nonsense": 1}}}, 422),
        (
            {"data": {"type": type_, "attributes": {"created_at": "2026-01-31T12:00:00Z"}, "relationships": missing}},
            400 if needy else 403,
        ),
        ({"data": {"type": type_, "attributes": {"created_at": "x", "nonsense": 1}, "relationships": missing}}, 400),
        ({"data": {"type": type_, "relationships": missing}}, 422 if needy else 404 if missing else 201),
    ):
        answer = await send(client, url, integration, document)
        assert answer.status_code == status, (document, answer.text)
        contract.check(answer)
    poor = await grant(scopes=[])
    answers = [
        (await send(client, url, poor, {"data": {"type": type_}}), 403),
        (await client.post(url, content=b"{}"), 415),
        (await client.post(url, content=b" " * 3_000_000, headers=integration.headers), 413),
        (await client.post(url, content=b"{", headers=integration.headers), 400),
        (await client.post(url, content=b"{}", headers=integration.headers | {"Accept": "text/html"}), 406),
        (await client.post(url, content=b"{}", headers={"Content-Type": "application/vnd.api+json"}), 401),
    ]
    for answer, status in answers:
        assert answer.status_code == status, answer.text
        contract.check(answer)


async def test_ecwid(client: httpx2.AsyncClient, contract: Contract, grant: Grant, world: World) -> None:
    good = await grant()
    order = (await client.get(f"/api/orders/{world['orders']}", headers=good.headers)).json()["data"]["attributes"]
    code = order["code"]
    url = f"/api/v3/{world['stores']}/orders/{code}/repeatURL"
    poor = await grant(scopes=[])
    answer = await client.get(url, headers={"Authorization": f"Bearer {good.token}"})
    assert answer.status_code == 200, answer.text
    link = contract.check(answer)["repeatOrderUrl"]
    page = await client.get(link)
    assert page.status_code == 200
    contract.check(page)
    for path, headers, status in (
        (url, {}, 401),
        (url, {"Authorization": f"Bearer {poor.token}"}, 403),
        (url.replace(code, "none"), {"Authorization": f"Bearer {good.token}"}, 404),
        (url, {"Authorization": f"Bearer {good.token}", "Host": "evil.example"}, 400),
    ):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == status, answer.text
        contract.check(answer)


async def test_wemasy(client: httpx2.AsyncClient, contract: Contract, grant: Grant, world: World) -> None:
    url = "/api/services/webshop/v1/customer/orders/reorder"
    integration = await grant()
    order = (await client.get(f"/api/orders/{world['orders']}", headers=integration.headers)).json()["data"]
    number = int(order["attributes"]["number"])
    customer = await grant(customer_id=world["customers"])
    poor = await grant(customer_id=world["customers"], scopes=["read_orders"])

    def headers(access: Access, media_type: str = "application/json") -> dict[str, str]:
        return {"Authorization": f"Bearer {access.token}", "Content-Type": media_type}

    body = orjson.dumps({"order_id": number})
    answers = [
        (await client.post(url, headers=headers(customer), content=body), 200),
        (await client.post(url, content=body), 401),
        (await client.post(url, headers=headers(poor), content=body), 403),
        (await client.post(url, headers=headers(customer), content=b'{"order_id": 999999}'), 404),
        (await client.post(url, headers=headers(customer), content=b" " * 3_000_000), 413),
        (await client.post(url, headers=headers(customer, "text/plain"), content=body), 415),
        (await client.post(url, headers=headers(customer), content=b"{}"), 422),
    ]
    for answer, status in answers:
        assert answer.status_code == status, answer.text
        contract.check(answer)
    for _ in range(60):
        answer = await client.post(url, headers=headers(customer), content=b"{}")
    assert answer.status_code == 429
    contract.check(answer)
    assert answer.headers["retry-after"].isdecimal()


async def test_pages(client: httpx2.AsyncClient, contract: Contract, store: Store) -> None:
    for answer, status in (
        (await client.get("/repeat-order?id=none&token=none&type=order"), 410),
        (await client.post("/repeat-order", data={"id": "none", "token": "none", "nonce": "none"}), 410),
        (await client.get(f"/demo/checkout?store={store.id}&session=none"), 404),
    ):
        assert answer.status_code == status
        contract.check(answer)


async def test_the_api_reference_loads_nothing_from_elsewhere(client: httpx2.AsyncClient, contract: Contract) -> None:
    answer = await client.get("/docs/api")
    assert contract.check(answer)
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert "://" not in answer.text
    loaded = re.findall(r'(?:src|href)="(assets/[^"]+)"', answer.text)
    assert len(loaded) == 4
    for url in loaded:
        assert contract.check(await client.get(f"/docs/{url}"))
    assert (await client.get("/docs/assets/index.html")).status_code == 404


@pytest.mark.parametrize("url", ["/api/reorder_previews", "/api/repeat_link_commits", "/api/schemas/orders.json"])
async def test_urls_of_their_own_say_what_they_offer(client: httpx2.AsyncClient, contract: Contract, url: str) -> None:
    answer = await client.delete(url)
    assert answer.status_code == 405
    offered = {method.upper() for method in (contract.described(url) or {}) if method != "parameters"}
    told = {method.strip() for method in answer.headers["allow"].split(",")}
    assert told - {"HEAD", "OPTIONS"} == offered
    assert (await client.options(url)).headers["allow"] == answer.headers["allow"]


async def test_the_described_request_is_what_is_read(contract: Contract, store: Store, connection: Connection) -> None:
    """The documents that these tests send are ones that the contract allows."""
    order = await factories.order(connection, store)
    schema = {"$ref": "#/components/schemas/ReorderCreate"}
    document = {"data": {"type": "reorders", "relationships": linked(source_order=("orders", order))}}
    contract.validate(schema, document)
    with pytest.raises(AssertionError):
        contract.validate(schema, {"data": {"type": "orders"}})
    document["data"]["attributes"] = {"nonsense": 1}
    with pytest.raises(AssertionError):
        contract.validate(schema, document)


async def test_the_contract_is_served_as_json_too(client: httpx2.AsyncClient, contract: Contract) -> None:
    found = await client.get("/openapi.json")
    assert found.headers["content-type"] == "application/json"
    assert found.json() == contract.document
    older = await client.get("/openapi-3.0.json")
    assert older.json() == openapi.convert(contract.document)
    text = (await client.get("/openapi.yaml")).text
    assert yaml.load(text, Loader=yaml.CSafeLoader) == contract.document
