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
from tests.browser.conftest import PICTURES, SIZES, Look, Shoot, Visit, assert_fits, looking
from tests.spec.writing import Api, to

MOST_PRESSES = 3
TEA = "Darjeeling First Flush, 250 g"
FOR_TEA = {"sku_code": "DARJEELING", "swap_sku_code": "ASSAM"}
"""What a link says that swaps the tea for another."""


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

    async def once(self) -> list[int]:
        """The quantities of lines that are different in a single run."""
        found = await self.api.get(f"occurrence_items?filter[order_subscription]={self.id}&sort=id")
        return [one["attributes"]["quantity"] for one in found["data"]]

    async def quantities(self) -> list[int]:
        """How many it orders each time."""
        found = await self.api.get(f"order_subscriptions/{self.id}/order_subscription_items?sort=id")
        return [one["attributes"]["quantity"] for one in found["data"]]

    async def codes(self) -> list[str]:
        """What it orders each time."""
        found = await self.api.get(f"order_subscriptions/{self.id}/order_subscription_items?sort=id")
        return [one["attributes"]["sku_code"] for one in found["data"]]


@pytest_asyncio.fixture
async def subscribed(api: Api, connection: Connection, store: Store) -> Subscribed:
    await connection.execute("update stores set name = 'Het Theehuis' where store_id = $1", store.id)
    green, red = f"{PICTURES}/8a9a5b", f"{PICTURES}/b0643c"
    tea = await factories.sku(connection, store, price=1490, name=TEA, code="DARJEELING", image_url=green)
    honey = await factories.sku(connection, store, price=695, name="Honey from the Veluwe")
    await factories.sku(connection, store, price=1390, name="Assam Second Flush, 250 g", code="ASSAM", image_url=red)
    lines, first = [factories.Line(tea, 2), factories.Line(honey, 1)], tea.id
    assert (await api.update("skus", first, {"substitute_sku_codes": ["ASSAM"]})).status_code == 200
    placed_at = clock.now() - timedelta(days=10)
    order_id = await factories.full_order(connection, store, lines, placed_at=placed_at)
    terms = {"frequency": "monthly", "pricing_phases": [{"occurrences": 3, "percentage": 10}]}
    made = await api.create("order_subscriptions", terms, {"source_order": to("orders", order_id)})
    customer = await connection.fetchval("select customer_id from orders where id = $1", order_id)
    await factories.address(connection, store, customer_id=customer, line_1="Zadelstraat 2")
    await factories.payment_source(connection, store, customer, name="Visa ending in 4242")
    return Subscribed(api, made["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
@pytest.mark.parametrize("action", ["skip", "delay", "pause", "cancel", "swap"])
async def test_a_link_says_what_it_does_and_does_it_in_one_press(
    *, visit: Visit, subscribed: Subscribed, shoot: Shoot, device: str, scheme: str, action: str
) -> None:
    page = await visit(size=SIZES[device], scheme=scheme, scripts=False, language="nl" if scheme == "dark" else "en-GB")
    await page.goto(await subscribed.link(action, **(FOR_TEA if action == "swap" else {})))
    await expect(page.get_by_role("button")).to_have_count(1)
    await assert_fits(page)
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
        "swap": "ASSAM" in await subscribed.codes(),
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


_SIZE = "one => [one.offsetWidth, one.offsetHeight]"
_LEFT = "one => Math.round(one.getBoundingClientRect().left)"


async def skip(page: Page, press: Presses) -> None:
    await press.on(runs(page).first.get_by_role("button", name="Skip"))


async def move(page: Page, press: Presses) -> None:
    await press.on(of_run(page))
    await page.get_by_label("To the day").fill(tomorrow())
    await press.on(page.get_by_role("button", name="Move it"))


async def order_now(page: Page, press: Presses) -> None:
    run = runs(page).first
    await press.on(run.get_by_text("Order now").first)
    await press.on(run.get_by_role("button", name="Order it"))


async def add_once(page: Page, press: Presses) -> None:
    await press.on(of_run(page))
    await page.get_by_label("Something along with it").select_option(label="Honey from the Veluwe \N{MIDDLE DOT} €6.95")
    await press.on(page.get_by_role("button", name="Add it once"))


async def change_once(page: Page, press: Presses) -> None:
    await press.on(of_run(page))
    await page.get_by_role("spinbutton", name="Darjeeling").fill("5")
    await press.on(page.get_by_role("button", name="Change Darjeeling"))


async def change_for_good(page: Page, press: Presses) -> None:
    tea = page.locator(".goods").get_by_role("listitem").first
    await press.on(tea.locator("summary", has_text="Quantity"))
    await tea.get_by_label("How many each time").fill("4")
    await press.on(tea.get_by_role("button", name="Show what changes"))
    await expect(page.get_by_text("4 \N{MULTIPLICATION SIGN} Darjeeling").first).to_be_visible()
    await press.on(page.get_by_role("button", name="Change all deliveries"))


async def change_how_often(page: Page, press: Presses) -> None:
    often = page.locator(".often")
    await press.on(often.locator("summary"))
    await often.get_by_label("Every").fill("6")
    await often.get_by_label("Days, weeks, months or years").select_option(label="weeks")
    await press.on(often.get_by_role("button", name="Show what changes"))
    await expect(page.get_by_text("Every 6 weeks.")).to_be_visible()
    await press.on(page.get_by_role("button", name="Change all deliveries"))


async def swap(page: Page, press: Presses) -> None:
    tea = page.locator(".goods").get_by_role("listitem").first
    await press.on(tea.locator("summary", has_text="Swap"))
    await press.on(tea.locator("details", has_text="Swap").get_by_role("button", name="Show what changes"))
    await expect(page.get_by_text("in place of Darjeeling")).to_be_visible()
    await press.on(page.get_by_role("button", name="Swap it"))


async def swap_once(page: Page, press: Presses) -> None:
    tea = page.locator(".goods").get_by_role("listitem").first
    await press.on(tea.locator("summary", has_text="Swap"))
    swapping = tea.locator("details", has_text="Swap")
    await swapping.get_by_label("Only this delivery").check()
    await press.on(swapping.get_by_role("button", name="Show what changes"))
    await expect(page.get_by_text("Only on ")).to_be_visible()
    await press.on(page.get_by_role("button", name="Swap it"))


async def send_elsewhere(page: Page, press: Presses) -> None:
    await page.get_by_label("Delivered to").select_option(label="S*** R***, Za***, 35***")
    await press.on(page.get_by_role("button", name="Deliver there"))


async def pay_otherwise(page: Page, press: Presses) -> None:
    await page.get_by_label("Paid with").select_option(label="***4242")
    await press.on(page.get_by_role("button", name="Pay with this from now on"))


async def pause(page: Page, press: Presses) -> None:
    await press.on(page.get_by_role("button", name="Pause now"))


async def cancel(page: Page, press: Presses) -> None:
    await press.on(page.get_by_role("link", name="End the subscription"))
    await press.on(page.get_by_role("button", name="End it for good"))


def runs(page: Page) -> Locator:
    return page.locator("ol.runs").first.get_by_role("listitem")


def of_run(page: Page, number: int = 0) -> Locator:
    """What leads to all that can be done to a run."""
    return runs(page).nth(number).get_by_role("link", name="Change")


def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


@pytest.mark.parametrize(
    ("do", "said", "shows"),
    [
        (skip, "skipped", lambda found: found["run"]["status"] == "skipped"),
        (move, "moved", lambda found: found["run"]["reason"] == "moved"),
        (order_now, "It is ordered.", lambda found: found["run"]["reason"] == "ordered"),
        (add_once, "1 \N{MULTIPLICATION SIGN} Honey", lambda found: found["once"] == [1]),
        (change_once, "5 \N{MULTIPLICATION SIGN} Darjeeling", lambda found: found["once"] == [5]),
        (change_for_good, "for all deliveries to come", lambda found: found["quantities"] == [4, 1]),
        (change_how_often, "Every 6 weeks", lambda found: found["subscription"]["frequency"] == "6-week"),
        (swap, "2 \N{MULTIPLICATION SIGN} Assam Second Flush", lambda found: found["codes"][0] == "ASSAM"),
        (swap_once, "in place of Darjeeling", lambda found: (found["codes"][0], found["once"]) == ("DARJEELING", [2])),
        (send_elsewhere, "deliveries go there", lambda found: found["shipping_address"]["line_1"] == "Zadelstraat 2"),
        (
            pay_otherwise,
            "paid with it",
            lambda found: found["customer_payment_source"]["name"] == "Visa ending in 4242",
        ),
        (pause, "Paused", lambda found: found["subscription"]["paused_until"] is not None),
        (cancel, "has ended", lambda found: found["subscription"]["status"] == "cancelled"),
    ],
    ids=[
        "skip",
        "move",
        "order-now",
        "add-once",
        "change-once",
        "quantity",
        "how-often",
        "swap",
        "swap-once",
        "address",
        "card",
        "pause",
        "cancel",
    ],
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
        "once": await subscribed.once(),
        "quantities": await subscribed.quantities(),
        **related,
    }
    assert shows(found), found
    await shoot(page, f"portal-after-{do.__name__}-phone-light")


async def test_on_a_phone_without_scripts_a_later_delivery_is_changed_like_the_next(
    visit: Visit, subscribed: Subscribed, shoot: Shoot
) -> None:
    """The last that is listed, which has no row before: each change takes few presses, and is made of it alone."""
    page = await visit(scripts=False)
    await page.goto(await subscribed.link("manage"))
    later = await runs(page).count() - 1
    planned = len(await subscribed.runs())
    assert planned <= later
    run = runs(page).nth(later)

    async def change(says: str, *presses: Locator) -> None:
        press = Presses()
        for what in (of_run(page, later), *presses):
            await press.on(what)
        await expect(page.get_by_role("status")).to_contain_text(says)
        assert press.count <= MOST_PRESSES
        await assert_fits(page)

    await of_run(page, later).click()
    await shoot(page, "delivery-phone-light")
    day = datetime.fromisoformat(await page.get_by_label("To the day").input_value()) + timedelta(days=2)
    await page.goto(page.url.partition("?")[0])
    await change("It comes along on", page.get_by_role("button", name="Add it once"))
    tea = page.get_by_role("listitem").filter(has_text="Darjeeling")
    await change(
        "It is swapped, in the delivery of",
        tea.get_by_role("button", name="Show what changes"),
        page.get_by_role("button", name="Swap it"),
    )
    await expect(run).to_contain_text("in place of Darjeeling")
    await shoot(page, "deliveries-later-changed-phone-light")
    await of_run(page, later).click()
    await shoot(page, "delivery-changed-phone-light")
    await page.get_by_role("spinbutton", name="Assam").fill("4")
    await page.get_by_role("button", name="Change Assam").click()
    await expect(run).to_contain_text("4 \N{MULTIPLICATION SIGN} Assam")
    await of_run(page, later).click()
    await page.get_by_label("To the day").fill(day.date().isoformat())
    await page.get_by_role("button", name="Move it").click()
    await expect(run).to_contain_text("moved")
    await run.get_by_role("button", name="Skip").click()
    await expect(run).to_contain_text("skipped")
    (changed,) = (await subscribed.runs())[planned:]
    assert (changed["status"], changed["scheduled_at"][:10]) == ("skipped", day.date().isoformat())
    assert sorted(await subscribed.once()) == [1, 4]
    assert await subscribed.codes() == ["DARJEELING", (await subscribed.codes())[1]]
    assert await subscribed.quantities() == [2, 1]


async def test_what_is_left_out_once_can_be_brought_back(visit: Visit, subscribed: Subscribed, shoot: Shoot) -> None:
    page = await visit(scripts=False)
    await page.goto(await subscribed.link("manage"))
    run = runs(page).first
    await of_run(page).click()
    await page.get_by_role("spinbutton", name="Honey").fill("0")
    await page.get_by_role("button", name="Change Honey").click()
    await expect(run.get_by_text("Without Honey from the Veluwe this time").first).to_be_visible()
    assert await subscribed.once() == [0]
    await of_run(page).click()
    await shoot(page, "portal-left-out-phone-light")
    await page.get_by_role("button", name="Deliver it after all").click()
    await expect(run.get_by_text("Without Honey")).to_have_count(0)
    assert await subscribed.once() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
async def test_a_picture_that_cannot_be_had_keeps_its_place(
    *, visit: Visit, subscribed: Subscribed, connection: Connection, shoot: Shoot, device: str, scheme: str
) -> None:
    gone = "update skus set image_url = 'https://gone.example/tea' where code = 'DARJEELING'"
    await connection.execute(gone)
    page = await visit(size=SIZES[device], scheme=scheme, scripts=False)
    for action in ("manage", "skip"):
        await page.goto(await subscribed.link(action))
        pictures = page.locator(".goods .picture")
        assert [await one.evaluate(_SIZE) for one in await pictures.all()] == [[64, 64]] * 2
        left = {await one.evaluate(_LEFT) for one in await page.locator(".goods .name").all()}
        assert len(left) == 1
        await assert_fits(page)
        await shoot(page, f"{action}-without-picture-{device}-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
async def test_every_page_of_links_is_accessible_and_fits_its_screen(
    visit: Visit, subscribed: Subscribed, shoot: Shoot, *, device: str, scheme: str
) -> None:
    page = await visit(size=SIZES[device], scheme=scheme, language="nl")
    async with looking(page, shoot, f"{device}-{scheme}") as looked:
        await look_at_all(page, subscribed, looked)


async def look_at_all(page: Page, subscribed: Subscribed, looked: Look) -> None:
    async def look(name: str, heading: str) -> None:
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        await looked(name)

    manage = await subscribed.link("manage")
    await page.goto(manage)
    await look("portal", "Uw bezorgingen")
    for summary in await page.locator("summary").all():
        await summary.click()
    await look("portal-opened", "Uw bezorgingen")
    await page.locator(".goods").get_by_role("button", name="Laat zien wat er verandert").first.click()
    await look("portal-quantity", "Uw bezorgingen")
    await page.get_by_role("link", name="Laat het zoals het is").click()
    swapping = page.locator(".goods details", has_text="Ruilen")
    await swapping.locator("summary").click()
    await swapping.get_by_role("button", name="Laat zien wat er verandert").click()
    await look("portal-swap", "Uw bezorgingen")
    await page.get_by_role("link", name="Laat het zoals het is").click()
    await page.locator(".often summary").click()
    await page.locator(".often").get_by_role("button", name="Laat zien wat er verandert").click()
    await look("portal-how-often", "Uw bezorgingen")
    await page.get_by_role("link", name="Laat het zoals het is").click()
    await page.get_by_role("link", name="Wijzigen").last.click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Bezorging van")
    await looked("portal-delivery")
    await page.get_by_role("button", name="Laat zien wat er verandert").click()
    await look("portal-swap-once", "Uw bezorgingen")
    await page.get_by_role("button", name="Ruil het").click()
    await page.get_by_role("link", name="Wijzigen").last.click()
    await expect(page.get_by_role("button", name="Toch niet ruilen")).to_be_visible()
    await looked("portal-delivery-swapped")
    await page.get_by_role("link", name="Alle bezorgingen").click()
    await page.locator("input[name=nonce]").first.evaluate("field => field.value = 'stale'")
    await page.get_by_role("button", name="Overslaan").first.click()
    await look("portal-refused", "Uw bezorgingen")
    await page.get_by_role("button", name="Overslaan").first.click()
    await page.get_by_role("button", name="Nu pauzeren").click()
    await look("portal-paused", "Uw bezorgingen")
    for action, title, about in (
        ("skip", "Een bezorging overslaan", {}),
        ("resume", "Verdergaan met de bezorgingen", {}),
        ("swap", "Een product ruilen", FOR_TEA),
    ):
        await page.goto(await subscribed.link(action, **about))
        await look(f"link-{action}", title)
    await page.goto(manage)
    await page.get_by_role("link", name="Het abonnement beëindigen").click()
    await look("portal-ending", "Uw bezorgingen")
    await page.get_by_role("button", name="Definitief beëindigen").click()
    await look("portal-ended", "Uw bezorgingen")
    await page.goto(f"{manage}x")
    await look("link-gone", "Deze link werkt niet meer")
