"""What every resource type has."""

from __future__ import annotations

from typing import Any

from marshmallow import fields as ma
from marshmallow_jsonapi import fields as mj

from schemas.fields import Personal, Write
from schemas.kinds.json import JsonObject
from schemas.kinds.kind import Kind
from schemas.kinds.texts import Text
from schemas.kinds.times import Timestamp
from schemas.resource import Resource


class ResourceMeta(mj.ResourceMeta):
    """`meta` of every resource object: the store's `mode` and the row's `version`."""

    inputs = ("version",)

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **kwargs: Any) -> dict[str, Any]:  # noqa: ARG002 -- marshmallow's signature
        """`{"mode": "test", "version": 3}` from a mapping of columns."""
        return {"mode": self.parent.rendering.mode, "version": obj["version"]}


class Standard(Resource):
    """What every type has: id, timestamps, the client's own reference, metadata and `meta`."""

    id = ma.Str(dump_only=True)
    resource_meta = ResourceMeta()
    created_at = Timestamp(nullable=False, filter=True, sort=True, doc="When the resource was made.")
    updated_at = Timestamp(nullable=False, filter=True, sort=True, doc="When it was last changed.")
    reference = Text(
        write=Write.BOTH,
        filter=True,
        sort=True,
        personal=Personal.WORDS,
        doc="Any identifier of the client's own; not checked for uniqueness.",
    )
    reference_origin = Text(
        write=Write.BOTH, filter=True, personal=Personal.WORDS, doc="What system the reference is from."
    )
    metadata = JsonObject(
        write=Write.BOTH,
        nullable=False,
        filter=True,
        personal=Personal.WORDS,
        doc="Any JSON object of the client's own.",
    )

    @classmethod
    def described(cls) -> dict[str, dict[str, Any]]:
        """Attribute -> its JSON Schema."""
        return {name: field.schema() for name, field in cls._declared_fields.items() if isinstance(field, Kind)}
