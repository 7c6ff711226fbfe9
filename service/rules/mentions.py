"""Whom a document names, so that erasing a person finds it again without reading what else was sent."""

from __future__ import annotations

import re
from typing import Final

_CUSTOMER: Final = re.compile(
    r'\bcustomers(?:/|"\s*,\s*"(?:id|actor_id)"\s*:\s*")([A-Za-z0-9_-]{1,64})'
    r'|"customer(?:_id)?"\s*:\s*"([A-Za-z0-9_-]{1,64})"'
)
"""How documents name a customer: in URLs, by type and id, as who acted, and in what events say."""
_EMAIL: Final = re.compile(r'[^\s"\\<>(),;@]{1,254}@[^\s"\\<>(),;:/@]{1,254}')
"""What may be an e-mail address, with what stands around it without a blank."""


def named(said: str) -> list[str]:
    """The ids of customers and the e-mail addresses that a document names, by which erasing finds it again."""
    ids = {one for found in _CUSTOMER.findall(said) for one in found if one}
    emails = _EMAIL.findall(said)
    alone = {re.split("[:/]", one)[-1].strip(".'") for one in emails}
    return sorted({*ids, *emails, *alone})
