"""Carts as tests of them speak of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.factories import Sku
from tests.spec.writing import Api, to


async def filled(api: Api, lines: Sequence[tuple[Sku, int]], **attributes: Any) -> str:
    """A cart of these skus and quantities; gives the id."""
    cart: str = (await api.create("carts", attributes))["id"]
    for sku, quantity in lines:
        await api.create("cart_items", {"sku_code": sku.code, "quantity": quantity}, {"cart": to("carts", cart)})
    return cart


async def amounts(api: Api, cart: str) -> dict[str, Any]:
    """The attributes of a cart."""
    found: dict[str, Any] = (await api.get(f"carts/{cart}"))["data"]["attributes"]
    return found
