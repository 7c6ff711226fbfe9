"""JSON Web Tokens (RFC 7519): ours, with the claims of Commerce Layer's, and assertions that others made.

Algorithms are those that the caller names, never those that a token does: `none` is no algorithm here, and a key of one
kind never verifies what the algorithm of another kind signed.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson
from joserfc import jwk, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OctKey, RSAKey

ALGORITHM = "RS512"
"""How our tokens are signed: Commerce Layer's own clients verify no other."""
BITS = 2048
LEEWAY = timedelta(seconds=60)
"""How far the clock of somebody who made an assertion may be off."""
LONGEST = 8_192
"""Characters of a token that are looked at."""

Claims = Mapping[str, object]


class Made(NamedTuple):
    """A new key: its id, its public part as a JWK in JSON, its private part as PEM."""

    id: str
    public: str
    private: str


def make_key(id_: str) -> Made:
    """Make a key of an id. Takes the processor a tenth of a second and more."""
    key = RSAKey.generate_key(BITS, {"kid": id_, "use": "sig", "alg": ALGORITHM})
    return Made(id_, orjson.dumps(key.as_dict(private=False)).decode(), key.as_pem(private=True).decode())


def sign(claims: Claims, id_: str, private: str) -> str:
    """Return a token with these claims, signed by a key."""
    return jwt.encode({"alg": ALGORITHM, "kid": id_}, dict(claims), _private(private), algorithms=[ALGORITHM])


def key_id(token: str) -> str | None:
    """The id of the key that a token says it is signed with; None for what has not the form of a token with one."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > LONGEST:
        return None
    try:
        header = orjson.loads(_decoded(parts[0]))
    except ValueError:
        return None
    kid = header.get("kid") if isinstance(header, dict) else None
    return kid if isinstance(kid, str) else None


def read(token: str, public: Mapping[str, object], algorithms: Collection[str] = (ALGORITHM,)) -> Claims | None:
    """The claims of a token that a public key (a JWK) verifies; None for any other."""
    if len(token) > LONGEST:
        return None
    try:
        found: Claims = jwt.decode(token, jwk.import_key(_plain(public)), algorithms=list(algorithms)).claims
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return found


def read_shared(token: str, secret: str) -> Claims | None:
    """The claims of a token that a shared secret verifies; None for any other."""
    if len(token) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            # Commerce Layer's library signs with a word that everybody knows.
            warnings.simplefilter("ignore", SecurityWarning)
            key = OctKey.import_key(secret)
        found: Claims = jwt.decode(token, key, algorithms=["HS256", "HS384", "HS512"]).claims
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return found


def is_timely(claims: Claims, at: datetime) -> bool:
    """Whether claims hold at an instant, by those of `exp`, `nbf` and `iat` that there are."""
    now, leeway = at.timestamp(), LEEWAY.total_seconds()
    ends, begins, made = (claims.get(name) for name in ("exp", "nbf", "iat"))
    for instant in (ends, begins, made):
        if instant is not None and (isinstance(instant, bool) or not isinstance(instant, int | float)):
            return False
    return (
        (not isinstance(ends, int | float) or now < ends + leeway)
        and (not isinstance(begins, int | float) or begins - leeway <= now)
        and (not isinstance(made, int | float) or made - leeway <= now)
    )


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _private(pem: str) -> RSAKey:
    return RSAKey.import_key(pem)


def _plain(public: Mapping[str, object]) -> dict[str, str | list[str]]:
    """A JWK of which nothing but the public key itself is believed."""
    return {
        name: value
        for name, value in public.items()
        if name in ("kty", "n", "e", "crv", "x", "y") and isinstance(value, str)
    }
