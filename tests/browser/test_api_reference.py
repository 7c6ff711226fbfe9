"""The API reference in a real Chromium: it shows every part of the contract, and nothing of it comes from elsewhere."""

from __future__ import annotations

import pytest
from playwright.async_api import ConsoleMessage, Request, expect

from service.contract import openapi
from service.resources import RESOURCES
from tests.browser.conftest import DESKTOP, PHONE, Shoot, Visit, assert_fits

MILLISECONDS = 120_000
"""How long the bundle may take to read the contract, on a busy machine."""

LIGHTNESS = """(one, of) => {
  const style = of === "background" ? "backgroundColor" : "color"
  const values = (node) => getComputedStyle(node)[style].match(/[\\d.]+/g).map(Number)
  while (of === "background" && values(one)[3] === 0 && one.parentElement) one = one.parentElement
  return values(one).slice(0, 3).reduce((sum, part) => sum + part, 0)
}"""
"""How light the colour of an element is, or that of the ground it stands on: 0 for black to 765 for white."""


@pytest.mark.timeout(600)  # a busy machine takes its time to draw an operation
async def test_it_shows_the_contract_and_asks_nobody_else(visit: Visit, server: str) -> None:
    page = await visit(size=DESKTOP)
    asked: list[str] = []
    said: list[str] = []

    def remember(request: Request) -> None:
        asked.append(request.url)

    def listen(message: ConsoleMessage) -> None:
        # What the policy forbids, and scripts that fail, are told here.
        if message.type == "error":
            said.append(message.text)

    page.on("request", remember)
    page.on("console", listen)
    await page.goto("/docs/api")
    tags = page.locator(".opblock-tag")
    document = openapi.build(RESOURCES)
    used = {tag for item in document["paths"].values() for one in item.values() if "tags" in one for tag in one["tags"]}
    await expect(tags).to_have_count(len(used), timeout=MILLISECONDS)
    tag = page.locator("#operations-tag-reorders .opblock-tag, #operations-tag-reorders").first
    await tag.click(timeout=MILLISECONDS)
    operation = page.locator("#operations-reorders-createReorder")
    await expect(operation).to_be_visible(timeout=MILLISECONDS)
    await operation.locator(".opblock-summary-control").click(timeout=MILLISECONDS)
    await expect(operation.get_by_text("stock_policy").first).to_be_visible(timeout=MILLISECONDS)
    version = page.locator(".info .title .version").first
    assert abs(await version.evaluate(LIGHTNESS) - await version.evaluate(LIGHTNESS, "background")) > 200
    await page.locator(".auth-wrapper .authorize").first.click(timeout=MILLISECONDS)
    first = page.locator(".modal-ux .auth-container").first
    await expect(first).to_contain_text("integrationToken", timeout=MILLISECONDS)
    await expect(first.locator("input")).to_be_focused(timeout=MILLISECONDS)
    await expect(first).to_be_in_viewport()
    assert all(url.startswith((server, "data:")) for url in asked), asked
    assert said == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone_in_the_colours_of_the_docs(visit: Visit, shoot: Shoot, scheme: str) -> None:
    """The bundle knows light colours only, and is wider than a phone by itself."""
    page = await visit(size=PHONE, scheme=scheme)
    page.set_default_timeout(MILLISECONDS)
    await page.goto("/docs/api")
    operation = page.locator("#operations-reorders-createReorder")
    await page.locator("#operations-tag-reorders").first.click()
    await assert_fits(page)
    await shoot(page, f"docs-api-phone-{scheme}")
    await operation.locator(".opblock-summary-control").click(timeout=MILLISECONDS)
    await expect(operation.get_by_text("stock_policy").first).to_be_visible(timeout=MILLISECONDS)
    await assert_fits(page)
    # Too narrow a box cuts off what it doesn't scroll: everything ends at the screen's edge.
    out = await page.locator("#api :not(pre *, .model-box *)").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().right > window.innerWidth + 1).map(one => one.className)"
    )
    assert out == []
    for part in (operation, page.locator(".info .title"), operation.locator("table.parameters td").first):
        light = await part.evaluate(LIGHTNESS)
        ground = await part.evaluate(LIGHTNESS, "background")
        assert (light > ground) == (scheme == "dark"), "dark pages have text that is lighter than what it stands on"
