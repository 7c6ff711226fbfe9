"""What an assistant does with a subscription: what is different once, what changes for good, and the way out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from mcp import Client

from service.principal import Store
from service.store.pool import Database
from tests import factories
from tests.agents.assisting import Shop, assistant, told

pytestmark = pytest.mark.timeout(300)


class Asked:
    """An assistant's calls about the customer's subscription, which must succeed."""

    def __init__(self, client: Client, subscription: str) -> None:
        self.client, self.subscription = client, subscription

    async def __call__(self, name: str, **arguments: Any) -> dict[str, Any]:
        result = await self.refused(name, **arguments)
        assert not result.is_error, told(result)
        found: dict[str, Any] = result.structured_content
        return found

    async def refused(self, name: str, **arguments: Any) -> Any:
        """The result of a call, whatever it is."""
        return await self.client.call_tool(name, {"subscription_id": self.subscription} | arguments)

    async def deliveries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self("list_upcoming_deliveries", limit=3))["deliveries"]
        return found


def contents(delivery: dict[str, Any]) -> dict[str, int]:
    return {line["name"]: line["quantity"] for line in delivery["lines"]}


async def more(shop: Shop, database: Database, store: Store, **columns: Any) -> None:
    """Have the shop sell a cup, which is a substitute of the mug, and hold the subscription to terms."""
    async with database.transaction() as connection:
        await factories.sku(connection, store, price=900, name="Cup", code="CUP")
        await connection.execute(
            "update skus set substitute_sku_codes = '{CUP}' where store_id = $1 and id = $2",
            store.id,
            shop.known["mug"],
        )
        for name, value in columns.items():
            await connection.execute(
                f"update order_subscriptions set {name} = $3 where store_id = $1 and id = $2",
                store.id,
                shop.known["subscription"],
                value,
            )


async def test_one_delivery_brings_something_else(shop: Shop, database: Database, store: Store) -> None:
    await more(shop, database, store)
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        first, second, _ = await ask.deliveries()
        assert contents(first) == {"Mug": 2, "Shirt": 1}
        delivery, (mug, shirt) = first["number"], [line["line_id"] for line in first["lines"]]
        added = await ask("change_delivery", delivery=delivery, sku_code="CUP", quantity=3)
        assert contents(added) == {"Mug": 2, "Shirt": 1, "Cup": 3}
        assert added["total"]["amount_cents"] == first["total"]["amount_cents"] + 2700
        altered = await ask("change_delivery", delivery=delivery, line_id=mug, quantity=5)
        assert [(line["quantity"], line["usual_quantity"]) for line in altered["lines"]] == [(5, 2), (1, 1), (3, None)]
        left_out = await ask("change_delivery", delivery=delivery, line_id=shirt, quantity=0)
        assert contents(left_out) == {"Mug": 5, "Cup": 3, "Shirt": 0}
        for line in (shirt, mug, added["lines"][2]["line_id"]):
            back = await ask("change_delivery", delivery=delivery, line_id=line, quantity=None)
        assert back == first
        again = await ask.refused("change_delivery", delivery=delivery, line_id=mug, quantity=None)
        assert "RECORD_NOT_FOUND" in told(again)
        assert (await ask.deliveries())[1] == second


async def test_a_delivery_far_ahead_is_changed_as_the_next_one(shop: Shop, database: Database, store: Store) -> None:
    await more(shop, database, store)
    subscription = shop.known["subscription"]
    async with assistant(shop) as client:
        ask = Asked(client, subscription)
        runs = (await ask("list_upcoming_deliveries", limit=12))["deliveries"]
        last = runs[-1]
        added = await ask("change_delivery", delivery=last["number"], sku_code="CUP", quantity=3)
        assert contents(added) == contents(last) | {"Cup": 3}
        to = datetime.fromisoformat(last["scheduled_at"]) + timedelta(days=1)
        moved = await ask("move_delivery", delivery=last["number"], to=to.isoformat())
        assert datetime.fromisoformat(moved["at"]) == to
        skipped = await ask("skip_delivery", delivery=last["number"])
        assert (skipped["status"], skipped["id"]) == ("skipped", moved["id"])
        assert (await ask("list_upcoming_deliveries", limit=12))["deliveries"][:-1] == runs[:-1]
        never = await ask.refused("skip_delivery", delivery=1_000_000)
        assert never.is_error


async def test_a_swap_in_one_delivery_only(shop: Shop, database: Database, store: Store) -> None:
    await more(shop, database, store)
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        always, swapped = {"Mug": 2, "Shirt": 1}, {"Cup": 2, "Shirt": 1}
        mug, second = (await ask("show_subscription"))["lines"][0], (await ask.deliveries())[1]["number"]
        swap = {"line_id": mug["line_id"], "sku_code": "CUP", "only_then": True}
        nowhere = await ask.refused("preview_subscription_change", swap=swap)
        assert "first_delivery" in told(nowhere)
        swap["first_delivery"] = second
        preview = await ask("preview_subscription_change", swap=swap)
        await ask("change_subscription", swap=swap, expected_digest=preview["digest"])
        assert [contents(one) for one in await ask.deliveries()] == [always, swapped, always]
        await ask("change_delivery", delivery=second, line_id=mug["line_id"], quantity=None)
        assert [contents(one) for one in await ask.deliveries()] == [always] * 3


async def test_the_next_delivery_is_put_off(shop: Shop) -> None:
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        first, second, third = await ask.deliveries()
        put = await ask("delay_next_delivery", number=3)
        assert datetime.fromisoformat(put["at"]) - datetime.fromisoformat(first["scheduled_at"]) == timedelta(days=3)
        assert [one["scheduled_at"] for one in await ask.deliveries()][1:] == [
            second["scheduled_at"],
            third["scheduled_at"],
        ]


async def test_a_swap_is_previewed_and_done_as_it_was_shown(shop: Shop, database: Database, store: Store) -> None:
    await more(shop, database, store)
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        before = await ask("show_subscription")
        mug = before["lines"][0]
        assert [(one["sku_code"], one["price"]["amount_cents"]) for one in mug["swaps"]] == [("CUP", 900)]
        swap = {"line_id": mug["line_id"], "sku_code": "CUP"}
        preview = await ask("preview_subscription_change", swap=swap)
        assert [contents(one) for one in preview["deliveries"]] == [{"Cup": 2, "Shirt": 1}] * 3
        assert await ask("show_subscription") == before
        stale = await ask.refused("change_subscription", swap=swap, expected_digest="another")
        assert "PREVIEW_STALE" in told(stale)
        assert await ask("show_subscription") == before
        done = await ask("change_subscription", swap=swap, expected_digest=preview["digest"])
        assert done["digest"] == preview["digest"]
        assert [contents(one) for one in await ask.deliveries()] == [{"Cup": 2, "Shirt": 1}] * 3
        wrong = await ask.refused("change_subscription", swap={"line_id": mug["line_id"], "sku_code": "CUPP"})
        assert "CUP" in told(wrong).replace("CUPP", "")
        stranger = await ask.refused("change_subscription", swap={"line_id": "nothing", "sku_code": "CUP"})
        assert "RECORD_NOT_FOUND" in told(stranger)


async def test_a_swap_begins_with_a_later_delivery_and_is_taken_back(
    shop: Shop, database: Database, store: Store
) -> None:
    await more(shop, database, store)
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        mug = (await ask("show_subscription"))["lines"][0]
        second = (await ask.deliveries())[1]["number"]
        swap = {"line_id": mug["line_id"], "sku_code": "CUP", "first_delivery": second}
        preview = await ask("preview_subscription_change", swap=swap)
        await ask("change_subscription", swap=swap, expected_digest=preview["digest"])
        always, swapped = {"Mug": 2, "Shirt": 1}, {"Cup": 2, "Shirt": 1}
        for deliveries in (preview["deliveries"], await ask.deliveries()):
            assert [contents(one) for one in deliveries] == [always, swapped, swapped]
        line = (await ask("show_subscription"))["lines"][0]
        assert (line["name"], line["swapped_to"], line["swapped_from"]) == ("Mug", "Cup", second)
        passed = await ask.refused("change_subscription", swap=swap | {"first_delivery": 5_000})
        assert passed.is_error
        await ask("change_subscription", swap={"line_id": mug["line_id"], "sku_code": mug["sku_code"]})
        assert [contents(one) for one in await ask.deliveries()] == [always] * 3


async def test_it_comes_at_another_interval(shop: Shop) -> None:
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        dates = [one["scheduled_at"] for one in await ask.deliveries()]
        every = {"unit": "week", "count": 2}
        preview = await ask("preview_subscription_change", interval=every)
        assert [one["scheduled_at"] for one in await ask.deliveries()] == dates
        await ask("change_subscription", interval=every, expected_digest=preview["digest"])
        first, second, _ = [datetime.fromisoformat(one["scheduled_at"]) for one in await ask.deliveries()]
        assert second - first == timedelta(days=14)
        shown = await ask("show_subscription")
        assert shown["terms"]["how_often"] == "Every 2 weeks"
        for wrong in ({}, {"interval": every, "swap": {"line_id": "x", "sku_code": "x"}}):
            assert "Send one of swap" in told(await ask.refused("change_subscription", **wrong))


async def test_another_quantity_comes_each_time(shop: Shop) -> None:
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        before = await ask("show_subscription")
        mug, shirt = [line["line_id"] for line in before["lines"]]
        five = {"line_id": mug, "quantity": 5}
        preview = await ask("preview_subscription_change", quantity=five)
        assert [contents(one) for one in preview["deliveries"]] == [{"Mug": 5, "Shirt": 1}] * 3
        assert await ask("show_subscription") == before
        stale = await ask.refused(
            "change_subscription", quantity={"line_id": shirt, "quantity": 5}, expected_digest=preview["digest"]
        )
        assert "PREVIEW_STALE" in told(stale)
        assert await ask("show_subscription") == before
        await ask("change_subscription", quantity=five, expected_digest=preview["digest"])
        assert [contents(one) for one in await ask.deliveries()] == [{"Mug": 5, "Shirt": 1}] * 3
        for wrong in ({"line_id": mug, "quantity": 0}, {"line_id": "nothing", "quantity": 1}):
            assert (await ask.refused("change_subscription", quantity=wrong)).is_error, wrong
        both = await ask.refused("change_subscription", quantity=five, interval={"unit": "week"})
        assert "Send one of swap" in told(both)


async def test_a_model_says_what_frequencies_an_assistant_can_choose(
    shop: Shop, database: Database, store: Store
) -> None:
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        assert (await ask("show_subscription"))["terms"]["frequencies"] is None
        async with database.transaction() as connection:
            model = await factories.insert(
                connection, "subscription_models", store, name="Tea", frequencies=["monthly", "6-week"]
            )
        await more(shop, database, store, subscription_model_id=model)
        assert (await ask("show_subscription"))["terms"]["frequencies"] == ["monthly", "6-week"]
        for wrong in ({"frequency": "weekly"}, {"interval": {"unit": "week", "count": 2}}):
            assert "is not offered" in told(await ask.refused("change_subscription", **wrong))
        preview = await ask("preview_subscription_change", frequency="6-week")
        await ask("change_subscription", frequency="6-week", expected_digest=preview["digest"])
        first, second, _ = [datetime.fromisoformat(one["scheduled_at"]) for one in await ask.deliveries()]
        assert second - first == timedelta(weeks=6)
        assert (await ask("show_subscription"))["terms"]["how_often"] == "Every 6 weeks"


async def test_it_ends_when_its_terms_let_it(shop: Shop, database: Database, store: Store) -> None:
    phases = '[{"occurrences": 3, "percentage": 10}, {"occurrences": null, "amount_cents": 250}]'
    await more(shop, database, store, min_occurrences=2, pricing_phases=phases)
    async with database.transaction() as connection:
        await connection.execute(
            "update stores set cancellation_reasons = '{Too expensive,Too much}' where store_id = $1", store.id
        )
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        terms = (await ask("show_subscription"))["terms"]
        assert terms["prices"] == ["First 3 deliveries: 10% off", "After that: €2.50 off"]
        assert (terms["min_deliveries"], terms["can_be_cancelled_now"]) == (2, False)
        assert terms["can_be_cancelled_from"] == (await ask.deliveries())[1]["scheduled_at"]
        early = told(await ask.refused("cancel_subscription"))
        assert terms["can_be_cancelled_from"] in early
        async with database.transaction() as connection:
            await connection.execute(
                "update order_subscriptions set min_occurrences = null where store_id = $1 and id = $2",
                store.id,
                shop.known["subscription"],
            )
        wrong = told(await ask.refused("cancel_subscription", reason="Too expensiv"))
        assert "Too expensive" in wrong
        later = await ask("cancel_subscription", reason="Too much", after_next_delivery=True)
        assert (later["status"], later["at"]) == ("active", (await ask.deliveries())[0]["scheduled_at"])
        assert (await ask("show_subscription"))["ends_after_next_delivery"] is True
        await ask("resume_subscription")
        assert (await ask("show_subscription"))["ends_after_next_delivery"] is False
        ended = await ask("cancel_subscription", reason="Too expensive", comment="Sorry")
        assert ended == {"id": shop.known["subscription"], "status": "cancelled", "at": None}
        assert (await client.call_tool("list_subscriptions", {})).structured_content == {"subscriptions": []}


async def test_what_is_paid_for_is_confirmed_by_the_customer(shop: Shop) -> None:
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        before = await ask.deliveries()
        link = await ask("confirmation_link", action="order_now")
        assert await ask.deliveries() == before
        for action in ("pay", "approve"):
            refused = await ask.refused("confirmation_link", action=action)
            assert refused.is_error, action
    path = urlsplit(link["confirm_url"]).path
    assert path.startswith("/actions/")
    async with httpx2.AsyncClient(base_url=shop.origin, timeout=60) as browser:
        page = await browser.get(path)
        assert (page.status_code, "Order it now" in page.text) == (200, True)
    async with assistant(shop) as client:
        assert await Asked(client, shop.known["subscription"]).deliveries() == before


async def test_what_is_paid_together_is_told_from_what_one_delivery_costs(
    shop: Shop, database: Database, store: Store
) -> None:
    """Else an assistant says that one delivery costs as much as three, and the next ones nothing."""
    async with assistant(shop) as client:
        ask = Asked(client, shop.known["subscription"])
        each = (await ask.deliveries())[0]["total"]["amount_cents"]
        await more(shop, database, store, prepaid_occurrences=3)
        first, *others = await ask.deliveries()
        assert (first["is_paid"], first["for_later"]["amount_cents"]) == (False, first["total"]["amount_cents"] - each)
        assert [(one["is_paid"], one["for_later"]) for one in others] == [(True, None), (True, None)]
