"""Quantities in every small world of one product, beside a second implementation that counts pieces."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from service.rules.outcomes import CatalogueItem, Policy, Price, SourceLine, decide

Shares = list[tuple[int, str | None]]
"""Quantity and code of each line."""


def allowed(total: int, item: CatalogueItem) -> bool:
    """Whether a cart may hold so many pieces."""
    most = item.max_quantity
    return total >= item.min_quantity and total % item.step_quantity == 0 and (most is None or total <= most)


def first_come(quantities: list[int], pieces: int) -> list[int]:
    """Hand out pieces one by one to the first line that wants more."""
    given = [0] * len(quantities)
    for _ in range(pieces):
        for position, wanted in enumerate(quantities):
            if given[position] < wanted:
                given[position] += 1
                break
    return given


def cut(shares: Shares, pieces: int, code: str, code_of_nothing: str) -> Shares:
    """What is left of the lines when there are only so many pieces."""
    given = first_come([quantity for quantity, _ in shares], max(pieces, 0))
    return [
        (now, before_code) if now == before else (now, code if now else code_of_nothing)
        for (before, before_code), now in zip(shares, given, strict=True)
    ]


def nothing(shares: Shares, code: str) -> Shares:
    return [(0, code if quantity else was) for quantity, was in shares]


def total(shares: Shares) -> int:
    return sum(quantity for quantity, _ in shares)


def within_limits(shares: Shares, item: CatalogueItem, held: int) -> Shares:
    """The nearest sum that is allowed: above what is asked, else below it."""
    asked = held + total(shares)
    above = next((n for n in range(asked, 100) if allowed(n, item)), None)
    if above is not None:
        extra = above - asked
        quantity, code = shares[-1]
        if extra:
            code = "quantity_raised_min" if asked < item.min_quantity else "quantity_rounded_step"
        return [*shares[:-1], (quantity + extra, code)]
    below = next((n for n in range(asked, held, -1) if allowed(n, item)), None)
    if below is None:
        return nothing(shares, "quantity_below_min")
    return cut(shares, below - held, "quantity_reduced_max", "quantity_below_min")


def within_stock(shares: Shares, item: CatalogueItem, held: int, policy: Policy) -> Shares:
    stock = item.stock
    if stock is None or policy.stock == "ignore":
        return shares
    if policy.stock == "skip":
        kept: Shares = []
        for quantity, code in shares:
            fits = held + total(kept) + quantity <= stock
            kept.append((quantity, code) if fits or not quantity else (0, "out_of_stock"))
        bad = policy.limits and total(kept) and not allowed(held + total(kept), item)
        return nothing(kept, "quantity_below_min") if bad else kept
    if held + total(shares) <= stock:
        return shares
    reachable = next(n for n in range(stock, -1, -1) if not policy.limits or n % item.step_quantity == 0)
    if policy.limits and held < reachable < item.min_quantity:
        return nothing(shares, "quantity_below_min")
    return cut(shares, reachable - held, "quantity_reduced_stock", "out_of_stock")


def expected(quantities: tuple[int, ...], item: CatalogueItem, held: int, policy: Policy) -> Shares:
    shares: Shares = [(quantity, None) for quantity in quantities]
    if policy.limits:
        shares = within_limits(shares, item, held)
    return within_stock(shares, item, held, policy)


@pytest.mark.rule("FM-09", "FM-12", "FM-21", "FM-22", "FM-27")
@pytest.mark.parametrize("limits", [True, False])
@pytest.mark.parametrize("stock_policy", ["ignore", "partial", "skip"])
def test_every_small_world(stock_policy: Any, limits: bool) -> None:  # noqa: FBT001
    policy = Policy(stock_policy, limits, merge=False)
    wishes = [(n,) for n in range(1, 6)] + list(product(range(1, 4), repeat=2)) + list(product((1, 2), repeat=3))
    bounds = [(low, high) for low in range(1, 4) for high in (None, 1, 2, 3, 5) if high is None or high >= low]
    seen: set[str | None] = set()
    for quantities, held, (low, high), step, stock in product(wishes, range(4), bounds, (1, 2, 3), (None, *range(6))):
        item = CatalogueItem(
            "S", 1, "S", "S", "EUR", min_quantity=low, max_quantity=high, step_quantity=step, prices=[Price(1, 5)],
            stock=stock,
        )  # fmt: skip
        lines = [
            SourceLine(str(position), "skus", "S", "S", "S", {}, quantity, "EUR", 5)
            for position, quantity in enumerate(quantities)
        ]
        in_cart = {("S", "other options"): held} if held else {}
        outcomes = decide(lines, {"S": item}, in_cart, policy)
        told = [(outcome.resulting_quantity, outcome.code) for outcome in outcomes]
        assert told == expected(quantities, item, held, policy), (quantities, held, item, policy)
        seen |= {code for _, code in told}
    codes: set[str | None] = {
        "quantity_below_min",
        "quantity_reduced_max",
        "quantity_raised_min",
        "quantity_rounded_step",
    }
    of_stock: dict[str, set[str | None]] = {
        "ignore": set(),
        "partial": {"quantity_reduced_stock", "out_of_stock"},
        "skip": {"out_of_stock"},
    }
    assert seen == {None} | (codes if limits else set()) | of_stock[stock_policy]
