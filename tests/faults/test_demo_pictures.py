"""The demo store's products have pictures, which come from the service itself, and its pages show them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import httpx2
import pytest
from starlette.applications import Starlette

from service import clock
from service.demo import load, pictures
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.conftest import ORIGIN
from tests.pages import Page, url_of
from tests.spec.writing import Api, to

pytestmark = pytest.mark.rule("FM-102")

OWN = pictures.path("striped", "mug")


@pytest.mark.parametrize("name", sorted(pictures.names()))
def test_every_picture_is_drawn_and_loads_nothing(name: str) -> None:
    drawn = pictures.draw(name)
    assert drawn is not None
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(drawn).iter()}
    assert tags <= {"svg", "defs", "pattern", "rect", "path", "circle", "ellipse", "g"}
    assert b"{" not in drawn
    assert b"class=" not in drawn


async def test_pictures_are_served_strictly_and_may_be_kept(client: httpx2.AsyncClient) -> None:
    answer = await client.get(OWN)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    for unknown in ("no-mug", "striped", "striped-mug.svg", "%2e%2e"):
        assert (await client.get(f"{pictures.PATH}/{unknown}.svg")).status_code == 404


async def test_every_product_of_the_demo_store_has_one(connection: Connection) -> None:
    plan = load.Plan(store=909_999, customers=2, skus=330, orders=3, subscriptions=1)
    await load.seed(connection, plan, clock.now())
    kept = [
        row["image_url"]
        for table in ("skus", "line_items", "cart_items")
        for row in await connection.fetch(f"select image_url from {table} where store_id = $1", plan.store)
    ]
    assert kept
    assert {url.removeprefix(f"{pictures.PATH}/").removesuffix(".svg") for url in kept} <= pictures.names()


async def test_documents_and_pages_show_them_where_the_service_is_reached(
    api: Api, client: httpx2.AsyncClient, connection: Connection, app: Starlette, store: Store
) -> None:
    mug = await factories.sku(connection, store, image_url=OWN)
    cart = await api.create("carts")
    item = await api.create("cart_items", {"sku_code": mug.code, "quantity": 1}, {"cart": to("carts", cart["id"])})
    sku = (await api.get(f"skus/{mug.id}"))["data"]
    assert item["attributes"]["image_url"] == sku["attributes"]["image_url"] == f"{ORIGIN}{OWN}"
    assert (await api.update("skus", mug.id, {"name": "New", "image_url": f"{ORIGIN}{OWN}"})).status_code == 200
    refused = await api.update("skus", mug.id, {"image_url": OWN})
    assert refused.status_code == 422
    await factories.order(connection, store, [factories.Line(mug)], code="X")
    page = await client.get(await url_of(app, connection, store, "X"))
    assert [value for name, value in Page(page.text).attributes if name == "src"] == [f"{ORIGIN}{OWN}"]
    assert f"; img-src {ORIGIN};" in page.headers["content-security-policy"]
