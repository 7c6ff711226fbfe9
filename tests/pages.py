"""Repeat links and our own pages, as tests use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from starlette.applications import Starlette

from service.http import repeat_urls
from service.operations.repeating import repeat_links
from service.principal import Store
from service.rules.repeat_links import LinkKeys
from service.store.pool import Connection
from tests import factories
from tests.sealed import with_session

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VOID = {"meta", "input", "br", "hr", "img", "link"}


class Page(HTMLParser):
    """A page as a browser reads it: fails where a tag isn't closed; keeps text, tags and the form's fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.lang = ""
        self.style = ""
        self._text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], f"never closed: {self._open}"
        self.text = " ".join(" ".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        if tag == "html":
            self.lang = values.get("lang") or ""
        if tag == "input":
            self.fields[values["name"] or ""] = values["value"] or ""
        if tag == "a":
            self.links.append(values["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.style += data
        elif data.strip():
            self._text.append(data)


@dataclass(frozen=True)
class Link:
    """An order with everything, and the link to repeat it."""

    store: Store
    order_id: str
    shirt: factories.Sku
    mug: factories.Sku
    url: str

    @property
    def token(self) -> str:
        return dict(parse_qsl(urlsplit(self.url).query))["token"]

    @property
    def id(self) -> str:
        return self.token.split(".")[1]


async def url_of(app: Starlette, connection: Connection, store: Store, code: str) -> str:
    issued = await repeat_links.of_order(connection, store, keys(app), code, actor="tests")
    return repeat_urls.url(repeat_urls.PATH, issued.order_code, issued.token)


def keys(app: Starlette) -> LinkKeys:
    found: LinkKeys = app.state.service.url_keys.links
    return found


async def show(client: httpx2.AsyncClient, url: str, status: int = 200, language: str = "en") -> Page:
    answer = await client.get(url, headers={"Accept-Language": language})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


async def submit(client: httpx2.AsyncClient, fields: Mapping[str, str], **headers: str) -> httpx2.Response:
    return await client.post("/repeat-order", content=urlencode(fields), headers=FORM | headers)


async def digest(connection: Connection, store: Store) -> dict[str, str]:
    """What stands for every row of a store, by table: it changes with any write."""
    tables = await connection.fetch(
        "select table_name from information_schema.columns"
        " where table_schema = 'public' and column_name = 'store_id' and table_name <> 'rate_limits'"
    )
    return {
        table: await connection.fetchval(
            f"select md5(coalesce(string_agg(t::text, '' order by t::text), '')) from {table} t where store_id = $1",
            store.id,
        )
        for (table,) in tables
    }


async def carts(connection: Connection, store: Store) -> list[Any]:
    rows = await connection.fetch("select * from carts where store_id = $1 order by id", store.id)
    return [with_session(connection, store, row) for row in rows]


async def items(connection: Connection, cart: Any) -> list[tuple[str, int, int]]:
    rows = await connection.fetch(
        "select name, quantity, unit_amount_cents from cart_items where store_id = $1 and cart_id = $2 order by id",
        cart["store_id"],
        cart["id"],
    )
    return [tuple(row) for row in rows]


async def change(connection: Connection, link: Link, columns: Mapping[str, Any]) -> None:
    assignments = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, 3))
    await connection.execute(
        f"update repeat_links set {assignments} where store_id = $1 and id = $2",
        link.store.id,
        link.id,
        *columns.values(),
    )
