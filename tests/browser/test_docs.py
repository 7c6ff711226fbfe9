"""The documentation in a real Chromium: every page fits a phone and a desktop, is accessible, and can be searched."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from service.manual.library import library
from tests.browser.conftest import DESKTOP, PHONE, SIZES, Shoot, Visit, assert_accessible, assert_fits

PAGES = [library().index, *(entry.page for entry in library().entries)]


@pytest.mark.timeout(600)  # there are many pages
@pytest.mark.parametrize("device", SIZES)
async def test_every_page_fits_its_screen(visit: Visit, device: str) -> None:
    page = await visit(size=SIZES[device])
    for shown in PAGES:
        answer = await page.goto(f"/{shown.url}")
        assert answer is not None
        assert answer.status == 200
        await expect(page.get_by_role("heading", level=1)).to_have_text(shown.title)
        await assert_fits(page)
        # Nothing of a table or a line of text runs out of its box; code scrolls in its own.
        out = await page.locator("article :is(p, li, td, th, h1, h2, h3)").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"
        )
        assert out == [], shown.url


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
async def test_pages_are_accessible(visit: Visit, shoot: Shoot, *, device: str, scheme: str) -> None:
    page = await visit(size=SIZES[device], scheme=scheme)
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    for name in ("", "/quickstart", "/scopes", "/how-to/run-workers", "/explanation/architecture"):
        await page.goto(f"/docs{name}")
        await assert_accessible(page)
        await shoot(page, f"docs{name.replace('/', '-')}-{device}-{scheme}")
    assert [text for text in refused if "the server responded with a status" not in text] == []


async def test_a_table_on_a_phone_names_its_columns_beside_the_cells(visit: Visit) -> None:
    page = await visit(size=PHONE)
    await page.goto("/docs/resources")
    row = page.locator("tr", has_text="The IANA time zone in which new subscriptions recur.").first
    cells = row.locator("td:not(.empty)")
    labels = await cells.evaluate_all("all => all.map(one => one.dataset.label)")
    assert labels == ["attribute", "type", "sent", "meaning"]
    lefts = await cells.evaluate_all("all => all.map(one => one.getBoundingClientRect().left)")
    assert len(set(lefts)) == 1
    shown = await cells.nth(1).evaluate("one => getComputedStyle(one, '::before').content")
    assert shown not in ("none", "normal")


async def test_words_are_found_while_they_are_typed_and_lead_to_their_section(visit: Visit, shoot: Shoot) -> None:
    page = await visit(size=DESKTOP)
    await page.goto("/docs")
    await page.keyboard.press("/")
    await page.keyboard.type("idempotency key")
    found = page.locator(".found")
    await expect(found.get_by_role("status")).to_contain_text("found")
    await expect(found.locator("mark").first).to_be_visible()
    await assert_accessible(page)
    await shoot(page, "docs-found-desktop-light")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/docs/*#*")
    assert await page.locator(":target").count() == 1
    await page.keyboard.press("/")
    await page.keyboard.type("xyzzy")
    await expect(found.get_by_role("status")).to_have_text("Nothing found. Try fewer or other words.")


@pytest.mark.parametrize(
    ("question", "section"),
    [
        ("how do I skip a delivery", "Sell subscriptions: Skip a run"),
        ("local webhook receiver xyzzy", "Webhooks: Test with a local receiver"),
        ("what if the port is taken", "Quickstart: Start it"),
    ],
)
async def test_a_question_finds_the_section_that_answers_it(visit: Visit, question: str, section: str) -> None:
    page = await visit(size=DESKTOP)
    await page.goto("/docs")
    await page.get_by_role("searchbox").fill(question)
    await expect(page.locator(".found a b").get_by_text(section, exact=True)).to_be_visible()


async def test_without_scripts_every_topic_is_one_click_away(visit: Visit) -> None:
    page = await visit(size=PHONE, scripts=False)
    await page.goto("/docs/errors")
    await page.get_by_text("All pages").click()
    await page.get_by_role("link", name="Run workers").click()
    await page.wait_for_url("**/docs/how-to/run-workers")
    await page.get_by_role("searchbox").fill("scopes")
    await page.get_by_role("searchbox").press("Enter")
    await page.wait_for_url("**/docs/search?q=scopes")
    await page.get_by_role("link", name="read_orders", exact=True).first.click()
    await page.wait_for_url("**/docs/scopes#read_orders")


@pytest.mark.parametrize("device", SIZES)
async def test_where_there_is_nothing_a_page_leads_on(visit: Visit, shoot: Shoot, device: str) -> None:
    page = await visit(size=SIZES[device])
    answer = await page.goto("/an/old/bookmark")
    assert answer is not None
    assert answer.status == 404
    await assert_fits(page)
    await assert_accessible(page)
    await shoot(page, f"nothing-{device}")
    await page.get_by_role("main").get_by_role("link", name="Docs").click()
    await expect(page).to_have_url(re.compile("/docs$"))
