"""What records refer to: resources found by what people call them, and what is known of those that ids lead to.

Each is looked up once for all records of a batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.history import RECORDS, Record, fields_of
from service.operations.data.records import METHODS, Columns, Entry, Lookup, Problem, Row, derived_id, whole_of
from service.operations.data.rows import RowWriter
from service.operations.subscriptions.order_subscriptions import CARRIED
from service.principal import Store
from service.store import bulk
from service.store.pool import Connection
from service.store.vault import vault_of
from service.texts import Phrase

_CALLED: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "line_items": (("sku_code", "sku_id"),),
    "order_subscription_items": (("sku_code", "sku_id"), ("swap_sku_code", "swap_sku_id")),
    "occurrence_items": (("sku_code", "sku_id"),),
}
"""Type -> columns of codes by which skus are found, where no other is given, and those that name the skus."""

_TAKEN_OVER: Final = ("customer_id", "customer_email", "currency_code", *CARRIED)
"""Columns that a subscription may take over from its source order."""


class _Missing(NamedTuple):
    """What is given by its name, and isn't in the store: in which record, in which of its rows, and its name."""

    entry: Entry
    row: Row
    lookup: Lookup


@dataclass
class References:
    """Finds what records refer to in a store."""

    connection: Connection
    store: Store
    writer: RowWriter

    async def settle(self, entries: Sequence[Entry]) -> None:
        """Find what is given by its name, and settle the ids."""
        rows = [row for entry in entries for row in whole_of(entry).whole()]
        missing = await self._look_up(entries)
        await self._call(rows)
        await self._tag(rows)
        unnamed = [entry for entry in entries if "id" not in whole_of(entry).columns]
        if unnamed:
            await self._name(unnamed)
        _look_beside(entries, missing)
        for entry in entries:
            row = whole_of(entry)
            if "id" in row.columns:
                _name_parts(row)

    async def _look_up(self, entries: Sequence[Entry]) -> list[_Missing]:
        """Find what is given by its name in the store; returns what isn't there."""
        wanted: dict[str, set[object]] = {}
        found = [(entry, row) for entry in entries for row in whole_of(entry).whole() if row.lookups]
        for _, row in found:
            for lookup in row.lookups:
                wanted.setdefault(lookup.type_, set()).update(lookup.values)
        ids = {type_: await self._by_key(type_, values) for type_, values in wanted.items()}
        for type_ in METHODS & wanted.keys():
            others = wanted[type_] - ids[type_].keys()
            if others:
                ids[type_] |= await self._by_key(type_, others, "reference")
        missing = []
        for entry, row in found:
            for lookup in row.lookups:
                there = ids[lookup.type_]
                id_ = next((there[value] for value in lookup.values if value in there), None)
                if id_ is None:
                    missing.append(_Missing(entry, row, lookup))
                else:
                    row.columns[lookup.column] = id_
        return missing

    async def _by_key(self, type_: str, values: Collection[object], *key: str) -> dict[object, str]:
        record = RECORDS[type_]
        found = await bulk.found(self.connection, self.store.id, record.resource, key or record.key, values)
        return {key[0]: id_ for key, id_ in found}

    async def _call(self, rows: Iterable[Row]) -> None:
        """Find the skus of lines by their codes; a line of what is no longer sold has none."""
        called = [
            (row, code, named)
            for row in rows
            for code, named in _CALLED.get(row.record.type_, ())
            if row.columns.get(code) is not None and named not in row.columns
        ]
        codes = {row.columns[code] for row, code, _ in called}
        ids = await self._by_key("skus", codes) if codes else {}
        for row, code, named in called:
            if row.columns[code] in ids:
                row.columns[named] = ids[row.columns[code]]

    async def _tag(self, rows: Iterable[Row]) -> None:
        """Find tags by their names, and make those that aren't there."""
        tagged = [row for row in rows if row.tags]
        names = {name for row in tagged for name in row.tags or ()}
        if not names:
            return
        ids = await self._by_key("tags", names)
        made: dict[object, str] = {name: derived_id("tags", name) for name in sorted(names) if name not in ids}
        await self.writer.insert([Row(RECORDS["tags"], {"id": id_, "name": name}) for name, id_ in made.items()])
        known = ids | made
        for row in tagged:
            row.tag_ids = sorted({known[name] for name in row.tags or ()})

    async def _name(self, entries: Sequence[Entry]) -> None:
        """Give records without an id that of what is known by the same key, or one that follows from the key."""
        record = whole_of(entries[0]).record
        keyed = [(entry, tuple(whole_of(entry).columns.get(name) for name in record.key)) for entry in entries]
        first = {key[0] for _, key in keyed if key and key[0] is not None}
        ids: Mapping[tuple[object, ...], str] = {}
        if first:
            found = await bulk.found(self.connection, self.store.id, record.resource, record.key, first)
            ids = dict(found)
        for entry, key in keyed:
            if not key or key[0] is None:
                entry.problems.append(Problem("id", Phrase("can't be blank")))
                continue
            usual = await self.writer.defaults(record.type_)
            whole = tuple(
                usual.get(name) if value is None else value for name, value in zip(record.key, key, strict=True)
            )
            whole_of(entry).columns["id"] = ids.get(whole) or derived_id(record.type_, *whole)

    async def facts(self, rows: Sequence[Row]) -> dict[str, dict[str, Columns]]:
        """What the references of rows lead to: columns by type and id, of what is there and of what comes along."""
        wanted: dict[str, set[str]] = {}
        for row in rows:
            for found in fields_of(row.record.type_).references:
                id_ = row.columns.get(found.column)
                if id_ is not None:
                    wanted.setdefault(found.type_, set()).add(str(id_))
        columns = _asked({row.record.type_: row.record for row in rows}.values())
        facts = {
            type_: await bulk.facts(
                self.connection, self.store.id, RECORDS[type_].resource, ids, sorted(columns[type_])
            )
            for type_, ids in wanted.items()
        }
        for row in rows:
            if row.before is None and row.record.type_ in wanted and "id" in row.columns:
                facts[row.record.type_][row.id] = row.columns
        return facts

    async def check_tokens(self, entries: Sequence[Entry]) -> None:
        """A gateway's token is in the wallet of one customer."""
        name, whose, kept = "payment_source_token", "customer_id", "payment_source_digest"
        given = [entry for entry in entries if isinstance(whole_of(entry).columns.get(name), str)]
        tokens = {whole_of(entry).columns[name] for entry in given}
        if not tokens or whole_of(entries[0]).record.type_ != "customer_payment_sources":
            return
        resource = RECORDS["customer_payment_sources"].resource
        vault, column = vault_of(self.connection), "customer_payment_sources.payment_source_token"
        of_digest = {digest: token for token in tokens for digest in vault.digests(column, self.store.id, str(token))}
        found = await bulk.found(self.connection, self.store.id, resource, (kept, whose), of_digest)
        holders: dict[object, object] = {of_digest[digest]: holder for (digest, holder), _ in found}
        for entry in given:
            row = whole_of(entry)
            if holders.setdefault(row.columns[name], row.get(whose)) != row.get(whose):
                entry.problems.append(Problem(name, Phrase("is in another customer's wallet")))


def _look_beside(entries: Sequence[Entry], missing: Sequence[_Missing]) -> None:
    """Find what is given by its name among the records that come along, of which each comes behind what it names."""
    beside: dict[tuple[str, object], tuple[int, str]] = {}
    for place, row in enumerate(map(whole_of, entries)) if missing else ():
        key = row.record.key
        if len(key) == 1 and "id" in row.columns and not entries[place].problems:
            beside.setdefault((row.record.type_, row.columns.get(key[0])), (place, row.id))
    places = {id(entry): place for place, entry in enumerate(entries)} if missing else {}
    for entry, row, lookup in missing:
        place, id_ = beside.get((lookup.type_, lookup.value), (len(entries), ""))
        if place < places[id(entry)]:
            row.columns[lookup.column] = id_
        elif entry.origin is not None and lookup.type_ in METHODS:
            entry.without.append(lookup)
        else:
            name = f"{row.path}{lookup.column.removesuffix('_id')}.{RECORDS[lookup.type_].key[0]}"
            reason = Phrase("names nothing that is there: import that first")
            entry.problems.append(Problem(name, reason, value=str(lookup.value), refers=True))


def _asked(records: Iterable[Record]) -> dict[str, set[str]]:
    """Which columns are asked for of what records refer to, by type."""
    columns: dict[str, set[str]] = {}
    for record in records:
        for found in fields_of(record.type_).references:
            there = columns.setdefault(found.type_, set())
            there.update(one.there for one in record.agreements if one.reference == found.column)
            if (record.type_, found.column) == ("order_subscriptions", "source_order_id"):
                there.update(_TAKEN_OVER)
    return columns


def _name_parts(row: Row) -> None:
    """Say what comes with a record that it is part of it, and give what has no id one that follows from its id."""
    for whole in row.embedded.values():
        content = {name: str(value) for name, value in sorted(whole.columns.items())}
        whole.columns.setdefault("id", derived_id(whole.record.type_, row.id, content))
    for type_, parts in row.parts.items():
        for position, part in enumerate(parts):
            place = part.columns.get("occurrence_index", position) if type_ == "occurrences" else position
            part.columns.setdefault("id", derived_id(type_, row.id, place))
            part.columns[part.record.within] = row.id


def facts_of(row: Row, facts: Mapping[str, Mapping[str, Columns]]) -> dict[str, Columns]:
    """What a row's references lead to, by their columns; empty for what isn't there."""
    return {
        found.column: facts.get(found.type_, {}).get(str(row.columns[found.column]), {})
        for found in fields_of(row.record.type_).references
        if row.columns.get(found.column) is not None
    }
