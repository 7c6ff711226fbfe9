"""A repeat link in a real Chromium: opened as a customer does, and as a mail scanner does."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2
import pytest
from playwright.async_api import expect

from service import clock
from service.store.pool import Connection
from tests.browser.conftest import DESKTOP, SIZES, Shoot, Shop, Visit, assert_accessible, assert_fits
from tests.sealed import session_of


async def rows(connection: Connection) -> Mapping[str, int]:
    """How many rows each table has."""
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    return {table: await connection.fetchval(f'select count(*) from "{table}"') for (table,) in tables}


async def uses(connection: Connection, shop: Shop) -> int:
    """How many orders the shop's link has led to."""
    found = await connection.fetchval(
        "select uses from repeat_links where store_id = $1 and id = $2", shop.store.id, shop.link_id
    )
    return int(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
async def test_a_customer_opens_the_link_and_places_the_order(
    visit: Visit, shop: Shop, shoot: Shoot, connection: Connection, *, device: str, scheme: str
) -> None:
    # Nothing of it needs a script.
    page = await visit(size=SIZES[device], scheme=scheme, scripts=False)
    await page.goto(shop.path)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Order again")
    await expect(page.get_by_role("listitem")).to_have_count(5)
    await expect(page.get_by_text("Only 4 of 6 are in stock.")).to_be_visible()
    await expect(page.get_by_text("This product is not available at the moment.")).to_be_visible()
    await shoot(page, f"repeat-order-{device}-{scheme}")
    await page.get_by_role("button", name="Continue to the checkout").click()
    await page.wait_for_url("**/demo/checkout?**")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Checkout")
    await expect(page.get_by_text("€128.75").last).to_be_visible()
    await shoot(page, f"checkout-{device}-{scheme}")
    cart = await connection.fetchrow("select * from carts where store_id = $1", shop.store.id)
    assert cart is not None
    assert (cart["status"], cart["customer_id"], cart["total_amount_cents"]) == ("active", None, 12875)
    await page.goto(shop.path)
    await page.get_by_role("button", name="Continue to the checkout").click()
    await page.wait_for_url(f"**session={await session_of(connection, shop.store, cart['id'])}")
    await page.get_by_label("Postal code").fill("9999 ZZ")
    await page.get_by_role("button", name="Place the order").click()
    await expect(page.get_by_role("alert")).to_contain_text("That is not what the order says. Check it, and try again.")
    await shoot(page, f"checkout-refused-{device}-{scheme}")
    assert await uses(connection, shop) == 0
    await page.get_by_label("Postal code").fill("3511aa")
    await page.get_by_role("button", name="Place the order").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Thank you for your order")
    order = await connection.fetchrow("select * from orders where store_id = $1 and cart_id is not null", shop.store.id)
    assert order is not None
    assert (order["status"], order["source_order_id"], order["total_amount_cents"]) == ("placed", shop.order_id, 12875)
    await expect(page.get_by_text(order["code"])).to_be_visible()
    await shoot(page, f"placed-{device}-{scheme}")
    assert await uses(connection, shop) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", SIZES)
async def test_every_page_is_accessible_and_fits_its_screen(
    visit: Visit, shop: Shop, shoot: Shoot, connection: Connection, *, device: str, scheme: str
) -> None:
    page = await visit(size=SIZES[device], scheme=scheme, language="nl")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)

    async def look(name: str, heading: str) -> None:
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        await assert_accessible(page)
        await assert_fits(page)
        await shoot(page, f"{name}-{device}-{scheme}")

    await page.goto(shop.path)
    await look("herhaalbestelling", "Opnieuw bestellen")
    shown = await page.locator("img").evaluate_all("all => all.map(one => one.naturalWidth > 0)")
    assert shown == [True] * 4
    await page.goto(shop.path.replace("JJ5HH", "OTHER"))
    await look("gone", "Deze link werkt niet meer")
    await page.goto(shop.path)
    await page.locator("input[name=nonce]").evaluate("field => field.value = 'stale'")
    await page.get_by_role("button", name="Verder naar afrekenen").click()
    await look("stale", "Open de pagina opnieuw")
    await page.goto("/demo/checkout?store=1&session=none")
    await look("missing", "Hier is niets")
    await page.goto(shop.path)
    await page.get_by_role("button", name="Verder naar afrekenen").click()
    await look("afrekenen", "Afrekenen")
    await page.get_by_label("Postcode").fill("9999 ZZ")
    await page.get_by_role("button", name="Bestelling plaatsen").click()
    await look("geweigerd", "Afrekenen")
    await page.get_by_label("Postcode").fill("3511 AA")
    await page.get_by_role("button", name="Bestelling plaatsen").click()
    await look("besteld", "Bedankt voor uw bestelling")
    await connection.execute("update stores set mode = 'live' where store_id = $1", shop.store.id)
    await page.goto(shop.path)
    await look("no-checkout", "Opnieuw bestellen")
    await connection.execute("update skus set deleted_at = $2 where store_id = $1", shop.store.id, clock.now())
    await page.goto(shop.path)
    await look("nothing-available", "Opnieuw bestellen")
    # Statuses of 4xx are told there; what the security policy refuses would be too.
    assert [text for text in refused if "the server responded with a status" not in text] == []


@pytest.mark.rule("FM-30", "FM-32")
async def test_fifty_fetches_write_no_row_and_set_no_cookie(
    visit: Visit, server: str, shop: Shop, connection: Connection
) -> None:
    before = await rows(connection)
    assert len(before) > 30
    with httpx2.Client(base_url=server, headers={"User-Agent": "Mozilla/5.0 (compatible; SafeLinks)"}) as client:
        for _ in range(50):
            for method in ("HEAD", "GET"):
                answer = client.request(method, shop.path)
                assert answer.status_code == 200
                assert "set-cookie" not in answer.headers
    page = await visit()
    for _ in range(5):
        await page.goto(shop.path, wait_until="networkidle")
    assert await page.context.cookies() == []
    after = await rows(connection)
    # What a network asks of all processes is counted in lots, and on a slow machine a second one begins meanwhile.
    assert after["rate_limits"] - before["rate_limits"] in (0, 1)
    assert {**after, "rate_limits": 0} == {**before, "rate_limits": 0}


@pytest.mark.rule("FM-31")
async def test_a_scanner_that_submits_the_real_form_makes_one_cart_and_no_order(
    visit: Visit, server: str, shop: Shop, connection: Connection
) -> None:
    before = await rows(connection)
    page = await visit(size=DESKTOP)
    await page.goto(shop.path, wait_until="networkidle")
    # Nothing of the page submits it by itself, whatever is waited for.
    await page.wait_for_timeout(1000)
    assert page.url == server + shop.path
    assert await page.locator("script").count() == 0
    form = await page.locator("form").evaluate("form => Object.fromEntries(new FormData(form))")
    async with page.expect_navigation():
        await page.locator("form").evaluate("form => form.requestSubmit()")
    with httpx2.Client(base_url=server) as client:
        for _ in range(3):
            assert client.post("/repeat-order", data=form).status_code == 303
        assert client.get(page.url).status_code == 200
    after = await rows(connection)
    assert after["carts"] == before["carts"] + 1
    for table in ("orders", "line_items", "reorders", "customers", "payment_attempts"):
        assert after[table] == before[table]
    link = await connection.fetchrow(
        "select uses, carts_count from repeat_links where store_id = $1 and id = $2", shop.store.id, shop.link_id
    )
    assert link is not None
    assert tuple(link) == (0, 1)
    assert await connection.fetchval("select customer_id from carts where store_id = $1", shop.store.id) is None
    await page.goto(shop.path)
    await expect(page.get_by_role("button", name="Continue to the checkout")).to_be_visible()


@pytest.mark.rule("FM-31")
@pytest.mark.parametrize("factor", ["customer", "zip_code", "email"])
async def test_a_scanner_that_submits_every_form_orders_nothing(
    visit: Visit, shop: Shop, connection: Connection, *, factor: str
) -> None:
    await connection.execute("update stores set repeat_link_factor = $2 where store_id = $1", shop.store.id, factor)
    before = await rows(connection)
    page = await visit(size=DESKTOP)
    await page.goto(shop.path, wait_until="networkidle")
    submitted = 0
    for _ in range(4):
        if await page.locator("form").count() == 0:
            break
        # It fills in whatever there is to fill in, and takes no notice of what the fields ask for.
        await page.locator("form").evaluate(
            "form => form.querySelectorAll('input[type=text], input[type=email]').forEach(one => one.value = 'test')"
        )
        async with page.expect_navigation():
            await page.locator("form").evaluate("form => HTMLFormElement.prototype.submit.call(form)")
        submitted += 1
    assert submitted == (1 if factor == "customer" else 4)
    after = await rows(connection)
    assert after["carts"] == before["carts"] + 1
    for table in ("orders", "line_items", "customers", "payment_attempts"):
        assert after[table] == before[table]
    assert await uses(connection, shop) == 0
