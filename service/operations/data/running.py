"""An import from its first record to its last: batch by batch, so that it goes on where it was when it was stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

import orjson

from schemas.history import WHOLES
from service import clock
from service.errors import StartupError
from service.operations.data.files import Source
from service.operations.data.importing import Policy, Refusal, Taken, Tally, intake
from service.operations.data.records import Entry, Place, unplaced
from service.operations.events import outbox
from service.principal import Store
from service.store import statistics
from service.store.pool import Connection
from service.store.statements import Command, One, Value

RECORDS_AT_A_TIME: Final = 500
ROWS_AT_A_TIME: Final = 4_000
"""How many records, and rows in them, a transaction takes at most."""

MOST_TOLD: Final = 100
"""Of how many refused records an import tells why."""
MOST_ALIKE: Final = 10
"""Of how many of them at most for one reason in one field, so that a common mistake hides no other."""

Progress = Callable[[int, int], None]
"""Told how many lines of how many have been gone through."""

Look = Callable[[Sequence[Entry]], None]
"""Shown each batch once it was taken."""

Report = Callable[[Sequence[Refusal]], None]
"""Told which records were refused, before the batch that they are in is final."""


class Records(Protocol):
    """Where records come from."""

    @property
    def lines(self) -> int:
        """How many lines there are."""

    def lines_up_to(self, place: Place) -> int:
        """How many lines have been gone through at a place."""

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The records behind the first so many."""


_COUNTED: Final = {
    "created": "made",
    "updated": "changed",
    "unchanged": "same",
    "skipped": "skipped",
    "refused": "refused",
}
"""What an import calls the counts of a tally."""


def _ignore(*_: object) -> None:
    """Tell nobody."""


class SoFar(NamedTuple):
    """What became of the records that an import has come to, as its row has it."""

    created_count: int
    updated_count: int
    unchanged_count: int
    skipped_count: int
    errors_count: int
    counts_by_type: str
    errors_log: str | None

    def kept(self) -> tuple[Tally, dict[str, dict[str, list[str]]], dict[str, Tally]]:
        """Return the tally of all, why the first were refused, and the tally of each type."""
        tally = Tally(
            self.created_count, self.updated_count, self.unchanged_count, self.skipped_count, self.errors_count
        )
        by_type = {
            type_: Tally(**{name: counts[word] for word, name in _COUNTED.items()})
            for type_, counts in orjson.loads(self.counts_by_type).items()
        }
        return tally, orjson.loads(self.errors_log or "{}"), by_type


class _Begun(NamedTuple):
    id: str
    so_far: SoFar


_UNFINISHED = One("data/imports.unfinished", _Begun)
_COMPLETED = Value("data/imports.completed", datetime)
_BEGIN = Command("data/imports.begin")
_GO_ON = Value("data/imports.go_on", str)
_FINISH = Command("data/imports.finish")
_UNTAXED = Value("data/imports.untaxed", int)


@dataclass
class Import:
    """An import of files into a store: where it goes on, and what became of the records so far.

    `by_type` is what became of those that named a type, type by type. `without` counts, among those that this process
    took, the ones that lack a method of their platform, since the store doesn't have it. `untaxed` is how many skus of
    their lines have no tax rate in the end, though taxes were paid for them.
    """

    connection: Connection
    store: Store
    source: Records
    policy: Policy
    id: str
    tally: Tally = field(default_factory=Tally)
    log: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    by_type: dict[str, Tally] = field(default_factory=dict)
    without: Counter[tuple[str, str]] = field(default_factory=Counter)
    untaxed: int = 0
    _taxed: set[str] = field(default_factory=set)

    async def run(self, progress: Progress = _ignore, report: Report = _ignore) -> Tally:
        """Import what is left, a transaction for each batch. Raises StartupError where another process does it."""
        taking = await intake(self.connection, self.store, self.policy, clock.now(self.store))
        for batch in _batches(self.source.entries(self.tally.processed)):
            async with self.connection.transaction():
                taken = await taking.take(batch)
                before = self.tally.processed
                self._count(taken)
                self._look(batch)
                self._remember(taken.refusals)
                await self._note(before)
                report(taken.refusals)
            await statistics.gather(self.connection)
            progress(self.source.lines_up_to(batch[-1].place), self.source.lines)
        progress(self.source.lines, self.source.lines)  # behind the last record's first line there may be more
        await self._count_untaxed()
        await _FINISH(self.connection, store=self.store.id, id=self.id, at=clock.now())
        return self.tally

    async def rehearse(self, progress: Progress, report: Report, look: Look | None = None) -> Tally:
        """Do all of it in one transaction that is rolled back in the end, so that everything is looked at."""
        rehearsal = self.connection.transaction()
        await rehearsal.start()
        try:
            taking = await intake(self.connection, self.store, self.policy, clock.now(self.store))
            for batch in _batches(self.source.entries()):
                taken = await taking.take(batch)
                self._count(taken)
                self._look(batch)
                report(taken.refusals)
                if look is not None:
                    look(batch)
                progress(self.source.lines_up_to(batch[-1].place), self.source.lines)
            progress(self.source.lines, self.source.lines)
            await self._count_untaxed()
        finally:
            await rehearsal.rollback()
        return self.tally

    def _count(self, taken: Taken) -> None:
        """Add what became of a batch to what became of those before."""
        self.tally.add(taken.tally)
        for type_, tally in taken.by_type.items():
            self.by_type.setdefault(type_, Tally()).add(tally)

    def _look(self, batch: Sequence[Entry]) -> None:
        """Note what orders came without: methods that their platform names, and the rates of the taxes in them."""
        for entry in batch:
            if entry.problems or entry.row is None:
                continue
            self.without.update((lookup.type_, str(lookup)) for lookup in entry.without)
            for line in entry.row.parts.get("line_items", ()):
                if line.get("tax_amount_cents") and not line.get("tax_rate"):
                    self._taxed.add(str(line.get("sku_code")))

    async def _count_untaxed(self) -> None:
        if self._taxed:
            self.untaxed = await _UNTAXED(self.connection, store=self.store.id, codes=sorted(self._taxed)) or 0

    def _remember(self, refusals: Sequence[Refusal]) -> None:
        """Keep why the first records were refused, those that were refused as many others were left out."""
        alike = Counter(kind for fields in self.log.values() for kind in _kinds(fields))
        for entry, problems in refusals:
            if len(self.log) >= MOST_TOLD:
                return
            reasons: dict[str, list[str]] = {}
            for problem in problems:
                reasons.setdefault(problem.field, []).append(str(problem.reason))
            kinds = _kinds(reasons)
            if any(alike[kind] < MOST_ALIKE for kind in kinds):
                file, line = entry.place
                fields = self.log.setdefault(f"{file}:{line}" if file else str(line), {})
                for name, said in reasons.items():
                    fields.setdefault(name, []).extend(said)
                alike.update(kinds)

    async def _note(self, before: int) -> None:
        noted = await _GO_ON(
            self.connection,
            store=self.store.id,
            id=self.id,
            before=before,
            processed=self.tally.processed,
            created=self.tally.made,
            updated=self.tally.changed,
            unchanged=self.tally.same,
            skipped=self.tally.skipped,
            errors=self.tally.refused,
            by_type=_written(self.by_type),
            log=orjson.dumps(self.log).decode() if self.log else None,
            at=clock.now(),
        )
        if noted is None:
            raise StartupError("Another process goes on with this import: nothing was lost, leave it to that one.")


def _kinds(reasons: Mapping[str, Sequence[str]]) -> set[tuple[str, str]]:
    """The fields and reasons for which a record is refused, wherever in it they stand."""
    return {(unplaced(name), reason) for name, said in reasons.items() for reason in said}


def _written(by_type: Mapping[str, Tally]) -> str:
    """What became of records, type by type, as the row keeps and shows it."""
    return orjson.dumps(
        {
            type_: {word: getattr(by_type[type_], name) for word, name in _COUNTED.items()}
            for type_ in WHOLES
            if type_ in by_type
        }
    ).decode()


async def prepare(
    connection: Connection, store: Store, source: Source, policy: Policy, *, dry: bool, actor: str
) -> Import:
    """Return the import of these files: the one that was stopped, where there is one, else a new one.

    Raises StartupError for files that were imported to the end already, unless the policy says what becomes of that.
    """
    if policy == "refuse":
        completed_at = await _COMPLETED(connection, store=store.id, fingerprint=source.fingerprint)
        if completed_at is not None:
            raise StartupError(
                "These files were imported on {day} already. To bring them again, use --on-conflict skip, which passes"
                " over what is there, or --on-conflict update, which changes it.",
                day=f"{completed_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            )
    if dry:
        return Import(connection, store, source, policy, "")
    begun = await _UNFINISHED(connection, store=store.id, fingerprint=source.fingerprint)
    if begun is not None:
        return Import(connection, store, source, policy, begun.id, *begun.so_far.kept())
    id_ = clock.new_id()
    async with connection.transaction():
        await _BEGIN(
            connection,
            store=store.id,
            id=id_,
            format=source.format,
            on_conflict=policy,
            fingerprint=source.fingerprint,
            size=source.lines,
            at=clock.now(),
        )
        await outbox.record(connection, store, "imports.create", id_, actor=actor)
    return Import(connection, store, source, policy, id_)


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    rows = 0
    for entry in entries:
        batch.append(entry)
        rows += 1 if entry.row is None else sum(1 for _ in entry.row.whole())
        if len(batch) >= RECORDS_AT_A_TIME or rows >= ROWS_AT_A_TIME:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch
