"""Programs and folders of another account: Postgres refuses to run as root, so root lends it an unprivileged one."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from service.errors import StartupError
from service.texts import Phrase

ELSEWHERE = Phrase("set DATABASE_URL to a Postgres server to use that instead")
"""What to do where the embedded Postgres can't be had: the end of a sentence."""


class Account(NamedTuple):
    """A user and group id that programs run as and folders belong to."""

    uid: int
    gid: int


def nobody() -> Account:
    """The account nobody; StartupError where the machine has none."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise StartupError(
            "Postgres can't run as root, and there is no user nobody here: {elsewhere}.", elsewhere=ELSEWHERE
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def own_folder(path: Path, mode: int, account: Account | None = None) -> Path:
    """Make a folder of this mode for an account (None: ourselves), or take the one there is.

    Raises StartupError when that one is no folder, another's, or more open than the mode: in a temp dir anybody could
    have made it.
    """
    owner = account.uid if account is not None else os.geteuid()
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        path.chmod(mode)
    status = path.lstat()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid in {owner, os.geteuid()}
    if not ours or stat.S_IMODE(status.st_mode) & 0o077 & ~mode:
        raise StartupError(
            "{path} is not the folder this service made there: see whose it is, and remove it.", path=path
        )
    if account is not None and status.st_uid != owner:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return path


def may_enter(folder: Path, account: Account) -> bool:
    """Whether the account can reach what is in a folder, by trying: that covers every parent, mount and access list."""
    return run(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], account).returncode == 0


def run(
    command: Sequence[str],
    account: Account | None = None,
    *,
    pass_fds: Sequence[int] = (),
    output: IO[bytes] | int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as an account (None: ourselves), whatever its exit code.

    It inherits only `pass_fds`, gets none of the terminal's signals and none of the user's `PG...` variables. Raises
    OSError when it can't be run at all.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(  # noqa: S603 - a list of words, no shell
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        text=True,
        errors="replace",
        cwd="/",
        env=environment | {"LC_ALL": "C"},
        pass_fds=pass_fds,
        start_new_session=True,
        user=account.uid if account is not None else None,
        group=account.gid if account is not None else None,
        extra_groups=[] if account is not None else None,
    )


def last_line(text: str) -> str:
    """The last line of a program's words, which mostly says what was wrong."""
    return text.strip().rpartition("\n")[2]
