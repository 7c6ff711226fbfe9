"""Nonces of our own pages: what a form brings back, so that only a page that we rendered can be submitted."""

from __future__ import annotations

import hashlib

from itsdangerous import BadSignature, TimestampSigner
from starlette.requests import Request

from service import clock
from service.http.state import service_of

SECONDS = 12 * 3_600
"""How long a page may stay open before its button asks to open it again."""


class _Signer(TimestampSigner):
    """Signs for a page with a form what its submission brings back; no timestamp of it is the operating system's."""

    def get_timestamp(self) -> int:
        """Seconds since 1970, real time."""
        return int(clock.now().timestamp())


def sign(request: Request, page: str, value: str) -> str:
    """A nonce for the form of a page, which holds a value in the open."""
    return _signer(request, page).sign(value).decode()


def read(request: Request, page: str, nonce: str) -> str | None:
    """The value of a nonce that this page was given in the last hours, else None."""
    try:
        return _signer(request, page).unsign(nonce, max_age=SECONDS).decode()
    except BadSignature:
        return None


def _signer(request: Request, page: str) -> _Signer:
    return _Signer(
        service_of(request).settings.keys[::-1], salt=page, key_derivation="hmac", digest_method=hashlib.sha256
    )
