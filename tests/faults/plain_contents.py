"""What a subscription orders in which run, as somebody would keep it on paper: by run, item and line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Self


class Piece(NamedTuple):
    """So many pieces of a sku, and what one was agreed on at; nothing is said of prices where they don't matter.

    The shop may have set that price by hand, and may have said for this line alone whether it counts (`fixed`).
    """

    sku: str
    pieces: int
    unit: int = 0
    size: str | None = None
    by_hand: bool = False
    fixed: bool | None = None

    @property
    def what(self) -> tuple[str, str | None]:
        """What it is, however many and at whatever price."""
        return self.sku, self.size

    def becomes(self, sku: str, unit: int) -> Self:
        """Another sku in its place, at a price that nobody set by hand."""
        return self._replace(sku=sku, unit=unit, by_hand=False)


class Swap(NamedTuple):
    """The run from which on an item is another sku, at its price."""

    since: int
    sku: str
    unit: int = 0


@dataclass
class Contents:
    """The items of a subscription and what is different in single runs."""

    items: dict[str, Piece]
    """What is ordered each time."""
    lines: dict[tuple[int, bool], dict[str, Piece]] = field(default_factory=dict)
    """Run and whether it is a draft -> item, or id of an added line -> what it is then."""
    ids: dict[tuple[int, bool, str], str] = field(default_factory=dict)
    """The ids of what was sent of items."""
    swaps: dict[str, Swap] = field(default_factory=dict)
    """What items are swapped for later."""

    def each_time(self, run: int) -> dict[str, Piece]:
        """What the items are in a run, of which nothing was said."""
        found = dict(self.items)
        for item, (since, sku, unit) in self.swaps.items():
            if run >= since:
                found[item] = found[item].becomes(sku, unit)
        return found

    def swap(self, item: str, sku: str | None, since: int | None, unit: int = 0) -> None:
        """Another sku for an item, from a run on or at once; None: what was planned counts no more."""
        before = self._of_lines(item)
        self.swaps.pop(item, None)
        if sku is not None and since is None:
            self.items[item] = self.items[item].becomes(sku, unit)
        elif sku is not None and since is not None and sku != self.items[item].sku:
            self.swaps[item] = Swap(since, sku, unit)
        self._follow(item, before)

    def change(self, item: str, becomes: Piece) -> None:
        """Make an item something else in every run."""
        before = self._of_lines(item)
        self.items[item] = becomes
        self._follow(item, before)

    def _of_lines(self, item: str) -> dict[int, Piece]:
        return {run: self.each_time(run)[item] for run, _ in self.lines}

    def _follow(self, item: str, before: dict[int, Piece]) -> None:
        """Lines that were what an item was in their run are what it is now."""
        for (run, _), said in self.lines.items():
            was, now = before[run], self.each_time(run)[item]
            if item in said and said[item].what == was.what != now.what:
                said[item] = now._replace(pieces=said[item].pieces, fixed=said[item].fixed)

    def runs_by(self, run: int, waiting: Collection[int] = ()) -> None:
        """What is swapped in a run is what the item is from then on, unless runs from before it wait for their own."""
        for item, (since, sku, unit) in [*self.swaps.items()]:
            if since <= run and not any(index < since for index in waiting):
                self.items[item] = self.items[item].becomes(sku, unit)
                del self.swaps[item]

    def is_ordered_beside(self, item: str, sku: str, since: int | None) -> bool:
        """Whether another item is this sku in the same size, or will be, from a run on."""
        size = self.items[item].size
        others = {other for other, piece in self.items.items() if other != item and piece.size == size}
        now = {self.items[other].sku for other in others} if since is None else set()
        later = range(since or 1, max([since or 1, *(swap.since for swap in self.swaps.values())]) + 1)
        return sku in now | {self.each_time(run)[other].sku for run in later for other in others}

    def of(self, run: int, *, drafts: bool = False) -> dict[str, Piece]:
        """What a run orders, by item or added line."""
        items = self.each_time(run)
        found = items | self.lines.get((run, False), {}) | (self.lines.get((run, True), {}) if drafts else {})
        return {
            key: piece._replace(fixed=items[key].fixed) if piece.fixed is None and key in items else piece
            for key, piece in found.items()
        }

    def pieces(self, run: int) -> Counter[str]:
        """Pieces by sku."""
        counted: Counter[str] = Counter()
        for piece in self.of(run).values():
            counted[piece.sku] += piece.pieces
        return +counted

    def commit(self, run: int) -> None:
        """Put drafts into force."""
        self.lines[run, False] = self.lines.get((run, False), {}) | self.lines.pop((run, True), {})
        for key in [key for key in self.ids if key[:2] == (run, True)]:
            self.ids[run, False, key[2]] = self.ids.pop(key)
