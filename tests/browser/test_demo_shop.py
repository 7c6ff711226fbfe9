"""The demo shop and the page at the root in a real Chromium, on a real `reprise up` with its worker."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest
from playwright.async_api import Page, expect

from service.demo.showcase import COFFEE, PREPAID, UNPAID
from tests.browser.conftest import DESKTOP, PHONE, SIZES, Shoot, Visit, assert_accessible, assert_fits, looking
from tests.processes import serving

SECONDS = 60_000
"""Milliseconds that time travel may take on a busy machine."""
ORDER = "2 \N{MULTIPLICATION SIGN} Blue T-Shirt, Cotton Mug, Discontinued Mug"


@pytest.fixture(scope="module")
def data(run_folder: Path, worker_id: str) -> Path:
    return run_folder / f"demo-shop-{worker_id}"


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[str]:
    """The URL of a service with demo data of its own."""
    environment = {"REPRISE_DATA_DIR": str(data), "REPRISE_LOG_LEVEL": "warning"}
    with serving("up", "--port", "0", until="/docs/api\n", **environment) as service:
        yield service.url


def run(command: str, environment: Mapping[str, str]) -> str:
    """What a command of the shell says."""
    words = ["sh", "-c", command]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


async def open_order(page: Page, heading: str = ORDER) -> None:
    await page.goto("/demo")
    card = page.get_by_role("article").filter(has=page.get_by_role("heading", name=heading, exact=True))
    await card.get_by_role("link", name="Buy again").click()
    await page.wait_for_url("**/demo/orders/*")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
async def test_every_page_is_accessible_and_fits_its_screen(
    visit: Visit, shoot: Shoot, *, device: str, scheme: str
) -> None:
    page = await visit(size=SIZES[device], scheme=scheme, language="nl" if scheme == "dark" else "en")
    paths = {"home": "/", "shop": "/demo", "cart": "/demo/cart", "subscription": "/demo/subscriptions/BCDRtyUpBa"}
    paths |= {"terms": f"/demo/subscriptions/{COFFEE}", "unpaid": f"/demo/subscriptions/{UNPAID}"}
    paths |= {"prepaid": f"/demo/subscriptions/{PREPAID}"}
    async with looking(page, shoot, f"{device}-{scheme}") as look:
        for name, path in (*paths.items(), ("order", "")):
            if path:
                await page.goto(path)
            else:
                await page.goto("/demo")
                await page.locator("a.button[href*='/orders/']").nth(1).click()
                await page.wait_for_url("**/demo/orders/*")
            await look(f"demo-{name}")


async def test_sam_buys_again_and_pays_without_any_script(visit: Visit, shoot: Shoot) -> None:
    page = await visit(size=PHONE, scripts=False)
    await open_order(page)
    await expect(page.get_by_text("Then €17.95, now €19.95 each")).to_be_visible()
    await expect(page.get_by_text("This product is not available at the moment.")).to_be_visible()
    total = page.locator("dl .sum dd")
    await expect(total).to_have_text("€48.85")
    await page.get_by_label("Order it").nth(1).uncheck()
    await page.get_by_label("Quantity").first.fill("3")
    await page.get_by_role("button", name="Show the new total").click()
    await expect(total).to_have_text("€59.85")
    await expect(page.get_by_label("Order it").nth(1)).not_to_be_checked()
    await page.get_by_role("button", name="Put into the cart").click()
    await page.wait_for_url("**/demo/cart")
    await expect(page.get_by_role("listitem").filter(has_text="Blue T-Shirt")).to_contain_text(
        "3 \N{MULTIPLICATION SIGN} €19.95"
    )
    await shoot(page, "demo-cart-filled-phone-light")
    await page.get_by_role("link", name="To the checkout").click()
    await page.wait_for_url("**/demo/checkout?**")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Checkout")


async def test_nothing_that_is_chosen_is_nothing_to_order(visit: Visit) -> None:
    page = await visit(size=PHONE)
    await open_order(page)
    for number in (0, 1):
        await page.get_by_label("Order it").nth(number).uncheck()
    await page.get_by_role("button", name="Show the new total").click()
    await expect(page.get_by_text("Choose at least one product.")).to_be_visible()
    await expect(page.locator("dl .sum dd")).to_have_text("€0.00")


async def test_the_link_says_which_postal_code_to_type(visit: Visit) -> None:
    page = await visit(size=PHONE, scripts=False)
    await open_order(page)
    await page.get_by_role("button", name="Open the link").click()
    await page.wait_for_url("**/repeat-order?**")
    await expect(page.get_by_text("In this test it is 0000 AA.")).to_be_visible()
    await page.get_by_role("button", name="Continue to the checkout").click()
    await page.get_by_label("Postal code").fill("0000 AA")
    await page.get_by_label("Card that is approved").check()
    await page.get_by_role("button", name="Place the order").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Thank you for your order")


async def test_a_bare_checkout_leads_to_the_cart(visit: Visit) -> None:
    page = await visit(size=PHONE)
    await page.goto("/demo/checkout")
    await page.wait_for_url("**/demo/cart")


async def test_the_next_delivery_brings_what_sam_likes(visit: Visit, shoot: Shoot) -> None:
    page = await visit(size=PHONE, scripts=False)
    await page.goto(f"/demo/subscriptions/{COFFEE}")
    for words in ("First 3 deliveries: 10% off", "After that: 5% off", "after delivery 3, as agreed"):
        await expect(page.get_by_text(words)).to_be_visible()
    card = page.locator("section.next")
    total = card.locator(".row .amount")
    # Nine tenths of two packs and a mug, and the parcel.
    await expect(total).to_have_text("€33.70")
    mug = card.get_by_role("listitem").filter(has_text="Cotton Mug")
    await mug.get_by_text("Quantity").first.click()
    await mug.get_by_label("How many this time").fill("0")
    await mug.get_by_role("button", name="Change this delivery only").click()
    await expect(card.get_by_text("Without Cotton Mug this time")).to_be_visible()
    await expect(total).to_have_text("€25.65")
    await shoot(page, "demo-terms-left-out-phone-light")
    await card.get_by_role("button", name="Deliver it after all").click()
    await expect(total).to_have_text("€33.70")
    await card.get_by_label("Something along with it").select_option(label="Canvas Tote Bag \N{MIDDLE DOT} €12.50")
    await card.get_by_role("button", name="Add it once").click()
    await expect(card.get_by_text("each \N{MIDDLE DOT} only this time")).to_be_visible()
    await expect(total).to_have_text("€44.96")
    coffee = card.get_by_role("listitem").filter(has_text="House Blend")
    await coffee.get_by_text("Swap").first.click()
    await shoot(page, "demo-terms-swap-phone-light")
    await coffee.get_by_role("button", name="Swap it").click()
    await expect(card.get_by_text("2 \N{MULTIPLICATION SIGN} Dark Roast, 500 g")).to_be_visible()
    day = await page.locator("ol.runs time").first.text_content()
    await card.get_by_role("button", name="A week later").click()
    await expect(page.locator("ol.runs time").first).not_to_have_text(day or "")
    await card.get_by_role("button", name="Order it now").click()
    await expect(card.get_by_text("each \N{MIDDLE DOT} only this time")).to_have_count(0)
    await page.get_by_role("button", name="As the customer sees it").click()
    await page.wait_for_url("**/portal/*")
    await expect(page.get_by_text("2 \N{MULTIPLICATION SIGN} Dark Roast, 500 g").first).to_be_visible()


async def test_deliveries_that_are_paid_for_cost_nothing_more(visit: Visit, shoot: Shoot) -> None:
    page = await visit(size=PHONE, scripts=False)
    await page.goto(f"/demo/subscriptions/{PREPAID}")
    await expect(page.get_by_text("Paid for 3 more deliveries")).to_be_visible()
    runs = page.locator("ol.runs").first.get_by_role("listitem")
    for number in range(3):
        await expect(runs.nth(number)).to_contain_text("paid already")
    # A pack and the parcel, four times.
    await expect(runs.nth(3)).to_contain_text("€65.80 for several deliveries")
    await expect(page.locator("ol.runs").nth(1).get_by_role("listitem").first).to_contain_text("€65.80")
    await page.get_by_role("button", name="As the customer sees it").click()
    await page.wait_for_url("**/portal/*")
    await expect(page.get_by_text("Paid for 3 more deliveries")).to_be_visible()
    await shoot(page, "demo-prepaid-portal-phone-light")


async def test_a_swap_is_planned_in_the_portal_and_taken_back(visit: Visit, shoot: Shoot) -> None:
    page = await visit(size=PHONE)
    await page.goto(f"/demo/subscriptions/{PREPAID}")
    await page.get_by_role("button", name="As the customer sees it").click()
    await page.wait_for_url("**/portal/*")
    swapping = page.locator("details", has_text="With which delivery")
    await swapping.locator("summary").click()
    await swapping.get_by_label("With which delivery").select_option(index=2)
    await swapping.get_by_role("button", name="Show what changes").click()
    await page.get_by_role("button", name="Swap it").click()
    planned = page.get_by_text("Dark Roast, 500 g in place of House Blend, 500 g")
    await expect(planned).to_be_visible()
    await assert_accessible(page)
    await assert_fits(page)
    await shoot(page, "demo-portal-swap-planned-phone-light")
    await page.get_by_role("button", name="Don't swap it").click()
    await expect(planned).to_have_count(0)


async def test_what_is_not_paid_yet_leads_to_its_payment(visit: Visit) -> None:
    page = await visit(size=PHONE, scripts=False)
    await page.goto(f"/demo/subscriptions/{UNPAID}")
    await page.get_by_role("button", name="To the payment").click()
    await page.wait_for_url("**/actions/*")
    await page.get_by_role("button", name="Pay now").click()
    await expect(page.get_by_role("status")).to_contain_text("This was done on")
    await page.goto(f"/demo/subscriptions/{UNPAID}")
    await expect(page.get_by_text("Not paid yet")).to_have_count(0)


async def test_the_requests_beside_a_page_work_as_they_are(visit: Visit, data: Path) -> None:
    tokens = dict(line.split() for line in (data / "tokens").read_text().splitlines())
    environment = os.environ | {"CUSTOMER": tokens["customer"], "SECRET": tokens["integration"]}
    page = await visit(size=DESKTOP)
    asked = swaps = 0
    subscriptions = [f"/demo/subscriptions/{id_}" for id_ in ("BCDRtyUpBa", COFFEE)]
    for path in ("/demo", "/demo/orders/ABCRtyUpBa", "/demo/cart", *subscriptions):
        await page.goto(path)
        commands = await page.locator("aside pre").evaluate_all("all => all.map(one => one.textContent)")
        swaps += await page.locator("button[value=swap]").count()
        for command in commands:
            # What puts the store on a clock is done by a later test, by its button; the coffee has been ordered ahead
            # of its day by an earlier one.
            if "test_clock" in command or (COFFEE in command and "_order_next_now" in command):
                continue
            answer = orjson.loads(await asyncio.to_thread(run, command, environment))
            assert not answer.keys() & {"errors", "errorCode"}, (command, answer)
            asked += 1
    # Of the coffee alone there is something to swap, unless an earlier test has.
    assert asked == 9 + 3 + 5 + swaps


async def test_runs_are_skipped_and_moved_and_time_passes(visit: Visit, shoot: Shoot) -> None:
    page = await visit(size=PHONE, scripts=False)
    path = "/demo/subscriptions/BCDRtyUpBa"
    await page.goto(path)
    runs = page.locator("ol.runs").first.get_by_role("listitem")
    while await page.get_by_role("button", name="Deliver after all").count():
        await page.get_by_role("button", name="Deliver after all").first.click()
    day = await runs.first.locator("time").text_content()
    await runs.first.get_by_role("button", name="Skip").click()
    await expect(runs.first).to_contain_text("skipped")
    await expect(runs.first.locator("time")).to_have_text(day or "")
    await runs.nth(1).get_by_text("Move", exact=False).first.click()
    field = runs.nth(1).locator("input[type=date]")
    await field.fill(re.sub(r"-\d\d$", "-27", await field.input_value()))
    await runs.nth(1).get_by_role("button", name="Move it").click()
    await expect(runs.nth(1)).to_contain_text("moved")
    await expect(runs.nth(1).locator("time")).to_contain_text("27 ")
    await shoot(page, "demo-subscription-edited-phone-light")
    await page.get_by_role("button", name="To the next delivery").click()
    await expect(page.get_by_text("In this shop it is 27 ")).to_be_visible(timeout=SECONDS)
    made = page.locator("ol.runs").nth(1).get_by_role("listitem")
    await expect(made.first.locator("time")).to_contain_text("27 ", timeout=SECONDS)
    await expect(page.get_by_text("The shop keeps the time of a test clock")).to_be_visible(timeout=SECONDS)
    await assert_accessible_without_scripts(visit, path)
    await shoot(page, "demo-subscription-travelled-phone-light")
    await page.get_by_role("button", name="Back to real time").click()
    await expect(page.get_by_text("The shop keeps real time.")).to_be_visible()


async def assert_accessible_without_scripts(visit: Visit, path: str) -> None:
    page = await visit(size=PHONE)
    await page.goto(path)
    await assert_accessible(page)
    await assert_fits(page)
