"""What every resource type declares, and the graph that the declarations form.

A type is one marshmallow-jsonapi `Schema` class. Beyond marshmallow it says which column holds an attribute, who may
write it, whether clients may filter and sort by it, where a relationship leads and whose rows a customer sees. Routing,
SQL, documents and `openapi.yaml` are all derived from these classes; nothing about a type is written down twice.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol

from marshmallow.fields import Str
from marshmallow.schema import SchemaMeta
from marshmallow_jsonapi import Schema
from marshmallow_jsonapi import fields as mj

MEMBER_NAME = re.compile(r"[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?")
"""Member names we use: the ASCII part of JSON:API 1.1, section "Member Names"."""

RESERVED_TYPES = frozenset(
    {
        "v3", "services", "operations", "application", "organization", "docs", "openapi", "schemas", "errors",
        "reorder_previews", "repeat_link_preview", "repeat_link_commits", "forecasts",
    }
)  # fmt: skip
"""First path segments under /api, and names of schemas, that are no resource types."""


class Write(enum.Flag):
    """When a client may send a field."""

    NEVER = 0
    CREATE = enum.auto()
    UPDATE = enum.auto()
    BOTH = CREATE | UPDATE


class LinkUrls(Protocol):
    """Makes the URLs of a store's repeat links, which the service's keys sign."""

    @property
    def newest(self) -> str:
        """The id of the key that signs new links."""

    def url(self, id_: str, key_id: str, token_version: int, order_code: str) -> str | None:
        """The absolute URL of a link; None when the key that signed it is gone."""


class Rendering(NamedTuple):
    """What a document depends on besides its rows.

    `base` is the absolute URL of the API without a trailing slash (`https://shop.example/api`), `mode` the store's mode
    (`test` or `live`), `locale` the store's locale for formatted amounts (`nl_NL`). `at` is the instant that it is for
    the store (aware UTC), `links` makes the URLs of repeat links, `calendar_url` that of a subscription's calendar from
    the subscription's id; without them nothing is over, and no URL is shown.
    """

    base: str
    mode: str = "test"
    locale: str = "en_US"
    at: datetime | None = None
    links: LinkUrls | None = None
    calendar_url: Callable[[str], str] | None = None


PUBLIC = "*"
"""`Meta.owner` of types that every customer of the store may read, such as the catalogue; `Meta.guest` likewise."""


class Graph(Mapping[str, "type[Resource]"]):
    """All resource types by their JSON:API type name, in the order of their declaration."""

    def __init__(self) -> None:
        self._types: dict[str, type[Resource]] = {}

    def __getitem__(self, type_: str) -> type[Resource]:
        return self._types[type_]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def add(self, resource: type[Resource]) -> None:
        """Register a type. Raises TypeError when its name is taken or reserved."""
        name = resource.type_
        if name in self._types:
            other = self._types[name].__name__
            raise TypeError(f"{resource.__name__}: the type {name!r} is already declared by {other}")
        if name in RESERVED_TYPES or not MEMBER_NAME.fullmatch(name):
            raise TypeError(f"{resource.__name__}: {name!r} can't be a type name")
        self._types[name] = resource

    def remove(self, type_: str) -> None:
        """Forget a type again; for tests that declare types of their own."""
        del self._types[type_]

    def check(self) -> None:
        """Check what one class alone can't know: that relationships and owners lead somewhere.

        Raises TypeError naming the culprit.
        """
        for resource in self.values():
            for name, relationship in resource.relationships.items():
                where = f"{resource.__name__}.{name}"
                target = self._types.get(relationship.type_)
                if target is None:
                    raise TypeError(f"{where} leads to {relationship.type_!r}, which no Schema declares")
                if isinstance(relationship, ToMany) and relationship.via and not relationship.where:
                    known = {r.column for r in target.relationships.values() if isinstance(r, ToOne)}
                    if relationship.via not in known:
                        via = f"{relationship.via!r}, which is no to-one relationship of {target.type_}"
                        raise TypeError(f"{where} goes via {via}")
                for key in getattr(relationship, "sort", ()):
                    if not getattr(target.attributes.get(key), "sort", False):
                        raise TypeError(f"{where} sorts by {key!r}, which {target.type_} can't be sorted by")
            for root in OWNERS:
                resource.owner_path(self, root)
            self._check_what_is_seen(resource)

    @staticmethod
    def _check_what_is_seen(resource: type[Resource]) -> None:
        for column, shown in resource.shown.items():
            if not isinstance(resource.relationships.get(shown.relationship), ToMany):
                raise TypeError(f"{resource.__name__}: {column!r} is shown by no to-many relationship")
        if resource.seen_with and not isinstance(resource.relationships.get(resource.seen_with), ToOne):
            raise TypeError(f"{resource.__name__}: {resource.seen_with!r} is no to-one relationship to be seen with")


graph = Graph()

OWNERS = ("customers", "carts")
"""The types that rows belong to: a customer sees what is the customer's, a guest what is of the guest's cart.

`Resource.owners` says how: by a path, `id` for the owner itself, `PUBLIC`, or None for not at all.
"""


@dataclass(frozen=True)
class Through:
    """A join table of a many-to-many relationship: its name, the column of this side and the column of the other."""

    table: str
    own: str
    other: str


@dataclass(frozen=True)
class While:
    """A word that is shown instead of another, while a to-many relationship holds a resource of one of these statuses.

    It is worked out when it is read and never stored, so it can't outlast what it tells of.
    """

    word: str
    instead_of: str
    relationship: str
    statuses: tuple[str, ...]


class _Linked:
    """Links of a relationship, absolute, as every relationship has them (JSON:API 1.1, "Related Resource Links")."""

    name: str
    parent: Any

    def _url(self, obj: Any, middle: str) -> str:
        resource: Resource = self.parent
        id_ = obj["id"] if isinstance(obj, Mapping) else obj.id
        return f"{resource.rendering.base}/{resource.type_}/{id_}/{middle}{self.name}"

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
    attributes of the related resource collections can be sorted by (`sort=("email",)` for `sort=customer.email`), `doc`
    is its description.
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
        doc: str = "",
    ) -> None:
        self.column = column
        self.write = write
        self.guarded = guarded
        self.filter = filter
        self.sort = sort
        self.includable = includable
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
        widened: list[tuple[str, Any]] = []
        for name, field in cls_fields:
            widened.append((name, field))
            widened.extend(getattr(field, "companions", lambda _: ())(name))
        declared: dict[str, Any] = super().get_declared_fields(klass, widened, inherited_fields, dict_cls)
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

    `Meta` options: `type_` (JSON:API type, plural snake_case), `table` (default: the type), `where` (columns with fixed
    values, for types that share a table), `owner` (path of to-one relationships to the customer who owns a row,
    `PUBLIC`, or None: not for customers), `guest` (the same to the cart of a guest), `internal` (columns of the table
    that clients never see), `disclosed` (texts that only the answer to a create shows, beside the attributes: name ->
    description).

    Of a public type customers and guests see what has none of the columns `private`, is between the instants in the two
    columns `period`, either of which may be "", and belongs by the to-one relationship `seen_with` to something that
    they see.

    Of what has one of certain columns set, a guest doesn't see a column that is `personal`: column -> those columns.
    What a column shows may depend on related resources: `shown`, column -> `While`. Such a column is read and filtered
    as it is shown, and sorted as it is stored.
    """

    type_: ClassVar[str]
    table: ClassVar[str]
    where: ClassVar[Mapping[str, str]]
    owner: ClassVar[str | None]
    owners: ClassVar[Mapping[str, str | None]]
    internal: ClassVar[tuple[str, ...]]
    private: ClassVar[tuple[str, ...]]
    personal: ClassVar[Mapping[str, tuple[str, ...]]]
    shown: ClassVar[Mapping[str, While]]
    period: ClassVar[tuple[str, str]]
    seen_with: ClassVar[str]
    disclosed: ClassVar[Mapping[str, str]]
    attributes: ClassVar[Mapping[str, Any]]
    triggers: ClassVar[Mapping[str, Any]]
    secrets: ClassVar[tuple[str, ...]]
    relationships: ClassVar[Mapping[str, ToOne | ToMany]]

    def __init__(self, *args: Any, rendering: Rendering | None = None, **kwargs: Any) -> None:
        self.rendering = rendering or Rendering("/api")
        super().__init__(*args, **kwargs)

    @classmethod
    def bind(cls) -> None:
        """Settle what the class declares and join the graph. Raises TypeError naming the class and field at fault."""
        meta: Any = cls.Meta
        cls.type_ = meta.type_
        cls.table = getattr(meta, "table", cls.type_)
        cls.where = dict(getattr(meta, "where", {}))
        cls.owner = getattr(meta, "owner", None)
        cls.owners = {"customers": cls.owner, "carts": getattr(meta, "guest", None)}
        cls.internal = tuple(getattr(meta, "internal", ()))
        cls.private = tuple(getattr(meta, "private", ()))
        cls.personal = dict(getattr(meta, "personal", {}))
        cls.shown = dict(getattr(meta, "shown", {}))
        cls.period = getattr(meta, "period", ("", ""))
        cls.seen_with = getattr(meta, "seen_with", "")
        cls.disclosed = dict(getattr(meta, "disclosed", {}))
        declared: dict[str, Any] = cls._declared_fields
        cls.relationships = {n: f for n, f in declared.items() if isinstance(f, mj.BaseRelationship)}
        kept = {
            n: f for n, f in declared.items() if n != "id" and not isinstance(f, (mj.BaseRelationship, mj.ResourceMeta))
        }
        cls.attributes = {n: f for n, f in kept.items() if not getattr(f, "trigger", False)}
        cls.triggers = {n: f for n, f in kept.items() if n not in cls.attributes}
        cls.secrets = tuple(n for n, f in cls.attributes.items() if getattr(f, "secret", False))
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
        graph.add(cls)

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

    def get_resource_links(self, item: Mapping[str, Any]) -> dict[str, str]:
        """`links` of the resource object: its absolute `self`."""
        return {"self": f"{self.rendering.base}/{self.type_}/{item['id']}"}

    def get_top_level_links(self, data: Any, many: bool) -> dict[str, str | None]:  # noqa: ARG002, FBT001 -- their hook
        """No top-level links: those belong to a request, not to a resource."""
        return {"self": None}
