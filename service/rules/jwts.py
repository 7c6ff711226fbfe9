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

OUTSIDE = ("RS256", "PS256", "ES256", "EdDSA")
"""How outside issuers may sign: with a private key that is theirs alone."""
_KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
_SHORTEST_MODULUS = 342
"""Characters of the modulus of an RSA key of 2 048 bits, in base64."""

Claims = Mapping[str, object]
Key = Mapping[str, object]
"""A public key, as a JWK (RFC 7517)."""


class Header(NamedTuple):
    """How a token says it is signed: the algorithm, and the id of the key if it names one."""

    algorithm: str
    key_id: str | None


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
    found = header(token)
    return None if found is None else found.key_id


def header(token: str) -> Header | None:
    """The header of a token, which nothing vouches for; None for what has not the form of one."""
    said = _part(token, 0)
    algorithm, kid = ("", None) if said is None else (said.get("alg"), said.get("kid"))
    if said is None or not isinstance(algorithm, str) or not isinstance(kid, str | None):
        return None
    return Header(algorithm, kid)


def claimed(token: str) -> Claims | None:
    """What a token claims, which nothing vouches for yet; None for what has not the form of one."""
    return _part(token, 1)


def pick(keys: Collection[Key], wanted: Header) -> Key | None:
    """The one of an issuer's keys that a token says it is signed with; None where none, or more than one, may be.

    A key verifies what its own algorithm signs, and no other; one that is for encryption, or too short, verifies none.
    """
    fitting = [key for key in keys if _fits(key, wanted)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(key: Key, wanted: Header) -> bool:
    modulus = key.get("n", "")
    return (
        key.get("kty") == _KINDS.get(wanted.algorithm)
        and key.get("use", "sig") == "sig"
        and key.get("alg", wanted.algorithm) == wanted.algorithm
        and (wanted.key_id is None or key.get("kid") == wanted.key_id)
        and (key.get("kty") != "RSA" or (isinstance(modulus, str) and len(modulus) >= _SHORTEST_MODULUS))
    )


def read(token: str, public: Mapping[str, object], algorithms: Collection[str] = (ALGORITHM,)) -> Claims | None:
    """The claims of a token that a public key (a JWK) verifies; None for any other."""
    if len(token) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            # `EdDSA` has another name by now (RFC 9864), by which hardly anybody goes.
            warnings.simplefilter("ignore", SecurityWarning)
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


def _part(token: str, place: int) -> Claims | None:
    """The header (0) or the claims (1) of a token; None for what has not the form of one."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > LONGEST:
        return None
    try:
        said = orjson.loads(_decoded(parts[place]))
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


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
