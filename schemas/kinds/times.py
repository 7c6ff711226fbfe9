"""Instants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal, get_args

from marshmallow import ValidationError

from schemas.fields import HARMLESS
from schemas.kinds.kind import Kind


def render_timestamp(value: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds and `Z`."""
    return None if value is None else value.astimezone(UTC).isoformat("T", "milliseconds")[:-6] + "Z"


Unit = Literal["day", "week", "month", "year"]

UNITS: Final[tuple[Unit, ...]] = get_args(Unit)

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""The first instant that can be sent; the last one is that of the year 9999."""


_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?|\d{4}-\d\d-\d\d", re.ASCII
)


def parse_timestamp(text: str) -> datetime:
    """An ISO 8601 date or date-time (RFC 3339) as an aware UTC datetime, cut to milliseconds.

    Without an offset it is UTC. Raises ValidationError for other texts, and for years before 1970 and after 9999: the
    zero time of Go and .NET is a mistake of whoever sends it, and no instant of a shop.
    """
    moment = _moment(text)
    if moment is None:
        raise ValidationError("must be an ISO 8601 date-time such as 2026-01-31T12:00:00Z")
    if moment < EARLIEST:
        raise ValidationError("must be a date-time from 1970 to 9999")
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _moment(text: str) -> datetime | None:
    """What a text says in UTC; None for one that is no date, and the year 1 for all that no calendar here reaches."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper().replace(",", "."))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
    except ValueError:
        return None


def instant(text: str) -> datetime:
    """The instant that Postgres writes within JSON, where it is in UTC and has no zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Timestamp(Kind):
    """An instant: RFC 3339 in UTC with milliseconds and `Z` in documents, timestamptz(3) in the database."""

    sql_type = "timestamptz"
    default_mark = HARMLESS
    json_type: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "date-time"}
    # asyncpg gives aware UTC datetimes, so the conversion of render_timestamp can be left out.
    compiled = "None if {0} is None else {0}.isoformat('T', 'milliseconds')[:-6] + 'Z'"
    names: ClassVar[Mapping[str, Any]] = {"instant": instant}
    # An interval needs no look-up, as the name of a time zone does.
    in_words = """to_char({0} at time zone interval '0', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
    written = """to_char({0} at time zone interval '0', '\\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\\"')"""
    native = in_words
    within_json = "to_json({0} at time zone interval '0')"
    from_json = "None if {0} is None else instant({0})"

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return render_timestamp(value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        return parse_timestamp(value if isinstance(value, str) else "")

    def parse(self, text: str) -> datetime:
        """An ISO 8601 date or date-time."""
        return parse_timestamp(text)
