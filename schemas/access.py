"""Who may ask: access tokens."""

from __future__ import annotations

from typing import ClassVar

from schemas.fields import SECRET, Personal, Write
from schemas.kinds import Boolean, Enum, Integer, Standard, Text, TextList, Timestamp
from schemas.relationships import ToMany, ToOne

MOST_SECONDS = 86_400
"""How long a customer's token made over the API lives at most."""


class Credential(Standard):
    """What there is to know of a token, by either of its types."""

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
    expires_at = Timestamp(write=Write.CREATE, filter=True, sort=True, doc="From when it is refused; null for never.")
    last_used_at = Timestamp(doc="When it was last used, by about an hour; null while nobody has used it.")
    revoked_at = Timestamp(filter=True, sort=True, doc="Since when it is refused.")

    customer = ToOne("customers", write=Write.CREATE, doc="Whose token it is; null for an integration's.")


class Token(Credential):
    """A token for a customer, made by the shop. The token itself is shown only in the answer that makes it."""

    token = Text(
        disclosed=True,
        nullable=False,
        secret=True,
        doc="What to send as `Authorization: Bearer`. It is not kept and can't be shown again.",
    )
    expires_in = Integer(
        write=Write.CREATE,
        trigger=True,
        nullable=False,
        minimum=1,
        maximum=MOST_SECONDS,
        doc="Instead of expires_at: how many seconds from now it lives; an hour by default, a day at most.",
    )

    class Meta:
        type_ = "tokens"
        table = "access_tokens"
        internal: ClassVar = {"hash": SECRET}


class AccessToken(Credential):
    """A credential of an integration or a customer, however it was made: to look after it, and to end it."""

    _revoke = Boolean(write=Write.UPDATE, trigger=True, doc="Ends it: it is refused from now on, in every process.")

    events = ToMany("events", via="resource_id", where={"resource_type": "access_tokens"}, includable=False)

    class Meta:
        type_ = "access_tokens"
        internal: ClassVar = {"hash": SECRET}
