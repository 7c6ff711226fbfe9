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
    """What a value says of a person: the word for it, and what it means."""

    IDENTIFIER = "identifier", "which customer it is: the id here, at a payment gateway or at an authority"
    NAME = "name", "what somebody, or their company, is called"
    EMAIL = "e-mail address", "where mail reaches somebody"
    PHONE = "phone number", "where a call reaches somebody"
    ADDRESS = "address", "where somebody lives or receives parcels; a country alone points at nobody"
    PAYMENT = "means of payment", "what somebody pays with, in a gateway's words or their own"
    NETWORK = "network address", "where on the network a request came from"
    DEVICE = "device", "which browser it was"
    PROFILE = "profile", "how a shop sorts its customers: the group, the tags"
    WORDS = "free text", "words or JSON of somebody's own: an engraving, a note, metadata; may hold any of the above"

    def __init__(self, word: str, meaning: str) -> None:
        self.word = word
        self.meaning = meaning

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
