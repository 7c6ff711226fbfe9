"""What orders of a subscription come to, worked out a second time: lines, phases, deliveries paid together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from tests.faults.plain_contents import Contents, Piece

STRICT = (None, "fail")
"""What is to become of a run of which something can't be had: it fails."""


class Fails(Exception):
    """The run makes no order."""


class Held(Exception):
    """The run costs too much more than the last: its order waits until somebody agrees."""

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self.order = order


class Sale(NamedTuple):
    """A lower price for a time."""

    amount: int
    since: datetime
    until: datetime


@dataclass
class Shelf:
    """What a shop sells: the price of one by the code of its sku, what is not to be had, and what comes instead.

    `ways` are the prices of ways to ship, by their ids, and `stock` is how many there are of skus that are counted.
    """

    prices: dict[str, int]
    ways: dict[str, int] = field(default_factory=dict)
    sales: Mapping[str, Sale] = field(default_factory=dict)
    instead: Mapping[str, Sequence[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    stock: dict[str, int] = field(default_factory=dict)

    def price(self, sku: str, at: datetime) -> int:
        """What one costs at an instant."""
        sale = self.sales.get(sku)
        on_sale = sale is not None and sale.since <= at < sale.until
        return min(self.prices[sku], sale.amount) if sale is not None and on_sale else self.prices[sku]


class Phase(NamedTuple):
    """So many runs (None: all that follow), and what each costs less: a percentage, or an amount."""

    runs: int | None
    percentage: str | None = None
    amount: int | None = None

    @property
    def sent(self) -> dict[str, object]:
        """The phase as it is sent."""
        off = {"amount_cents": self.amount} if self.percentage is None else {"percentage": float(self.percentage)}
        return {"occurrences": self.runs, **off}


class Paid(NamedTuple):
    """What was chosen of a sku and costs extra: so much for so many pieces, as the source order has it."""

    sku: str
    size: str
    pieces: int
    amount: int

    def share(self, piece: Piece, *, fixed: bool) -> int | None:
        """What it costs in a line; None: nobody knows."""
        if piece.size is None:
            return 0
        known = fixed and piece.what == (self.sku, self.size)
        return (
            self.amount * piece.pieces // self.pieces
            if known and not self.amount * piece.pieces % self.pieces
            else None
        )


class Sold(NamedTuple):
    """What an item or an added line is in an order; `extra` is what its paid options cost.

    So many pieces were `asked` for of it, at a price of one that was `agreed` on.
    """

    item: str
    wanted: str
    sku: str
    size: str | None
    pieces: int
    unit: int
    extra: int = 0
    asked: int = 0
    agreed: int = 0


class Last(NamedTuple):
    """The order before: pieces and price of one of its lines, by sku and size; how it was shipped, and for how much."""

    lines: Mapping[tuple[str, str | None], Sequence[tuple[int, int]]]
    way: str
    shipping: int


class Way(NamedTuple):
    """The ways to ship of a run, and of the subscription's other runs."""

    of_run: str
    plain: str


class Order(NamedTuple):
    """An order: pieces by sku, size and price of one, what is asked for with it, where it goes, and how."""

    lines: tuple[tuple[tuple[str, str | None, int], int], ...]
    total: int
    address: str
    way: str

    @property
    def told(self) -> tuple[tuple[tuple[str, int], int], ...]:
        """The lines as forecasts tell them, which leave sizes out."""
        counted: Counter[tuple[str, int]] = Counter()
        for (sku, _, unit), pieces in self.lines:
            counted[sku, unit] += pieces
        return tuple(sorted(counted.items()))


@dataclass
class Till:
    """The terms of a subscription that say what it pays, and what it has paid for so far.

    `short` says that the last run wasn't all that it was to be, since too little was in stock: nobody foretells that.
    Where nothing is left out, too little is noticed only once nobody has to agree any more. A run may cost at most so
    many percent (`rise`) more than the `last` order. Where a line was ordered in another number then, it hangs on when
    it was written whether that price counts: `doubts` are the runs that this decides about.
    `opened` is the run whose order asks for others behind it, and `owed` says that it isn't paid.
    """

    fixed: bool
    unavailable: str | None = None
    phases: Sequence[Phase] = ()
    prepaid: int | None = None
    extras: Mapping[str, Paid] = field(default_factory=dict)
    ran: int = 0
    parts: list[int] = field(default_factory=list)
    paid_at: dict[str, tuple[str, int]] = field(default_factory=dict)
    shipped_at: tuple[str, int] = ("", 0)
    short: bool = False
    rise: int | None = None
    last: Last | None = None
    doubts: set[int] = field(default_factory=set)
    opened: int | None = None
    owed: bool = False

    def order(  # noqa: PLR0917 -- all that an order depends on
        self,
        contents: Contents,
        run: int,
        shelf: Shelf,
        at: datetime,
        most: int | None,
        way: Way,
        *,
        agreed: int | None = None,
        heard: bool = False,
    ) -> Order:
        """The order of a run, but for its address, to which somebody has `agreed` at such a total.

        `heard` says that it was held, where that is in doubt. Raises Fails and Held; then nothing has changed.
        """
        self.short = False
        if self.parts and self.owed:
            raise Fails
        sold = self._sold(contents.of(run), shelf, at, items=contents.items, left={**shelf.stock})
        kept = self.parts and self.shipped_at[0] == way.of_run
        shipped = self.shipped_at[1] if kept else shelf.ways[way.of_run]
        total = own = self._cost(sold, self.ran + 1, shipped)
        parts, paid_at, shipped_at = self.parts, self.paid_at, self.shipped_at
        opened = self.opened
        if self.parts:
            total, parts = max(own - self.parts[0], 0), self.parts[1:]
        elif self.prepaid is not None:
            deliveries = self.prepaid if most is None else min(self.prepaid, most - self.ran)
            if deliveries > 1:
                plain = self._sold(contents.each_time(run), shelf, at, items=contents.items, left={})
                shipping = shelf.ways[way.plain]
                parts = [self._cost(plain, self.ran + 1 + ahead, shipping) for ahead in range(1, deliveries)]
                shipped_at = way.plain, shipping
                paid_at = {one.item: (one.sku, one.unit) for one in plain if one.sku == one.wanted}
                total, opened = own + sum(parts), run
        if (agreed is None or total > agreed) and self._rises(run, sold, way.of_run, shipped, heard=heard):
            raise Held(_order(sold, total, way.of_run))
        if self.short and self.unavailable in STRICT:
            raise Fails
        self.parts, self.paid_at, self.shipped_at, self.opened = parts, paid_at, shipped_at, opened
        self.ran += 1
        self._take(sold, shelf, way.of_run, shipped)
        return _order(sold, total, way.of_run)

    def _rises(self, run: int, sold: Sequence[Sold], way: str, shipping: int, *, heard: bool) -> bool:
        """Whether what is sold costs too much more than it did last; phases count in neither."""
        if self.rise is None:
            return False
        alike = self.last is not None and self.last.way == way
        before = self.last.shipping if self.last is not None and alike else shipping
        now = sum(one.pieces * one.unit + one.extra for one in sold) + shipping
        prices = [(one, self._before(one)) for one in sold]
        least, most = (
            before + sum(one.pieces * pick(known) + one.extra for one, known in prices) for pick in (min, max)
        )
        if 100 * now > least * (100 + self.rise) and 100 * now <= most * (100 + self.rise):
            self.doubts.add(run)
            return heard
        return 100 * now > most * (100 + self.rise)

    def _before(self, one: Sold) -> set[int]:
        """What one of it may have cost before; one price mostly."""
        lines = () if self.last is None else self.last.lines.get((one.wanted, one.size), ())
        known = [{unit} if pieces == one.asked else {one.agreed, max(one.agreed, unit)} for pieces, unit in lines]
        return set().union(*known) if known else {one.agreed}

    def _take(self, sold: Sequence[Sold], shelf: Shelf, way: str, shipping: int) -> None:
        """Take what is sold from the shelf, and remember at what."""
        lines: dict[tuple[str, str | None], list[tuple[int, int]]] = {}
        for one in sold:
            lines.setdefault((one.sku, one.size), []).append((one.pieces, one.unit))
            if one.sku in shelf.stock:
                shelf.stock[one.sku] -= one.pieces
        self.last = Last(lines, way, shipping)

    def extra(self, wanted: Mapping[str, Piece], shelf: Shelf, at: datetime, way: str) -> Order:
        """The order of a run outside of the schedule: as the next would be by itself. Raises Fails."""
        self.short = False
        sold = self._sold(wanted, shelf, at, items={}, left={**shelf.stock})
        if self.short and self.unavailable in STRICT:
            raise Fails
        self._take(sold, shelf, way, shelf.ways[way])
        return _order(sold, self._cost(sold, self.ran + 1, shelf.ways[way]), way)

    def paid_for(self, prepaid: int | None) -> int | None:
        """How many deliveries are paid for, with so many paid for at once from now on; None: each is by itself."""
        return len(self.parts) if self.parts or prepaid is not None else None

    def counts(self, piece: Piece) -> bool:
        """Whether the agreed price of a line counts."""
        return self.fixed if piece.fixed is None else piece.fixed

    def _sold(
        self,
        wanted: Mapping[str, Piece],
        shelf: Shelf,
        at: datetime,
        *,
        items: Mapping[str, Piece],
        left: dict[str, int],
    ) -> list[Sold]:
        """What is to be had of what is wanted, with so many pieces `left` of what is counted. Raises Fails."""
        found: list[Sold] = []
        for item, piece in sorted(wanted.items(), key=lambda line: (line[0] not in items, line[0])):
            sold = self._line(item, piece, shelf, at, paid=item in items, left=left) if piece.pieces else None
            if sold is not None:
                found.append(sold)
                left[sold.sku] = left.get(sold.sku, 0) - sold.pieces
        if not found:
            raise Fails
        return found

    def _line(
        self, item: str, piece: Piece, shelf: Shelf, at: datetime, *, paid: bool, left: Mapping[str, int]
    ) -> Sold | None:
        """What a line comes to, None where it is left out; it may be `paid` for. Raises Fails."""
        fixed, sku, extra, pieces = self.counts(piece), piece.sku, 0, piece.pieces
        if item in self.extras:
            known = self.extras[item].share(piece, fixed=fixed)
            if known is None or (known and sku in shelf.gone):
                self._leave_out()
                return None
            extra = known
        counted = sku in shelf.stock and sku in left and sku not in shelf.gone
        if counted and left[sku] < pieces:
            self.short = True
            if self.unavailable not in STRICT:
                pieces = left[sku] if self.unavailable == "partial" else 0
        if pieces and sku not in shelf.gone:
            unit, agreed = piece.unit if fixed else shelf.price(sku, at), piece.unit
            if self.parts and paid and self.paid_at.get(item, ("", 0))[0] == sku:
                unit = agreed = self.paid_at[item][1]
            return Sold(item, sku, sku, piece.size, pieces, unit, extra, piece.pieces, agreed)
        if self.unavailable == "substitute":
            other = next((code for code in shelf.instead.get(sku, ()) if code not in shelf.gone), None)
            if other is None:
                raise Fails
            agreed = piece.unit
            if self.parts and paid and self.paid_at.get(item, ("", 0))[0] == sku:
                agreed = self.paid_at[item][1]
            price = shelf.price(other, at)
            return Sold(item, sku, other, piece.size, piece.pieces, price, 0, piece.pieces, agreed)
        self._leave_out()
        return None

    def _leave_out(self) -> None:
        """Leave a line out that can't be had. Raises Fails where the policy isn't to."""
        if self.unavailable in (*STRICT, "substitute"):
            raise Fails

    def _cost(self, sold: Sequence[Sold], run: int, shipping: int) -> int:
        """What a run costs by itself, the first being 1."""
        items = sum(one.pieces * one.unit + one.extra for one in sold)
        return items - self._off(items, run) + shipping

    def _off(self, items: int, run: int) -> int:
        for phase in self.phases:
            if phase.runs is None or run <= phase.runs:
                if phase.percentage is None:
                    return min(phase.amount or 0, items)
                return int((items * Decimal(phase.percentage) / 100).quantize(Decimal(1), ROUND_HALF_EVEN))
            run -= phase.runs
        return 0


def _order(sold: Sequence[Sold], total: int, way: str) -> Order:
    counted: Counter[tuple[str, str | None, int]] = Counter()
    for one in sold:
        counted[one.sku, one.size, one.unit] += one.pieces
    return Order(tuple(sorted(counted.items(), key=str)), total, "", way)
