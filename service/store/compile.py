"""A `Query` becomes SQL: one statement for a page or resource with its whole include tree.

Rows come as text, nested as deep as the include tree, with their attributes as JSON that Postgres has written
(`service.jsonapi.layout`). Columns of their own would cost the client three times that, and anonymous records can't
cross the nodes of Citus. Identifiers come from Schemas only, every value from a client is a bind; `$1` is always the
store. The rows of a customer or a guest are limited at every level by the path to their owner and the conditions that
each Schema declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from schemas.conditions import Condition, Empty, OneOf, SeenWith, Since, Some, Until
from schemas.graph import PUBLIC, graph
from schemas.kinds import Kind
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service import clock
from service.jsonapi.layout import (
    ATTRIBUTES,
    CURSOR,
    CURSOR_END,
    END,
    ID,
    META,
    MODE,
    PRIMARY,
    ROOT,
    SELF,
    TYPE,
    VERSION,
    Level,
    layout,
)
from service.jsonapi.pagination import values_in_urls
from service.jsonapi.query import Selection
from service.jsonapi.renderers import MAX_INCLUDED
from service.jsonapi.splicing import Spliced
from service.principal import Owner, Viewer
from service.store.structure import Given


class Later(Enum):
    """A bind whose value follows from who asks, and when, for which resource, for how many, and how far."""

    STORE = auto()
    OWNER = auto()
    NOW = auto()
    ID = auto()
    OFFSET = auto()
    HORIZON = auto()


@dataclass(frozen=True, slots=True)
class Values:
    """What the binds of a remembered text stand for.

    `given` are the values that were lifted out of the query.
    """

    viewer: Viewer
    id: str | None = None
    given: Sequence[Any] = ()
    offset: int = 0
    horizon: int = 0

    def of(self, binds: Sequence[Any]) -> list[Any]:
        """The values of these binds."""
        found: list[Any] = []
        for bind in binds:
            if type(bind) is Given:
                found.append(self.given[bind.place])
            elif bind is Later.STORE:
                found.append(self.viewer.store_id)
            else:
                found.append(self._later(bind) if type(bind) is Later else bind)
        return found

    def _later(self, bind: Later) -> Any:
        match bind:
            case Later.ID:
                return self.id
            case Later.OWNER:
                return self.viewer.owner and self.viewer.owner.id
            case Later.NOW:
                return clock.now(self.viewer)
            case Later.HORIZON:
                return self.horizon
            case _:
                return self.offset


class Written(NamedTuple):
    """The expression of a row's text, and what it needs in the from clause, right behind the row's table."""

    row: str
    beside: str


class Place(NamedTuple):
    """How the cursor of a row is written: what it begins with, and the columns that are compared before its id."""

    begin: str
    compared: str

    def write(self, text: Spliced, id_: str) -> Spliced:
        """Go on with the cursor of a row, whose id is the value of an expression."""
        text.constant(self.begin).value(id_).constant(".")
        if not self.compared:
            return text.constant(values_in_urls(()))
        return text.value(f"encode({in_utf8(f'json_build_array({self.compared})::text')}, 'hex')")


class _Seen(NamedTuple):
    """The expression of what the viewer sees in a column, and whether that may be null."""

    expression: str
    nullable: bool


class Statement:
    """SQL text under construction with its binds: the store first, an owner at its first use."""

    def __init__(self, viewer: Viewer) -> None:
        self._binds: list[Any] = [Later.STORE]
        self._viewer = viewer
        self._bound = ""
        self._now = ""
        self._aliases = 0

    def bind(self, value: Any) -> str:
        """Bind a value, returning its placeholder."""
        self._binds.append(value)
        return f"${len(self._binds)}"

    def id(self, value: Any) -> str:
        """Bind the id of what rows belong to, returning an expression that says nothing of its value to the planner.

        Else it would guess for each how many rows it has, find the plan for this one cheaper, and plan every time.
        """
        return f"(select {self.bind(value)}::text)"

    @property
    def binds(self) -> list[Any]:
        """The values of the binds, for the viewer that the statement is made for."""
        return Values(self._viewer).of(self._binds)

    @property
    def kept_binds(self) -> tuple[Any, ...]:
        """The binds of a text that is remembered for every viewer of this kind: what differs by viewer comes later."""
        return tuple(self._binds)

    def owner(self) -> str:
        """The owner's placeholder.

        Bound when first asked for, since Postgres refuses binds that a statement doesn't use.
        """
        self._bound = self._bound or self.bind(Later.OWNER)
        return self._bound

    @property
    def now(self) -> str:
        """The placeholder of the store's instant, bound when first asked for."""
        self._now = self._now or self.bind(Later.NOW)
        return self._now

    def alias(self) -> str:
        """A table alias that is used nowhere else in the statement."""
        self._aliases += 1
        return f"t{self._aliases}"

    def row(self, selection: Selection, alias: str, place: Place | None = None, level: Level = PRIMARY) -> Written:
        """What gives the text of a row that comes alone. `place` says how its cursor is written.

        Its attributes are written by Postgres's own function, which needs little to begin with.
        """
        resource, names = selection.resource, layout(selection).written
        if not names:
            return Written(self._text(selection, alias, place, level), "")
        written = self.alias()
        columns = [
            f'{field.native.format(self.column(resource, alias, field.column))} as "{name}"'
            for name, field in ((name, resource.attributes[name]) for name in names)
        ]
        beside = f", lateral (select {', '.join(columns)}) {written}"
        return Written(self._text(selection, alias, place, level, f"row_to_json({written})"), beside)

    def rows(self, selection: Selection, alias: str, place: Place | None = None, level: Level = PRIMARY) -> str:
        """The expression of the text of each of many rows.

        Postgres's own function looks up the type of each value in each row. Texts that are put one after the other take
        two thirds of its time, from the fourth row or so: they need more to begin with.
        """
        resource, names, text = selection.resource, layout(selection).written, Spliced(_literal)
        for name in names:
            field = resource.attributes[name]
            text.constant(f'{"{" if name == names[0] else ","}"{name}":')
            _write(text, self._seen_in(resource, alias, field.column), field.written, field.quote)
        written = text.constant("}").parts if names else ()
        return self._text(selection, alias, place, level, *written)

    def _text(self, selection: Selection, alias: str, place: Place | None, level: Level, *written: str) -> str:
        """The expression of a row's text, which ends with its attributes, if there are any, or with all of it."""
        resource, fields, between = selection.resource, layout(selection), level.field.decode()
        id_, version, type_ = f"{alias}.id", f"{alias}.version", resource.type_
        text = Spliced(_literal).value(id_).constant(between).value(version).constant(between)
        if place is not None:
            place.write(text, id_)
        for name in fields.ends:
            text.constant(between).value(self.column(resource, alias, resource.column_of(name)))
        if fields.derived:
            self._write_inputs(text.constant(between), resource, alias, fields.inputs)
        for name, sub in selection.include:
            text.constant(between).value(self._included(resource, name, sub, alias, level))
        if fields.whole and level is PRIMARY:
            text.constant(between + TYPE + type_ + ID).value(id_).constant(f"{SELF}{ROOT}/{type_}/").value(id_)
            text.constant(ATTRIBUTES).value(*written).constant(META + MODE + VERSION).value(version)
            if place is not None:
                place.write(text.constant(CURSOR), id_).constant(CURSOR_END)
            text.constant(END)
        elif written:
            text.constant(between).value(*written)
        return _concat(text.parts)

    def _write_inputs(self, text: Spliced, resource: type[Resource], alias: str, columns: Sequence[str]) -> None:
        """Columns as an array of JSON."""
        kinds = resource.columns()
        for column in columns:
            within = getattr(kinds.get(column), "within_json", Kind.within_json)
            text.constant("[" if column == columns[0] else ",")
            _write(text, self._seen_in(resource, alias, column), within)
        text.constant("]" if columns else "[]")

    def _seen_in(self, resource: type[Resource], alias: str, column: str) -> _Seen:
        kind = resource.columns().get(column)
        masked = resource.masks(column, self._viewer.owner and self._viewer.owner.type_)
        return _Seen(
            self.column(resource, alias, column), nullable=masked or not isinstance(kind, Kind) or kind.nullable
        )

    def column(self, resource: type[Resource], alias: str, column: str) -> str:
        """What the viewer sees in a column: what is stored, the word that its Schema shows instead, or null.

        Null is what guests see of that which identifies a person, unless the Schema's conditions hold.
        """
        seen = f'{alias}."{column}"'
        if shown := resource.shown.get(column):
            seen = f"(case when {self.hold(resource, alias, shown.when)} then '{shown.word}' else {seen} end)"
        if resource.masks(column, self._viewer.owner and self._viewer.owner.type_):
            seen = f"(case when {self.hold(resource, alias, resource.unmasked or ())} then {seen} end)"
        return seen

    def hold(self, resource: type[Resource], alias: str, conditions: Iterable[Condition]) -> str:
        """The condition that all of these hold for the row of `alias`."""
        return " and ".join(self._holds(resource, alias, condition) for condition in conditions)

    def _holds(self, resource: type[Resource], alias: str, condition: Condition) -> str:
        match condition:
            case Empty(field):
                return f'{alias}."{resource.column_of(field)}" is null'
            case Since(field):
                return f'coalesce({alias}."{resource.column_of(field)}" <= {self.now}, true)'
            case Until(field):
                return f'coalesce({alias}."{resource.column_of(field)}" > {self.now}, true)'
            case OneOf(field, words):
                return _fixed(f'{alias}."{resource.column_of(field)}"', words)
            case Some(name, conditions):
                relationship, inner = resource.relationships[name], self.alias()
                assert isinstance(relationship, ToMany)  # noqa: S101 -- checked with the graph
                target = graph[relationship.type_]
                related = self.related(resource, relationship, inner, f"{alias}.id")
                where = " and ".join([*self._of_type(target, inner), related, self.hold(target, inner, conditions)])
                return f"exists (select from {target.table} {inner} where {where})"
            case SeenWith(name):
                relationship, inner = resource.relationships[name], self.alias()
                assert isinstance(relationship, ToOne)  # noqa: S101 -- checked with the graph
                target = graph[relationship.type_]
                where = self.scope(target, inner, f'{inner}.id = {alias}."{relationship.column}"')
                return f"exists (select from {target.table} {inner} where {where})"

    def _included(self, resource: type[Resource], name: str, selection: Selection, owner: str, level: Level) -> str:
        relationship, below = resource.relationships[name], level.below
        alias, table = self.alias(), selection.resource.table
        if isinstance(relationship, ToOne):
            row, beside = self.row(selection, alias, level=below)
            joined = f'{alias}.id = {owner}."{relationship.column}"'
            return f"(select {row} from {table} {alias}{beside} where {self.scope(selection.resource, alias, joined)})"
        row, rows = self.rows(selection, alias, level=below), self.alias()
        where = self.scope(selection.resource, alias, self.related(resource, relationship, alias, f"{owner}.id"))
        # One more than a document may hold, so that too many are noticed and not cut off.
        limit = f"limit {MAX_INCLUDED + 1}"
        ordered = f"select {row} one from {table} {alias} where {where} order by {alias}.id {limit}"
        return f"(select {_listed(f'{rows}.one', below)} from ({ordered}) {rows})"

    def related(self, resource: type[Resource], relationship: ToMany, alias: str, id_: str) -> str:
        """The condition that rows of `alias` are what a to-many relationship of a resource holds.

        `id_` is the expression of that resource's id.
        """
        if relationship.everywhere:
            parent = self.alias()
            there = f"{parent}.store_id = $1 and {parent}.id = {id_}"
            return f"exists (select from {resource.table} {parent} where {there})"
        if relationship.through is None:
            fixed = [_fixed(f"{alias}.{column}", value) for column, value in relationship.where.items()]
            return " and ".join([f'{alias}."{relationship.via}" = {id_}', *fixed])
        join, through = self.alias(), relationship.through
        return (
            f"exists (select from {through.table} {join} where {join}.store_id = $1"
            f' and {join}."{through.other}" = {alias}.id and {join}."{through.own}" = {id_})'
        )

    def scope(self, resource: type[Resource], alias: str, *conditions: str) -> str:
        """A where clause: the store, the type's fixed columns, what the viewer may see, and further conditions."""
        rows = [*self._of_type(resource, alias), *self._seen(resource, alias)]
        return " and ".join([*rows, *(condition for condition in conditions if condition)])

    @staticmethod
    def _of_type(resource: type[Resource], alias: str) -> list[str]:
        """The conditions that a row is one of the store and of the type."""
        fixed = [_fixed(f"{alias}.{column}", value) for column, value in resource.where.items()]
        return [f"{alias}.store_id = $1", *fixed]

    def _seen(self, resource: type[Resource], alias: str) -> list[str]:
        """The conditions that the viewer sees a row: integrations see all, others what is theirs and visible."""
        owner = self._viewer.owner
        if owner is None:
            return []
        visible = [self._holds(resource, alias, condition) for condition in resource.visible]
        owned = resource.owners[owner.type_]
        if owned == PUBLIC:
            return visible
        if owned is None:
            # No row has this id. With a plain `false` there is no node that Citus could send a read to.
            return [f"{alias}.id = ''"]
        if owned == "id":
            return [f"{alias}.id = {self.owner()}", *visible]
        return [self._path(resource.owner_path(graph, owner.type_), alias, owner), *visible]

    def _path(self, path: Sequence[ToOne], alias: str, owner: Owner) -> str:
        first, *rest = path
        if not rest:
            return f'{alias}."{first.column}" = {self.owner()}'
        parent, table = self.alias(), graph[first.type_].table
        return (
            f"exists (select from {table} {parent} where {parent}.store_id = $1"
            f' and {parent}.id = {alias}."{first.column}" and {self._path(rest, parent, owner)})'
        )


def in_utf8(text: str) -> str:
    """The expression of a text's bytes, which is what documents are made of."""
    return f"textsend({text})"


def _listed(row: str, level: Level) -> str:
    return f"string_agg({row}, {_literal(level.row.decode())})"


def _write(text: Spliced, seen: _Seen, written: str, quote: str = "") -> None:
    """Go on with a value's JSON: what is `written` of it, with `quote` around that."""
    value = written.format(seen.expression)
    if not seen.nullable:
        text.constant(quote).value(value).constant(quote)
        return
    text.value(f"case when {seen.expression} is null then 'null' else '{quote}' end", value)
    if quote:
        text.value(f"case when {seen.expression} is not null then '{quote}' end")


_MOST_ARGUMENTS = 100
"""How many arguments a function of Postgres may have."""


def _concat(parts: Sequence[str]) -> str:
    """The expression of texts one after the other, without those that are null."""
    while len(parts) > _MOST_ARGUMENTS:
        begins = range(0, len(parts), _MOST_ARGUMENTS)
        parts = [_concat(parts[begin : begin + _MOST_ARGUMENTS]) for begin in begins]
    return f"concat({', '.join(parts)})"


def _literal(text: str) -> str:
    """A text as SQL writes it, in which only control characters need an escape."""
    return f"'{text}'" if text.isprintable() else f"e'{text.encode('unicode_escape').decode()}'"


def _fixed(column: str, value: str | tuple[str, ...]) -> str:
    """The condition that a column has a value that a Schema declares, or one of several.

    They stand in the text, since a plan with binds could not use an index that has only some values' rows.
    """
    values = (value,) if isinstance(value, str) else value
    listed = ", ".join(f"'{one}'" for one in values)
    return f"{column} in ({listed})"
