"""Histories: what clients asked for, when, and what they were told; a line of JSON for each operation.

An operation takes one or more steps, each on one thing. A thing's key begins with a word that says how it is judged
(`tests.histories.judging`): `pieces/CART/SKU` is how many of a sku are in a cart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import orjson

Value = int | str | tuple[str, ...] | None


class Outcome(StrEnum):
    """What a client knows of what it asked for."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Does(StrEnum):
    """What a step does to its thing."""

    ADD = "add"
    REMOVE = "remove"
    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to one thing: `version` is the one that the answer tells, `based_on` the one of `If-Match`."""

    does: Does
    key: str
    value: Value = None
    version: int | None = None
    based_on: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """A request, with however often it was sent, between two instants of one clock; `last` once all is quiet."""

    client: int
    what: str
    began: float
    ended: float
    outcome: Outcome
    steps: tuple[Step, ...] = ()
    last: bool = False

    @property
    def until(self) -> float:
        """When it was over: never, as far as anybody knows, where the outcome is unknown."""
        return math.inf if self.outcome is Outcome.UNKNOWN else self.ended


@dataclass
class Recorder:
    """Takes down operations as they end."""

    operations: list[Operation] = field(default_factory=list)
    quiet: bool = False
    """Whether nobody writes any more: what is read now is what came of it all."""

    def note(self, client: int, what: str, began: float, outcome: Outcome, steps: Iterable[Step]) -> None:
        """Take down an operation that ends now."""
        self.operations.append(Operation(client, what, began, time.monotonic(), outcome, tuple(steps), last=self.quiet))


def write(path: Path, history: Iterable[Operation]) -> None:
    """Keep a history in a file."""
    path.write_bytes(b"".join(orjson.dumps(asdict(one)) + b"\n" for one in history))


def read(path: Path) -> list[Operation]:
    """The history that a file keeps."""
    return list(_lines(path.read_bytes().splitlines()))


def _lines(lines: Sequence[bytes]) -> Iterator[Operation]:
    for line in lines:
        found = orjson.loads(line)
        steps = (Step(**step | {"does": Does(step["does"])}) for step in found["steps"])
        whole = (replace(step, value=_frozen(step.value)) for step in steps)
        yield Operation(**found | {"outcome": Outcome(found["outcome"]), "steps": tuple(whole)})


def _frozen(value: Value | list[str]) -> Value:
    return tuple(value) if isinstance(value, list) else value
