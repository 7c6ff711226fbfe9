"""Tags by name: what they may be called, and the triggers that put them on a resource and take them off again."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError

from schemas.fields import Personal, Write
from schemas.kinds import Pattern, Text
from service.texts import Phrase

MOST_TAGS = 10
"""How many tags one trigger may name."""


class TagName(Pattern):
    """The name of a tag (Commerce Layer)."""

    pattern = "[0-9A-Za-z_-]{1,25}"
    words = "must be 1 to 25 letters, digits, hyphens or underscores"


class TagNames(Text):
    """Names of tags, separated by commas; becomes a list of them."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        names = [name.strip() for name in super()._deserialize(value).split(",")]
        if len(names) > MOST_TAGS:
            raise ValidationError(Phrase("must name at most {most} tags", most=MOST_TAGS))
        one = TagName()
        return [one.deserialize(name) for name in names]


class Tagged:
    """The triggers of a type with a relationship `tags` (Commerce Layer)."""

    _add_tags = TagNames(
        write=Write.BOTH,
        guarded=True,
        trigger=True,
        nullable=False,
        personal=Personal.PROFILE,
        doc="Names of tags to add, separated by commas; those that don't exist yet are made.",
        example="vip,newsletter",
    )
    _remove_tags = TagNames(
        write=Write.BOTH,
        guarded=True,
        trigger=True,
        nullable=False,
        personal=Personal.PROFILE,
        doc="Names of tags to take off, separated by commas.",
        example="vip",
    )
