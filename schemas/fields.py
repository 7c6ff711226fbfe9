"""What attributes, relationships and internal columns have in common: who sends them, and what they say of people."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Write(enum.Flag):
    """When a client may send a field."""

    NEVER = 0
    CREATE = enum.auto()
    UPDATE = enum.auto()
    BOTH = CREATE | UPDATE


class Personal(enum.Enum):
    """What a value says of a person. The values are the words of docs/reference/personal-data.md."""

    IDENTIFIER = "identifier"
    """Which customer it is: the id here, at a payment gateway, at an authority."""
    NAME = "name"
    EMAIL = "e-mail address"
    PHONE = "phone number"
    ADDRESS = "address"
    """Where somebody lives or gets parcels, a country alone points at nobody."""
    PAYMENT = "means of payment"
    NETWORK = "network address"
    DEVICE = "device"
    """Which browser it was."""
    PROFILE = "profile"
    """What a shop thinks of a customer: the group, the tags."""
    WORDS = "free text"
    """Words or JSON of a client's own: an engraving, a note, metadata. It may hold any of the above."""

    @property
    def identifies(self) -> bool:
        """Whether such a value surely tells of somebody; other values only may."""
        return self not in (Personal.WORDS, Personal.PROFILE)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a column holds besides plain facts of trade.

    `personal` says what it tells of a person, `secret` that it is a credential, or what one is checked against: whoever
    reads it can act for somebody. A mark that says neither declares the column harmless.
    """

    personal: Personal | None = None
    secret: bool = False

    @property
    def harmless(self) -> bool:
        """Whether it is neither personal nor secret."""
        return self == HARMLESS


HARMLESS = Mark()
SECRET = Mark(secret=True)


def mark(
    default: Mark | None, *, personal: Personal | None = None, secret: bool = False, harmless: bool = False
) -> Mark | None:
    """The mark that a field's options declare, by default the one given, which is None where a field has to decide.

    Raises TypeError for options that contradict each other.
    """
    if harmless and (personal or secret):
        raise TypeError("what is personal or secret is not harmless")
    if harmless:
        return HARMLESS
    return Mark(personal, secret) if personal or secret else default
