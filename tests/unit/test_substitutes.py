"""What comes in the place of a line that can't be had, beside a second implementation that goes through the shelves."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.rules.outcome_texts import detail
from service.rules.outcomes import CatalogueItem, Policy, Price, SourceLine, decide
from service.rules.substitutes import substituted

SKUS = "ABCD"
worlds = st.fixed_dictionaries(
    {
        "stock": st.tuples(*[st.one_of(st.none(), st.integers(0, 6))] * 4),
        "off": st.tuples(*[st.booleans()] * 4),
        "price": st.tuples(*[st.one_of(st.none(), st.integers(1, 9))] * 4),
        "most": st.tuples(*[st.one_of(st.none(), st.integers(1, 5))] * 4),
        "instead": st.tuples(*[st.lists(st.sampled_from(SKUS), unique=True, max_size=3)] * 4),
        "lines": st.lists(st.tuples(st.sampled_from(SKUS), st.integers(1, 4), st.booleans()), min_size=1, max_size=4),
        "stocked": st.booleans(),
    }
)


def line(position: int, sku: str, quantity: int, *, agreed: bool) -> SourceLine:
    return SourceLine(str(position), "skus", sku, sku, sku, {}, quantity, "EUR", 5, agreed=agreed)


@given(worlds)
def test_the_first_that_can_be_had_whole_comes_in_its_place(world: dict[str, Any]) -> None:
    catalogue = {
        sku: CatalogueItem(
            sku, 1, sku, sku, "EUR", disabled=off, stock=stock, max_quantity=most,
            prices=[] if price is None else [Price(1, price)],
        )
        for sku, off, stock, price, most in zip(
            SKUS, world["off"], world["stock"], world["price"], world["most"], strict=True
        )
    }  # fmt: skip
    instead = {
        sku: [other for other in others if other != sku] for sku, others in zip(SKUS, world["instead"], strict=True)
    }
    policy = Policy(stock="skip" if world["stocked"] else "ignore", merge=False)
    lines = [line(position, *of[:2], agreed=of[2]) for position, of in enumerate(world["lines"])]
    before = decide(lines, catalogue, {}, policy)
    after = substituted(before, catalogue, instead, {}, policy)
    assert [outcome.line for outcome in after] == lines
    sold = Counter(dict.fromkeys(SKUS, 0))
    for outcome in before:
        sold[str(outcome.line.sku_id)] += outcome.resulting_quantity
    for was, now in zip(before, after, strict=True):
        if not was.skipped:
            assert now == was
            continue
        wanted = was.line.quantity

        def fits(sku: str, wanted: int = wanted) -> bool:
            item, total = catalogue[sku], sold[sku] + wanted
            enough = not world["stocked"] or item.stock is None or total <= item.stock
            return not item.disabled and bool(item.prices) and enough and total <= (item.max_quantity or 99)

        chosen = next((sku for sku in instead[str(was.line.sku_id)] if fits(sku)), None)
        if chosen is None:
            assert now == was
            continue
        sold[chosen] += wanted
        assert (now.status, now.code, now.resulting_quantity) == ("adjusted", "substituted", wanted)
        assert now.substitute is catalogue[chosen]
        assert now.price == catalogue[chosen].prices[0]
        assert detail(now, "nl") == f"{chosen} komt ervoor in de plaats."


def test_the_chosen_options_have_to_suit_it() -> None:
    sizes = {"name": "size", "required": True, "values": ["S", "M"]}
    catalogue = {
        "A": CatalogueItem("A", 1, "A", "A", "EUR", disabled=True, prices=[Price(1, 5)], options=[sizes]),  # type: ignore[list-item]
        "B": CatalogueItem("B", 2, "B", "B", "EUR", prices=[Price(1, 5)]),
        "C": CatalogueItem("C", 3, "C", "C", "EUR", prices=[Price(1, 7)], options=[sizes]),  # type: ignore[list-item]
    }
    wanted = SourceLine("1", "skus", "A", "A", "A", {"size": "M"}, 1, "EUR", 5)
    policy = Policy(merge=False)
    before = decide([wanted], catalogue, {}, policy)
    (outcome,) = substituted(before, catalogue, {"A": ["B", "C"]}, {}, policy)
    assert outcome.substitute is catalogue["C"]
    assert substituted(before, catalogue, {"A": ["B"]}, {}, policy) == before
