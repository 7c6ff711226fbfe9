"""`make simulate`: workers in simulated time, a seed at a time; prints each seed that breaks a promise.

`--part deliveries --seed N` replays one. What was interrupted goes on by what it says then: `--part P --from N`. Exit
code 1 when any promise is broken.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final, NamedTuple

from service.cli.progress import progress
from service.texts import Phrase
from tests.simulation import advancing, announcing, owing, play, telling
from tests.simulation.world import Told

PARTS: Final[Mapping[str, Callable[[int], Told]]] = {
    "alerts": announcing.play,
    "clocks": advancing.play,
    "copies": play.play,
    "deliveries": telling.play,
    "payments": owing.play,
}
AT_A_TIME: Final = 50
"""How many seeds a process plays before it tells what came of them."""


class Report(NamedTuple):
    """The sums of what was counted, what is wrong, a line for each seed, and the seconds of a processor it took."""

    told: Counter[str]
    wrong: list[str]
    seconds: float


def _settle() -> None:
    """Let a process keep what it has loaded, and be ended by whoever has started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.collect()
    gc.freeze()
    gc.disable()


def _play(part: str, seeds: range) -> Report:
    """Play a part of some seeds."""
    began = time.process_time()
    told: Counter[str] = Counter()
    wrong = []
    for seed in seeds:
        outcome = PARTS[part](seed)
        told += Counter({name: value for name, value in vars(outcome).items() if type(value) is int and name != "seed"})
        if outcome.wrong:
            wrong.append(str(outcome))
        gc.collect()  # nothing lives longer than its seed, and the next one takes the same memory
    return Report(told, wrong, time.process_time() - began)


def _some(seeds: range) -> Iterator[range]:
    for first in range(0, len(seeds), AT_A_TIME):
        yield seeds[first : first + AT_A_TIME]


def _play_all(pool: ProcessPoolExecutor, part: str, seeds: range) -> int:
    """Play a part of all seeds; returns how many of them break a promise. Ends the process where it is interrupted."""
    began, told, wrong, cost, done = time.monotonic(), Counter[str](), 0, 0.0, 0
    try:
        with progress(Phrase("{part}: seeds", part=part), len(seeds)) as tell:
            for report in pool.map(partial(_play, part), _some(seeds)):
                told += report.told
                wrong += len(report.wrong)
                cost += report.seconds
                done = min(done + AT_A_TIME, len(seeds))
                tell(done, len(seeds))
                sys.stdout.write("".join(f"{line}\n" for line in report.wrong))
                sys.stdout.flush()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        left = f"--from {seeds.start + done} --seeds {len(seeds) - done}"
        sys.exit(f"{part}: {done} seeds, {wrong} with a broken promise; go on with --part {part} {left}")
    seconds = time.monotonic() - began
    counts = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in sorted(told.items()))
    sys.stdout.write(
        f"{part}: {len(seeds)} seeds in {seconds:.0f} s ({len(seeds) / seconds:.0f} a second,"
        f" {len(seeds) / cost:.0f} a second of a core): {counts}; {wrong} seeds with a broken promise\n"
    )
    sys.stdout.flush()
    return wrong


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Play seeds, in as many processes as there are processors."""
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many, of each part")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--part", choices=PARTS, help="the only part to play")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, help="the one to replay")
    asked = parser.parse_args()
    parts = [asked.part] if asked.part else list(PARTS)
    if asked.seed is not None:
        outcomes = [PARTS[part](asked.seed) for part in parts]
        sys.stdout.write("".join(f"{outcome}\n" for outcome in outcomes))
        sys.exit(1 if any(outcome.wrong for outcome in outcomes) else 0)
    signal.signal(signal.SIGTERM, _interrupt)
    with ProcessPoolExecutor(asked.processes, initializer=_settle) as pool:
        seeds = range(asked.first, asked.first + asked.seeds)
        broken = sum([_play_all(pool, part, seeds) for part in parts])
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
