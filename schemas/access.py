"""Who may ask: access tokens."""

from __future__ import annotations

from typing import ClassVar

from schemas.fields import SECRET, Personal, Write
from schemas.kinds import Enum, Integer, Standard, Text, TextList, Timestamp
from schemas.relationships import ToOne

MOST_SECONDS = 86_400
"""How long a customer's token made over the API lives at most."""


class Token(Standard):
    """A credential of an integration or a customer. The token itself is shown only in the answer that makes it."""

    name = Text(write=Write.BOTH, filter=True, sort=True, personal=Personal.WORDS)
    kind = Enum(
        "integration",
        "customer",
        nullable=False,
        filter=True,
        sort=True,
        doc="Who holds it: a customer's token sees that customer's own resources only.",
    )
    scopes = TextList(write=Write.CREATE, nullable=False, harmless=True, doc="What it allows.")
    hint = Text(nullable=False, harmless=True, doc="Its last characters, to tell it from others.")
    token = Text(
        disclosed=True,
        nullable=False,
        secret=True,
        doc="What to send as `Authorization: Bearer`. It is not kept and can't be shown again.",
    )
    expires_at = Timestamp(write=Write.BOTH, filter=True, sort=True, doc="From when on it is refused; null for never.")
    expires_in = Integer(
        write=Write.CREATE,
        trigger=True,
        nullable=False,
        minimum=1,
        maximum=MOST_SECONDS,
        doc="Instead of expires_at: how many seconds from now it lives; an hour by default, a day at most.",
    )
    revoked_at = Timestamp(filter=True, sort=True, doc="Since when it is refused.")

    customer = ToOne("customers", write=Write.CREATE, doc="Whose token it is; null for an integration's.")

    class Meta:
        type_ = "tokens"
        table = "access_tokens"
        internal: ClassVar = {"hash": SECRET}
