"""What the tests of reorders share: documents, and looks at outcomes and carts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx2

from service.principal import Store
from service.store.pool import Connection
from tests.support import Access

URL = "/api/reorders"
PREVIEWS = "/api/reorder_previews"


def document(
    order_id: str, *, cart_id: str | None = None, type_: str = "reorders", **attributes: Any
) -> dict[str, Any]:
    """The document that asks for a reorder, or for a preview."""
    relationships: dict[str, Any] = {"source_order": {"data": {"type": "orders", "id": order_id}}}
    if cart_id is not None:
        relationships["cart"] = {"data": {"type": "carts", "id": cart_id}}
    return {"data": {"type": type_, "attributes": attributes, "relationships": relationships}}


async def quantities(connection: Connection, store: Store, cart_id: str) -> dict[str, int]:
    """How many of each sku are in a cart."""
    rows = await connection.fetch(
        "select sku_id, quantity from cart_items where store_id = $1 and cart_id = $2", store.id, cart_id
    )
    return {row["sku_id"]: row["quantity"] for row in rows}


async def reorder(
    client: httpx2.AsyncClient, access: Access, order_id: str, *, language: str = "en", **attributes: Any
) -> list[dict[str, Any]]:
    """The outcomes of a reorder that goes well, in the order of the lines."""
    response = await client.post(
        f"{URL}?include=reorder_outcomes",
        json=document(order_id, **attributes),
        headers=access.headers | {"Accept-Language": language},
    )
    assert response.status_code == 201, response.text
    made = response.json()
    outcomes = sorted((one["attributes"] for one in made["included"]), key=lambda one: int(one["position"]))
    counts = [made["data"]["attributes"][f"{status}_count"] for status in ("added", "adjusted", "skipped")]
    assert counts == [sum(one["status"] == status for one in outcomes) for status in ("added", "adjusted", "skipped")]
    return outcomes


async def preview(
    client: httpx2.AsyncClient, access: Access, order_id: str, *, cart_id: str | None = None, **attributes: Any
) -> dict[str, Any]:
    """The document of a preview that goes well."""
    body = document(order_id, cart_id=cart_id, type_="reorder_previews", **attributes)
    response = await client.post(PREVIEWS, json=body, headers=access.headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def told(outcomes: Sequence[dict[str, Any]]) -> list[tuple[str, str | None, int]]:
    """Status, code and resulting quantity of each outcome."""
    return [(one["status"], one["code"], one["resulting_quantity"]) for one in outcomes]
