"""The API reference in a real Chromium: it shows every part of the contract, and nothing of it comes from elsewhere."""

from __future__ import annotations

from playwright.async_api import ConsoleMessage, Request, expect

from service.contract import openapi
from service.resources import RESOURCES
from tests.browser.conftest import DESKTOP, Visit

MILLISECONDS = 60_000
"""How long the bundle may take to read the contract, on a busy machine."""


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
    await operation.locator(".opblock-summary-control").click()
    await expect(operation.get_by_text("stock_policy").first).to_be_visible(timeout=MILLISECONDS)
    assert all(url.startswith((server, "data:")) for url in asked), asked
    assert said == []
