"""The filter language: every way to write a filter becomes one tree.

    filter[status]=placed,approved                equal to one of the values
    filter[id][]=a&filter[id][]=b                 the same, for values with commas in them
    filter[customer]=ID                           by the id of a related resource
    filter[customer.email]=a@example.com          through relationships
    filter[total_amount_cents][gteq]=1000         with a matcher
    filter[q][number_or_customer_email_cont]=10   Commerce Layer's way: attributes, joined by _or_, and a matcher

docs/reference/filtering.md is the grammar; a test holds it against `MATCHERS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, TypeAlias

import orjson
from marshmallow import ValidationError

from schemas.graph import graph
from schemas.kinds import Boolean, JsonObject, Kind, Number, Text, check_json
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service.errors import FilterNotAllowed, InvalidFilterValue, TooCostly
from service.jsonapi.nearness import nearest
from service.jsonapi.sight import EVERYTHING, Sight
from service.jsonapi.sorting import IDENTIFIER
from service.texts import Either, Phrase

MAX_TERMS = 50
"""How many comparisons the filters of a request may come to."""
MAX_VALUES = 500
"""How many values one comparison may list."""
MAX_STEPS = 4
"""How many relationships a filter may go through."""

Operator = Literal[
    "eq", "not_eq", "lt", "lteq", "gt", "gteq", "in", "not_in",
    "like", "not_like", "ilike", "not_ilike", "null", "blank", "contains",
]  # fmt: skip
"""What the tree knows: `like` and its kin take a LIKE pattern, `null` and `blank` a bool, `contains` JSON text."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of an attribute, or of `id`, at the end of a path of relationships.

    Through relationships it holds when some related resource fulfils it. `values` are of the attribute's own Python
    type; all operators but `in` and `not_in` have exactly one.
    """

    path: tuple[str, ...]
    operator: Operator
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when every term holds; without terms it always does."""

    terms: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when a term holds."""

    terms: tuple[Filter, ...]


Filter: TypeAlias = Condition | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class Matcher:
    """How a matcher reads its value.

    `takes`: one value of the attribute's kind, a list of them, text that goes into a LIKE `pattern`, the words
    true or false, or JSON. `each` combines one comparison per listed value, `or_null` adds rows without a value.
    """

    operator: Operator
    takes: Literal["value", "list", "text", "flag", "json"] = "value"
    pattern: str = ""
    negated: bool = False
    each: type[AllOf | AnyOf] | None = None
    or_null: bool = False


_COMPARISONS: tuple[Operator, ...] = ("eq", "not_eq", "lt", "lteq", "gt", "gteq")
_PATTERNS: dict[str, tuple[Operator, str]] = {
    "matches": ("like", ""), "does_not_match": ("not_like", ""),
    "start": ("like", "{}%"), "not_start": ("not_like", "{}%"),
    "end": ("like", "%{}"), "not_end": ("not_like", "%{}"),
    "cont": ("like", "%{}%"), "not_cont": ("not_like", "%{}%"),
    "i_cont": ("ilike", "%{}%"), "not_i_cont": ("not_ilike", "%{}%"),
}  # fmt: skip
"""An empty pattern is the client's own."""
_EACH: dict[str, type[AllOf | AnyOf] | None] = {"": None, "_any": AnyOf, "_all": AllOf}

MATCHERS: dict[str, Matcher] = {
    **{f"{name}{suffix}": Matcher(name, each=_EACH[suffix]) for name, suffix in product(_COMPARISONS, _EACH)},
    **{
        f"{name}{suffix}": Matcher(operator, "text", pattern, each=_EACH[suffix])
        for (name, (operator, pattern)), suffix in product(_PATTERNS.items(), _EACH)
    },
    "eq_or_null": Matcher("eq", or_null=True),
    "not_eq_or_null": Matcher("not_eq", or_null=True),
    "in": Matcher("in", "list"),
    "not_in": Matcher("not_in", "list"),
    "in_or_null": Matcher("in", "list", or_null=True),
    "not_in_or_null": Matcher("not_in", "list", or_null=True),
    "null": Matcher("null", "flag"),
    "not_null": Matcher("null", "flag", negated=True),
    "blank": Matcher("blank", "flag"),
    "present": Matcher("blank", "flag", negated=True),
    "true": Matcher("eq", "flag"),
    "false": Matcher("eq", "flag", negated=True),
    "jcont": Matcher("contains", "json"),
}
"""Every matcher there is: Commerce Layer's whole list, which is Ransack's."""

_LONGEST_FIRST = sorted(MATCHERS, key=len, reverse=True)
"""So that `total_not_eq` is not read as the matcher `eq` of something called `total_not`."""


def filterable(resource: type[Resource]) -> list[str]:
    """What `filter[name]=value` works for: `id`, attributes, and relationships by id."""
    attributes = [name for name, attribute in resource.attributes.items() if _comparable(attribute)]
    return ["id", *attributes, *(name for name, relationship in resource.relationships.items() if relationship.filter)]


def kind_at(resource: type[Resource], name: str) -> Kind:
    """The kind of an attribute, or of `id`."""
    kind: Kind = IDENTIFIER if name == "id" else resource.attributes[name]
    return kind


def _comparable(kind: Kind) -> bool:
    return kind.filter and not isinstance(kind, JsonObject)


def _suits(kind: Kind, matcher: Matcher) -> bool:
    """Whether a matcher makes sense of a kind of value."""
    if matcher.operator in ("null", "blank"):
        return True
    if matcher.takes == "json" or isinstance(kind, JsonObject):
        return matcher.takes == "json" and isinstance(kind, JsonObject)
    if isinstance(kind, Boolean):
        return matcher.takes == "flag" or matcher.operator in ("eq", "not_eq", "in", "not_in")
    if matcher.takes == "text":
        return isinstance(kind, (Text, Number))
    return matcher.takes != "flag"


class Filters:
    """Collects the filters of one request, all of which must hold."""

    def __init__(self, resource: type[Resource], visible: Sight = EVERYTHING) -> None:
        """`visible` is what the asker sees: a filter by anything else would tell what it holds."""
        self._resource = resource
        self._visible = visible
        self._terms: list[Filter] = []
        self._count = 0

    def add(self, parameter: str, keys: Sequence[str], texts: Sequence[str]) -> None:
        """Add what a parameter says.

        `keys` are the words in its brackets; a last, empty one (`filter[id][]`) makes `texts` the list of values.
        Raises FilterNotAllowed, InvalidFilterValue or TooCostly with `source.parameter`.
        """
        listed = keys[-1:] == [""]
        match list(keys[:-1] if listed else keys):
            case [path]:
                paths, name = [self._dotted(parameter, path)], "in"
            case ["q", predicate]:
                paths, name = self._predicate(parameter, predicate)
            case [path, name] if name in MATCHERS:
                paths = [self._dotted(parameter, path)]
            case [_, name]:
                raise FilterNotAllowed(
                    "{name!r} is not a matcher; the matchers are {known}.",
                    name=name,
                    known=list(MATCHERS),
                    parameter=parameter,
                    suggestion=nearest(name, MATCHERS),
                )
            case _:
                raise self._unknown(parameter, parameter)
        reading = _Reading(parameter, name, texts, listed=listed)
        self._allow(parameter, len(paths) * reading.terms)
        terms = tuple(reading.of(self._kind(path), path) for path in paths)
        self._count += sum(_size(term) for term in terms)
        self._terms.append(terms[0] if len(terms) == 1 else AnyOf(terms))

    def tree(self) -> AllOf:
        """All filters so far."""
        return AllOf(tuple(self._terms))

    def _allow(self, parameter: str, terms: int) -> None:
        """Raise TooCostly when so many further comparisons are too many, before a name or value of them is read."""
        if self._count + terms > MAX_TERMS:
            raise TooCostly(
                "The filters need more than {most} comparisons; send fewer names or values.",
                most=MAX_TERMS,
                parameter=parameter,
                meta={"limit": MAX_TERMS, "value": self._count + terms},
            )

    def _kind(self, path: tuple[str, ...]) -> Kind:
        resource = self._resource
        for name in path[:-1]:
            resource = graph[resource.relationships[name].type_]
        return kind_at(resource, path[-1])

    def _unknown(self, parameter: str, what: str) -> FilterNotAllowed:
        return FilterNotAllowed(
            "{type} can't be filtered by {name}, only by what their relationships lead to and by {known}.",
            type=self._resource.type_,
            name=what,
            known=Either(self._filterable(self._resource)),
            parameter=parameter,
            suggestion=nearest(what, self._filterable(self._resource)),
        )

    def _filterable(self, resource: type[Resource]) -> list[str]:
        """What the asker can filter by: a resource shows which one it leads to, but not which ones lead to it."""
        return [
            name
            for name in filterable(resource)
            if self._is_told(resource.relationships.get(name)) and self._visible.shows(resource, name)
        ]

    def _is_told(self, relationship: ToOne | ToMany | None) -> bool:
        return not isinstance(relationship, ToMany) or relationship.type_ in self._visible

    def _dotted(self, parameter: str, text: str) -> tuple[str, ...]:
        """`customer.email` as a path; a relationship at its end stands for the related id."""
        names, resource = text.split("."), self._resource
        if len(names) > MAX_STEPS + 1:
            raise self._unknown(parameter, text)
        for name in names[:-1]:
            target = self._beyond(resource, name)
            if target is None:
                raise self._unknown(parameter, text)
            resource = target
        json = isinstance(resource.attributes.get(names[-1]), JsonObject) and self._visible.shows(resource, names[-1])
        if names[-1] not in self._filterable(resource) and not json:
            raise self._unknown(parameter, text)
        return (*names, "id") if names[-1] in resource.relationships else tuple(names)

    def _beyond(self, resource: type[Resource], name: str) -> type[Resource] | None:
        """The type that a relationship leads to, if the asker may read it, and sees where it leads."""
        relationship = resource.relationships.get(name)
        if relationship is None or relationship.type_ not in self._visible or not self._visible.shows(resource, name):
            return None
        return graph[relationship.type_]

    def _predicate(self, parameter: str, text: str) -> tuple[list[tuple[str, ...]], str]:
        """`number_or_customer_email_cont` as the paths of its attributes and its matcher."""
        self._allow(parameter, text.count("_or_"))
        ends = [name for name in _LONGEST_FIRST if text.endswith(f"_{name}")]
        for name in ends:
            paths = [self._joined(self._resource, part) for part in text[: -len(name) - 1].split("_or_")]
            if all(paths):
                return [path for path in paths if path], name
        if not ends:
            raise FilterNotAllowed(
                "{name!r} doesn't end with a matcher; the matchers are {known}.",
                name=text,
                known=list(MATCHERS),
                parameter=parameter,
            )
        raise self._unknown(parameter, repr(text[: -len(ends[0]) - 1]))

    def _joined(self, resource: type[Resource], text: str, steps: int = MAX_STEPS) -> tuple[str, ...] | None:
        """`customer_email` as a path: an attribute of that name, else through a relationship."""
        attribute = resource.attributes.get(text)
        if text == "id" or (attribute is not None and attribute.filter and self._visible.shows(resource, text)):
            return (text,)
        for name, relationship in resource.relationships.items():
            rest = text.removeprefix(f"{name}_")
            if rest == text or not steps or not self._visible.shows(resource, name):
                continue
            if rest == "id" and (
                relationship.type_ in self._visible or (relationship.filter and self._is_told(relationship))
            ):
                return (name, "id")
            target = self._beyond(resource, name)
            found = self._joined(target, rest, steps - 1) if target is not None else None
            if found:
                return (name, *found)
        return None


@dataclass(frozen=True, slots=True)
class _Reading:
    """One parameter's matcher and values, to be read for each attribute that it names."""

    parameter: str
    name: str
    texts: Sequence[str]
    listed: bool

    @property
    def terms(self) -> int:
        """How many comparisons each attribute needs."""
        matcher = MATCHERS[self.name]
        each = len(self._split(matcher)) if matcher.each is not None else 1
        return each + matcher.or_null

    def of(self, kind: Kind, path: tuple[str, ...]) -> Filter:
        """The term for one attribute."""
        matcher = MATCHERS[self.name]
        if not _suits(kind, matcher):
            raise FilterNotAllowed(
                "{name} can't be filtered with {matcher}.", name=path[-1], matcher=self.name, parameter=self.parameter
            )
        values = tuple(self._value(kind, matcher, path, text) for text in self._split(matcher))
        term: Filter
        if matcher.each is not None:
            term = matcher.each(tuple(Condition(path, matcher.operator, (value,)) for value in values))
        else:
            term = Condition(path, matcher.operator, values)
        return AnyOf((term, Condition(path, "null", (True,)))) if matcher.or_null else term

    def _split(self, matcher: Matcher) -> Sequence[str]:
        many = matcher.takes == "list" or matcher.each is not None
        texts = self.texts[0].split(",") if many and not self.listed else self.texts
        if len(texts) > 1 and not many:
            raise InvalidFilterValue("{matcher} takes one value.", matcher=self.name, parameter=self.parameter)
        if len(texts) > MAX_VALUES:
            raise TooCostly(
                "{name} lists {amount} values, the maximum is {most}.",
                name=self.parameter,
                amount=len(texts),
                most=MAX_VALUES,
                parameter=self.parameter,
                meta={"limit": MAX_VALUES, "value": len(texts)},
            )
        return texts

    def _value(self, kind: Kind, matcher: Matcher, path: tuple[str, ...], text: str) -> Any:
        try:
            match matcher.takes:
                case "text":
                    return _like(text, matcher.pattern)
                case "flag":
                    return Boolean().parse(text) is not matcher.negated
                case "json":
                    return _json(text)
                case _:
                    return kind.parse(text)
        except ValidationError as error:
            raise InvalidFilterValue(
                "{value!r} can't be compared with {name}: it {message}.",
                value=_short(text),
                name=path[-1],
                message=Phrase(error.messages[0]),
                parameter=self.parameter,
            ) from None


def _size(term: Filter) -> int:
    return 1 if isinstance(term, Condition) else sum(_size(inner) for inner in term.terms)


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."


def _like(text: str, pattern: str) -> str:
    """Text as a LIKE pattern: as it is without a pattern, else with its own `%`, `_` and backslashes as data."""
    if pattern:
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return pattern.replace("{}", escaped)
    if (len(text) - len(text.rstrip("\\"))) % 2:
        raise ValidationError("must not end with a single backslash")
    return text


def _json(text: str) -> str:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValidationError("must be JSON") from None
    check_json(value)
    return orjson.dumps(value).decode()
