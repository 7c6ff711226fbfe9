"""Whoever holds a link sees nothing that is marked personal: no value of any column, wherever it is kept."""

from __future__ import annotations

import httpx2
import pytest

from service.rules import masks
from service.store.pool import Connection
from tests.api.test_repeat_api import PREVIEW, headers
from tests.marking import marked, seen
from tests.pages import Link, show, submit

TABLES = ("customers", "addresses", "customer_payment_sources", "orders", "line_items")


@pytest.mark.rule("FM-35")
async def test_a_link_shows_nothing_that_is_marked(
    client: httpx2.AsyncClient, connection: Connection, link: Link
) -> None:
    offered = '[{"name": "note", "required": false}]'
    await connection.execute("update skus set options = $2 where store_id = $1", link.store.id, offered)
    markers = await marked(connection, link.store, *TABLES)
    assert {"Zq.addresses.last_name", "Zq.line_items.options", "Zq.orders.return_url"} <= markers.keys()
    customer_id = await connection.fetchval("select customer_id from orders where store_id = $1", link.store.id)
    preview = await client.get(PREVIEW, headers=headers(link.token))
    assert preview.json()["data"]["attributes"]["recipient"] == "Z*** Z***, Zq***"
    page = await show(client, link.url)
    checkout = (await submit(client, page.fields)).headers["location"]
    for answer in (preview, await client.get(link.url), await client.get(checkout)):
        assert answer.status_code == 200
        assert seen(answer.text, markers) == set()
        assert customer_id not in answer.text


def test_of_an_address_only_kinds_that_say_so_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "KEPT", {})
    whole = masks.address(first_name="Sam", last_name="Rivers", company=None, zip_code="90210")
    assert whole == "*** ***, ***"
