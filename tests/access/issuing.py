"""What tests of outside issuers share: the process, keys, tokens, and an issuer that a store has registered."""

from __future__ import annotations

import asyncio
import sys
import time
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.support import Access

SCRIPT = Path(__file__).parent / "issuer.py"
AUDIENCE = "https://shop.example.com"

Key = RSAKey | ECKey | OKPKey


def key_for(algorithm: str, kid: str = "one") -> Key:
    """A new key that signs by an algorithm."""
    about: Any = {"kid": kid, "use": "sig", "alg": algorithm}
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", about)
    if algorithm == "EdDSA":
        return OKPKey.generate_key("Ed25519", about)
    return RSAKey.generate_key(2048, about)


@dataclass
class Provider:
    """An issuer that runs, with the keys that it has."""

    origin: str
    keys: dict[str, Key] = field(default_factory=dict)

    async def tell(self, **what: Any) -> None:
        """Say what it publishes."""
        async with httpx2.AsyncClient() as client:
            assert (await client.post(f"{self.origin}/tell", json=what)).status_code == 200

    async def asked(self) -> int:
        """How often it was asked for its keys."""
        async with httpx2.AsyncClient() as client:
            return int((await client.get(f"{self.origin}/asked")).json()["jwks"])

    async def publish(self, *algorithms: str, kid: str = "one") -> None:
        """Publish new keys in the place of those so far, one for each algorithm."""
        kids = [kid, *(f"{kid}-{algorithm}" for algorithm in algorithms[1:])]
        self.keys = {algorithm: key_for(algorithm, one) for algorithm, one in zip(algorithms, kids, strict=True)}
        await self.tell(keys=[key.as_dict(private=False) for key in self.keys.values()])

    def token(self, sub: Any, algorithm: str = "RS256", **more: Any) -> str:
        """A token of somebody; claims that are None are left out."""
        key = self.keys[algorithm]
        return signed(self.claims(sub, **more), {"alg": algorithm, "kid": key.kid}, key)

    def claims(self, sub: Any, **more: Any) -> dict[str, Any]:
        """What a token of somebody says."""
        now = int(time.time())
        said = {"iss": self.origin, "aud": AUDIENCE, "sub": sub, "iat": now, "exp": now + 3600, **more}
        return {name: value for name, value in said.items() if value is not None}


def signed(claims: Mapping[str, Any], header: Mapping[str, Any], key: Key) -> str:
    """A token."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode(dict(header), dict(claims), key, algorithms=[str(header["alg"])])


def bearer(token: str) -> Mapping[str, str]:
    """The headers of a request with a token."""
    return Access("", token).headers


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """The process, as long as it is needed."""
    process = await asyncio.create_subprocess_exec(sys.executable, str(SCRIPT), stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        yield Provider(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        await process.wait()
