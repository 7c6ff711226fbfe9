"""Header fields that hold lists and parameters (RFC 9110, sections 5.3, 5.6.1 and 5.6.6).

A client writes them, so each is read in one pass: the time that it takes grows with the length of the field, whatever
the field says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 -- RFC 9110's word for it
_TOKEN = re.compile(TOKEN)
# A quote that never closes holds the rest of the field: a search for its end is made once, not at each quote after it.
_QUOTED = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
_COMMAS = re.compile(rf'{_QUOTED}|[^",]+|,', re.DOTALL)
_SEMICOLONS = re.compile(rf'{_QUOTED}|[^";]+|;', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def elements(lines: Iterable[str]) -> list[str]:
    """The elements of a list, without the whitespace around them; several lines of one field are one list.

    Commas in quoted strings separate nothing. Empty elements are left out.
    """
    return [text for line in lines for element in _split(_COMMAS, ",", line) if (text := element.strip())]


def parameters(element: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """What stands before an element's parameters, and these as pairs of a name in lower case and a value.

    Quoted values come without their quotes and backslashes. Returns None where a parameter can't be read.
    """
    first, *rest = (part.strip() for part in _split(_SEMICOLONS, ";", element))
    pairs = []
    for part in rest:
        if not part:
            continue
        name, _, sent = part.partition("=")
        value = _value(sent)
        if value is None or not _TOKEN.fullmatch(name):
            return None
        pairs.append((name.lower(), value))
    return first, tuple(pairs)


@dataclass(frozen=True, slots=True)
class EntityTag:
    """An entity tag (RFC 9110, section 8.8.3): the text in its quotes, and whether it is weak."""

    text: str
    weak: bool = False


def entity_tags(lines: Iterable[str]) -> list[EntityTag]:
    """The tags of a list of them; what is none is left out. A backslash in a tag escapes nothing."""
    found = []
    for line in lines:
        position = 0
        while (opening := line.find('"', position)) >= 0:
            closing = line.find('"', opening + 1)
            if closing < 0:
                break
            before = line[position:opening].rpartition(",")[2].strip()
            if before in ("", "W/"):
                found.append(EntityTag(line[opening + 1 : closing], weak=before == "W/"))
            position = closing + 1
    return found


def _split(pieces: re.Pattern[str], separator: str, text: str) -> Iterator[str]:
    """The parts of a text between separators that stand in no quoted string."""
    part: list[str] = []
    for match in pieces.finditer(text):
        if match[0] == separator:
            yield "".join(part)
            part = []
        else:
            part.append(match[0])
    yield "".join(part)


def _value(sent: str) -> str | None:
    """A parameter's value, a token or a quoted string; None for what is neither."""
    if len(sent) > 1 and sent[0] == sent[-1] == '"':
        return _ESCAPED.sub(r"\1", sent[1:-1])
    return sent if _TOKEN.fullmatch(sent) else None
