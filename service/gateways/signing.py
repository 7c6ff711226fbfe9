"""How a body is signed for whoever knows a shared secret: as Standard Webhooks 1.0 says, and as Commerce Layer does."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from standardwebhooks import Webhook

from service import clock

PREFIX: Final = "whsec_"
"""What a secret begins with; the rest is base64 of 24 to 64 bytes (Standard Webhooks 1.0)."""


def new_secret() -> str:
    """A secret that nobody has."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def is_secret(text: str) -> bool:
    """Whether a text is a secret to sign with."""
    try:
        return text.startswith(PREFIX) and 24 <= len(base64.b64decode(text.removeprefix(PREFIX), validate=True)) <= 64
    except binascii.Error:
        return False


def signed(keys: Sequence[str], id_: str, body: bytes) -> dict[str, str]:
    """The headers that sign a body, at the instant that it is: with each of these secrets, the newest first."""
    at, text = clock.now(), body.decode()
    signatures = [Webhook(key).sign(id_, at, text) for key in keys]
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def digest(secret: str, body: bytes) -> str:
    """The signature of a body as Commerce Layer makes it: base64 of HMAC-SHA256 with the secret as it is written."""
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
