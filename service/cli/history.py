"""A shop's history comes in and goes out: `reprise import` and `reprise export`, and what they print."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from service.cli.console import answer, say, told
from service.cli.progress import progress
from service.cli.within import operator, store_at
from service.operations.data import comparing, exporting, files, running
from service.operations.data.exporting import Choice
from service.operations.data.importing import Policy, Refusal
from service.operations.data.records import Entry
from service.operations.events import outbox
from service.texts import Phrase

MOST_REASONS = 10
"""How many kinds of refusals the summary tells."""


@dataclass
class Report:
    """The refused records in a file, one problem a line, and the kinds of them counted."""

    path: Path
    kinds: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def begin(self, most: int) -> None:
        """Begin anew, or keep what was written of the first so many refused records of an import that goes on."""
        kept: list[bytes] = []
        if most and self.path.exists():
            records: dict[tuple[str, int], None] = {}
            for line in self.path.read_bytes().splitlines(keepends=True):
                refused = orjson.loads(line)
                records[refused["file"], refused["line"]] = None
                if len(records) > most:
                    break
                kept.append(line)
                self._count(
                    refused["field"], refused["reason"], refused["type"], f"{refused['file']}:{refused['line']}"
                )
        if kept:
            self.path.write_bytes(b"".join(kept))
        else:
            self.path.unlink(missing_ok=True)

    def add(self, refusals: Sequence[Refusal]) -> None:
        """Write down refused records."""
        if not refusals:
            return
        with self.path.open("ab") as file:
            for entry, problems in refusals:
                type_ = "" if entry.row is None else entry.row.record.type_
                for problem in problems:
                    reason = told(problem.reason)
                    line = {"file": entry.place.file, "line": entry.place.line, "type": type_, "field": problem.field}
                    line |= {"reason": reason}
                    if problem.value is not None:
                        line["value"] = problem.value
                    if problem.suggestion is not None:
                        line["suggestion"] = problem.suggestion
                    file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                    meant = "" if problem.suggestion is None else f" ({problem.suggestion}?)"
                    place = f"{entry.place.file}:{entry.place.line}"
                    self._count(_kind(problem.field), reason + meant, type_, place)

    def _count(self, name: str, reason: str, type_: str, place: str) -> None:
        kind = (type_, _kind(name), reason)
        self.kinds[kind] += 1
        self.first.setdefault(kind, place)

    def tell(self) -> None:
        """Print the commonest kinds of refusals, each with where it was met first."""
        for kind, count in self.kinds.most_common(MOST_REASONS):
            type_, name, reason = kind
            where = " ".join(part for part in (type_, name) if part)
            say(f"  {count:>8}  {f'{where}: ' if where else ''}{reason}  [{self.first[kind]}]")


def _kind(name: str) -> str:
    """A field without the place in a list: `line_items.quantity` of `line_items.3.quantity`."""
    return ".".join(part for part in name.split(".") if not part.isdigit())


class Wanted(NamedTuple):
    """How files are to be imported.

    `platform` is the one that wrote them, None for records. `dry` writes nothing, `compare` nothing either, and shows
    calendars. `report` is where refused records go.
    """

    paths: Sequence[Path]
    policy: Policy
    platform: str | None = None
    dry: bool = False
    compare: bool = False
    report: Path | None = None


async def bring(url: str, store_id: int, wanted: Wanted, keys: Sequence[str]) -> int:
    """Import files into a store; returns how many records were refused. Raises StartupError where it can't begin."""
    dry = wanted.dry or wanted.compare
    async with store_at(url, store_id, keys) as (connection, store):
        source = files.open_all(wanted.paths, wanted.policy, platform=wanted.platform, currency=store.currency_code)
        importing = await running.prepare(connection, store, source, wanted.policy, dry=dry, actor=operator())
        refused = Report(wanted.report or Path(f"{wanted.paths[0].stem}.refused.ndjson"))
        refused.begin(importing.tally.refused)
        if begun := importing.tally.processed:
            _tell_place(source, begun)
        with progress(Phrase("lines"), source.lines) as tell:
            if dry:
                tally = await importing.rehearse(tell, refused.add, _show if wanted.compare else None)
            else:
                tally = await importing.run(tell, refused.add)
                await outbox.record(connection, store, "imports.complete", importing.id, actor=operator())
    answer(
        Phrase(
            "Records: {made} new, {changed} changed, {same} unchanged, {skipped} skipped, {refused} refused.",
            made=tally.made,
            changed=tally.changed,
            same=tally.same,
            skipped=tally.skipped,
            refused=tally.refused,
        )
    )
    if dry:
        answer(Phrase("This was a rehearsal: nothing was written."))
    if tally.refused:
        refused.tell()
        say(Phrase("Every refused record is in {file}.", file=str(refused.path)))
    return tally.refused


def _show(batch: Sequence[Entry]) -> None:
    """Print the dates of the subscriptions of a batch, elsewhere and here, with a mark where they differ."""
    for entry in batch:
        for one in comparing.compare(entry):
            mark = "!!" if one.differs else "ok"
            answer(f"{mark}  {one.subscription_id:<30}  {_minute(one.there)}  {_minute(one.here)}")


def _minute(at: datetime | None) -> str:
    return f"{'-':<17}" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def _tell_place(source: files.Source, begun: int) -> None:
    """Say where an import goes on that was stopped behind so many records."""
    entry = next(source.entries(begun), None)
    if entry is not None:
        file, line = entry.place
        say(Phrase("Going on at line {line} of {file}, behind {count} records.", line=line, file=file, count=begun))


async def take_out(url: str, store_id: int, customer_id: str | None, to: Path | None, keys: Sequence[str]) -> None:
    """Write the records of a store, or of one of its customers, to a file or to standard output.

    Raises StartupError for a store that there isn't, InvalidState while something in it is being worked on.
    """
    async with store_at(url, store_id, keys) as (connection, store):
        done = 0
        with sys.stdout.buffer if to is None else to.open("wb") as file:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                async for line in exporting.lines(connection, store, Choice(customer_id=customer_id)):
                    file.write(line)
                    done += 1
    say(Phrase("Wrote {count} record.", plural="Wrote {count} records.", count=done))
