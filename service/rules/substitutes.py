"""What is ordered in the place of a line that can't be had: the first of its sku's substitutes that can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from service.rules.outcomes import SUBSTITUTED, CatalogueItem, ItemKey, Outcome, Policy, decide, options_digest

Substitutes: TypeAlias = Mapping[str, Sequence[str]]
"""The ids of skus, the best first, by the id of the sku in whose place they may come."""

MOST: Final = 10
"""How many substitutes a sku may have."""


def substituted(
    outcomes: Sequence[Outcome],
    catalogue: Mapping[str, CatalogueItem],
    substitutes: Substitutes,
    held: Mapping[ItemKey, int],
    policy: Policy,
) -> list[Outcome]:
    """The outcomes of lines, those that were skipped with a substitute where one can be had.

    A substitute is taken whole or not at all, beside what the other lines take and what is `held`, at its own price of
    the day: what was agreed on for another product doesn't hold for it. The options that were chosen have to suit it.
    """
    if not substitutes:
        return list(outcomes)
    taken = Counter(held)
    for outcome in outcomes:
        _take(taken, outcome)
    whole = replace(policy, stock="ignore" if policy.stock == "ignore" else "skip", merge=False)
    found: list[Outcome] = []
    for outcome in outcomes:
        chosen = next(_offered(outcome, catalogue, substitutes, taken, whole), outcome) if outcome.skipped else outcome
        if chosen is not outcome:
            _take(taken, chosen)
        found.append(chosen)
    return found


def _offered(
    outcome: Outcome,
    catalogue: Mapping[str, CatalogueItem],
    substitutes: Substitutes,
    taken: Mapping[ItemKey, int],
    policy: Policy,
) -> Iterator[Outcome]:
    """What a line would come to with each of its substitutes that can be had as it is, in their order."""
    line = outcome.line
    for sku_id in substitutes.get(line.sku_id or "", ()):
        (tried,) = decide([replace(line, sku_id=sku_id, agreed=False)], catalogue, taken, policy)
        if tried.status == "added":
            yield replace(tried, line=line, status="adjusted", code=SUBSTITUTED)


def _take(taken: Counter[ItemKey], outcome: Outcome) -> None:
    """Count what a line takes."""
    if outcome.item is not None:
        taken[outcome.item.sku_id, options_digest(outcome.line.options)] += outcome.resulting_quantity
