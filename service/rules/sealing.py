"""Secrets that have to be kept and shown again to nobody but the service: encrypted with keys of the settings.

AES-256-GCM under a key that HKDF derives from a key of the settings, one for each purpose. A sealed text names its key,
and is bound to what it belongs to, so that it opens in no other place. The newest key seals, every key of the settings
opens.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class Unreadable(Exception):
    """A sealed text that none of the keys opens."""


class Seals:
    """The keys of one purpose. Takes the secrets of the settings, at least one, the newest first."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._ciphers = {_key_id(secret, purpose): _cipher(secret, purpose) for secret in secrets}
        self._newest = next(iter(self._ciphers))

    def seal(self, text: str, belongs_to: str) -> str:
        """Return a text encrypted, each time differently."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[self._newest].encrypt(nonce, text.encode(), belongs_to.encode())
        return f"{self._newest}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, belongs_to: str) -> str:
        """Return the text that was sealed. Raises Unreadable."""
        key_id, _, content = sealed.partition(".")
        try:
            both = base64.b64decode(content, validate=True)
            return self._ciphers[key_id].decrypt(both[:_NONCE], both[_NONCE:], belongs_to.encode()).decode()
        except (KeyError, InvalidTag, ValueError, binascii.Error):
            raise Unreadable from None

    def is_newest(self, sealed: str) -> bool:
        """Whether the newest key sealed a text."""
        return sealed.partition(".")[0] == self._newest

    @property
    def newest(self) -> str:
        """What a text begins with that the newest key has sealed."""
        return f"{self._newest}."

    @property
    def known(self) -> list[str]:
        """What texts begin with that one of the keys has sealed."""
        return [f"{key_id}." for key_id in self._ciphers]


class Digests:
    """What stands for secrets of one purpose where they are looked for: nobody works it out without the keys.

    Takes the secrets of the settings, at least one, the newest first.
    """

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._keys = [_derived(secret, f"look-up of {purpose}") for secret in secrets]

    def digest(self, text: str) -> str:
        """Return what stands for a text, by the newest key."""
        return _digest(self._keys[0], text)

    def all(self, text: str) -> list[str]:
        """Return what may stand for a text, by each of the keys."""
        return [_digest(key, text) for key in self._keys]


def _digest(key: bytes, text: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")).decode().rstrip("=")


def _cipher(secret: str, purpose: str) -> AESGCM:
    return AESGCM(_derived(secret, purpose))


def _derived(secret: str, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"reprise {purpose}".encode()).derive(secret.encode())


def _key_id(secret: str, purpose: str) -> str:
    """A name for a key, which tells nothing of it."""
    return hmac.new(secret.encode(), f"key id {purpose}".encode(), hashlib.sha256).hexdigest()[:12]
