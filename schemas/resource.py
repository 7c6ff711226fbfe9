"""What every resource type declares.

A type is one marshmallow-jsonapi `Schema` class. Beyond marshmallow it says which column holds an attribute, who may
write it, whether clients may filter and sort by it, what it says of people, where a relationship leads and whose rows a
customer sees. Routing, SQL, documents and `openapi.yaml` are all derived from these classes; nothing about a type is
written down twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from marshmallow.fields import Str
from marshmallow.schema import SchemaMeta
from marshmallow_jsonapi import Schema
from marshmallow_jsonapi import fields as mj

from schemas.conditions import Condition, Instead
from schemas.fields import HARMLESS, Mark
from schemas.graph import MEMBER_NAME, OWNERS, PUBLIC, graph
from schemas.quotas import Quota
from schemas.relationships import ToMany, ToOne
from schemas.rendering import Rendering

_OPTIONS = frozenset({"type_", "table", "where", "owner", "guest", "visible", "unmasked", "internal", "log", "quota"})
"""What `Meta` of a type may say: a misspelt option must not show what it was meant to hide."""


def _widened(fields: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [one for name, field in fields for one in ((name, field), *getattr(field, "companions", lambda _: ())(name))]


class _ResourceType(SchemaMeta):
    """Binds a Schema class once marshmallow has collected its fields, which is after `__init_subclass__`."""

    @classmethod
    def get_declared_fields(
        mcs,  # noqa: N804 -- the class of a metaclass
        klass: SchemaMeta,
        cls_fields: list[tuple[str, Any]],
        inherited_fields: list[tuple[str, Any]],
        dict_cls: type = dict,
    ) -> dict[str, Any]:
        """Add the read-only companions that some fields bring along, right behind them: an amount's float and text."""
        widened = _widened(cls_fields)
        declared: dict[str, Any] = super().get_declared_fields(klass, widened, _widened(inherited_fields), dict_cls)
        own = {name for name, _ in widened}
        # What is a type's own comes first, what every type has comes last.
        return {n: f for n, f in declared.items() if n in own} | {n: f for n, f in declared.items() if n not in own}

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:  # noqa: N805
        super().__init__(name, bases, namespace)  # type: ignore[no-untyped-call]  # marshmallow's metaclass
        meta = namespace.get("Meta")
        if meta is not None and getattr(meta, "type_", None):
            cls.bind()  # type: ignore[attr-defined]  # defined on Resource, the only class that uses this metaclass


class Resource(Schema, metaclass=_ResourceType):
    """The base of all resource types.

    `Meta` says:
    `type_`: the JSON:API type, plural snake_case. `table`: its table (default: the type), `where`: columns with fixed
    values, for types that share a table. `internal`: the columns that clients never see, each with its mark.
    `owner`: whose a row is, as a path of to-one relationships to customers; `PUBLIC` for what every customer may read,
    None for what is not for customers. `guest`: the same to the cart of a guest.
    `visible`: what else has to hold (all of it) for customers and guests to see a row.
    `unmasked`: what has to hold (all of it) for a guest to see in a row what identifies a person, by the fields' marks.
    A type that guests read must say so when it has such fields.
    `quota`: how many rows an owner has at most, whoever makes them.
    `log`: the attribute that holds the number of the transaction which wrote a row, of types whose rows never change.
    Pages by cursor follow it, and end before rows that others may still come before.
    """

    type_: ClassVar[str]
    table: ClassVar[str]
    where: ClassVar[Mapping[str, str]]
    owner: ClassVar[str | None]
    owners: ClassVar[Mapping[str, str | None]]
    visible: ClassVar[tuple[Condition, ...]]
    unmasked: ClassVar[tuple[Condition, ...] | None]
    internal: ClassVar[Mapping[str, Mark]]
    attributes: ClassVar[Mapping[str, Any]]
    triggers: ClassVar[Mapping[str, Any]]
    disclosed: ClassVar[Mapping[str, Any]]
    relationships: ClassVar[Mapping[str, ToOne | ToMany]]
    log: ClassVar[str]
    quota: ClassVar[Quota | None]
    secrets: ClassVar[tuple[str, ...]]
    shown: ClassVar[Mapping[str, Instead]]
    masked: ClassVar[frozenset[str]]

    def __init__(self, *args: Any, rendering: Rendering | None = None, **kwargs: Any) -> None:
        self.rendering = rendering or Rendering("/api")
        super().__init__(*args, **kwargs)

    @classmethod
    def bind(cls) -> None:
        """Settle what the class declares and join the graph. Raises TypeError naming the class and field at fault."""
        meta: Any = cls.Meta
        if unknown := {name for name in vars(meta) if not name.startswith("__")} - _OPTIONS:
            raise TypeError(f"{cls.__name__}.Meta: there is no option {', '.join(sorted(unknown))}")
        cls.type_ = meta.type_
        cls.table = getattr(meta, "table", cls.type_)
        cls.where = dict(getattr(meta, "where", {}))
        cls.owner = getattr(meta, "owner", None)
        cls.owners = dict(zip(OWNERS, (cls.owner, getattr(meta, "guest", None)), strict=True))
        cls.visible = tuple(getattr(meta, "visible", ()))
        unmasked = getattr(meta, "unmasked", None)
        cls.unmasked = None if unmasked is None else tuple(unmasked)
        cls.internal = dict(getattr(meta, "internal", {}))
        cls.log = getattr(meta, "log", "")
        cls.quota = getattr(meta, "quota", None)
        declared: dict[str, Any] = cls._declared_fields
        cls.relationships = {n: f for n, f in declared.items() if isinstance(f, mj.BaseRelationship)}
        kept = {
            n: f for n, f in declared.items() if n != "id" and not isinstance(f, (mj.BaseRelationship, mj.ResourceMeta))
        }
        cls.triggers = {n: f for n, f in kept.items() if getattr(f, "trigger", False)}
        cls.disclosed = {n: f for n, f in kept.items() if getattr(f, "disclosed", False)}
        cls.attributes = {n: f for n, f in kept.items() if n not in cls.triggers and n not in cls.disclosed}
        for name, field in cls.triggers.items():
            if name in ("type", "id") or not MEMBER_NAME.fullmatch(name.removeprefix("_")):
                raise TypeError(f"{cls.__name__}.{name}: not a name that a trigger can have")
            field.bind_name(name)
        for name in [*cls.attributes, *cls.relationships, *(["id"] if not isinstance(declared["id"], Str) else [])]:
            if name in ("type", "id") or not MEMBER_NAME.fullmatch(name):
                raise TypeError(f"{cls.__name__}.{name}: not a name that a JSON:API field can have")
        if not (cls.__doc__ or "").strip():
            raise TypeError(f"{cls.__name__}: a resource type needs a docstring, it is its description in openapi.yaml")
        for name, field in cls.attributes.items():
            if not hasattr(field, "inputs"):
                raise TypeError(f"{cls.__name__}.{name}: {type(field).__name__} is not one of schemas.kinds")
            field.bind_name(name)
        for name, relationship in cls.relationships.items():
            relationship.bind_name(name)
        columns = cls.columns()
        cls.secrets = tuple(name for name, field in cls.attributes.items() if field.mark and field.mark.secret)
        cls.shown = {name: field.shown for name, field in columns.items() if getattr(field, "shown", None)}
        cls.masked = frozenset(name for name, field in columns.items() if _identifies(field.mark))
        graph.add(cls)

    @classmethod
    def column_of(cls, name: str) -> str:
        """The column that keeps an attribute or a to-one relationship; empty when there is none."""
        column: str = getattr(cls.attributes.get(name) or cls.relationships.get(name), "column", "")
        return column

    @classmethod
    def masks(cls, column: str, owner: str | None) -> bool:
        """Whether somebody who sees an owner's rows sees a column only where `unmasked` holds: a guest, of a person."""
        return owner == "carts" and column in cls.masked and bool(cls.unmasked)

    @classmethod
    def check_what_is_seen(cls, types: Mapping[str, type[Resource]]) -> None:
        """Check the declared conditions, once all types are known. Raises TypeError naming the culprit."""
        declared = {"its rows are seen": cls.visible, "its rows are unmasked": cls.unmasked or ()}
        declared |= {f"{column!r} is shown": shown.when for column, shown in cls.shown.items()}
        for what, conditions in declared.items():
            for condition in conditions:
                if fault := condition.fault(cls, types, what):
                    raise TypeError(f"{cls.__name__}: {fault}")
        if cls.owners["carts"] is not None and cls.masked and cls.unmasked is None:
            raise TypeError(f"{cls.__name__}: guests read it, so `unmasked` must say when they see whose it is")

    @classmethod
    def columns(cls) -> dict[str, Any]:
        """Column -> the field that is kept in it, for all attributes and to-one relationships that have one."""
        kept = {f.column: f for f in cls.attributes.values() if f.column}
        return kept | {r.column: r for r in cls.relationships.values() if isinstance(r, ToOne)}

    @classmethod
    def owner_path(cls, types: Mapping[str, type[Resource]] = graph, root: str = "customers") -> tuple[ToOne, ...]:
        """The to-one relationships from this type to the customer who owns a row, or to the cart that it is of.

        Raises TypeError when the path leads elsewhere.
        """
        path: list[ToOne] = []
        current: type[Resource] = cls
        owner = cls.owners[root]
        if owner in (None, PUBLIC, "id"):
            return ()
        for name in str(owner).split("."):
            relationship = current.relationships.get(name)
            if not isinstance(relationship, ToOne):
                broken = f"{name!r} of {current.type_}"
                raise TypeError(f"{cls.__name__}: its owner {owner!r} is no path of to-one relationships ({broken})")
            path.append(relationship)
            current = types[relationship.type_]
        if current.type_ != root:
            raise TypeError(f"{cls.__name__}: its owner {owner!r} leads to {current.type_}, not to {root}")
        return tuple(path)

    @classmethod
    def marks(cls) -> dict[str, Mark | None]:
        """Column -> its mark, for all columns of the table; None for one that has to decide and doesn't."""
        plain = dict.fromkeys(("store_id", "id", "version", *cls.where), HARMLESS)
        return {**plain, **cls.internal, **{column: field.mark for column, field in cls.columns().items()}}

    def get_resource_links(self, item: Mapping[str, Any]) -> dict[str, str]:
        """`links` of the resource object: its absolute `self`."""
        return {"self": f"{self.rendering.base}/{self.type_}/{item['id']}"}

    def get_top_level_links(self, data: Any, many: bool) -> dict[str, str | None]:  # noqa: ARG002, FBT001 -- their hook
        """No top-level links: those belong to a request, not to a resource."""
        return {"self": None}


def _identifies(mark: Mark | None) -> bool:
    return mark is not None and mark.personal is not None and mark.personal.identifies
