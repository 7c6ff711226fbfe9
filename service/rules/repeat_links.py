"""What a repeat link is: when it works, and the token with which a customer opens it without signing in.

A token reads `<store>.<link>.<signature>`. Store and link stand in the open, so that the look-up is pinned to one store
before anything is believed. The signature is an HMAC-SHA256 over store, link and the link's token version, so no token
is kept, and raising the version withdraws it. A link notes the id of the key that signed it: a newer key in front
changes no token that is out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from itsdangerous import Signer

from schemas.repeating import LinkState, link_state

_TOKEN = re.compile(r"([1-9][0-9]{0,18})\.([A-Za-z0-9_-]{1,64})\.[A-Za-z0-9_-]{43}")
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RepeatLink:
    """A link as it is kept; `uses` counts the carts that became orders."""

    store_id: int
    id: str
    key_id: str
    token_version: int
    expires_at: datetime | None = None
    max_uses: int | None = None
    uses: int = 0
    revoked_at: datetime | None = None

    def state(self, at: datetime) -> LinkState:
        """What the link is good for at an instant: it works while it is `live`."""
        return link_state(self.revoked_at, self.expires_at, self.max_uses, self.uses, at)


class Named(NamedTuple):
    """What a token says of itself, not yet verified."""

    store_id: int
    id: str


def read(token: str) -> Named | None:
    """The store and id that a token names, or None when it has not the form of one."""
    match = _TOKEN.fullmatch(token)
    if match is None or int(match[1]) > _MOST:
        return None
    return Named(int(match[1]), match[2])


class LinkKeys:
    """The service's signing keys by their ids. Takes the secrets, at least one, the newest first."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._signers = {_key_id(secret): _signer(secret) for secret in secrets}

    @property
    def newest(self) -> str:
        """The id of the key that signs new links."""
        return next(iter(self._signers))

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._signers

    def token(self, link: RepeatLink) -> str:
        """The token of a link, always the same one. Raises KeyError when the link's key is no longer among these."""
        signer = self._signers[link.key_id]
        signature = signer.get_signature(f"{link.store_id}.{link.id}.{link.token_version}").decode()
        return f"{link.store_id}.{link.id}.{signature}"

    def verify(self, token: str, link: RepeatLink) -> bool:
        """Whether this is the token of that link, compared in constant time and to the letter."""
        # Signer.verify_signature decodes first, and several texts decode to the same bytes.
        return link.key_id in self and hmac.compare_digest(token.encode(), self.token(link).encode())


def _signer(secret: str) -> Signer:
    return Signer(secret, salt="repeat link", key_derivation="hmac", digest_method=hashlib.sha256)


def _key_id(secret: str) -> str:
    """A name for a key, which tells nothing of it."""
    return hmac.new(secret.encode(), b"key id", hashlib.sha256).hexdigest()[:12]
