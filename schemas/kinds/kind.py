"""What every kind of attribute value knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError
from marshmallow import fields as ma

from schemas.conditions import Instead
from schemas.fields import Mark, Personal, Write, mark


class WrongEntry(ValidationError):
    """An entry of a list that can't be read; `number` counts from 0."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Kind(ma.Field):
    """Base of all kinds.

    `write` says when a client may send the attribute, `guarded` that of these only integrations may, `required` that a
    create must, `nullable` that null is a value, `filter` and `sort` that collections can be filtered and sorted by it,
    `column` where it is kept (default: a column of its name), `doc` is its description. A `trigger` is sent only: it
    asks for something to be done, with an underscore before its name, or says how; it is kept nowhere and never shown.
    What is `disclosed` is kept nowhere either: only the answers to such writes show it. `shown` is a word that readers
    see in place of what is stored.

    What `repeats` what other types show is seen only by who may read all types, and null for others.

    `personal`, `secret` and `harmless` say what a value tells of people. A kind whose values can hardly tell anything
    (numbers, instants, words from a list) is harmless by itself; of other kinds each attribute has to decide.
    """

    sql_type: ClassVar[str] = "text"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string"}
    """What `openapi.yaml` says of a value of this kind."""
    compiled: str = "{0}"
    names: ClassVar[Mapping[str, Any]] = {}
    written: ClassVar[str] = "to_json({0})"
    """The SQL expression of a column's value whose text is what documents have; null for null, and empty for none."""
    quote: ClassVar[str] = ""
    """What stands around that text in documents: a quotation mark where it is a word, in which nothing is escaped."""
    is_path: ClassVar[bool] = False
    """Whether a value that begins with a slash is a path, which documents show below the URL of the service."""
    native: ClassVar[str] = "{0}"
    """The SQL expression of a column's value that Postgres's own JSON of it is what documents have."""
    within_json: ClassVar[str] = "to_json({0})"
    """The SQL expression of the text of a value within an array of JSON, from which others are worked out."""
    from_json: ClassVar[str] = "{0}"
    """The Python expression of a column's value, as the statement's own columns have it, from that within JSON."""
    in_words: ClassVar[str] = "{0}::text"
    """The SQL expression of a column's value as `parse` reads it."""
    default_mark: ClassVar[Mark | None] = None
    """The mark of attributes that declare none; None where each has to decide."""

    def __init__(
        self,
        *,
        write: Write = Write.NEVER,
        guarded: bool = False,
        trigger: bool = False,
        disclosed: Write = Write.NEVER,
        required: bool = False,
        nullable: bool = True,
        filter: bool = False,
        sort: bool = False,
        column: str = "",
        shown: Instead | None = None,
        repeats: bool = False,
        personal: Personal | None = None,
        secret: bool = False,
        harmless: bool = False,
        doc: str = "",
        example: Any = None,
        validators: Iterable[Callable[[Any], Any]] = (),
    ) -> None:
        self.write = write
        self.guarded = guarded
        self.trigger = trigger
        self.disclosed = disclosed
        self.nullable = nullable and not required
        self.filter = filter
        self.sort = sort
        self.column = column
        self.shown = shown
        self.repeats = repeats
        self.mark = mark(self.default_mark, personal=personal, secret=secret, harmless=harmless)
        self.inputs: tuple[str, ...] = ()
        metadata = {"description": doc} | ({} if example is None else {"example": example})
        super().__init__(
            required=required,
            allow_none=self.nullable,
            dump_only=not write,
            load_only=trigger or bool(disclosed),
            validate=list(validators),
            error_messages={"null": "can't be blank"},
            metadata=metadata,
        )

    def bind_name(self, name: str) -> None:
        """Settle the column once the attribute's name is known; what is not kept has none."""
        if self.trigger or self.disclosed:
            return
        self.column = self.column or name
        self.attribute = self.column
        self.inputs = (self.column,)

    def parse(self, text: str) -> Any:
        """The value that a query string's text stands for. Raises ValidationError when it stands for none."""
        return text

    def schema(self) -> dict[str, Any]:
        """This attribute as a JSON Schema (2020-12), nullability included."""
        described = dict(self.json_type)
        if self.nullable and "type" in described:
            described["type"] = [described["type"], "null"]
            if "enum" in described:
                described["enum"] = [*described["enum"], None]
        return described | {k: v for k, v in self.metadata.items() if v}
