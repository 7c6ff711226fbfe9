"""What may be shown of a person to somebody who only holds a link: who they are to themselves, not to others."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.fields import Personal
from schemas.graph import graph

HIDDEN = "***"

KEPT: Mapping[Personal, int] = {Personal.NAME: 1, Personal.ADDRESS: 2}
"""How many characters are shown of a value of a kind; of other kinds none are."""


_DIGITS = 4
"""How many digits a number has at least of which some are shown."""


def mask(text: str, keep: int) -> str:
    """The first `keep` characters, never more than half of them, and three asterisks: `S***`."""
    return text[: min(keep, len(text) // 2)] + HIDDEN


def address(
    *, first_name: str | None, last_name: str | None, company: str | None, zip_code: str | None, proves: bool = False
) -> str:
    """An address in one line, `S*** R***, 90***`: who (a person, else a company) and where, roughly; may be empty.

    Of a postal code that `proves` who somebody is nothing is shown: `S*** R***, ***`.
    """
    person = [_of_address("first_name", first_name), _of_address("last_name", last_name)]
    who = " ".join(filter(None, person)) or _of_address("company", company)
    where = HIDDEN if proves and zip_code else _of_address("zip_code", zip_code)
    return ", ".join(filter(None, (who, where)))


def _of_address(name: str, value: str | None) -> str:
    """An attribute of an address, as its mark lets it be shown; empty for none."""
    personal = graph["addresses"].attributes[name].mark.personal
    if not value or personal is None:
        return value or ""
    return mask(value, KEPT.get(personal, 0))


def source(name: str | None) -> str:
    """What something in a wallet is called, `V*** 42`: enough for whose it is to tell it from others; may be empty.

    Of a number at its end the last two digits are shown.
    """
    if not name:
        return ""
    digits = name[len(name.rstrip("0123456789")) :]
    return mask(name, 1) + (f" {digits[-2:]}" if len(digits) >= _DIGITS else "")
