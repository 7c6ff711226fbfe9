"""Action links and the portal in a real Chromium, as a customer opens them from a mail: on a phone, without scripts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from service import clock
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.browser.conftest import SIZES, Shoot, Visit, assert_accessible, assert_fits
from tests.spec.writing import Api, to

MOST_PRESSES = 3


@dataclass(frozen=True)
class Subscribed:
    """A customer's subscription to tea, and the links that the shop makes for it."""

    api: Api
    id: str

    async def link(self, action: str, **attributes: Any) -> str:
        """The path of a new link."""
        related = {"order_subscription": to("order_subscriptions", self.id)}
        made = await self.api.create("action_links", {"action": action, **attributes}, related)
        return str(urlsplit(made["attributes"]["url"]).path)

    async def look(self) -> dict[str, Any]:
        """Its attributes."""
        return dict((await self.api.get(f"order_subscriptions/{self.id}"))["data"]["attributes"])

    async def related(self, name: str) -> dict[str, Any]:
        """The attributes of what one of its relationships leads to; none where it leads to nothing."""
        found = (await self.api.get(f"order_subscriptions/{self.id}/{name}"))["data"]
        return {} if found is None else dict(found["attributes"])

    async def runs(self) -> list[dict[str, Any]]:
        """The attributes of its runs, in their order."""
        found = await self.api.get(f"order_subscriptions/{self.id}/occurrences?sort=occurrence_index")
        return [dict(one["attributes"]) for one in found["data"]]

    async def codes(self) -> list[str]:
        """What it orders each time."""
        found = await self.api.get(f"order_subscriptions/{self.id}/order_subscription_items?sort=id")
        return [one["attributes"]["sku_code"] for one in found["data"]]


@pytest_asyncio.fixture
async def subscribed(api: Api, connection: Connection, store: Store) -> Subscribed:
    await connection.execute("update stores set name = 'Het Theehuis' where store_id = $1", store.id)
    lines = [
        factories.Line(await factories.sku(connection, store, price=price, name=name), quantity)
        for name, price, quantity in (("Darjeeling First Flush, 250 g", 1490, 2), ("Honey from the Veluwe", 695, 1))
    ]
    await factories.sku(connection, store, price=1390, name="Assam Second Flush, 250 g", code="ASSAM")
    first = lines[0].sku.id
    assert (await api.update("skus", first, {"substitute_sku_codes": ["ASSAM"]})).status_code == 200
    placed_at = clock.now() - timedelta(days=10)
    order_id = await factories.full_order(connection, store, lines, placed_at=placed_at)
    made = await api.create("order_subscriptions", {"frequency": "monthly"}, {"source_order": to("orders", order_id)})
    customer = await connection.fetchval("select customer_id from orders where id = $1", order_id)
    await factories.address(connection, store, customer_id=customer, line_1="Zadelstraat 2")
    await factories.payment_source(connection, store, customer, name="Visa ending in 4242")
    return Subscribed(api, made["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
@pytest.mark.parametrize("action", ["skip", "delay", "pause", "cancel"])
async def test_a_link_says_what_it_does_and_does_it_in_one_press(
    *, visit: Visit, subscribed: Subscribed, shoot: Shoot, device: str, scheme: str, action: str
) -> None:
    page = await visit(size=SIZES[device], scheme=scheme, scripts=False, language="nl" if scheme == "dark" else "en-GB")
    await page.goto(await subscribed.link(action))
    await expect(page.get_by_role("button")).to_have_count(1)
    await shoot(page, f"link-{action}-{device}-{scheme}")
    await page.get_by_role("button").click()
    await expect(page.get_by_role("status")).to_be_visible()
    await expect(page.get_by_role("button")).to_have_count(0)
    await shoot(page, f"link-{action}-done-{device}-{scheme}")
    subscription, (run, *_) = await subscribed.look(), await subscribed.runs()
    done = {
        "skip": run["status"] == "skipped",
        "delay": run["reason"] == "moved",
        "pause": subscription["paused_until"] is not None,
        "cancel": subscription["status"] == "cancelled",
    }
    assert [name for name, true in done.items() if true and name != "skip"] == ([] if action == "skip" else [action])
    assert done[action]


class Presses:
    """A customer's finger, which counts."""

    def __init__(self) -> None:
        self.count = 0

    async def on(self, what: Locator) -> None:
        self.count += 1
        await what.click()


async def skip(page: Page, press: Presses) -> None:
    await press.on(runs(page).first.get_by_role("button", name="Skip"))


async def move(page: Page, press: Presses) -> None:
    run = runs(page).first
    await press.on(run.get_by_text("Move").first)
    await run.get_by_label("To the day").fill(tomorrow())
    await press.on(run.get_by_role("button", name="Move it"))


async def order_now(page: Page, press: Presses) -> None:
    run = runs(page).first
    await press.on(run.get_by_text("Order now").first)
    await press.on(run.get_by_role("button", name="Order it"))


async def swap(page: Page, press: Presses) -> None:
    await press.on(page.get_by_text("Swap").first)
    await press.on(page.get_by_role("button", name="Swap it"))


async def send_elsewhere(page: Page, press: Presses) -> None:
    await page.get_by_label("Delivered to").select_option(label="S*** R***, Za***, 35***")
    await press.on(page.get_by_role("button", name="Deliver there"))


async def pay_otherwise(page: Page, press: Presses) -> None:
    await page.get_by_label("Paid with").select_option(label="***4242")
    await press.on(page.get_by_role("button", name="Pay with it"))


async def pause(page: Page, press: Presses) -> None:
    await press.on(page.get_by_role("button", name="Pause now"))


async def cancel(page: Page, press: Presses) -> None:
    await press.on(page.get_by_role("link", name="End the subscription"))
    await press.on(page.get_by_role("button", name="End it for good"))


def runs(page: Page) -> Locator:
    return page.locator("ol.runs").first.get_by_role("listitem")


def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


@pytest.mark.parametrize(
    ("do", "said", "shows"),
    [
        (skip, "skipped", lambda found: found["run"]["status"] == "skipped"),
        (move, "moved", lambda found: found["run"]["reason"] == "moved"),
        (order_now, "To come", lambda found: found["run"]["reason"] == "ordered"),
        (swap, "2 \N{MULTIPLICATION SIGN} Assam Second Flush", lambda found: found["codes"][0] == "ASSAM"),
        (send_elsewhere, "To come", lambda found: found["shipping_address"]["line_1"] == "Zadelstraat 2"),
        (pay_otherwise, "To come", lambda found: found["customer_payment_source"]["name"] == "Visa ending in 4242"),
        (pause, "Paused", lambda found: found["subscription"]["paused_until"] is not None),
        (cancel, "has ended", lambda found: found["subscription"]["status"] == "cancelled"),
    ],
    ids=["skip", "move", "order-now", "swap", "address", "card", "pause", "cancel"],
)
async def test_on_a_phone_without_scripts_the_portal_takes_few_presses(
    *,
    visit: Visit,
    subscribed: Subscribed,
    shoot: Shoot,
    do: Callable[[Page, Presses], Awaitable[None]],
    said: str,
    shows: Callable[[dict[str, Any]], bool],
) -> None:
    page, press = await visit(scripts=False), Presses()
    await page.goto(await subscribed.link("manage"))
    await do(page, press)
    await expect(page.get_by_text(said).first).to_be_visible()
    assert 0 < press.count <= MOST_PRESSES
    related = {name: await subscribed.related(name) for name in ("shipping_address", "customer_payment_source")}
    found = {
        "subscription": await subscribed.look(),
        "run": (await subscribed.runs())[0],
        "codes": await subscribed.codes(),
        **related,
    }
    assert shows(found), found
    await shoot(page, f"portal-after-{do.__name__}-phone-light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
async def test_every_page_of_links_is_accessible_and_fits_its_screen(
    visit: Visit, subscribed: Subscribed, shoot: Shoot, *, device: str, scheme: str
) -> None:
    page = await visit(size=SIZES[device], scheme=scheme, language="nl")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)

    async def look(name: str, heading: str) -> None:
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        await assert_accessible(page)
        await assert_fits(page)
        await shoot(page, f"{name}-{device}-{scheme}")

    manage = await subscribed.link("manage")
    await page.goto(manage)
    await look("portal", "Je bezorgingen")
    for summary in await page.locator("summary").all():
        await summary.click()
    await look("portal-opened", "Je bezorgingen")
    await page.locator("input[name=nonce]").first.evaluate("field => field.value = 'stale'")
    await page.get_by_role("button", name="Overslaan").first.click()
    await look("portal-refused", "Je bezorgingen")
    await page.get_by_role("button", name="Overslaan").first.click()
    await page.get_by_role("button", name="Nu pauzeren").click()
    await look("portal-paused", "Je bezorgingen")
    for action, title in (("skip", "Een bezorging overslaan"), ("resume", "Verdergaan met de bezorgingen")):
        await page.goto(await subscribed.link(action))
        await look(f"link-{action}", title)
    await page.goto(manage)
    await page.get_by_role("link", name="Het abonnement beëindigen").click()
    await look("portal-ending", "Je bezorgingen")
    await page.get_by_role("button", name="Definitief beëindigen").click()
    await look("portal-ended", "Je bezorgingen")
    await page.goto(f"{manage}x")
    await look("link-gone", "Deze link werkt niet meer")
    # Statuses of 4xx are told there; what the security policy refuses would be too.
    assert [text for text in refused if "the server responded with a status" not in text] == []
