"""Subscriptions with everything at once that are paid by card: refused, asked again, given up, and paid in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

from tests.chaos import edits, simulation
from tests.chaos.mixed import OFTEN, Editor, Mixed
from tests.chaos.purses import Card, Policy, Purse, Word
from tests.chaos.tills import Order
from tests.spec.writing import to

LADDERS = ((22, 52, 120), (22, 52, 120), (26,), ())
"""Of a store: no step leads to the hour of another run, where it isn't said which comes first."""
WORDS: tuple[Word, ...] = (
    "tok_approve",
    "tok_approve",
    "tok_approve",
    "tok_decline",
    "tok_decline",
    "tok_decline_hard",
)
POLICIES: tuple[Policy | None, ...] = (None, "keep", "keep", "pause", "cancel")


@dataclass
class Carded(Mixed):
    """One whose orders are paid by card; `paid` are those that were refused before."""

    # Of those that run each hour each retry would fall on a run.
    frequencies: ClassVar[Sequence[edits.Frequency]] = (*edits.FREQUENCIES, "weekly", *OFTEN, *OFTEN)

    purse: Purse = field(default_factory=lambda: Purse((), (), Card("", "tok_approve")))
    ends: Counter[str] = field(default_factory=Counter)
    recovered: int = 0

    @classmethod
    def of(cls, seed: str, now: datetime) -> Self:
        """One of any kind, made now."""
        made = super().of(seed, now)
        made.purse.policy = made.chance.choice(POLICIES)
        made.sent["unpaid_policy"] = made.purse.policy
        return made

    def take_purse(self, cards: Mapping[str, Word], ladder: Sequence[int]) -> None:
        """Pay from the first of some cards, by their ids."""
        found = [Card(id_, says) for id_, says in cards.items()]
        self.purse = Purse(ladder, found, found[0], self.purse.policy)

    def choose_unpaid(self, policy: Policy | None) -> None:
        """Have something else done once an order isn't asked for any more."""
        self.purse.policy = policy

    def stretch(self, now: datetime) -> None:
        """Go on to an instant, and to each before at which a run or a retry is due."""
        plain = self.plain
        while True:
            following, retry = plain.next_run() if plain.active else None, self._retry()
            instants = (following, None if retry is None else retry[0])
            due = [at for at in instants if at is not None and at <= now]
            if not due:
                break
            at = max(min(due), plain.now)
            if following is not None and following <= at:
                plain.look(at)
                self.note_runs(at)
            elif retry is not None:
                plain.now = at
                self._ask_again(retry[1], at)
        plain.now = now
        self.forget_what_never_comes()

    def _retry(self) -> tuple[datetime, int] | None:
        return self.purse.due(self.plain.paused) if self.plain.active else None

    def pay(self, index: int, order: Order, at: datetime) -> None:
        """Ask for it; what is not paid goes back to the shelf, and nothing that it asks for ahead is delivered."""
        if not order.total:
            return
        pieces = self._pieces(order)
        ends = self.purse.ask(index, pieces, at)
        if index in self.purse.debts:
            self._give_back(pieces)
            self.had["refused at first"] += 1
        self._settle(at, ends=ends)

    def _ask_again(self, index: int, at: datetime) -> None:
        pieces = self.purse.debts[index].pieces
        self.had["asked again"] += 1
        ends = self.purse.ask_again(index, at, placeable=self.placeable(index))
        if index not in self.purse.debts:
            self._is_paid(index, pieces, at)
        self._settle(at, ends=ends)

    def placeable(self, index: int) -> bool:
        """Whether an order that isn't paid could be placed as things are."""
        order = self.orders[index] if index > 0 else self.extra[-index - 1]
        gone = any(sku in self.shelf.gone for (sku, _, _), _ in order.lines)
        pieces = self.purse.debts[index].pieces
        return not gone and all(self.shelf.stock[sku] >= number for sku, number in pieces.items())

    def pay_by_hand(self, index: int, at: datetime) -> None:
        """Pay what is owed otherwise."""
        debt = self.purse.debts.pop(index)
        self.had["paid by hand"] += 1
        self._is_paid(index, debt.pieces, at)
        self._settle(at, ends=False)

    def _is_paid(self, index: int, pieces: Mapping[str, int], at: datetime) -> None:
        for sku, number in pieces.items():
            self.shelf.stock[sku] -= number
        self.placed_at[index] = at
        self.recovered += 1

    def _pieces(self, order: Order) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for (sku, _, _), number in order.lines:
            if sku in self.shelf.stock:
                counted[sku] += number
        return counted

    def _give_back(self, pieces: Mapping[str, int]) -> None:
        for sku, number in pieces.items():
            self.shelf.stock[sku] += number

    def _settle(self, at: datetime, *, ends: bool) -> None:
        """What follows an answer."""
        was, self.till.owed = self.till.owed, self.till.opened in self.purse.debts
        # What comes behind it was foretold as things were.
        self.surprised = self.surprised or was != self.till.owed
        if not ends or self.cancelled:
            return
        policy = self.purse.policy or "keep"
        self.ends[policy] += 1
        if policy == "keep":
            return
        self.plain.edit(at)
        self.plain.active = False
        if policy == "cancel":
            self.end()
        for index in [index for index in self.foretold if index not in self.ran_at]:
            del self.foretold[index]

    def end(self) -> None:
        """Stop for good."""
        super().end()
        self.purse.stop()

    def settled(self) -> list[simulation.Row]:
        """The rows that are past; an order that isn't paid isn't placed."""
        rows = super().settled()
        return [row._replace(placed_at=None) if row.place in self.purse.debts else row for row in rows]

    def features(self) -> Counter[str]:
        """How many orders had what, for the report."""
        found = super().features()
        found["paid by card"] += len(self.orders)
        found["paid once asked again"] += self.recovered
        for policy, number in self.ends.items():
            found[f"not paid: {policy}"] += number
        return found


async def change_cards(one: Carded, editor: Editor) -> None:
    """Another card in the place of one in the wallet, or the other one pays from now on."""
    card = one.chance.choice([*one.purse.cards])
    if one.chance.randrange(3) == 0 and card is not one.purse.pays:
        linked = {"customer_payment_source": to("customer_payment_sources", card.id)}
        answer = await editor.api.update("order_subscriptions", editor.id_, None, linked)
        if one.note(editor, answer, what=card.id[-4:]):
            one.purse.take(card, editor.now)
        return
    says = one.chance.choice([word for word in WORDS if word != card.says])
    answer = await editor.api.update("customer_payment_sources", card.id, {"payment_source_token": says})
    if one.note(editor, answer, what=(card.id[-4:], says)):
        one.purse.change(card, says, editor.now)


async def pay_by_hand(one: Carded, editor: Editor) -> None:
    """A customer pays what is owed for a run with something that isn't in the wallet."""
    owed = sorted(run for run in one.purse.debts if run > 0)
    if not owed:
        return
    run = one.chance.choice(owed)
    url = f"order_subscriptions/{editor.id_}/occurrences?sort=-occurrence_index&page[size]=100"
    rows = (await editor.api.get(url))["data"]
    (id_,) = [row["id"] for row in rows if row["attributes"]["occurrence_index"] == run]
    (order,) = (await editor.api.get(f"occurrences/{id_}/orders"))["data"]
    sent = {"_place": True, "_payment_source_token": "tok_approve"}
    answer = await editor.api.update("orders", order["id"], sent)
    if one.note(editor, answer, refused=not one.placeable(run), what=run):
        one.pay_by_hand(run, editor.now)
