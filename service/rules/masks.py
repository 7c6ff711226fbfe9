"""What may be shown of a person to somebody who only holds a link: who they are to themselves, not to others."""

from __future__ import annotations

HIDDEN = "***"


def mask(text: str, keep: int) -> str:
    """The first `keep` characters, never more than half of them, and three asterisks: `S***`."""
    return text[: min(keep, len(text) // 2)] + HIDDEN


def address(*, first_name: str | None, last_name: str | None, company: str | None, zip_code: str | None) -> str:
    """An address in one line, `S*** R***, 90***`: who (a person, else a company) and where, roughly; may be empty."""
    names = [name for name in (first_name, last_name) if name] or [name for name in (company,) if name]
    who = " ".join(mask(name, 1) for name in names)
    return ", ".join(part for part in (who, mask(zip_code, 2) if zip_code else "") if part)
