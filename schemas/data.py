"""Whole histories, brought in and taken out in the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from marshmallow import ValidationError

from schemas.fields import HARMLESS, Mark, Personal, Write
from schemas.history import WHOLES
from schemas.kinds import (
    Boolean,
    Derived,
    Enum,
    Identifier,
    Integer,
    Json,
    JsonObject,
    Standard,
    TextList,
    Timestamp,
    check_json,
    clean_text,
    render_timestamp,
)
from schemas.kinds.kind import WrongEntry
from schemas.relationships import ToMany
from service.texts import Phrase

MOST_INPUTS = 10_000
"""How many records an import is sent at once (Commerce Layer)."""


class Inputs(Json):
    """Records: a list of objects, or the text of a table."""

    json_type: ClassVar[Mapping[str, Any]] = {
        "type": ["array", "string"],
        "items": {"type": "object"},
        "maxItems": MOST_INPUTS,
    }
    most_kilobytes = 2_000

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if value in ("", []):
            raise ValidationError("can't be blank")
        if isinstance(value, str):
            return clean_text(value)
        if not isinstance(value, list):
            raise ValidationError("must be an array of objects, or the text of a table")
        wrong = next((number for number, one in enumerate(value) if not isinstance(one, dict)), None)
        if wrong is not None:
            raise WrongEntry("must be an object", wrong)
        if len(value) > MOST_INPUTS:
            raise ValidationError(Phrase("must have at most {most} entries", most=MOST_INPUTS))
        check_json(value, self.most_kilobytes)
        return value


class Counts(JsonObject):
    """What became of records, type by type."""

    json_type: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {
                word: {"type": "integer"} for word in ("created", "updated", "unchanged", "skipped", "refused")
            },
        },
    }


class Import(Standard):
    """Records that are brought into the store in the background, without an event or anything else that follows."""

    resource_type = Enum(
        *WHOLES,
        write=Write.CREATE,
        filter=True,
        sort=True,
        doc="The type of the records; each names its own as `type` where this is null.",
    )
    format = Enum(
        "json", "csv", write=Write.CREATE, nullable=False, doc="Whether inputs are objects (the default), or a table."
    )
    on_conflict = Enum(
        "refuse",
        "skip",
        "update",
        write=Write.CREATE,
        nullable=False,
        doc="What becomes of a record whose resource is there already: it is refused (the default), passed over, or"
        " changes it.",
    )
    status = Enum(
        "pending",
        "in_progress",
        "interrupted",
        "completed",
        nullable=False,
        filter=True,
        sort=True,
        doc="`interrupted` is one that could not be read to its end.",
    )
    inputs_size = Integer(nullable=False, doc="How many records there are; of a file, how many lines.")
    processed_count = Integer(nullable=False, doc="How many records have been looked at.")
    created_count = Integer(nullable=False, doc="How many of them made a resource.")
    updated_count = Integer(nullable=False, doc="How many changed one.")
    unchanged_count = Integer(nullable=False, doc="How many said what was so already.")
    skipped_count = Integer(nullable=False, doc="How many were passed over.")
    errors_count = Integer(nullable=False, doc="How many were refused.")
    counts_by_type = Counts(
        nullable=False,
        harmless=True,
        doc="The same counts for each type: `created`, `updated`, `unchanged`, `skipped` and `refused`. Records that"
        " name no type are only in the counts above.",
        example={"orders": {"created": 2, "updated": 0, "unchanged": 0, "skipped": 0, "refused": 1}},
    )
    errors_log = JsonObject(
        personal=Personal.WORDS,
        doc="Why records were refused, of a hundred at most, and of ten for one reason in one field: the record's"
        " number, or its file and line; field to reasons.",
        example={"3": {"email": ["must be an e-mail address"]}},
    )
    started_at = Timestamp(filter=True, sort=True, doc="When a worker took it up; null until then.")
    completed_at = Timestamp(filter=True, sort=True, doc="When all records were read; null until then.")
    interrupted_at = Timestamp(doc="When it was interrupted; null unless it was.")
    skip_errors = Boolean(
        write=Write.CREATE,
        doc="Sent by Commerce Layer's clients, where it keeps an import going. Here refused records never end one.",
    )

    _interrupt = Boolean(
        write=Write.UPDATE, trigger=True, nullable=False, doc="End it: what was brought in stays, the rest is dropped."
    )
    inputs = Inputs(
        write=Write.CREATE,
        trigger=True,
        required=True,
        personal=Personal.WORDS,
        doc="The records: objects as docs/reference/history.md describes them, at most 10 000; of a table, its text."
        " Kept until they are imported, and never shown.",
        example=[{"id": "ada", "email": "ada@example.com"}],
    )

    events = ToMany("events", via="resource_id", where={"resource_type": "imports"}, includable=False)
    event_stores = ToMany("event_stores", via="resource_id", where={"resource_type": "imports"}, includable=False)

    class Meta:
        type_ = "imports"
        internal: ClassVar = {"inputs": Mark(Personal.WORDS), "fingerprint": HARMLESS}


def _progress(processed: int, records: int, status: str) -> int:
    if status == "completed":
        return 100
    return 0 if processed <= 0 else 99 if processed >= records else processed * 100 // records


def _estimated(started: datetime | None, updated: datetime, processed: int, records: int, status: str) -> str | None:
    if started is None or status != "in_progress" or not 0 < processed <= records:
        return None
    try:
        return render_timestamp(started + (updated - started) * (records / processed))
    except OverflowError:
        return None


def _attachment_url(
    id_: str, type_: str | None, status: str, size: int, url_of: Callable[[str, str | None], str | None] | None
) -> str | None:
    return None if url_of is None or status != "completed" or not size else url_of(id_, type_)


class Export(Standard):
    """Records of the store, or of one of its customers, that are written into a file in the background."""

    resource_type = Enum(
        *WHOLES,
        write=Write.CREATE,
        filter=True,
        sort=True,
        doc="The type of the records; all types of a history where this is null. It takes the scopes to read them.",
    )
    format = Enum(
        "json",
        "csv",
        write=Write.CREATE,
        nullable=False,
        filter=True,
        doc="A list of objects, each on a line of its own (the default), or a table.",
    )
    includes = TextList(
        write=Write.CREATE,
        harmless=True,
        doc="Relationships whose resources come along with each record.",
        example=["customer", "shipping_address"],
    )
    fields = TextList(
        write=Write.CREATE,
        harmless=True,
        doc="The fields that are kept; `*` is all of a record's own, `line_items.*` all of what comes along. All where"
        " this is null.",
        example=["code", "placed_at", "line_items.sku_code"],
    )
    filters = JsonObject(
        write=Write.CREATE,
        personal=Personal.WORDS,
        doc="Which records are exported: attributes with matchers, as in `filter[q]`.",
        example={"placed_at_gteq": "2026-01-01T00:00:00Z"},
    )
    dry_data = Boolean(
        write=Write.CREATE,
        doc="Leave out ids, instants of writing and blanks, and name what is referred to by its key: for importing into"
        " another store.",
    )
    jwt_filters = Boolean(
        write=Write.CREATE,
        doc="Sent by Commerce Layer's clients. It changes nothing: a store has one market.",
    )
    customer_id = Identifier(
        write=Write.CREATE,
        filter=True,
        personal=Personal.IDENTIFIER,
        doc="The customer of whom everything is exported, and of nobody else.",
    )
    status = Enum(
        "pending",
        "in_progress",
        "interrupted",
        "completed",
        "failed",
        nullable=False,
        filter=True,
        sort=True,
        doc="`failed` is one that this release of the service can't write.",
    )
    records_count = Integer(nullable=False, doc="How many records there are to export.")
    processed_count = Integer(nullable=False, doc="How many of them are in the file by now.")
    progress = Derived(
        "processed_count",
        "records_count",
        "status",
        function=_progress,
        json_type={"type": "integer"},
        nullable=False,
        doc="The same in percent.",
    )
    started_at = Timestamp(filter=True, sort=True, doc="When a worker took it up; null until then.")
    completed_at = Timestamp(filter=True, sort=True, doc="When all records were written; null until then.")
    estimated_completion_at = Derived(
        "started_at",
        "updated_at",
        "processed_count",
        "records_count",
        "status",
        function=_estimated,
        json_type={"type": "string", "format": "date-time"},
        doc="When it will be completed, if it goes on as it has so far.",
    )
    interrupted_at = Timestamp(doc="When it was interrupted, or failed.")
    errors_log = JsonObject(
        harmless=True,
        doc="What was left out because it was being worked on, of the first hundred: type, id, why. Of one that failed,"
        " why it did.",
        example={"orders": {"01M8PZH7SNT3ZTQ28S39GGXDCN": "is placing, and was left out"}},
    )
    attachment_size = Integer(nullable=False, doc="How many bytes the file has; 0 where there is none.")
    attachment_expires_at = Timestamp(doc="Until when the file can be fetched: for seven days.")
    attachment_url = Derived(
        "id",
        "resource_type",
        "status",
        "attachment_size",
        function=_attachment_url,
        json_type={"type": "string", "format": "uri"},
        given="attachment_url",
        secret=True,
        doc="Where the file is fetched; whoever has the URL can. Null while there is none, and for tokens that may not"
        " read what is in it.",
    )

    _start = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="Begin one anew that was interrupted.")
    _interrupt = Boolean(write=Write.UPDATE, trigger=True, nullable=False, doc="End it, without a file.")

    events = ToMany("events", via="resource_id", where={"resource_type": "exports"}, includable=False)
    event_stores = ToMany("event_stores", via="resource_id", where={"resource_type": "exports"}, includable=False)

    class Meta:
        type_ = "exports"
        internal: ClassVar = {"attempt": HARMLESS}
