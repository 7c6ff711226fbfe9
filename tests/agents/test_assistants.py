"""What an assistant does in a customer's name, over real HTTP, by the protocol's own client."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from mcp.shared.exceptions import MCPError

from service.http.agents.tools import TOOLS
from service.principal import Store
from service.store.pool import Database
from tests import factories
from tests.agents.assisting import MODES, Mode, Shop, assistant, told
from tests.support import Grant

JSON = {"Content-Type": "application/json"}

pytestmark = pytest.mark.timeout(300)


async def carts(shop: Shop) -> list[dict[str, Any]]:
    """The customer's carts, as the JSON:API has them, with their items' quantities."""
    async with shop.api() as api:
        document = (await api.get("/carts", params={"include": "cart_items"})).json()
    quantities: dict[str, int] = {}
    for item in document["included"]:
        cart = item["relationships"]["cart"]["data"]["id"]
        quantities[cart] = quantities.get(cart, 0) + item["attributes"]["quantity"]
    return [cart | {"quantity": quantities.get(cart["id"], 0)} for cart in document["data"]]


@pytest.mark.parametrize("mode", MODES)
async def test_the_last_order_is_bought_again_in_at_most_four_calls(shop: Shop, mode: Mode) -> None:
    calls = 0
    async with assistant(shop, mode) as client:

        async def call(name: str, **arguments: Any) -> dict[str, Any]:
            nonlocal calls
            calls += 1
            result = await client.call_tool(name, arguments)
            assert not result.is_error, told(result)
            found: dict[str, Any] = result.structured_content
            return found

        [last] = (await call("list_past_orders", limit=1))["orders"]
        assert (last["id"], [one["name"] for one in last["products"]]) == (shop.known["order"], ["Mug", "Shirt"])
        preview = await call("preview_reorder", order_id=last["id"])
        assert [line["status"] for line in preview["lines"]] == ["added", "added"]
        assert preview["cart_total"]["amount_cents"] == 4500
        made = await call("reorder", order_id=last["id"], expected_digest=preview["digest"])
    assert calls <= 4
    assert made["cart_total"] == preview["cart_total"]
    assert [(cart["id"], cart["quantity"]) for cart in await carts(shop)] == [(made["cart_id"], 3)]
    async with httpx2.AsyncClient(timeout=60) as browser:
        page = await browser.get(made["checkout_url"])
    assert page.status_code == 200
    assert "Mug" in page.text


async def test_chosen_lines_and_quantities(shop: Shop) -> None:
    async with assistant(shop) as client:
        preview = (await client.call_tool("preview_reorder", {"order_id": shop.known["order"]})).structured_content
        mug = preview["lines"][0]["line_item_id"]
        chosen = {"order_id": shop.known["order"], "lines": [{"line_item_id": mug, "quantity": 5}]}
        made = (await client.call_tool("reorder", chosen)).structured_content
    assert [(line["name"], line["resulting_quantity"]) for line in made["lines"]] == [("Mug", 5)]
    assert [cart["quantity"] for cart in await carts(shop)] == [5]


async def test_nothing_is_done_when_it_comes_to_something_else_than_was_shown(
    shop: Shop, database: Database, store: Store
) -> None:
    async with assistant(shop) as client:
        preview = (await client.call_tool("preview_reorder", {"order_id": shop.known["order"]})).structured_content
        async with database.transaction() as connection:
            await connection.execute(
                "update prices set amount_cents = 99900 where store_id = $1 and sku_id = $2",
                store.id,
                shop.known["mug"],
            )
        asked = {"order_id": shop.known["order"], "expected_digest": preview["digest"]}
        refused = await client.call_tool("reorder", asked)
    assert refused.is_error
    assert "PREVIEW_STALE" in told(refused)
    assert await carts(shop) == []


async def test_a_key_makes_a_call_take_effect_once(shop: Shop) -> None:
    asked = {"order_id": shop.known["order"], "idempotency_key": "once"}
    async with assistant(shop) as client:
        results = [await client.call_tool("reorder", asked) for _ in range(2)]
        async with assistant(shop) as another:
            results += await asyncio.gather(*(another.call_tool("reorder", asked) for _ in range(3)))
        done = [result.structured_content for result in results if not result.is_error]
        assert all(one == done[0] for one in done)
        assert {told(result).partition(" (")[2] for result in results if result.is_error} <= {"REQUEST_IN_PROGRESS)"}
        other = await client.call_tool("reorder", asked | {"expected_digest": "another"})
        assert "IDEMPOTENCY_KEY_REUSED" in told(other)
    assert [cart["quantity"] for cart in await carts(shop)] == [3]


async def test_a_subscription_is_looked_at_skipped_moved_and_paused(shop: Shop) -> None:
    async with assistant(shop) as client:

        async def call(name: str, **arguments: Any) -> Any:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, told(result)
            return result.structured_content

        [mine] = (await call("list_subscriptions"))["subscriptions"]
        assert (mine["id"], mine["status"], mine["frequency"]) == (shop.known["subscription"], "active", "monthly")
        runs = (await call("list_upcoming_deliveries", subscription_id=mine["id"], limit=3))["deliveries"]
        assert [run["status"] for run in runs] == ["planned"] * 3
        assert runs[0]["total"]["amount_cents"] > 0
        lines = [{"name": line["name"], "quantity": line["quantity"]} for line in runs[0]["lines"]]
        assert lines == mine["products"]
        assert lines[0]["quantity"] > 0
        first = {"subscription_id": mine["id"], "delivery": runs[0]["number"]}
        skipped = await call("skip_delivery", **first)
        assert (skipped["status"], skipped["at"]) == ("skipped", None)
        assert await call("skip_delivery", **first) == skipped
        restored = await call("restore_delivery", **first)
        assert restored == skipped | {"status": "planned", "at": runs[0]["scheduled_at"]}
        later = datetime.fromisoformat(runs[0]["scheduled_at"]) + timedelta(days=2)
        moved = await call("move_delivery", **first, to=later.isoformat())
        assert datetime.fromisoformat(moved["at"]) == later
        until = datetime.now(UTC) + timedelta(days=100)
        paused = await call("pause_subscription", subscription_id=mine["id"], until=until.isoformat())
        assert datetime.fromisoformat(paused["at"]) >= until
        resumed = await call("resume_subscription", subscription_id=mine["id"])
        assert datetime.fromisoformat(resumed["at"]) < until
    async with shop.api() as api:
        found = (await api.get(f"/order_subscriptions/{mine['id']}")).json()["data"]["attributes"]
    assert (found["paused_until"], found["next_run_at"]) == (None, resumed["at"])


async def test_what_is_another_customers_is_as_if_it_were_not(shop: Shop) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []
    for id_ in (shop.known["strangers"], "nobody"):
        asked += [("preview_reorder", {"order_id": id_}), ("reorder", {"order_id": id_})]
    for id_ in (shop.known["theirs"], "nobody"):
        asked += [
            ("list_upcoming_deliveries", {"subscription_id": id_}),
            ("resume_subscription", {"subscription_id": id_}),
        ]
        asked += [("pause_subscription", {"subscription_id": id_, "until": "2027-05-01T00:00:00Z"})]
        swap = {"subscription_id": id_, "swap": {"line_id": "x", "sku_code": "x"}}
        asked += [("preview_subscription_change", swap), ("change_subscription", swap)]
        asked += [("change_subscription", {"subscription_id": id_, "interval": {"unit": "week"}})]
        asked += [("change_subscription", {"subscription_id": id_, "quantity": {"line_id": "x", "quantity": 2}})]
        asked += [("change_subscription", {"subscription_id": id_, "frequency": "weekly"})]
        asked += [("show_subscription", {"subscription_id": id_}), ("cancel_subscription", {"subscription_id": id_})]
        asked += [("delay_next_delivery", {"subscription_id": id_, "number": 3})]
        asked += [("confirmation_link", {"subscription_id": id_, "action": "order_now"})]
        delivery = {"subscription_id": id_, "delivery": 1}
        asked += [("skip_delivery", delivery), ("restore_delivery", delivery)]
        asked += [("move_delivery", delivery | {"to": "2030-01-01T00:00:00Z"})]
        asked += [("change_delivery", delivery | {"sku_code": "x"}), ("change_delivery", delivery | {"line_id": "x"})]
    answers: dict[tuple[str, ...], set[str]] = {}
    async with assistant(shop) as client:
        for name, arguments in asked:
            result = await client.call_tool(name, arguments)
            assert result.is_error, (name, arguments)
            answers.setdefault((name, *arguments), set()).add(told(result))
    assert all(len(said) == 1 for said in answers.values()), answers
    assert all("RECORD_NOT_FOUND" in one for said in answers.values() for one in said), answers


async def test_a_call_needs_the_scopes_that_its_request_needs(shop: Shop, grant: Grant) -> None:
    reader = await grant(customer_id=shop.known["customer"], scopes=["read_orders"])
    async with assistant(Shop(shop.origin, reader.token, shop.known)) as client:
        assert not (await client.call_tool("list_past_orders", {})).is_error
        for name in ("reorder", "list_subscriptions", "skip_delivery"):
            refused = await client.call_tool(name, {"order_id": "x", "subscription_id": "x", "delivery": 1})
            assert "FORBIDDEN" in told(refused), name


async def test_reorders_are_counted_together_with_those_of_the_api(shop: Shop) -> None:
    link = {"source_order": {"data": {"type": "orders", "id": shop.known["order"]}}}
    document = {"data": {"type": "reorders", "relationships": link}}
    async with shop.api() as api, assistant(shop) as client:
        before = int((await api.post("/reorders", json=document)).headers["X-RateLimit-Remaining"])
        await client.call_tool("reorder", {"order_id": shop.known["order"]})
        after = int((await api.post("/reorders", json=document)).headers["X-RateLimit-Remaining"])
    assert before - after == 2


FIRST = {"subscription_id": "x", "delivery": 1}


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("reorder", {}, "order_id: Field required"),
        ("reorder", {"order_id": "a b"}, "order_id: String should match pattern"),
        ("reorder", {"order_id": "x", "amount": 1}, "amount: Extra inputs are not permitted"),
        ("list_past_orders", {"limit": 0}, "limit: Input should be greater than or equal to 1"),
        ("list_past_orders", {"limit": 10**30}, "limit: Input should be less than or equal to 50"),
        ("preview_reorder", {"order_id": "x", "lines": []}, "lines: Value should have at least 1 item"),
        ("move_delivery", FIRST | {"to": "tomorrow"}, "to: Input should be a valid datetime"),
        ("move_delivery", FIRST | {"to": "2030-01-01T00:00:00"}, "to: Input should have timezone info"),
        ("skip_delivery", FIRST | {"delivery": 0}, "delivery: Input should be greater than or equal to 1"),
        ("pause_subscription", {"subscription_id": "x", "until": "9999-12-31T23:59:59-14:00"}, ""),
        ("pause_subscription", {"subscription_id": "x", "until": "0001-01-01T00:00:00Z"}, ""),
    ],
)  # fmt: skip
async def test_wrong_arguments_are_named(shop: Shop, name: str, arguments: dict[str, Any], said: str) -> None:
    async with assistant(shop) as client:
        result = await client.call_tool(name, arguments)
    assert result.is_error
    assert said in told(result)
    assert "INTERNAL_SERVER_ERROR" not in told(result)


async def test_a_typo_in_a_tools_name_is_told_the_nearest_one(shop: Shop) -> None:
    async with assistant(shop) as client:
        with pytest.raises(MCPError, match="Did you mean preview_reorder"):
            await client.call_tool("preview_reorders", {})


async def test_reasons_come_in_the_language_that_is_asked_for(shop: Shop) -> None:
    async with assistant(shop, language="nl") as client:
        result = await client.call_tool("preview_reorder", {"order_id": "nobody"})
    assert "Die bestelling is er niet." in told(result)


async def test_each_tool_describes_all_that_it_takes_and_answers(shop: Shop) -> None:
    async with assistant(shop) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert listed.keys() == TOOLS.keys()
    for name, tool in listed.items():
        assert tool.annotations, name
        assert tool.title, name
        assert tool.description, name
        assert tool.annotations.read_only_hint == (name.startswith(("list_", "show_", "preview_"))), name
        assert tool.annotations.destructive_hint is (name == "cancel_subscription"), name
        assert tool.annotations.open_world_hint is False, name
        for schema in (tool.input_schema, tool.output_schema):
            assert schema is not None
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema)
        assert tool.input_schema["additionalProperties"] is False, name
        assert all("description" in one for one in tool.input_schema["properties"].values()), name


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("POST", {}, b"{}", 401),
        ("POST", {"Authorization": "Bearer nothing"}, b"{}", 401),
        ("GET", {}, b"", 405),
        ("DELETE", {}, b"", 405),
        ("POST", {"Host": "evil.example"}, b"{}", 400),
    ],
)
async def test_who_is_not_served_is_told_why_in_the_protocols_shape(
    shop: Shop, method: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.request(method, shop.url, headers=headers, content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["jsonrpc"] == "2.0"
    assert answer.json()["error"]["message"]
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


async def test_an_integration_is_no_customer(shop: Shop, grant: Grant) -> None:
    integration = await grant()
    async with httpx2.AsyncClient() as client:
        answer = await client.post(shop.url, headers={"Authorization": f"Bearer {integration.token}"}, content=b"{}")
    assert (answer.status_code, answer.json()["error"]["data"]) == (403, {"code": "FORBIDDEN"})


@pytest.mark.parametrize("version", ["", "2025-11-25", "2026-07-28", "nonsense"])
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"7", b'"x"', b"[" * 10_000, b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"method":7}', b'{"jsonrpc":"2.0","id":1,"method":"nothing/such"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"reorder","arguments":"x"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\u0000"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"reorder","arguments":{"order_id":"\\ud800"}}}',
        b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"ping"}',
    ],
)  # fmt: skip
async def test_hostile_bodies_are_refused_and_never_an_accident(shop: Shop, body: bytes, version: str) -> None:
    headers = shop.headers | {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    headers |= {"MCP-Protocol-Version": version} if version else {}
    async with httpx2.AsyncClient(timeout=60) as client:
        answer = await client.post(shop.url, headers=headers, content=body)
        assert answer.status_code < 500, answer.text
        health = await client.get(f"{shop.origin}/healthz")
    assert health.status_code == 200


@pytest.mark.parametrize(
    ("sent", "body", "status", "code"),
    [
        ({}, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            {"Content-Type": "text/plain"},
            b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (JSON, b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}', 400, "INVALID_DATA_FORMAT"),
        (JSON, b'{"jsonrpc":"2.0","id":true,"method":"tools/list"}', 400, "INVALID_DATA_FORMAT"),
        (JSON, b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}', 400, "INVALID_DATA_FORMAT"),
        (JSON, b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}', 400, "INVALID_DATA_FORMAT"),
    ],
)
async def test_what_is_no_message_of_json_rpc_is_refused_in_its_shape(
    *, shop: Shop, sent: dict[str, str], body: bytes, status: int, code: str
) -> None:
    headers = shop.headers | {"Accept": "application/json, text/event-stream"} | sent
    async with httpx2.AsyncClient(timeout=60) as client:
        answer = await client.post(shop.url, headers=headers, content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert answer.json()["error"]["data"] == {"code": code}


async def test_a_customer_without_orders_is_told_of_none(
    shop: Shop, database: Database, store: Store, grant: Grant
) -> None:
    async with database.transaction() as connection:
        nobody = await factories.customer(connection, store, email="new@example.com")
    access = await grant(customer_id=nobody)
    async with assistant(Shop(shop.origin, access.token, {})) as client:
        assert (await client.call_tool("list_past_orders", {})).structured_content == {"orders": []}
        assert (await client.call_tool("list_subscriptions", {})).structured_content == {"subscriptions": []}
