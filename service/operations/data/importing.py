"""Records become rows: a batch at a time, in one transaction, without an event, a movement of stock or a payment.

What a batch refers to is looked up for all of its records at once. New rows go in by COPY; what the database refuses
is found by halves, so that one wrong record never takes others with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from schemas.history import RECORDS, WHOLES
from service.errors import ApiError
from service.operations.data.completing import Frame, check_agreements, complete
from service.operations.data.records import Columns, Entry, Problem, Row, whole_of
from service.operations.data.references import References, facts_of
from service.operations.data.rows import NUMBERED, RowWriter
from service.operations.generic import numbers
from service.operations.tenant import tenants, terms
from service.principal import Store
from service.store import bulk
from service.store.pool import Connection
from service.texts import Phrase

Policy = Literal["refuse", "skip", "update"]
"""What becomes of a record whose resource is there already."""

_TAKEN: Final = Phrase(
    "is taken by what is there already: on_conflict (--on-conflict of the command) can skip or update that"
)


class Refusal(NamedTuple):
    """A record that was not taken, and why."""

    entry: Entry
    problems: Sequence[Problem]


@dataclass(slots=True)
class Tally:
    """What became of records: how many were made, changed, as they were already, passed over, and refused."""

    made: int = 0
    changed: int = 0
    same: int = 0
    skipped: int = 0
    refused: int = 0

    @property
    def processed(self) -> int:
        """How many there were."""
        return self.made + self.changed + self.same + self.skipped + self.refused

    def add(self, other: Tally) -> None:
        """Count others too."""
        self.made += other.made
        self.changed += other.changed
        self.same += other.same
        self.skipped += other.skipped
        self.refused += other.refused


class Taken(NamedTuple):
    """What became of the records of a batch: of all, of those of each type, and which were refused.

    Records that name no type are in no type's tally.
    """

    tally: Tally
    by_type: Mapping[str, Tally]
    refusals: Sequence[Refusal]


@dataclass
class Intake:
    """Takes the records of one import into a store."""

    connection: Connection
    frame: Frame
    policy: Policy
    references: References
    writer: RowWriter

    async def take(self, entries: Iterable[Entry]) -> Taken:
        """Take a batch of records, in the caller's transaction. Returns what became of them."""
        tally, by_type = Tally(), defaultdict[str, Tally](Tally)
        refusals: list[Refusal] = []
        groups: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.row is not None and not entry.problems:
                groups.setdefault(entry.row.record.type_, []).append(entry)
            else:
                refusals.append(Refusal(entry, entry.told()))
                by_type[entry.type_].refused += 1
        for type_ in WHOLES:
            group = groups.get(type_, [])
            if not group:
                continue
            await self.references.settle(group)
            for wave in _waves(group):
                refused = await self._wave(wave, by_type[type_])
                by_type[type_].refused += len(refused)
                refusals += refused
        for own in by_type.values():
            tally.add(own)
        by_type.pop("", None)
        return Taken(tally, by_type, refusals)

    async def _wave(self, wave: Sequence[Entry], tally: Tally) -> list[Refusal]:
        """Take records of one type, none of which is there twice."""
        sound = await self._meet(wave, tally)
        await self._complete([entry for entry in sound if not entry.problems])
        await self._write([entry for entry in sound if not entry.problems], tally)
        return [Refusal(entry, entry.told()) for entry in wave if entry.problems]

    async def _meet(self, wave: Sequence[Entry], tally: Tally) -> list[Entry]:
        """Do as the policy says with records whose resources are there; returns those to go on with."""
        sound = [entry for entry in wave if not entry.problems]
        if not sound:
            return []
        record = whole_of(sound[0]).record
        store, ids = self.frame.store.id, [whole_of(entry).id for entry in sound]
        if self.policy != "update":
            taken = await bulk.taken(self.connection, store, record.resource, ids)
            met = [entry for entry in sound if whole_of(entry).id in taken]
            if self.policy == "skip":
                tally.skipped += len(met)
            else:
                for entry in met:
                    entry.problems.append(Problem("id", _TAKEN))
            return [entry for entry in sound if whole_of(entry).id not in taken]
        held = {str(row["id"]): row for row in await bulk.held(self.connection, store, record.resource, ids)}
        for entry in sound:
            whole_of(entry).before = held.get(whole_of(entry).id)
        await self._meet_parts([whole_of(entry) for entry in sound if whole_of(entry).id in held])
        return sound

    async def _meet_parts(self, rows: Sequence[Row]) -> None:
        """Find the parts that resources have already, and add those that aren't given to the record."""
        for type_ in rows[0].record.parts if rows else ():
            part = RECORDS[type_]
            ids = [row.id for row in rows]
            found = await bulk.held(self.connection, self.frame.store.id, part.resource, ids, by=part.within)
            there: dict[str, dict[str, Columns]] = {}
            for columns in found:
                there.setdefault(str(columns[part.within]), {})[str(columns["id"])] = columns
            for row in rows:
                held = there.get(row.id, {})
                given = row.parts.setdefault(type_, [])
                for one in given:
                    one.before = held.pop(one.id, None)
                given += [Row(part, {"id": id_}, before=columns) for id_, columns in held.items()]
        await self._meet_embedded(rows)

    async def _meet_embedded(self, rows: Sequence[Row]) -> None:
        embedded = [whole for row in rows for whole in row.embedded.values()]
        if embedded:
            ids = [whole.id for whole in embedded]
            found = await bulk.held(self.connection, self.frame.store.id, embedded[0].resource, ids)
            held = {str(columns["id"]): columns for columns in found}
            for whole in embedded:
                whole.before = held.get(whole.id)

    async def _complete(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        record = whole_of(entries[0]).record
        rows = [row for entry in entries for row in whole_of(entry).whole()]
        facts = await self.references.facts(rows)
        unnumbered = [
            entry
            for entry in entries
            if record.type_ in NUMBERED and whole_of(entry).before is None and "number" not in whole_of(entry).columns
        ]
        first = await self._numbers(record.type_, len(unnumbered)) if unnumbered else 0
        given = {id(entry): first + position for position, entry in enumerate(unnumbered)}
        for entry in entries:
            row = whole_of(entry)
            # What is taken over from an order agreed there already.
            known = [(part, facts_of(part, facts)) for part in row.whole()]
            complete(row, self.frame, given.get(id(entry)), facts_of(row, facts), entry.problems)
            for part, leads_to in known:
                check_agreements(part, leads_to, entry.problems)
        await self.references.check_tokens(entries)

    async def _numbers(self, kind: str, amount: int) -> int:
        return await numbers.TAKE(self.connection, store=self.frame.store.id, kind=kind, number=amount)

    async def _write(self, entries: Sequence[Entry], tally: Tally) -> None:
        """Write records, by halves where the database refuses one."""
        if not entries:
            return
        try:
            async with self.connection.transaction():
                made, changed = await self.writer.write([whole_of(entry) for entry in entries])
        except ApiError as refusal:
            if len(entries) == 1:
                entries[0].problems.append(_problem(refusal, whole_of(entries[0])))
                return
            half = len(entries) // 2
            await self._write(entries[:half], tally)
            await self._write(entries[half:], tally)
            return
        tally.made += made
        tally.changed += changed
        tally.same += len(entries) - made - changed


async def intake(connection: Connection, store: Store, policy: Policy, at: datetime) -> Intake:
    """Return what takes the records of an import into a store."""
    market_id = await tenants.market_id(connection, store.id)
    frame = Frame(store, market_id, await terms.of_store(connection, store), at)
    writer = RowWriter(connection, store, at)
    return Intake(connection, frame, policy, References(connection, store, writer), writer)


def _waves(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Records in such parts that none holds a resource twice; those without an id are refused in the first."""
    wave: list[Entry] = []
    seen: set[str] = set()
    for entry in entries:
        id_ = str(whole_of(entry).columns.get("id", ""))
        if id_ and id_ in seen:
            yield wave
            wave, seen = [], set()
        seen.add(id_)
        wave.append(entry)
    if wave:
        yield wave


def _problem(refusal: ApiError, row: Row) -> Problem:
    """What the database said of one record, as a problem of it: of several fields that of an amount below zero."""
    first = refusal.problems[0]
    names = first.detail.values.get("names", first.detail.values.get("name", ""))
    listed = [str(name) for name in names] if isinstance(names, list) and names else [str(names)]
    named = next((name for name in listed if isinstance(held := row.get(name), int) and held < 0), listed[0])
    if (first.meta or {}).get("error") == "blank":
        return Problem(named, Phrase("can't be blank"))
    sentence = first.detail.values.get("sentence")
    if not isinstance(sentence, Phrase):
        return Problem(named, first.detail)
    if (first.meta or {}).get("error") == "taken":
        return Problem(named, Phrase("has already been taken ({sentence})", sentence=sentence))
    return Problem(named, Phrase("breaks a rule: {sentence}", sentence=sentence))
