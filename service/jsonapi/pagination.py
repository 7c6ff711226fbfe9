"""`page[...]`: pages by number, by offset, and by cursor.

The last is the profile https://jsonapi.org/profiles/ethanresnick/cursor-pagination, complete: ranges, item cursors,
totals on request (`page[total]=true`). A cursor is opaque to clients: the type and the sort in base64url, the id of a
resource, and the values that the sort compares of it. The words `start` and `end` are cursors too, before and after
everything.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import orjson
from marshmallow import ValidationError

from schemas.kinds import ID, render_timestamp
from schemas.resource import Resource
from service.errors import InvalidPage
from service.jsonapi.nearness import nearest
from service.jsonapi.sorting import SortKey, kind_of

PROFILE = "https://jsonapi.org/profiles/ethanresnick/cursor-pagination"
DEFAULT_SIZE = 10
MAX_SIZE = 100
"""Page sizes; above the maximum is an error, not a shorter page."""

_STRATEGIES = {
    "number": ("number", "size"),
    "offset": ("offset", "limit"),
    "cursor": ("after", "before", "total", "size"),
}
"""The parameters of each way to page. `size` alone belongs to the way that the request negotiated."""

Position: TypeAlias = tuple[Any, ...] | Literal["start", "end"]
"""Where a cursor is: beside everything, or on the resource whose sort keys, id last, have these values."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a collection: how many resources come before it, and how many it has at most."""

    offset: int = 0
    size: int = DEFAULT_SIZE
    by: Literal["number", "offset"] = "number"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A cursor as its client wrote it, and where it is."""

    text: str
    position: Position


START = Cursor("start", "start")
END = Cursor("end", "end")


@dataclass(frozen=True, slots=True)
class Window:
    """The resources between two cursors: the first `size` of them, or the last when only `before` was given."""

    after: Cursor = START
    before: Cursor = END
    backwards: bool = False
    size: int = DEFAULT_SIZE
    total: bool = False

    @property
    def is_range(self) -> bool:
        """Whether it is closed at both ends."""
        return not self.backwards and self.before.position != "end"


def strategy(keys: Mapping[str, str], *, negotiated: bool) -> Literal["number", "offset", "cursor"]:
    """How a request pages: as its parameters say, else by cursor if its Accept header asked for the profile.

    Raises InvalidPage for a parameter that there isn't, and for two ways at once.
    """
    chosen: Literal["number", "offset", "cursor"] | None = None
    for key in keys:
        if key == "size":
            continue
        way: Literal["number", "offset", "cursor"] | None = next(
            (name for name in ("number", "offset", "cursor") if key in _STRATEGIES[name]), None
        )
        if way is None:
            known = dict.fromkeys(f"page[{name}]" for names in _STRATEGIES.values() for name in names)
            raise InvalidPage(
                "{name} is not a page parameter; there are {known}.",
                name=f"page[{key}]",
                known=list(known),
                parameter=f"page[{key}]",
                suggestion=nearest(f"page[{key}]", known),
            )
        if chosen not in (None, way):
            raise InvalidPage(
                "{name} can't be combined with {other}: page in one way.",
                name=f"page[{key}]",
                other=f"page[{_STRATEGIES[str(chosen)][0]}]",
                parameter=f"page[{key}]",
            )
        chosen = way
    if chosen == "offset" and "size" in keys:
        raise InvalidPage("With page[offset], page[limit] sets the size of a page.", parameter="page[size]")
    return chosen or ("cursor" if negotiated else "number")


def page(keys: Mapping[str, str], by: Literal["number", "offset"]) -> Page:
    """The page that `page[number]` and `page[size]`, or `page[offset]` and `page[limit]`, name."""
    if by == "offset":
        return Page(_whole(keys, "offset", 0, least=0), _size(keys, "limit", DEFAULT_SIZE), "offset")
    size = _size(keys, "size", DEFAULT_SIZE)
    return Page((_whole(keys, "number", 1) - 1) * size, size)


def window(keys: Mapping[str, str], resource: type[Resource], sort: Sequence[SortKey]) -> Window:
    """What `page[after]`, `page[before]`, `page[size]` and `page[total]` ask for.

    Raises InvalidPage, with the profile's `links.type` where it has one.
    """
    after = _cursor(keys, "after", resource, sort) or START
    before = _cursor(keys, "before", resource, sort) or END
    if keys.get("total", "false") not in ("true", "false"):
        raise InvalidPage("page[total] must be true or false.", parameter="page[total]")
    size = _size(keys, "size", MAX_SIZE if {"after", "before"} <= keys.keys() else DEFAULT_SIZE, profile=True)
    backwards = "before" in keys and "after" not in keys
    return Window(after, before, backwards, size, total=keys.get("total") == "true")


def _whole(keys: Mapping[str, str], key: str, default: int, *, least: int = 1) -> int:
    """A whole number of at most ten digits; leading zeros mean nothing (the profile's footnote 1)."""
    text = keys.get(key, str(default))
    number = int(text.lstrip("0")[:11] or "0") if re.fullmatch("[0-9]+", text, re.ASCII) else -1
    if not least <= number < 10**10:
        name = f"page[{key}]"
        raise InvalidPage("{name} must be a whole number from {least}.", name=name, least=least, parameter=name)
    return number


def _size(keys: Mapping[str, str], key: str, default: int, *, profile: bool = False) -> int:
    if re.fullmatch("0*[1-9][0-9]{10,}", keys.get(key, ""), re.ASCII):  # far above, but a whole number
        keys = {key: "9999999999"}
    size = _whole(keys, key, default)
    if size > MAX_SIZE:
        raise InvalidPage(
            "{name} is above the maximum, which is {most}.",
            name=f"page[{key}]",
            most=MAX_SIZE,
            parameter=f"page[{key}]",
            meta={"page": {"maxSize": MAX_SIZE}},
            type_link=f"{PROFILE}/max-size-exceeded" if profile else None,
        )
    return size


# --- cursors ------------------------------------------------------------------------------------------------------


def ordering(sort: Sequence[SortKey]) -> tuple[SortKey, ...]:
    """The whole order of a collection: each criterion once, up to the id, beyond which nothing is equal.

    Where the request doesn't say, the id goes the way of the last criterion, as the index does that holds both.
    """
    keys: dict[tuple[str, ...], SortKey] = {}
    for key in sort:
        keys.setdefault(key.path, key)
    last = [*keys.values()][-1:]
    keys.setdefault(("id",), SortKey(("id",), descending=bool(last) and last[0].descending))
    until = [*keys].index(("id",))
    return tuple(keys.values())[: until + 1]


class Cursors:
    """Writes the cursors of a type's resources in an order: what they `begin` with, an id, and what is compared first.

    Postgres writes them too, of a resource's id and the `values_in_urls` of what comes before it in the order.
    """

    def __init__(self, resource: type[Resource], sort: Sequence[SortKey]) -> None:
        whose = orjson.dumps([resource.type_, _written(sort)])
        self.begin = f"{base64.urlsafe_b64encode(whose).decode().rstrip('=')}."

    def at(self, values: Iterable[Any]) -> str:
        """The cursor of a resource whose sort keys (`ordering`) have these values."""
        *compared, id_ = [_text(value) for value in values]
        return f"{self.begin}{id_}.{values_in_urls(compared)}"


def values_in_urls(compared: Sequence[str | None]) -> str:
    """Values as a JSON array, as Postgres writes one, in hexadecimal digits."""
    return json.dumps(compared, ensure_ascii=False).encode().hex()


def _cursor(keys: Mapping[str, str], key: str, resource: type[Resource], sort: Sequence[SortKey]) -> Cursor | None:
    text = keys.get(key)
    if text is None:
        return None
    position = _position(text, resource, sort)
    if position is None:
        raise InvalidPage(
            "{name} is not a cursor of {type} sorted by {sort}.",
            name=f"page[{key}]",
            type=resource.type_,
            sort=_written(sort),
            parameter=f"page[{key}]",
        )
    return Cursor(text, position)


def _position(text: str, resource: type[Resource], sort: Sequence[SortKey]) -> Position | None:
    """Where a cursor is, None when it is none that `cursor` gives for this type and sort."""
    if text == "start":
        return "start"
    if text == "end":
        return "end"
    placed, keys = Cursors(resource, sort), ordering(sort)[:-1]
    id_, _, compared = text.removeprefix(placed.begin).partition(".")
    try:
        listed = orjson.loads(bytes.fromhex(compared))
        if not all(value is None or isinstance(value, str) for value in listed) or placed.at([*listed, id_]) != text:
            return None
        values = [
            None if value is None else kind_of(resource, key.path).parse(value)
            for key, value in zip(keys, listed, strict=True)
        ]
    except (ValidationError, ValueError, TypeError):
        return None
    return (*values, id_) if ID.fullmatch(id_) else None


def _written(sort: Sequence[SortKey]) -> str:
    return ",".join(str(key) for key in ordering(sort))


def _text(value: Any) -> str | None:
    """A value as its kind's `parse` reads it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return render_timestamp(value)
    return format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")
