"""What every kind of attribute value knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from marshmallow import fields as ma

from schemas.base import Write


class Kind(ma.Field):
    """Base of all kinds.

    `write` says when a client may send the attribute, `guarded` that of these only integrations may, `required` that a
    create must, `nullable` that null is a value, `filter` and `sort` that collections can be filtered and sorted by it,
    `column` where it is kept (default: a column of its name), `doc` is its description. A `trigger` is sent only: it
    asks for something to be done, with an underscore before its name, or says how; it is kept nowhere and never shown.
    """

    sql_type: ClassVar[str] = "text"
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string"}
    """What `openapi.yaml` says of a value of this kind."""
    compiled: ClassVar[str] = "{0}"
    names: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        *,
        write: Write = Write.NEVER,
        guarded: bool = False,
        trigger: bool = False,
        required: bool = False,
        nullable: bool = True,
        filter: bool = False,
        sort: bool = False,
        column: str = "",
        doc: str = "",
        example: Any = None,
        validators: Iterable[Callable[[Any], Any]] = (),
    ) -> None:
        self.write = write
        self.guarded = guarded
        self.trigger = trigger
        self.nullable = nullable and not required
        self.filter = filter
        self.sort = sort
        self.column = column
        self.inputs: tuple[str, ...] = ()
        metadata = {"description": doc} | ({} if example is None else {"example": example})
        super().__init__(
            required=required,
            allow_none=self.nullable,
            dump_only=not write,
            load_only=trigger,
            validate=list(validators),
            error_messages={"null": "can't be blank"},
            metadata=metadata,
        )

    def bind_name(self, name: str) -> None:
        """Settle the column once the attribute's name is known; a trigger has none."""
        if self.trigger:
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
