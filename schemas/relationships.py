"""Relationships: where they lead, and which columns hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow_jsonapi import fields as mj

from schemas.fields import HARMLESS, Mark, Personal, Write, mark

PEOPLE = "customers"
"""The type whose resources are people: what leads to one says whose it is."""


@dataclass(frozen=True)
class Through:
    """A join table of a many-to-many relationship: its name, the column of this side and the column of the other."""

    table: str
    own: str
    other: str


class _Linked:
    """Links of a relationship, absolute, as every relationship has them (JSON:API 1.1, "Related Resource Links")."""

    name: str
    parent: Any

    def _url(self, obj: Any, middle: str) -> str:
        id_ = obj["id"] if isinstance(obj, Mapping) else obj.id
        return f"{self.parent.rendering.base}/{self.parent.type_}/{id_}/{middle}{self.name}"

    def get_self_url(self, obj: Any) -> str:
        """URL of the relationship itself."""
        return self._url(obj, "relationships/")

    def get_related_url(self, obj: Any) -> str:
        """URL of the related resources."""
        return self._url(obj, "")


class ToOne(_Linked, mj.Relationship):
    """A relationship to at most one resource, kept in a column of this type's table.

    The column is `<name>_id` unless `column` says otherwise. `write` says when a client may set it, `guarded` that of
    these only integrations may, `required` that a create must, `filter` that `filter[name]=id` works, `sort` which
    attributes of the related resource collections can be sorted by (`sort=("email",)` for `sort=customer.email`),
    `personal` what it says of a person, `doc` is its description. An id is harmless unless it says whose something is.
    """

    def __init__(
        self,
        type_: str,
        *,
        column: str = "",
        write: Write = Write.NEVER,
        guarded: bool = False,
        filter: bool = True,
        sort: tuple[str, ...] = (),
        includable: bool = True,
        required: bool = False,
        personal: Personal | None = None,
        doc: str = "",
    ) -> None:
        self.column = column
        self.write = write
        self.guarded = guarded
        self.filter = filter
        self.sort = sort
        self.includable = includable
        self.mark = mark(Mark(Personal.IDENTIFIER) if type_ == PEOPLE else HARMLESS, personal=personal)
        super().__init__(
            type_=type_,
            include_resource_linkage=True,
            required=required,
            allow_none=not required,
            dump_only=not write,
            metadata={"description": doc},
        )

    def bind_name(self, name: str) -> None:
        """Settle the column once the relationship's name is known."""
        self.column = self.column or f"{name}_id"
        self.attribute = self.column


class ToMany(_Linked, mj.Relationship):
    """A relationship to any number of resources.

    Either `via` names the column of the other table that points here, with `where` for further fixed conditions on it
    (a value, or several of which it has one), or `through` the join table, or it holds all of its type that the store
    has (`everywhere`). `includable=False` marks relationships without a bound (a store's events): they have
    links and paging, but can't be included. Only those `through` a join table can be written, `guarded` ones by
    integrations only.
    """

    def __init__(
        self,
        type_: str,
        *,
        via: str = "",
        where: Mapping[str, str | tuple[str, ...]] | None = None,
        through: Through | None = None,
        everywhere: bool = False,
        write: Write = Write.NEVER,
        guarded: bool = False,
        includable: bool = True,
        doc: str = "",
    ) -> None:
        if [bool(via), bool(through), everywhere].count(True) != 1:
            raise TypeError(f"a to-many relationship to {type_!r} needs one of `via`, `through` and `everywhere`")
        if write and not through:
            raise TypeError(f"a to-many relationship to {type_!r} has no join table, and is written at the other end")
        self.via = via
        self.where = dict(where or {})
        self.through = through
        self.everywhere = everywhere
        self.write = write
        self.guarded = guarded
        self.filter = through is not None
        self.includable = includable
        super().__init__(type_=type_, many=True, dump_only=not write, metadata={"description": doc})

    def bind_name(self, name: str) -> None:
        """A to-many relationship has no column of its own."""
