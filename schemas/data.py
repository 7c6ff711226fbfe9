"""Whole histories, brought in and taken out in the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError

from schemas.fields import HARMLESS, Mark, Personal, Write
from schemas.history import WHOLES
from schemas.kinds import Enum, Integer, Json, JsonObject, Standard, Timestamp, check_json, clean_text
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
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise ValidationError("must be an array of objects, or the text of a table")
        if len(value) > MOST_INPUTS:
            raise ValidationError(Phrase("must have at most {most} entries", most=MOST_INPUTS))
        check_json(value, self.most_kilobytes)
        return value


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
    errors_log = JsonObject(
        personal=Personal.WORDS,
        doc="Why records were refused, of the first hundred: the record's number, or its file and line; field to"
        " reasons.",
        example={"3": {"email": ["must be an e-mail address"]}},
    )
    started_at = Timestamp(filter=True, sort=True, doc="When a worker took it up; null until then.")
    completed_at = Timestamp(filter=True, sort=True, doc="When all records were read; null until then.")
    interrupted_at = Timestamp(doc="When it was interrupted; null unless it was.")

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

    class Meta:
        type_ = "imports"
        internal: ClassVar = {"inputs": Mark(Personal.WORDS), "fingerprint": HARMLESS}
