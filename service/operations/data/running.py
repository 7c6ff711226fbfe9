"""An import from its first record to its last: batch by batch, so that it goes on where it was when it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import orjson

from service import clock
from service.errors import StartupError
from service.operations.data.files import Source
from service.operations.data.importing import Policy, Refusal, Tally, intake
from service.operations.data.records import Entry, Place
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


def _ignore(*_: object) -> None:
    """Tell nobody."""


class _Begun(NamedTuple):
    id: str
    processed_count: int
    created_count: int
    updated_count: int
    unchanged_count: int
    skipped_count: int
    errors_count: int
    errors_log: str | None

    @property
    def tally(self) -> Tally:
        return Tally(
            self.created_count, self.updated_count, self.unchanged_count, self.skipped_count, self.errors_count
        )


_UNFINISHED = One("data/imports.unfinished", _Begun)
_BEGIN = Command("data/imports.begin")
_GO_ON = Value("data/imports.go_on", str)
_FINISH = Command("data/imports.finish")


@dataclass
class Import:
    """An import of files into a store: where it goes on, and what became of the records so far."""

    connection: Connection
    store: Store
    source: Records
    policy: Policy
    id: str
    tally: Tally = field(default_factory=Tally)
    log: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    async def run(self, progress: Progress = _ignore, report: Report = _ignore) -> Tally:
        """Import what is left, a transaction for each batch. Raises StartupError where another process does it."""
        taking = await intake(self.connection, self.store, self.policy, clock.now(self.store))
        for batch in _batches(self.source.entries(self.tally.processed)):
            async with self.connection.transaction():
                tally, refusals = await taking.take(batch)
                before = self.tally.processed
                self.tally.add(tally)
                self._remember(refusals)
                await self._note(before)
                report(refusals)
            await statistics.gather(self.connection)
            progress(self.source.lines_up_to(batch[-1].place), self.source.lines)
        await _FINISH(self.connection, store=self.store.id, id=self.id, at=clock.now())
        return self.tally

    async def rehearse(self, progress: Progress, report: Report, look: Look | None = None) -> Tally:
        """Do all of it in one transaction that is rolled back in the end, so that everything is looked at."""
        rehearsal = self.connection.transaction()
        await rehearsal.start()
        try:
            taking = await intake(self.connection, self.store, self.policy, clock.now(self.store))
            for batch in _batches(self.source.entries()):
                tally, refusals = await taking.take(batch)
                self.tally.add(tally)
                report(refusals)
                if look is not None:
                    look(batch)
                progress(self.source.lines_up_to(batch[-1].place), self.source.lines)
        finally:
            await rehearsal.rollback()
        return self.tally

    def _remember(self, refusals: Sequence[Refusal]) -> None:
        """Keep why the first records were refused."""
        for entry, problems in refusals[: MOST_TOLD - len(self.log)] if len(self.log) < MOST_TOLD else ():
            file, line = entry.place
            fields: dict[str, list[str]] = self.log.setdefault(f"{file}:{line}" if file else str(line), {})
            for problem in problems:
                fields.setdefault(problem.field, []).append(str(problem.reason))

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
            log=orjson.dumps(self.log).decode() if self.log else None,
            at=clock.now(),
        )
        if noted is None:
            raise StartupError("Another process goes on with this import: nothing was lost, leave it to that one.")


async def prepare(
    connection: Connection, store: Store, source: Source, policy: Policy, *, dry: bool, actor: str
) -> Import:
    """Return the import of these files: the one that was stopped, where there is one, else a new one."""
    if dry:
        return Import(connection, store, source, policy, "")
    begun = await _UNFINISHED(connection, store=store.id, fingerprint=source.fingerprint)
    if begun is not None:
        log = orjson.loads(begun.errors_log or "{}")
        return Import(connection, store, source, policy, begun.id, begun.tally, log)
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
