"""TLS in front of a server, for clients that speak nothing else: certificates of the moment, and bytes that pass."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service import clock


class Certificates(NamedTuple):
    """Files: of whom to trust, and of the server's own certificate with its key."""

    trusted: Path
    own: Path


def certificates(folder: Path, *names: str) -> Certificates:
    """Make certificates for these names."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root of the tests")])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    root = _signed(root_name, root_name, root_key, root_key, x509.BasicConstraints(ca=True, path_length=0))
    leaf = _signed(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), root_name, key, root_key, alternatives
    )
    found = Certificates(folder / "root.pem", folder / "server.pem")
    found.trusted.write_bytes(root)
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found.own.write_bytes(leaf + key.private_bytes(*pem))
    return found


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> bytes:
    at = clock.now()
    builder = x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), at - timedelta(days=1), at + timedelta(days=1)
    ).add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Terminator:
    """Listens by TLS on a port of its own, and passes what comes on to `origin` (host and port), once that is known."""

    def __init__(self, found: Certificates) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(found.own)
        self._loop = asyncio.new_event_loop()
        self.origin: tuple[str, int] | None = None
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[Terminator]:
        """Listen, beside the caller."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        listening = asyncio.start_server(self._pass, "127.0.0.1", 0, ssl=self._context)
        server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(server.close)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.origin is not None
        there, back = await asyncio.open_connection(*self.origin)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
