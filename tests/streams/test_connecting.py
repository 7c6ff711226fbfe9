"""Streams are reached as the settings say, and what keeps them from being reached is said clearly."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import nats
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.js.api import StreamConfig

from service.errors import StartupError
from service.gateways import credentials, jetstream
from service.gateways.jetstream import Destination, Message, Unreachable
from service.jobs import publish
from service.rules import subjects
from service.settings import Settings
from tests.clients.tls import certificates
from tests.streams.jetstream import Server, server

MESSAGES = [Message(f"m{n}", "reprise.1.orders.place", b"{}", "application/json") for n in range(3)]


async def refused(destination: Destination) -> str:
    """Why nothing can be published."""
    try:
        async with jetstream.connected(destination) as stream:
            published = await stream.publish(MESSAGES)
    except Unreachable as error:
        return str(error)
    assert not any(published.kept)
    return str(published.reason)


async def accepted(destination: Destination) -> bool:
    """Whether messages are kept."""
    async with jetstream.connected(destination) as stream:
        return all((await stream.publish(MESSAGES)).kept)


async def test_a_stream_is_made_for_the_subjects_and_left_as_it_is_found(stream: Server) -> None:
    assert await accepted(stream.destination())
    client = await nats.connect(stream.url)
    try:
        context = client.jetstream()
        made = (await context.stream_info("reprise")).config
        assert made.subjects == ["reprise.*.*.*"]
        assert (made.duplicate_window, made.max_age) == (600, 7 * 86_400)
        await context.delete_stream("reprise")
        await context.add_stream(StreamConfig(name="reprise", subjects=["reprise.>"], max_age=3600))
        assert await accepted(stream.destination())
        assert (await context.stream_info("reprise")).config.max_age == 3600
    finally:
        await client.close()


async def test_what_keeps_messages_from_being_published_is_said(stream: Server, tmp_path: Path) -> None:
    assert "no stream takes these subjects" in await refused(stream.destination(create=False))
    assert "can be connected to" in await refused(stream.destination(servers=["nats://127.0.0.1:1"]))
    client = await nats.connect(stream.url)
    await client.jetstream().add_stream(StreamConfig(name="other", subjects=["reprise.>"]))
    await client.close()
    assert "can't be made" in await refused(stream.destination())
    assert "stream does not match" in await refused(stream.destination(create=False))
    async with server(tmp_path / "locked", "authorization { token: open-sesame }") as locked:
        assert "uthorization" in await refused(locked.destination())
        assert await accepted(locked.destination(servers=[f"nats://open-sesame@127.0.0.1:{locked.port}"]))


async def test_what_is_refused_in_the_middle_lets_nothing_after_it_through(stream: Server) -> None:
    odd = [MESSAGES[0], MESSAGES[1]._replace(subject="elsewhere.1"), MESSAGES[2]]
    async with jetstream.connected(stream.destination()) as found:
        published = await found.publish(odd)
        again = await found.publish(MESSAGES)
    assert published.kept == [True, False, False]
    assert again.kept == [True, True, True]
    assert await stream.number() == 3


async def test_tls_and_certificates_of_clients(tmp_path: Path) -> None:
    for name in ("ours", "other"):
        (tmp_path / name).mkdir()
    ours, other = certificates(tmp_path / "ours", "localhost"), certificates(tmp_path / "other", "localhost")
    files = {"cert_file": ours.own, "key_file": ours.own, "ca_file": ours.trusted}
    more = ", ".join(f"{name}: {json.dumps(str(path))}" for name, path in files.items())
    async with server(tmp_path / "nats", f"tls {{ {more}, verify: true }}") as secured:
        servers = [f"tls://localhost:{secured.port}"]
        assert await accepted(secured.destination(servers=servers, authorities=ours.trusted, certificate=ours.own))
        stranger = secured.destination(servers=servers, authorities=other.trusted, certificate=ours.own)
        assert "ertificate" in await refused(stranger)
        assert await refused(secured.destination(servers=servers, authorities=ours.trusted))


def _text(kind: bytes, raw: bytes) -> str:
    """A key as NKeys writes it: what it is, the key, and a CRC-16 (XMODEM) of both."""
    data, crc = kind + raw, 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")


class Key:
    """A key of NATS: of an operator, an account or a user."""

    def __init__(self, kind: int) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public = _text(bytes([kind << 3]), self._key.public_key().public_bytes_raw())
        seed = bytes([18 << 3 | kind >> 5, (kind & 31) << 3])
        self.seed = _text(seed, self._key.private_bytes_raw())

    def claim(self, subject: Key, **about: object) -> str:
        """A JWT about another key."""

        def part(value: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

        claims = {"jti": "x", "iat": 1, "iss": self.public, "name": "x", "sub": subject.public}
        signed = f"{part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{part(claims | {'nats': about | {'version': 2}})}"
        signature = base64.urlsafe_b64encode(self._key.sign(signed.encode())).decode().rstrip("=")
        return f"{signed}.{signature}"


async def test_credentials_of_a_user(tmp_path: Path) -> None:
    operator, account, system, user = Key(14), Key(0), Key(0), Key(20)
    limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1}
    storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    trusted = {
        one.public: operator.claim(one, type="account", limits=limits | (storage if one is account else {}))
        for one in (account, system)
    }
    preloaded = "\n".join(f"{public}: {jwt}" for public, jwt in trusted.items())
    more = (
        f"operator: {operator.claim(operator, type='operator')}\nsystem_account: {system.public}\n"
        f"resolver: MEMORY\nresolver_preload {{\n{preloaded}\n}}"
    )
    known = tmp_path / "user.creds"
    jwt = account.claim(user, type="user", subs=-1, data=-1, payload=-1)
    known.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    async with server(tmp_path / "nats", more) as guarded:
        assert await accepted(guarded.destination(credentials=known))
        assert "uthorization" in await refused(guarded.destination())
        known.write_text(known.read_text().replace(user.seed, Key(20).seed))
        assert "uthorization" in await refused(guarded.destination(credentials=known))
    known.write_text("nothing")
    with pytest.raises(ValueError, match="no credentials"):
        credentials.read(known)
    assert "no credentials" in await refused(guarded.destination(credentials=known))


@pytest.mark.parametrize(
    ("template", "made", "matched"),
    [
        ("reprise.{store}.{topic}", "reprise.7.orders.place", "reprise.*.*.*"),
        ("shops.{topic}.{store}", "shops.orders.place.7", "shops.*.*.*"),
        ("events", "events", "events"),
    ],
)
def test_subjects_follow_their_template(template: str, made: str, matched: str) -> None:
    assert subjects.is_template(template)
    assert subjects.subject(template, store_id=7, topic="orders.place") == made
    assert subjects.all_of(template) == matched


@pytest.mark.parametrize("template", ["", "a..b", "a.*", "a.>", "a b", "a.{shop}", "a.x{topic}", ".a"])
def test_what_is_no_template_is_refused_when_a_worker_starts(template: str) -> None:
    assert not subjects.is_template(template)
    with pytest.raises(StartupError, match="REPRISE_NATS_SUBJECT"):
        publish.configured(Settings(nats_url="nats://127.0.0.1", nats_subject=template))


def test_the_settings_say_what_is_published_where(tmp_path: Path) -> None:
    assert publish.configured(Settings()) is None
    feed = publish.configured(Settings(nats_url="nats://one, nats://two", nats_create_stream=False, nats_history=True))
    assert feed is not None
    assert (list(feed.destination.servers), feed.destination.create, feed.history) == (
        ["nats://one", "nats://two"],
        False,
        True,
    )
    missing = tmp_path / "missing.creds"
    with pytest.raises(StartupError, match="REPRISE_NATS_CREDENTIALS names a file that doesn't exist"):
        publish.configured(Settings(nats_url="nats://one", nats_credentials=missing))
