"""How somebody who orders by a repeat link shows to be the customer of the order that it repeats.

Its customer may always sign in. A store may take something else that the customer knows of the order: a postal code or
an e-mail address. An order that lacks it can't be proven by it, and one of a guest that nothing proves is for the shop
alone to repeat.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, TypeAlias

Rule: TypeAlias = Literal["customer", "zip_code", "email"]
"""What a store takes: signing in alone, or one of the others as well."""

Proof: TypeAlias = Literal["sign_in", "zip_code", "email"]
"""The way that an order can be proven."""


def proof(rule: Rule, customer_id: str | None, answers: Sequence[str]) -> Proof | None:
    """The way to prove an order of a customer (None: of a guest) that has these answers; None when there is no way."""
    if rule != "customer" and any(_plain(rule, answer) for answer in answers):
        return rule
    return None if customer_id is None else "sign_in"


def knows(rule: Rule, answers: Sequence[str], said: str) -> bool:
    """Whether what was said is one of the answers. Nothing is no answer, and neither is what holds no letter or digit.

    Capitals don't matter; of postal codes only letters and digits do.
    """
    plain = _plain(rule, said)
    return bool(plain) and any(plain == _plain(rule, answer) for answer in answers)


def hint(way: Proof | None, answers: Sequence[str]) -> str | None:
    """The postal code that proves an order, for stores in test mode, which have no real customers; None for none."""
    return next((answer for answer in answers if way == "zip_code" and knows(way, [answer], answer)), None)


def _plain(rule: Rule, text: str) -> str:
    """A text as answers are compared; empty for what is none."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    characters = "".join(character for character in folded if character.isalnum())
    return "".join(folded.split()) if rule == "email" and characters else characters
