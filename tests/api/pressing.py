"""Action links and the buttons of their pages, as tests press them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import httpx2

from service.principal import Store
from service.store.pool import Connection
from tests.faults.playing import Shop, short
from tests.spec.writing import to

NOW = "2026-03-10 09:00"
PLACED = "2026-03-01 09:00"


async def link(shop: Shop, subscription: str, action: str, **attributes: Any) -> dict[str, Any]:
    """A new link: its attributes, id and the path of its page."""
    made = await shop.api.create(
        "action_links",
        {"action": action, **attributes},
        {"order_subscription": to("order_subscriptions", subscription)},
    )
    return {"id": made["id"], "path": urlsplit(made["attributes"]["url"]).path, **made["attributes"]}


def nonce(page: httpx2.Response) -> str:
    """The nonce of a page's form."""
    found = re.search(r'name="nonce" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


async def press(client: httpx2.AsyncClient, path: str, **fields: str) -> httpx2.Response:
    """Open a page and press a button on it."""
    page = await client.get(path)
    assert page.status_code == 200, page.text
    return await client.post(path, data={"nonce": nonce(page), **fields})


async def everything(connection: Connection, store: Store) -> list[Any]:
    """What can change in a store by what a link does."""
    found = []
    for table in ("action_links", "order_subscriptions", "occurrences", "events"):
        rows = await connection.fetch(f"select * from {table} where store_id = $1 order by id", store.id)
        found.append([dict(row) for row in rows])
    return found


async def status_of(shop: Shop, subscription: str) -> list[tuple[str, str]]:
    return [(short(one["scheduled_at"]), one["status"]) for one in await shop.occurrences(subscription)][:3]


async def upcoming(shop: Shop, subscription: str) -> list[str]:
    """The indexes of its runs to come that are planned and have a row, as forms name them."""
    runs = await shop.occurrences(subscription)
    return [str(one["occurrence_index"]) for one in runs if one["status"] == "planned"]


def hidden(page: httpx2.Response) -> dict[str, str]:
    """The hidden fields of the form that makes a change."""
    form = page.text.partition('name="amend"')[0].rpartition("<form")[2] + 'name="amend"'
    form += page.text.partition('name="amend"')[2].partition("</form>")[0]
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form))
