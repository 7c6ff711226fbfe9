"""Credentials of NATS: a file with a JWT, and the seed of the key that signs what a server asks to have signed."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PART: Final = re.compile(r"-+BEGIN (?P<name>[A-Z ]+)-+\s+(?P<text>\S+)\s+-+END")
_SEED_BYTES: Final = slice(2, 34)
"""A seed is two bytes that say whose it is, the key, and two bytes of a checksum (NKeys)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user is known by, and the key that proves it."""

    jwt: str
    _key: Ed25519PrivateKey = field(repr=False)

    def shown(self) -> bytearray:
        """The JWT, as the client sends it."""
        return bytearray(self.jwt.encode())

    def sign(self, nonce: str) -> bytes:
        """The signature of what a server has made up, in base64."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def read(path: Path) -> Credentials:
    """Return the credentials of a file, as `nsc` writes it. Raises OSError, and ValueError for a file without any."""
    parts = {found["name"]: found["text"] for found in _PART.finditer(path.read_text())}
    try:
        jwt, seed = parts["NATS USER JWT"], parts["USER NKEY SEED"]
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
        return Credentials(jwt, Ed25519PrivateKey.from_private_bytes(raw[_SEED_BYTES]))
    except (KeyError, binascii.Error, ValueError) as error:
        raise ValueError(f"{path} holds no credentials of a user") from error
