"""The drills by name, with what each needs of the machine."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from tests import bouncer
from tests.drills import replicas, server, work
from tests.drills.load import Outcome
from tests.drills.server import Size


def _nothing(_: Path) -> str | None:
    """Nothing stands in the way."""
    return None


@dataclass(frozen=True)
class Drill:
    """How a drill is played in a folder, and why it can't be on this machine, if so."""

    play: Callable[[Path, Size], Coroutine[None, None, Outcome]]
    hindered: Callable[[Path], str | None] = _nothing


DRILLS = {
    "killed": Drill(server.killed),
    "restarted": Drill(server.restarted),
    "exhausted": Drill(server.exhausted),
    "bounced": Drill(server.bounced, lambda _: None if bouncer.PROGRAM else bouncer.MISSING),
    "stormed": Drill(server.stormed),
    "full": Drill(server.full, lambda folder: None if server.may_mount(folder) else "we may not mount a file system"),
    "lagging": Drill(replicas.lagging),
    "promoted": Drill(replicas.promoted),
    "frozen": Drill(work.frozen),
    "cut": Drill(work.cut),
    "clocks": Drill(
        work.clocks, lambda _: None if work.FAKETIME else "Debian's faketime is not installed: `make faketime`"
    ),
}
