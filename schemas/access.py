"""Who may ask: access tokens."""

from __future__ import annotations

from typing import ClassVar, Final

from schemas.fields import HARMLESS, SECRET, Personal, Write
from schemas.kinds import Boolean, Enum, Integer, Standard, Text, TextList, Timestamp, Url
from schemas.relationships import ToMany, ToOne

MOST_SECONDS = 86_400
"""How long a customer's token made over the API lives at most."""
MOST_OVERLAP = 7 * 86_400
"""For how many seconds a client's secret works on at most once there is another."""


_INTERNAL: Final = {"hash": SECRET, "grant_id": HARMLESS}
"""Columns of a token that nobody sees: its hash, and the grant that it came by together with others."""


class Credential(Standard):
    """What there is to know of a token, by either of its types."""

    name = Text(
        write=Write.BOTH,
        filter=True,
        sort=True,
        personal=Personal.WORDS,
        doc="What it is for, so that it is found again.",
    )
    kind = Enum(
        "integration",
        "customer",
        "sales_channel",
        nullable=False,
        filter=True,
        sort=True,
        doc="Who holds it: a customer's token sees that customer's own resources only, a sales channel's the catalogue"
        " and the cart whose session comes with it.",
    )
    scopes = TextList(write=Write.CREATE, nullable=False, harmless=True, doc="What it allows.")
    hint = Text(nullable=False, harmless=True, doc="Its last characters, to tell it from others.")
    expires_at = Timestamp(write=Write.CREATE, filter=True, sort=True, doc="From when it is refused; null for never.")
    last_used_at = Timestamp(doc="When it was last used, by about an hour; null while nobody has used it.")
    revoked_at = Timestamp(filter=True, sort=True, doc="Since when it is refused.")

    customer = ToOne("customers", write=Write.CREATE, doc="Whose token it is; null for an integration's.")
    api_client = ToOne("api_clients", doc="The client that fetched it; null for one that was made by hand.")


class Token(Credential):
    """A token for a customer, made by the shop. The token itself is shown only in the answer that makes it."""

    token = Text(
        disclosed=Write.CREATE,
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
        internal: ClassVar = _INTERNAL


class AccessToken(Credential):
    """A credential of an integration or a customer, however it was made: to look after it, and to end it."""

    _revoke = Boolean(write=Write.UPDATE, trigger=True, doc="Ends it: it is refused from now on, in every process.")

    events = ToMany("events", via="resource_id", where={"resource_type": "access_tokens"}, includable=False)

    class Meta:
        type_ = "access_tokens"
        internal: ClassVar = _INTERNAL


class Issuer(Standard):
    """Somebody outside who signs in the shop's customers: its tokens act as these customers, without one of ours."""

    name = Text(write=Write.BOTH, filter=True, sort=True, harmless=True, doc="What it is.")
    issuer = Url(
        write=Write.CREATE,
        required=True,
        filter=True,
        harmless=True,
        doc="What its tokens name as their issuer (`iss`), to the letter.",
        example="https://example-shop.eu.auth0.com/",
    )
    jwks_url = Url(
        write=Write.BOTH,
        harmless=True,
        doc="Where its keys are. When null, its `/.well-known/openid-configuration` says so.",
    )
    audience = Text(
        write=Write.BOTH,
        required=True,
        harmless=True,
        doc="What its tokens for this store name as their audience (`aud`).",
        example="https://shop.example.com",
    )
    algorithms = TextList(
        write=Write.BOTH,
        nullable=False,
        harmless=True,
        doc="How it signs, out of `RS256`, `PS256`, `ES256` and `EdDSA`; `RS256` unless sent. Others are refused.",
        example=["RS256"],
    )
    customer_claim = Text(
        write=Write.BOTH, nullable=False, harmless=True, doc="The claim that names the customer; `sub` unless sent."
    )
    customer_field = Enum(
        "id",
        "reference",
        "email",
        write=Write.BOTH,
        nullable=False,
        doc="Which field of the customer that is; `id` unless sent. An `email` counts when `email_verified` is true."
        " While customers are found by it, they don't change it themselves.",
    )
    scopes = TextList(
        write=Write.BOTH,
        nullable=False,
        harmless=True,
        doc="What its tokens allow; by default those scopes of a customer that the requesting token has.",
    )
    revoked_before = Timestamp(doc="What it issued before this instant is refused; null when nothing was revoked.")

    _revoke = Boolean(
        write=Write.UPDATE, trigger=True, doc="Ends all tokens that it has issued until now, in every process."
    )

    events = ToMany("events", via="resource_id", where={"resource_type": "issuers"}, includable=False)

    class Meta:
        type_ = "issuers"


class ApiClient(Standard):
    """A program that fetches its own access tokens at `/oauth/token`: a shop's backend, or its storefront."""

    name = Text(write=Write.BOTH, required=True, filter=True, sort=True, personal=Personal.WORDS, doc="What it is for.")
    kind = Enum(
        "integration",
        "sales_channel",
        write=Write.CREATE,
        nullable=False,
        filter=True,
        sort=True,
        doc="An `integration` (the default) keeps its secret and sees the whole store. A `sales_channel` may sit in a"
        " browser and fetches tokens without its secret: they read the catalogue and make carts.",
    )
    scopes = TextList(
        write=Write.BOTH,
        nullable=False,
        harmless=True,
        doc="What its tokens allow at most; by default all that the requesting token allows, and of a sales channel no"
        " more than a customer's may.",
    )
    client_id = Text(nullable=False, filter=True, harmless=True, doc="What it calls itself at `/oauth/token`.")
    client_secret = Text(
        disclosed=Write.BOTH,
        nullable=False,
        secret=True,
        doc="What it proves that with: shown where it is made, and where `_rotate_secret` replaces it. It is not kept.",
    )
    previous_secret_expires_at = Timestamp(
        doc="Until when the secret before `_rotate_secret` works as well; null when there is none."
    )
    revoked_at = Timestamp(filter=True, sort=True, doc="Since when it gets no tokens.")

    _rotate_secret = Boolean(
        write=Write.UPDATE,
        trigger=True,
        doc="Gives it another secret, shown as `client_secret` in this one answer. The secret so far works on for a"
        " day, or as `_overlap_seconds` says; the tokens that it has fetched stay good.",
    )
    _overlap_seconds = Integer(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        minimum=0,
        maximum=MOST_OVERLAP,
        doc="With `_rotate_secret`: for how long the secret so far works on. 0 ends it at once, as when it leaked.",
    )
    _revoke = Boolean(write=Write.UPDATE, trigger=True, doc="Ends it, and all its tokens with it.")

    access_tokens = ToMany("access_tokens", via="api_client_id", includable=False, doc="What it has fetched.")
    events = ToMany("events", via="resource_id", where={"resource_type": "api_clients"}, includable=False)

    class Meta:
        type_ = "api_clients"
        internal: ClassVar = {"hash": SECRET, "previous_hash": SECRET}
