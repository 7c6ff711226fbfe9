"""A real browser, and a real server with a shop to visit."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from service import clock
from service.http import repeat_urls
from service.operations.repeating import repeat_links
from service.principal import Store
from service.rules.repeat_links import LinkKeys
from service.store.pool import Connection
from tests import factories
from tests.processes import api_settings, serving
from tests.support import KEYS

PICTURES = "https://pictures.example"
PHONE, DESKTOP = (390, 844), (1280, 900)
MOST_PIXELS = 6_000
"""How long a page may be to be pictured whole."""
SIZES = {"phone": PHONE, "desktop": DESKTOP}

_CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" fill="{fill}"/>
<circle cx="32" cy="34" r="17" fill="#fff" fill-opacity=".75"/></svg>"""


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The machine's own Chromium, without a window."""
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine: `make browser` installs it, or says how")
    async with async_playwright() as playwright:
        # Without a sandbox, which root and containers can't have: all pages are our own.
        opened = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        await opened.close()


Visit = Callable[..., Awaitable[Page]]
"""Opens a tab of a new browser profile: `await visit(size=PHONE, scheme="dark", scripts=False, language="nl")`."""


@pytest_asyncio.fixture
async def visit(browser: Browser, server: str) -> AsyncIterator[Visit]:
    """Tabs, each of a customer who was never here before. Only our server and the shop's pictures can be reached."""
    contexts: list[BrowserContext] = []

    async def open_tab(
        *, size: tuple[int, int] = PHONE, scheme: str = "light", scripts: bool = True, language: str = "en"
    ) -> Page:
        context = await browser.new_context(
            base_url=server,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=scripts,
            locale=language,
            device_scale_factor=2 if size == PHONE else 1,
            is_mobile=size == PHONE,
        )
        contexts.append(context)
        await context.route(lambda url: not url.startswith(server), _elsewhere)
        return await context.new_page()

    yield open_tab
    for context in contexts:
        await context.close()


async def _elsewhere(route: Route) -> None:
    url = route.request.url
    if url.startswith(PICTURES):
        picture = _PICTURE.format(fill=f"#{url.rpartition('/')[2]}")
        await route.fulfill(content_type="image/svg+xml", body=picture)
    else:
        await route.abort()


@pytest.fixture(scope="module")
def server(database_url: str) -> Iterator[str]:
    """The URL of a server on this worker's database."""
    with serving("serve", "--port", "0", until="answers at", **api_settings(database_url)) as service:
        yield service.url


@dataclass(frozen=True)
class Shop:
    """A store with an order to repeat: its link, and the skus of it."""

    store: Store
    order_id: str
    link_id: str
    path: str


@pytest_asyncio.fixture
async def shop(connection: Connection, store: Store) -> Shop:
    """An order of which some is dearer, some cheaper, some sold out and some gone, and the path of its link.

    Its postal code is what somebody has to know who orders by the link.
    """
    await connection.execute(
        "update stores set name = 'Het Theehuis', repeat_link_factor = 'zip_code' where store_id = $1", store.id
    )

    lines = []
    for name, fill, then, now, quantity, columns in (
        ("Darjeeling First Flush, 250 g", "8a9a5b", 1490, 1650, 2, {}),
        ("Stoneware Teapot with Bamboo Handle", "b0643c", 5400, 4900, 1, {}),
        ("Honey from the Veluwe", "d9a441", 695, 695, 6, {"stock": 4}),
        ("Tea Light Holder", None, 350, 350, 4, {}),
        ("Earl Grey, 100 g", "5a6b8c", 790, 790, 1, {"disabled_at": clock.now()}),
    ):
        picture = None if fill is None else f"{PICTURES}/{fill}"
        sku = await factories.sku(connection, store, price=now, name=name, image_url=picture, **columns)
        lines.append(factories.Line(sku, quantity, then))
    order_id = await factories.full_order(connection, store, lines, code="JJ5HH")
    link_id, path = await link_of(connection, store, "JJ5HH")
    return Shop(store, order_id, link_id, path)


async def link_of(connection: Connection, store: Store, code: str) -> tuple[str, str]:
    """The id and path of an order's default link."""
    issued = await repeat_links.of_order(connection, store, LinkKeys(KEYS), code, actor="tests")
    return issued.token.split(".")[1], repeat_urls.url(repeat_urls.PATH, issued.order_code, issued.token)


async def assert_accessible(page: Page) -> None:
    """WCAG 2.2 at level AA, as far as a program can tell: contrast of colours included."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}})
    assert found.violations_count == 0, found.generate_report()


async def assert_fits(page: Page) -> None:
    """A page is as wide as its screen, so that nobody scrolls sideways."""
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{page.url} is {wide} pixels too wide"


Shoot = Callable[[Page, str], Awaitable[None]]
Look = Callable[[str], Awaitable[None]]
"""Looks at the page that a tab shows, which gets this name where it is pictured."""


@asynccontextmanager
async def looking(page: Page, shoot: Shoot, like: str) -> AsyncIterator[Look]:
    """Looks that fail for a page that isn't accessible, is too wide or lacks a picture; pictures are named `like` it.

    At the end nothing may have been refused, as by the security policy, but for answers of 4xx.
    """
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)

    async def look(name: str) -> None:
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await assert_accessible(page)
        await assert_fits(page)
        broken = await page.locator("img").evaluate_all(
            "all => all.filter(one => one.complete && !one.naturalWidth).map(one => one.src)"
        )
        assert broken == []
        await shoot(page, f"{name}-{like}")

    yield look
    assert [text for text in refused if "the server responded with a status" not in text] == []


@pytest.fixture
def shoot() -> Shoot:
    """Takes a picture of a page for `make screenshots`, of its top where it is very long; otherwise does nothing."""
    folder = os.environ.get("SCREENSHOTS")

    async def take(page: Page, name: str) -> None:
        if folder:
            whole = await page.evaluate("document.documentElement.scrollHeight") <= MOST_PIXELS
            await page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)

    return take
