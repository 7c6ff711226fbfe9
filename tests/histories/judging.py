"""The judge of histories: finds what no service can have done that keeps what it acknowledges, and shows what it keeps.

It needs nothing but a history. What an operation did is known to have happened between its two instants if it was
acknowledged, at any time after the first or never if its outcome is unknown, and never if it was refused. A read must
show what was acknowledged before it began, and nothing that was begun after it ended. Each kind of thing has a judge:

- a *counter* is added to: a read lies between the least and the most that the additions can come to;
- a *register* is written to: versions put writes in order, so that none is written over unseen and no read goes back;
- a *set* is added to and removed from while others page through it;
- a *feed* is only appended to: whoever follows it by cursor sees what everybody sees, in the same order, once.

Where a replica answers, whoever knows of a write reads it: but of two reads the later one may be the older.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate

from tests.histories.history import Does, Operation, Outcome, Step


class Kind(StrEnum):
    """What a service did wrong."""

    LOST = "lost update"
    STALE = "stale read"
    DOUBLED = "doubled effect"
    MISSED = "cursor miss"
    INVENTED = "nobody's write"


@dataclass(frozen=True, order=True)
class Finding:
    """Something that can't have been so."""

    kind: Kind
    key: str
    text: str

    def __str__(self) -> str:
        """It in one line."""
        return f"{self.kind}: {self.key}: {self.text}"


@dataclass
class Verdict:
    """What a history holds, counted, and what is wrong with it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    things: int = 0
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        """The counts in one line, then a line for each finding."""
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(self.outcomes.items()))
        steps = ", ".join(f"{number} {step}" for step, number in sorted(self.steps.items()))
        counts = f"{self.outcomes.total()} operations ({told}) on {self.things} things ({steps})"
        return "\n".join([f"{counts}: {len(self.findings)} findings", *map(str, self.findings)])


@dataclass(frozen=True, slots=True)
class Seen:
    """A step with the operation that took it."""

    by: Operation
    step: Step

    @property
    def number(self) -> int:
        """What it adds, or what was counted."""
        assert isinstance(self.step.value, int)
        return self.step.value

    @property
    def elements(self) -> tuple[str, ...]:
        """What was listed."""
        assert isinstance(self.step.value, tuple)
        return self.step.value


Judge = Callable[[str, Sequence[Seen]], Iterator[Finding]]


def judge(history: Iterable[Operation], *, by_replica: bool = False) -> Verdict:
    """Look for all that can't have been so. `by_replica` says that reads may have been answered by one."""
    verdict = Verdict()
    things: defaultdict[str, list[Seen]] = defaultdict(list)
    for operation in history:
        verdict.outcomes[operation.outcome] += 1
        for step in operation.steps:
            if operation.outcome is not Outcome.FAILED:
                verdict.steps[f"{step.does} {_word(step.key)}"] += 1
                things[step.key].append(Seen(operation, step))
    verdict.things = len(things)
    for key, seen in sorted(things.items()):
        verdict.findings += JUDGES[_word(key)](key, seen)
        if _word(key) in REGISTERS:
            verdict.findings += _gone_back(key, seen, by_replica=by_replica)
    return verdict


def _word(key: str) -> str:
    return key.partition("/")[0]


def _split(seen: Sequence[Seen]) -> tuple[list[Seen], list[Seen]]:
    """What was done to a thing, and what was read of it: of a read whose outcome is unknown, nothing is known."""
    reads = [one for one in seen if one.step.does is Does.READ and one.by.outcome is Outcome.OK]
    return [one for one in seen if one.step.does is not Does.READ], reads


class _Sums:
    """What numbers come to by the instants at which they are added."""

    def __init__(self, added: Iterable[tuple[float, int]]) -> None:
        ordered = sorted(added)
        self._at = [at for at, _ in ordered]
        self._sums = [0, *accumulate(number for _, number in ordered)]

    def through(self, at: float) -> int:
        """The sum of what was added until an instant, that included."""
        return self._sums[bisect_right(self._at, at)]

    def before(self, at: float) -> int:
        """The sum of what was added before an instant."""
        return self._sums[bisect_left(self._at, at)]


def counter(key: str, seen: Sequence[Seen]) -> Iterator[Finding]:
    """What is read lies between what surely was added and what can have been."""
    added, reads = _split(seen)
    surely = _Sums((one.by.until, one.number) for one in added)
    more = [one for one in added if one.number > 0]
    less = [one for one in added if one.number < 0]
    bounds = [
        (_Sums((one.by.began, one.number) for one in part), _Sums((one.by.until, one.number) for one in part))
        for part in (less, more)
    ]
    wrong_in_the_end = False
    for read in sorted(reads, key=lambda one: not one.by.last):
        certain = surely.through(read.by.began)
        least, most = (certain + begun.before(read.by.ended) - over.through(read.by.began) for begun, over in bounds)
        if least <= read.number <= most:
            continue
        text = f"{read.number} where {least} to {most} can be, read by client {read.by.client} at {read.by.began:.6f}"
        if read.by.last:
            wrong_in_the_end = True
            yield Finding(Kind.LOST if read.number < least else Kind.DOUBLED, key, text)
        elif not wrong_in_the_end:
            yield Finding(Kind.STALE, key, text)


def register(key: str, seen: Sequence[Seen]) -> Iterator[Finding]:
    """Versions tell in which order writes were done; no read goes back behind what was known before it."""
    written, reads = _split(seen)
    told = [one for one in written if one.by.outcome is Outcome.OK]
    # A write of what is there already makes no version: it says what is there, as a read does.
    known = [one for one in told if one.step.version != one.step.based_on]
    yield from _overwritten(key, known)
    values: dict[int, Seen] = {}
    for one in [*known, *reads, *told]:
        version = one.step.version
        assert version is not None
        first = values.setdefault(version, one)
        if first.step.value != one.step.value:
            yield Finding(
                Kind.LOST if one.step.does is Does.WRITE else Kind.INVENTED,
                key,
                f"version {version} is {first.step.value!r} and {one.step.value!r}",
            )


def _overwritten(key: str, known: Sequence[Seen]) -> Iterator[Finding]:
    """Writes that stand on the same version, or that made it: one of them didn't see the other."""
    made: dict[int | None, Seen] = {}
    stood: dict[int | None, Seen] = {}
    for one in known:
        step = one.step
        if (other := made.setdefault(step.version, one)) is not one:
            yield Finding(Kind.LOST, key, f"clients {other.by.client} and {one.by.client} made version {step.version}")
        elif step.based_on is not None and (other := stood.setdefault(step.based_on, one)) is not one:
            clients = f"clients {other.by.client} and {one.by.client}"
            yield Finding(Kind.LOST, key, f"{clients} both changed version {step.based_on}")
        elif step.based_on is not None and step.version is not None and step.version <= step.based_on:
            yield Finding(Kind.LOST, key, f"version {step.version} was made of version {step.based_on}")


def _gone_back(key: str, seen: Sequence[Seen], *, by_replica: bool) -> Iterator[Finding]:
    """Answers with a version below one that was told before they were asked for; `by_replica`, told of a write."""
    told = [one for one in seen if one.by.outcome is Outcome.OK]
    telling = [one for one in told if one.step.does is Does.WRITE] if by_replica else told
    ended = sorted(telling, key=lambda one: one.by.ended)
    highest = list(accumulate((one.step.version or 0 for one in ended), max))
    instants = [one.by.ended for one in ended]
    for one in told:
        before = bisect_left(instants, one.by.began)
        if before and (one.step.version or 0) < highest[before - 1]:
            kind = Kind.STALE if one.step.does is Does.READ else Kind.LOST
            text = f"version {one.step.version} after version {highest[before - 1]} was told"
            yield Finding(kind, key, f"{text}, by client {one.by.client} at {one.by.began:.6f}")


def closed_register(key: str, seen: Sequence[Seen]) -> Iterator[Finding]:
    """A register that clients alone write to: nothing is read that none of them wrote."""
    yield from register(key, seen)
    written, reads = _split(seen)
    begun: dict[object, float] = {}
    for one in written:
        begun[one.step.value] = min(one.by.began, begun.get(one.step.value, one.by.began))
    first = min((read.step.version or 0 for read in reads), default=0)
    for read in reads:
        if read.step.version != first and begun.get(read.step.value, read.by.ended) >= read.by.ended:
            yield Finding(Kind.INVENTED, key, f"{read.step.value!r} is read, which nobody had written")


def members(key: str, seen: Sequence[Seen]) -> Iterator[Finding]:
    """A listing shows, once, what was there all the while, and nothing that was gone or never was."""
    changed, reads = _split(seen)
    added = {str(one.step.value): one for one in changed if one.step.does is Does.ADD}
    removed = {str(one.step.value): one for one in changed if one.step.does is Does.REMOVE}
    for read in reads:
        shown = Counter(read.elements)
        at = f"listed by client {read.by.client} at {read.by.began:.6f}"
        for element, times in shown.items():
            if times > 1:
                yield Finding(Kind.DOUBLED, key, f"{element} is {times} times {at}")
            if element not in added or added[element].by.began >= read.by.ended:
                yield Finding(Kind.INVENTED, key, f"{element} is {at}")
            elif element in removed and removed[element].by.until <= read.by.began:
                yield Finding(Kind.STALE, key, f"{element} was removed, and is {at}")
    ever = max((read for read in reads if read.by.last), key=lambda read: read.by.ended, default=None)
    still = set() if ever is None else set(ever.elements)
    for read, element in _left_out(added, {element: one.by.began for element, one in removed.items()}, reads):
        kind = Kind.MISSED if element in still and not read.by.last else Kind.LOST
        yield Finding(kind, key, f"{element} isn't listed by client {read.by.client} at {read.by.began:.6f}")


def _left_out(
    added: Mapping[str, Seen], leave: Mapping[str, float], reads: Sequence[Seen]
) -> Iterator[tuple[Seen, str]]:
    """Readings with what each doesn't show that was there all the while.

    What has begun to leave before one reading has so before all later ones, so each looks only at what is there.
    """
    arriving = deque(sorted((one.by.until, element) for element, one in added.items()))
    there: dict[str, float] = {}
    for read in sorted(reads, key=lambda one: one.by.began):
        while arriving and arriving[0][0] <= read.by.began:
            _, element = arriving.popleft()
            there[element] = leave.get(element, math.inf)
        there = {element: until for element, until in there.items() if until >= read.by.began}
        shown = set(read.elements)
        yield from (
            (read, element) for element, until in there.items() if until >= read.by.ended and element not in shown
        )


def feed(key: str, seen: Sequence[Seen]) -> Iterator[Finding]:
    """Whoever follows sees what is read in the end: the same, in the same order, each once, and all of it."""
    added, reads = _split(seen)
    whole = next((read.elements for read in reads if read.by.last), ())
    for element, times in Counter(whole).items():
        if times > 1:
            yield Finding(Kind.DOUBLED, key, f"{element} is {times} times in the feed")
    tried = {str(one.step.value) for one in added}
    acknowledged = {str(one.step.value) for one in added if one.by.outcome is Outcome.OK}
    yield from (Finding(Kind.LOST, key, f"{element} isn't in the feed") for element in acknowledged - set(whole))
    yield from (Finding(Kind.INVENTED, key, f"{element} is in the feed") for element in set(whole) - tried)
    followed: defaultdict[int, list[str]] = defaultdict(list)
    for read in reads:
        if not read.by.last:
            followed[read.by.client] += read.elements
    for client, elements in followed.items():
        if elements != list(whole[: len(elements)]):
            place = next(
                (n for n, (one, other) in enumerate(zip(elements, whole, strict=False)) if one != other), len(whole)
            )
            yield Finding(Kind.MISSED, key, f"client {client}, who follows, sees another feed from place {place} on")


JUDGES: Mapping[str, Judge] = {
    "pieces": counter,
    "stock": counter,
    "runs": counter,
    "addresses": closed_register,
    "carts": register,
    "occurrences": register,
    "tags": members,
    "feed": feed,
}
"""Who judges a thing, by the first word of its key."""
REGISTERS = frozenset(word for word, one in JUDGES.items() if one in (register, closed_register))
