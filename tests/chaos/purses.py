"""What the cards of a subscription are asked for, and when again, worked out a second time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

Word = Literal["tok_approve", "tok_decline", "tok_decline_hard"]
"""What a card says whenever it is asked."""
Policy = Literal["keep", "pause", "cancel"]

MONTH = timedelta(days=30)
RETRIES = 20
"""So often a card is asked again in a month."""


@dataclass
class Card:
    """A card in the wallet; `barred`: it was refused for good. `retried` is when it was asked again."""

    id: str
    says: Word
    barred: bool = False
    retried: list[datetime] = field(default_factory=list)

    def rested_at(self, at: datetime) -> datetime:
        """When it may be asked again, at an instant or later."""
        late = sorted(self.retried)[-RETRIES:]
        return max(at, late[0] + MONTH) if len(late) == RETRIES else at


@dataclass
class Debt:
    """An order that isn't paid: what it takes from the shelf, how often which card refused it, when it is due again.

    `asked` are the cards that were asked for it; one that could not even be placed was not.
    """

    pieces: Mapping[str, int]
    refusals: Counter[str] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)
    due: datetime | None = None
    given_up: bool = False


@dataclass
class Purse:
    """The cards of a customer, the one that pays for a subscription, and what is owed for its runs, by their indexes.

    The hours of the `ladder` lie between one refusal and the next attempt.
    """

    ladder: Sequence[int]
    cards: Sequence[Card]
    pays: Card
    policy: Policy | None = None
    debts: dict[int, Debt] = field(default_factory=dict)

    def ask(self, run: int, pieces: Mapping[str, int], at: datetime) -> bool:
        """Ask for an order that was just made; gives whether it has come to its end without being paid."""
        self.debts[run] = Debt(pieces)
        return self._ask(run, at)

    def due(self, paused: datetime | None) -> tuple[datetime, int] | None:
        """Which order is asked for next, and when; none is while a pause lasts."""
        found = [(max(debt.due, paused or debt.due), run) for run, debt in self.debts.items() if debt.due is not None]
        return min(found, default=None)

    def ask_again(self, run: int, at: datetime, *, placeable: bool) -> bool:
        """Ask for an order that is due, if it can be placed as things are; gives whether it has come to its end."""
        debt, card = self.debts[run], self.pays
        if card.id in debt.asked:
            if card.barred:
                return self._refused(debt, at, hard=True)
            rested = card.rested_at(at)
            if rested > at:
                debt.due = rested
                return False
        if not placeable:
            return self._refused(debt, at)
        if card.id in debt.asked:
            card.retried.append(at)
        return self._ask(run, at)

    def _ask(self, run: int, at: datetime) -> bool:
        debt, card = self.debts[run], self.pays
        if card.says == "tok_approve":
            del self.debts[run]
            return False
        debt.asked.add(card.id)
        card.barred = card.barred or card.says == "tok_decline_hard"
        return self._refused(debt, at, hard=card.says == "tok_decline_hard")

    def _refused(self, debt: Debt, at: datetime, *, hard: bool = False) -> bool:
        debt.refusals[self.pays.id] += 1
        steps = self.ladder[debt.refusals[self.pays.id] - 1 :]
        debt.due = None if hard or not steps else at + timedelta(hours=steps[0])
        ends = debt.due is None and not debt.given_up
        debt.given_up = debt.due is None
        return ends

    def change(self, card: Card, says: Word, at: datetime) -> None:
        """Keep another card in the place of one, which begins anew."""
        card.says, card.barred = says, False
        for debt in self.debts.values():
            debt.refusals.pop(card.id, None)
        if card is self.pays:
            self._hurry(at)

    def take(self, card: Card, at: datetime) -> None:
        """Pay with another card from now on."""
        self.pays = card
        self._hurry(at)

    def _hurry(self, at: datetime) -> None:
        for debt in self.debts.values():
            debt.due = at

    def stop(self) -> None:
        """Ask for nothing any more."""
        for debt in self.debts.values():
            debt.due = None
