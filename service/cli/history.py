"""A shop's history comes in and goes out: `reprise import` and `reprise export`, and what they print."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from schemas.history import WHOLES
from service.cli.console import answer, say, told
from service.cli.progress import progress
from service.cli.within import operator, store_at
from service.operations.data import comparing, exporting, files, running
from service.operations.data.exporting import Choice
from service.operations.data.importing import Policy, Refusal, Tally
from service.operations.data.records import Entry, unplaced
from service.operations.events import outbox
from service.texts import Phrase

MOST_REASONS = 10
"""How many kinds of refusals the summary tells."""


@dataclass
class Report:
    """The refused records in a file, one problem a line, and the kinds of them counted."""

    path: Path
    refused: set[str] = field(default_factory=set)
    following: int = 0
    kinds: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str, str], tuple[str, str | None]] = field(default_factory=dict)
    various: set[tuple[str, str, str]] = field(default_factory=set)

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
                place = f"{refused['file']}:{refused['line']}"
                if refused.get("follows"):
                    self.following += 1
                else:
                    self._count(refused["field"], refused["reason"], refused["type"], place, refused.get("value"))
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
                self.refused |= entry.names
                for problem in problems:
                    reason = told(problem.reason)
                    line = {"file": entry.place.file, "line": entry.place.line, "type": entry.type_, "id": entry.id}
                    line |= {"field": problem.field, "reason": reason}
                    if follows := problem.refers and problem.value in self.refused:
                        line["follows"] = True
                    if problem.value is not None:
                        line["value"] = problem.value
                    if problem.suggestion is not None:
                        line["suggestion"] = problem.suggestion
                    file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                    meant = "" if problem.suggestion is None else f" ({problem.suggestion}?)"
                    place = f"{entry.place.file}:{entry.place.line}"
                    if follows:
                        self.following += 1
                    else:
                        self._count(problem.field, reason + meant, entry.type_, place, problem.value)

    def _count(self, name: str, reason: str, type_: str, place: str, value: str | None) -> None:
        kind = (type_, unplaced(name), reason)
        self.kinds[kind] += 1
        _, first = self.first.setdefault(kind, (place, value))
        if value != first:
            self.various.add(kind)

    def tell(self) -> None:
        """Print the commonest kinds of refusals, each with where it was met first, and how many follow from others."""
        example = told(Phrase("for example"))
        for kind, count in self.kinds.most_common(MOST_REASONS):
            type_, name, reason = kind
            where = " ".join(part for part in (type_, name) if part)
            place, value = self.first[kind]
            first = "" if value is None else f"{f'{example} ' if kind in self.various else ''}`{value}` "
            say(f"  {count:>8}  {f'{where}: ' if where else ''}{first}{reason}  [{place}]")
        if (more := len(self.kinds) - MOST_REASONS) > 0:
            told_more = Phrase(
                "and {count} more reason, in {file}",
                plural="and {count} more reasons, in {file}",
                count=more,
                file=str(self.path),
            )
            say(f"  {'':>8}  {told(told_more)}")
        if self.following:
            follows = Phrase("follow from these: what they lead to was refused itself")
            say(f"  {self.following:>8}  {told(follows)}")


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
        refused = Report(wanted.report or _report_of(wanted.paths))
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
    untyped = tally.processed - sum(one.processed for one in importing.by_type.values())
    if len(importing.by_type) + bool(untyped) > 1:
        _tell_types(importing.by_type, untyped)
    _tell_methods(importing.without)
    if importing.untaxed:
        _tell_untaxed(importing.untaxed)
    if dry:
        answer(Phrase("This was a rehearsal: nothing was written."))
    if tally.refused:
        refused.tell()
        say(Phrase("Every refused record is in {file}.", file=str(refused.path)))
    return tally.refused


def _report_of(paths: Sequence[Path]) -> Path:
    """Where refused records go unless somebody says: beside the first file, or here where nobody may write there."""
    folder = paths[0].parent
    name = f"{paths[0].stem if len(paths) == 1 else 'import'}.refused.ndjson"
    return folder / name if os.access(folder, os.W_OK) else Path(name)


def _tell_types(by_type: Mapping[str, Tally], untyped: int) -> None:
    """Print what became of the records of each type, in the order in which types are imported.

    `untyped` is how many named no type, all of which are refused.
    """
    rows = [(name, by_type[name]) for name in WHOLES if name in by_type]
    if untyped:
        rows.append((told(Phrase("of no type")), Tally(refused=untyped)))
    for name, tally in rows:
        counts = {
            "new": tally.made, "changed": tally.changed, "unchanged": tally.same, "skipped": tally.skipped,
            "refused": tally.refused,
        }  # fmt: skip
        told_ = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        answer(f"  {name}: {told_}")


def _tell_methods(without: Counter[tuple[str, str]]) -> None:
    """Say in how many orders a method is missing, and what would give it to them."""
    for (type_, name), count in without.most_common(MOST_REASONS):
        say(
            Phrase(
                "{count} record came without `{name}`: the store has none of that name or reference in {type}.",
                plural="{count} records came without `{name}`: the store has none of that name or reference in {type}.",
                count=count,
                name=name,
                type=type_,
            )
        )
    if without:
        say(Phrase("Make these methods and import with --on-conflict update, or set them on each subscription."))


def _tell_untaxed(count: int) -> None:
    """Say how many products would be sold without taxes from now on, and what would give them their rates."""
    say(
        Phrase(
            "Taxes were paid for {count} product without a `tax_rate`: new orders of it would have none.",
            plural="Taxes were paid for {count} products without a `tax_rate`: new orders of them would have none.",
            count=count,
        )
    )
    say(Phrase("Import a table with the columns `code` and `tax_rate` (0.21 is 21 percent) with --on-conflict update."))


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
