"""Subscriptions with everything at once: dates, contents, prices and payments are edited, each beside a plain count.

Dates are those of `edits`; what single runs order, what items are swapped for, where they go and what they cost is
added here. Each order is held against that count, and against the forecast that was read before it was due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple, Self

import httpx2

from tests.chaos import edits
from tests.chaos.edits import Edited, Frequency
from tests.chaos.purses import Policy
from tests.chaos.tills import Fails, Held, Order, Paid, Phase, Shelf, Till, Way
from tests.faults.plain_calendar import Row
from tests.faults.plain_contents import Contents, Piece
from tests.spec.writing import Api

OFTEN = ("10-day", "2-week", "1-week:monday,thursday", "2-week:tuesday,saturday,sunday", "3-week:friday", "weekly")
PHASES: Sequence[Sequence[Phase]] = (
    (),
    (),
    (Phase(3, percentage="20"), Phase(None, percentage="5")),
    (Phase(2, percentage="12.5"), Phase(3, amount=333)),
    (Phase(4, amount=100), Phase(2, percentage="33.33"), Phase(None, amount=250)),
)
RISES = (None, None, 1, 8, 25)
"""By how many percent what a run costs may rise before somebody has to agree."""
UNAVAILABLE = (None, "fail", "skip_line", "partial", "substitute", "substitute")
AHEAD = 5
"""How many runs ahead contents are changed."""
FORESEEN = 45
"""How many occurrences a page of a forecast shows."""
SIZES = ("S", "M", "L")
"""What is chosen of every sku."""
FEW = 40
"""How often one that runs each hour runs at most."""


class Told(NamedTuple):
    """What a forecast says of a run: when it is, what it orders, what for (None: it fails), and whether it is held."""

    at: datetime
    lines: tuple[tuple[tuple[str, int], int], ...]
    total: int | None
    is_held: bool = False

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """The same of a document."""
        counted: Counter[tuple[str, int]] = Counter()
        for line in attributes["lines"]:
            if line["status"] != "skipped":
                sku = line["substitute_sku_code"] or line["sku_code"]
                counted[sku, line["current_unit_amount_cents"]] += line["quantity"]
        total = attributes["total_amount_cents"]
        at = datetime.fromisoformat(attributes["scheduled_at"])
        return cls(at, () if total is None else tuple(sorted(counted.items())), total, attributes["needs_approval"])


@dataclass
class Mixed(Edited):
    """A subscription whose contents are edited as well; `orders` and `foretold` are what it comes to, by index.

    `held` are the orders that had to wait until somebody agreed, `waits_for` at which total and since when that is so
    now, and `heard` the runs that the service has held. `extra` are the orders of runs outside of its schedule, and
    `asked` when those were asked for, and whether they were made.
    """

    frequencies: ClassVar[Sequence[Frequency]] = (*edits.FREQUENCIES, "weekly", *OFTEN, *OFTEN, edits.SELDOM)

    till: Till = field(default_factory=lambda: Till(fixed=True))
    shelf: Shelf = field(default_factory=lambda: Shelf({}))
    contents: Contents = field(default_factory=lambda: Contents({}))
    least: int = 0
    address: str = ""
    goes_to: dict[int, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    own_sku: str = ""
    way: str = ""
    ships_by: dict[int, str] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    held: dict[int, Order] = field(default_factory=dict)
    waits_for: dict[int, tuple[int, datetime]] = field(default_factory=dict)
    heard: set[int] = field(default_factory=set)
    foretold: dict[int, Told] = field(default_factory=dict)
    cancelled: bool = False
    seen: set[int] = field(default_factory=set)
    made_at_once: set[int] = field(default_factory=set)
    surprised: bool = False
    had: Counter[str] = field(default_factory=Counter)
    extra: list[Order] = field(default_factory=list)
    asked: list[tuple[datetime, bool]] = field(default_factory=list)
    _customer: Api | None = None

    @classmethod
    def of(cls, seed: str, now: datetime) -> Self:
        """One of any kind, made now."""
        made = super().of(seed, now)
        chance, plain = made.chance, made.plain
        phases, prepaid = chance.choice(PHASES), chance.choice((None, None, 2, 3, 5))
        made.till = Till(chance.randrange(2) == 0, chance.choice(UNAVAILABLE), phases, prepaid)
        apart, made.least = chance.choice((None, None, 2, 9)), chance.choice((0, 0, 2, 5))
        plain.apart = None if apart is None else timedelta(days=apart)
        plain.source, plain.paid_for = now, None if prepaid is None else 0
        made.sent |= {
            "price_mode": "fixed" if made.till.fixed else "current",
            "unavailable_policy": made.till.unavailable,
            "pricing_phases": [phase.sent for phase in phases] or None,
            "prepaid_occurrences": prepaid,
            "min_days_between_runs": apart,
            "min_occurrences": made.least or None,
        }
        made.till.rise = chance.choice(RISES)
        if made.till.rise is not None:
            # Of several that are made up for at once, one that is held would leave its turn to none.
            made.sent["max_increase_percent"] = made.till.rise
            made.sent["catchup_policy"] = plain.policy = made.a_policy()
        if plain.frequency == edits.SELDOM:
            made.sent["max_occurrences"] = plain.most = FEW
        return made

    async def begin(  # noqa: PLR0917 -- what it is made from
        self, id_: str, shop: Api, customer: Api, shelf: Shelf, addresses: Mapping[str, str], extra: Paid | None
    ) -> None:
        """Take what it is as it was made, for a customer with addresses, the first being where it goes."""
        self._customer, self.shelf, self.addresses = customer, shelf, dict(addresses)
        self.address, self.way = next(iter(addresses.values())), next(iter(shelf.ways))
        found = (await shop.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
        of = {one["id"]: one["attributes"] for one in found}
        self.contents.items = {
            item: Piece(one["sku_code"], one["quantity"], one["unit_amount_cents"], one["options"].get("size"))
            for item, one in of.items()
        }
        if extra is not None:
            self.till.extras = {item: extra for item, piece in self.contents.items.items() if piece.sku == extra.sku}

    @property
    def customer(self) -> Api:
        """The customer's own token."""
        assert self._customer is not None
        return self._customer

    def make(self, index: int, row: Row, at: datetime) -> None:
        """Make the order of a run, fail, or wait. Too little stock is known from the next forecast on."""
        self._order(index, row, at, heard=index in self.heard)
        self.surprised = self.surprised or self.till.short
        if self.surprised:
            self.made_at_once.add(index)
        # What comes behind it was foretold as if somebody agreed to it.
        self.surprised = self.surprised or row.status == "held"

    def agree(self, index: int, at: datetime, *, heard: bool) -> None:
        """Make the order of a run at the total at which it is held."""
        self._order(index, self.plain.rows[index], at, agreed=self.waits_for.pop(index)[0], heard=heard)
        self.placed_at[index] = at

    def _order(self, index: int, row: Row, at: datetime, *, agreed: int | None = None, heard: bool) -> None:
        way, address = Way(self.ships_by.get(index, self.way), self.way), self.goes_to.get(index, self.address)
        try:
            order = self.till.order(
                self.contents, index, self.shelf, at, self.plain.most, way, agreed=agreed, heard=heard
            )
        except Fails:
            row.status = "failed"
        except Held as held:
            row.status = "held"
            self.held.setdefault(index, held.order)
            self.waits_for[index] = held.order.total, at
            self.had["held"] += 1
        else:
            self.orders[index] = order._replace(address=address)
            self._note(self.contents.of(index))
            self.contents.runs_by(max(self.orders), self.waiting())
            self.pay(index, order, at)
        self.plain.paid_for = self.till.paid_for(self.till.prepaid)
        self.plain.settle_end()

    def run_extra(self, at: datetime) -> None:
        """Make an order outside of the schedule, or fail: of the items as they are on the next date."""
        index = self.plain.next
        while self.plain.row(index).status == "skipped":
            index += 1
        try:
            order = self.till.extra(self.contents.each_time(index), self.shelf, at, self.way)
        except Fails:
            self.asked.append((at, False))
        else:
            self.asked.append((at, True))
            self.extra.append(order._replace(address=self.address))
            self.pay(-len(self.extra), order, at)

    def pay(self, index: int, order: Order, at: datetime) -> None:
        """Pay an order, one outside of the schedule from -1 down: by invoice, which nobody is asked for."""

    def _note(self, lines: Mapping[str, Piece]) -> None:
        """Note what an order had, for the report."""
        ordered = [(item, piece) for item, piece in lines.items() if piece.pieces]
        self.had["price set by hand"] += any(piece.by_hand for _, piece in ordered)
        self.had["price mode of a line"] += any(piece.fixed not in (None, self.till.fixed) for _, piece in ordered)
        self.had["sizes"] += any(piece.size is not None for _, piece in ordered)
        self.had["options that cost"] += any(item in self.till.extras and piece.size for item, piece in ordered)
        self.had["of what is counted"] += any(piece.sku in self.shelf.stock for _, piece in ordered)
        self.had["too little in stock"] += self.till.short
        self.had["hourly"] += self.plain.frequency == edits.SELDOM

    def stretch(self, now: datetime) -> None:
        """Go on to an instant."""
        super().stretch(now)
        self.forget_what_never_comes()

    def forget_what_never_comes(self) -> None:
        """Runs behind the end take with them what was said of them."""
        runs = {run for run, _ in self.contents.lines} | self.goes_to.keys() | self.ships_by.keys()
        for run in [run for run in runs if run >= self.plain.next and not self.plain.reaches(run)]:
            self.goes_to.pop(run, None)
            self.ships_by.pop(run, None)
            for draft in (False, True):
                self.contents.lines.pop((run, draft), None)
            for key in [key for key in self.contents.ids if key[0] == run]:
                del self.contents.ids[key]

    def unseen(self, index: int) -> bool:
        """Whether a run came up between an edit and the next forecast."""
        return index in self.made_at_once

    async def foretell(self, api: Api, id_: str, until: datetime) -> None:
        """Keep what the forecast says of the runs until an instant."""
        self.surprised = False
        async for run in planned(api, id_):
            told = Told.of(run)
            if told.at > until:
                return
            self.foretold[run["occurrence_index"]] = told

    def features(self) -> Counter[str]:
        """How many orders had what at the time, for the report."""
        found: Counter[str] = Counter()
        found["fixed prices" if self.till.fixed else "current prices"] += len(self.orders)
        found["phases"] += len(self.orders) if self.till.phases else 0
        found["paid for before"] += sum(order.total == 0 for order in self.orders.values())
        found["paid together"] += len(self.orders) if self.till.prepaid else 0
        found["elsewhere"] += sum(run in self.goes_to for run in self.orders)
        found["shipped otherwise"] += sum(run in self.ships_by for run in self.orders)
        found += self.had
        found["contents of their own"] += sum(bool(self.contents.lines.get((run, False))) for run in self.orders)
        found["ordered now"] += sum(self.plain.rows[run].reason == "ordered" for run in self.orders)
        found[f"unavailable: {self.till.unavailable}"] += len(self.orders)
        found["extra"] += len(self.extra)
        found["failed"] += sum(row.status == "failed" for row in self.plain.rows.values())
        found["held, and nobody agreed"] += sum(row.reason == "approval" for row in self.plain.rows.values())
        found["held, and somebody agreed"] += len(self.held.keys() & self.orders.keys())
        found["held, and rejected"] += sum(row.reason == "rejected" for row in self.plain.rows.values())
        found["whether held in doubt"] += len(self.till.doubts)
        return found

    def note(self, editor: Editor, answer: httpx2.Response, *, refused: bool = False, what: object = "") -> bool:
        """Whether an edit was made; that it was answered otherwise than it should is noted."""
        self.tell(editor.now, editor.name, what, refused=refused)
        if answer.is_success == refused or answer.status_code not in (200, 201, 204, 409, 422, 429):
            self.wrong = f"{answer.status_code} {answer.text}"
        return answer.is_success and not refused

    def choose_unpaid(self, policy: Policy | None) -> None:
        """Have something else done once an order isn't asked for any more: nothing here, where nobody is asked."""

    def end(self) -> None:
        """Stop for good."""
        self.cancelled = True
        for index in self.waiting():
            self.plain.rows[index] = replace(self.plain.rows[index], status="skipped", reason="cancelled")

    def waiting(self) -> list[int]:
        """The runs that are held."""
        return [index for index, row in self.plain.rows.items() if row.status == "held"]

    def a_policy(self) -> str:
        """What to make up for."""
        return self.chance.choice(edits.POLICIES if self.till.rise is None else ("run_once", "skip"))

    def a_run(self) -> int:
        """One of the runs to come."""
        return self.chance.choice(self.plain.coming(AHEAD))

    def is_closed(self, run: int) -> bool:
        """Whether it is too late to change a run."""
        at = self.plain.row(run).at
        return at <= self.plain.now or self.plain.is_closed(at)

    def a_sku(self) -> str:
        """A sku that is to be had."""
        if self.chance.randrange(4) == 0:
            return self.own_sku
        known = self.shelf.prices.keys() - self.shelf.gone
        return self.chance.choice(
            sorted(code for code in known if code == self.own_sku or code not in self.shelf.stock)
        )

    def repriced(self, was: Piece, wanted: Piece, editor: Editor, set_to: int | None = None, *, counts: bool) -> Piece:
        """What a line becomes that is `wanted` at a price `set_to` by the shop; None: at the one that follows.

        Another product costs what it does today, and so does another number that a customer wants, unless the shop has
        set its price by hand. Whether the agreed price of the line `counts` is said apart.
        """
        if set_to is not None:
            by_hand = was.by_hand or (set_to, wanted.pieces) != (was.unit, was.pieces)
            return wanted._replace(unit=set_to, by_hand=by_hand)
        more = wanted.pieces != was.pieces and not was.by_hand
        if wanted.what != was.what or (more and (editor.by_customer or not counts)):
            return wanted.becomes(wanted.sku, self.shelf.price(wanted.sku, editor.now))
        return wanted._replace(unit=was.unit, by_hand=was.by_hand)


@dataclass(frozen=True)
class Editor:
    """Who edits which subscription when, and what the edit is called."""

    api: Api
    id_: str
    now: datetime
    name: str
    by_customer: bool


async def planned(api: Api, id_: str) -> AsyncIterator[Mapping[str, Any]]:
    """The runs to come that a forecast tells of, page by page."""
    number, more = 1, True
    while more:
        url = f"order_subscriptions/{id_}/forecast?page[size]={FORESEEN}&page[number]={number}"
        found = await api.get(url)
        for one in found["data"]:
            if one["attributes"]["status"] == "planned":
                yield one["attributes"]
        number, more = number + 1, found["links"].get("next") is not None
