"""Connections: `databases` owns the pool, asyncpg runs the statements.

Whoever needs the database is given a connection and hands it on. Nothing here or behind it relies on a session keeping
anything between two transactions, so PgBouncer in transaction mode may stand in between (`statement_cache_size=0`).
jsonb is text on our side, in and out, which is asyncpg's way without a codec: documents are embedded as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import SplitResult, parse_qs, urlsplit

import asyncpg
from prometheus_client import Gauge, Histogram

from service.errors import Contended, StartupError, Unavailable
from service.rules.outside import Reach, configured_reach
from service.settings import Settings
from service.store.catalogue import Catalogue
from service.store.commits import Followed, Following
from service.store.shapes import Shapes
from service.store.vault import Vault
from service.texts import Phrase

if TYPE_CHECKING:
    import databases
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""What operations and reads are given: asyncpg's connection, out of a pool or on its own."""

CONNECT_SECONDS = 10.0
WAIT_SECONDS = 30.0
"""How long somebody waits for a connection of the pool."""
OLDEST_POSTGRES = 15
MOST_AT_HAND = 8
"""How many connections lie at hand; those beyond go back to the pool, which closes them when nobody needs them."""

HELD = Gauge(
    "reprise_database_connections_held", "Connections of the pool that are in use.", multiprocess_mode="livesum"
)
MOST = Gauge("reprise_database_connections_most", "Connections that the pool may have.", multiprocess_mode="livesum")
TOLD_EVERY = 1.0
"""Seconds between two looks at how many are in use. Counting each would cost a read more than the look at its token."""
WAIT = Histogram(
    "reprise_database_connection_wait_seconds",
    "From asking the pool for a connection to having it, where none lay at hand.",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
)


_IS_SPREAD = "current_setting('citus.shard_count', true) is not null"
"""Whether rows lie on several nodes, in SQL."""

_BY_KEYS = f"""
    select
        set_config('enable_seqscan', 'off', true),
        set_config('plan_cache_mode', case when {_IS_SPREAD} then 'auto' else 'force_generic_plan' end, true)
"""
"""Lasts as long as the transaction, also where a pooler hands the session on.

Citus plans for the store that it is told, and has no plan for all of them.
"""


class Sessionless(asyncpg.Connection):
    """A connection that leaves nothing in its session: asyncpg turns jit off there to learn of types, and on again.

    Behind a pooler these are three sessions. `reprise migrate` has turned it off for the whole database.
    """

    __slots__ = ("following", "is_spread")
    following: Following
    is_spread: bool
    """Whether its database's rows lie on several nodes."""
    _server_caps: Any

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.following, self.is_spread = [], False
        self._server_caps = self._server_caps._replace(jit=False)

    def transaction(self, **options: Any) -> Followed:
        """A transaction after which that is done which is to follow it."""
        return Followed(self, **({"isolation": None, "readonly": False, "deferrable": False} | options))


class _Pooled(Sessionless):
    """A connection of a pool, whose connections share what one of them has read of the database's constraints.

    They share too which of the clients' statements are prepared, the keys of secrets, and how far the process connects.
    """

    __slots__ = ("catalogue", "reach", "shapes", "vault")
    catalogue: Catalogue
    reach: Reach
    shapes: Shapes
    vault: Vault
    # asyncpg's own, of which its stubs say nothing.
    _protocol: Any
    _proxy: Any
    _query_loggers: Any
    _stmt_cache: Any

    async def fetch_kept(self, text: str, binds: Sequence[object]) -> list[asyncpg.Record]:
        """The rows of a statement that this connection keeps prepared, by the shortest way there is.

        asyncpg's own way asks the clock three times, and goes through six functions. It is taken the first time, when
        others listen to what runs, and where the database has changed what it knew of the statement.
        """
        prepared, rows = self._stmt_cache.get((text, asyncpg.Record, False)), None
        if prepared is not None and not self._query_loggers:
            try:
                # In no portal, without a limit, without more than rows, within the connection's own timeout.
                rows = await self._protocol.bind_execute(prepared, binds, "", 0, None, None)
            except (asyncpg.InvalidCachedStatementError, asyncpg.exceptions.OutdatedSchemaCacheError):
                rows = None
        return await self.fetch(text, *binds) if rows is None else rows


class _Nodes:
    """Whether the rows of a pool's database lie on several nodes, which its first connection asks."""

    def __init__(self) -> None:
        self._several: bool | None = None

    async def several(self, connection: Connection) -> bool:
        if self._several is None:
            self._several = bool(await connection.fetchval(f"select {_IS_SPREAD}"))
        return self._several


class _Single(Sessionless):
    """A connection of our own, which knows the keys of secrets."""

    __slots__ = ("vault",)
    vault: Vault


class Database:
    """An open pool. Within one task, nested `connection()` and `transaction()` are on the same connection."""

    def __init__(self, pool: databases.Database) -> None:
        # `databases` opens and closes the pool. Its own connections cost a read a tenth of its time: a lock, a record
        # of contexts and a wrapper for each.
        self._pool = cast("asyncpg.Pool[asyncpg.Record]", pool._backend._pool)  # noqa: SLF001 -- it has no other name
        self.held: dict[asyncio.Task[Any] | None, Connection] = {}
        self._spare: list[_Pooled] = []
        self._waiting = self._told = 0

    def connection(self) -> _Lease:
        """A connection outside of any transaction, for `async with`: each statement is its own."""
        return _Lease(self)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction: committed at the end, rolled back by any error; nested ones are savepoints.

        Raises Contended when the database rolled it back for the sake of others.
        """
        # asyncpg's transaction: that of `databases` never gives the connection back when its begin or commit fails.
        try:
            async with self.connection() as connection, connection.transaction():
                yield connection
        except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError):
            raise Contended(
                "Other requests are changing the same resources. Retry in a moment.", headers={"Retry-After": "1"}
            ) from None

    @asynccontextmanager
    async def by_keys(self) -> AsyncIterator[Connection]:
        """A transaction, as `transaction` has it, of statements that take many rows by their keys.

        Postgres plans them by index, whatever it knows of the tables, and keeps the plans. What it would plan while a
        table is small reads all of it, for each row and each check of a foreign key, and is kept as the table grows.
        """
        async with self.transaction() as connection:
            await connection.execute(_BY_KEYS)
            yield connection

    def at_hand(self) -> _Pooled | None:
        """A connection that was used a moment ago, where one lies at hand; `keep` keeps it there.

        The pool's own ways would take a third of a small read's time: a task, a timer and a lock for each.
        """
        return self._spare.pop() if self._spare and not self._spare[-1].is_closed() else None

    async def lend(self) -> _Pooled:
        """A connection out of the pool."""
        while self._spare:
            await self.release(self._spare.pop())
        asked = perf_counter()
        self._waiting += 1
        try:
            # The proxy before it costs each use a call more.
            return cast("_Pooled", (await self._pool.acquire(timeout=WAIT_SECONDS))._con)  # type: ignore[attr-defined]  # noqa: SLF001
        except TimeoutError:
            raise Unavailable(
                "Too many requests are being answered at the moment; retry in a moment.", headers={"Retry-After": "1"}
            ) from None
        finally:
            self._waiting -= 1
            WAIT.observe(perf_counter() - asked)

    def keep(self, connection: _Pooled) -> bool:
        """Keep a connection at hand, unless somebody waits for one, or it was left in a transaction."""
        kept = len(self._spare) < MOST_AT_HAND and not self._waiting and not connection.is_in_transaction()
        if kept:
            self._spare.append(connection)
        return kept

    async def release(self, connection: _Pooled) -> None:
        """Hand a connection to the pool, which has taken back those that were lost."""
        if connection._proxy is not None:  # noqa: SLF001
            await self._pool.release(connection._proxy)  # noqa: SLF001

    def tell(self) -> None:
        """Tell how many connections are in use, for `/metrics`, where those of all pools of a process are counted."""
        HELD.inc(len(self.held) - self._told)
        self._told = len(self.held)

    async def close(self) -> None:
        """Hand the connections at hand to the pool, which can't close before."""
        while self._spare:
            await self.release(self._spare.pop())
        HELD.dec(self._told)
        self._told = 0


class _Lease:
    """A task's hold on a connection; within another one of the same task it is the same connection."""

    __slots__ = ("_connection", "_database", "_task")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: _Pooled | None = None

    async def __aenter__(self) -> Connection:
        database, task = self._database, asyncio.current_task()
        known = database.held.get(task)
        if known is not None:
            return known
        self._task = task
        self._connection = database.held[task] = database.at_hand() or await database.lend()
        return self._connection

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        connection = self._connection
        if connection is not None:
            del self._database.held[self._task]
            if kind is not None or not self._database.keep(connection):
                await self._database.release(connection)


async def _keep_telling(database: Database) -> None:
    """Tell how many are in use again and again: when processes count together, one of them tells what all have told."""
    while True:
        database.tell()
        await asyncio.sleep(TOLD_EVERY)


def open_configured(settings: Settings, *, max_size: int) -> AbstractAsyncContextManager[Database]:
    """A pool as `open_database` has it, by the settings; their `database_url` must be set by now."""
    return open_database(
        settings.database_url or "",
        max_size=max_size,
        command_timeout=settings.command_timeout,
        statement_cache_size=settings.statement_cache_size,
        keys=settings.keys,
        reach=configured_reach(settings),
    )


@asynccontextmanager
async def open_database(
    url: str,
    *,
    keys: Sequence[str] = (),
    reach: Reach = Reach.EVERYWHERE,
    min_size: int = 1,
    max_size: int = 16,
    command_timeout: float = 15.0,
    statement_cache_size: int = 512,
) -> AsyncIterator[Database]:
    """A pool on a Postgres server, open inside the `async with`.

    `keys` are those of the settings, which secrets are sealed with, `reach` how far the process connects by itself.
    `command_timeout` is in seconds and per statement.
    Raises StartupError in one sentence, without the password, when the server can't be reached, refuses us or is too
    old.
    """
    import databases  # noqa: PLC0415 -- half of what a command that needs one connection would load

    place = _place(url)
    # `databases` would read the URL in its own way (no sslmode, no list of hosts): it is asyncpg that gets it, whole.
    pool = databases.Database(
        "postgresql://",
        dsn=url,
        host=None,
        port=None,
        user=None,
        password=None,
        database=None,
        timeout=CONNECT_SECONDS,
        min_size=min_size,
        max_size=max_size,
        command_timeout=command_timeout,
        statement_cache_size=statement_cache_size,
        connection_class=_Pooled,
        init=partial(_acquaint, Catalogue(), Shapes(), Vault(keys), reach, _Nodes()),
        reset=_keep,
    )
    with _explained(place):
        await pool.connect()
    MOST.inc(max_size)
    try:
        database = Database(pool)
        with _explained(place):
            async with database.connection() as connection:
                _check_version(connection, place)
        telling = asyncio.create_task(_keep_telling(database))
        try:
            yield database
        finally:
            telling.cancel()
            await database.close()
    finally:
        MOST.dec(max_size)
        await pool.disconnect()


@asynccontextmanager
async def connect(url: str, keys: Sequence[str] = ()) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """One connection of our own, without a limit on its statements. Raises StartupError as `open_database` does.

    It raises that too for what its user may not do: who runs the command is to take another user.
    Nothing stays prepared on it: commands ask few statements twice, and may be run through a pooler.
    """
    place = _place(url)
    with _explained(place):
        connection = await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, statement_cache_size=0, connection_class=_Single
        )
    connection.vault = Vault(keys)
    try:
        _check_version(connection, place)
        connection.is_spread = await _Nodes().several(connection)
        yield connection
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartupError(
            "The database's user {user} may not do this ({reason}): run the command with the user that ran `reprise"
            " migrate`, in DATABASE_URL or --database-url.",
            user=await connection.fetchval("select session_user"),
            reason=error.message,
        ) from None
    finally:
        await connection.close()


async def is_pooled(connection: Connection) -> bool:
    """Whether a pooler stands between us and the server: it makes up the process id that it tells."""
    return bool(await connection.fetchval("select pg_backend_pid()") != connection.get_server_pid())


def catalogue_of(connection: Connection) -> Catalogue:
    """What is known of the constraints of a connection's database: by its pool, or nothing by one on its own."""
    known: Catalogue | None = getattr(connection, "catalogue", None)
    return Catalogue() if known is None else known


def reach_of(connection: Connection) -> Reach:
    """How far the process connects to what stores name. A connection on its own is no server's, and knows no limit."""
    known: Reach = getattr(connection, "reach", Reach.EVERYWHERE)
    return known


def fetch(connection: Connection, text: str, binds: Sequence[object]) -> Awaitable[list[asyncpg.Record]]:
    """The rows of a statement whose text follows from what a client asks for."""
    if type(connection) is _Pooled:  # asyncpg takes any connection for an instance of any class of them
        return connection.fetch_kept(text, binds) if connection.shapes.is_kept(text) else _once(connection, text, binds)
    return connection.fetch(text, *binds)


async def _once(connection: Connection, text: str, binds: Sequence[object]) -> list[asyncpg.Record]:
    """The rows of a statement that is not kept prepared."""
    return await (await connection.prepare(text, name="")).fetch(*binds)


async def fetchrow(connection: Connection, text: str, binds: Sequence[object]) -> asyncpg.Record | None:
    """The first row of a statement whose text follows from what a client asks for."""
    return next(iter(await fetch(connection, text, binds)), None)


async def _acquaint(  # noqa: PLR0917 -- what a pool's connections share
    catalogue: Catalogue, shapes: Shapes, vault: Vault, reach: Reach, nodes: _Nodes, connection: _Pooled
) -> None:
    """Hand a new connection what its pool knows."""
    connection.catalogue, connection.shapes, connection.vault, connection.reach = catalogue, shapes, vault, reach
    connection.is_spread = await nodes.several(connection)


_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    # While it is restored or renamed, or its password changes, it is not there for us.
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)


def passes(error: Exception) -> bool:
    """Whether an error may be gone at the next try: the database is away, or others were in the way."""
    return isinstance(error, Contended) or is_away(error)


def is_away(error: Exception) -> bool:
    """Whether an error means that the database is away, is shut down, is shut to us or has no connection left.

    That may pass. asyncpg's InterfaceError says so of a connection that was lost; one that is a ValueError too is about
    a value. Its InternalClientError says so of one that was told that its server is gone just as it was used.
    """
    return isinstance(error, _AWAY) and not isinstance(error, ValueError)


async def _keep(_: Connection) -> None:
    """Leave a returned connection as it is: asyncpg has rolled back what was open, and there is no session state."""


def _check_version(connection: Connection, place: str) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_POSTGRES:
        raise StartupError(
            "The server at {place} is Postgres {version}: {oldest} or newer is needed.",
            place=place,
            version=version.major,
            oldest=OLDEST_POSTGRES,
        )


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """Turn what connecting can raise into one sentence. The server's words hold no secrets, asyncpg's on URLs may."""
    try:
        yield
    except TimeoutError:
        raise StartupError(
            "The database at {place} did not answer within {seconds:.0f} seconds.", place=place, seconds=CONNECT_SECONDS
        ) from None
    except asyncpg.PostgresError as error:
        raise StartupError(
            "The database at {place} refused the connection: {reason}.", place=place, reason=error.message
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StartupError(
            "The database at {place} can't be reached ({reason}): is it running?", place=place, reason=reason
        ) from None
    except (asyncpg.InterfaceError, ValueError):
        raise StartupError(_MALFORMED) from None


_MALFORMED = Phrase(
    "The database URL is not of the form postgresql://user:password@host:port/database "
    "(write special characters of user and password percent-encoded)."
)


def _place(url: str) -> str:
    """Where a URL points, for people: host, port and database, never the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise StartupError(_MALFORMED) from None
    if parts.scheme not in {"postgresql", "postgres"} or parts.fragment or parts.netloc.count("@") > 1:
        raise StartupError(_MALFORMED)
    hosts = _hosts(parts, port)
    return f"{hosts}{parts.path}" if len(parts.path) > 1 else hosts


def _hosts(parts: SplitResult, port: int | None) -> str:
    if parts.hostname is not None:
        return parts.hostname if port is None else f"{parts.hostname}:{port}"
    return parse_qs(parts.query).get("host", ["the default host"])[-1]
