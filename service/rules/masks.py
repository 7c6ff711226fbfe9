"""What may be shown of a person to somebody who only holds a link: who they are to themselves, not to others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from schemas.fields import Personal
from schemas.graph import graph

HIDDEN = "***"

KEPT: Mapping[Personal, int] = {Personal.NAME: 1, Personal.ADDRESS: 2}
"""How many characters are shown of a value of a kind; of other kinds none are."""


def mask(text: str, keep: int) -> str:
    """The first `keep` characters, never more than half of them, and three asterisks: `S***`."""
    return text[: min(keep, len(text) // 2)] + HIDDEN


def address(
    *,
    first_name: str | None,
    last_name: str | None,
    company: str | None,
    zip_code: str | None,
    line_1: str | None = None,
    proves: bool = False,
) -> str:
    """An address in one line, `S*** R***, 90***`: who (a person, else a company) and where, roughly; may be empty.

    With `line_1` it can be told from others of the same person: `S*** R***, Ca***, 90***`. Of a postal code that
    `proves` who somebody is nothing is shown: `S*** R***, ***`.
    """
    person = [_of_address("first_name", first_name), _of_address("last_name", last_name)]
    who = " ".join(filter(None, person)) or _of_address("company", company)
    where = HIDDEN if proves and zip_code else _of_address("zip_code", zip_code)
    return ", ".join(filter(None, (who, _of_address("line_1", line_1), where)))


def source(name: str | None, method: str | None = None) -> str:
    """A source in a wallet by the last digits of its name, as on a card: `***4242`.

    One without is told by its payment method, since that says more to its owner than a beginning does: `My***`.
    """
    digits = re.search(r"\d{2,4}$", name or "")
    return f"{HIDDEN}{digits[0]}" if digits else method or mask(name or "", 2)


def _of_address(name: str, value: str | None) -> str:
    """An attribute of an address, as its mark lets it be shown; empty for none."""
    personal = graph["addresses"].attributes[name].mark.personal
    if not value or personal is None:
        return value or ""
    return mask(value, KEPT.get(personal, 0))
