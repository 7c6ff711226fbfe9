"""Content negotiation to the letter (JSON:API 1.1, "Content Negotiation"; RFC 9110, sections 8.3.1 and 12.5.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from service.errors import NotAcceptable, UnsupportedMediaType

MEDIA_TYPE = "application/vnd.api+json"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 -- RFC 9110's word for it
_PARAMETER = re.compile(rf"\s*;\s*(?:({_TOKEN})=({_TOKEN}|\"(?:[^\"\\]|\\.)*\"))?")
_RANGE = re.compile(rf"\s*({_TOKEN}/{_TOKEN})")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One media type or range with its parameters (names in lower case) and its weight."""

    type: str
    parameters: tuple[tuple[str, str], ...]
    quality: float

    @property
    def applies(self) -> bool:
        """Whether its parameters are ones a server may not ignore but can serve.

        None but `profile` (unknown ones are ignored), and no `ext`.
        """
        return all(name == "profile" for name, _ in self.parameters)


def media_ranges(header: str) -> list[MediaRange]:
    """The media ranges of an Accept or Content-Type header; what can't be read is left out."""
    ranges, position = [], 0
    while position < len(header):
        match = _RANGE.match(header, position)
        if match:
            position = match.end()
            parameters, quality = [], 1.0
            while parameter := _PARAMETER.match(header, position):
                position = parameter.end()
                if parameter[1]:
                    value = (
                        re.sub(r"\\(.)", r"\1", parameter[2][1:-1]) if parameter[2].startswith('"') else parameter[2]
                    )
                    if parameter[1].lower() == "q":
                        quality = float(value) if re.fullmatch(r"[01](\.[0-9]{0,3})?", value) else 0.0
                    else:
                        parameters.append((parameter[1].lower(), value))
            rest = header[position:].lstrip()
            if not rest or rest.startswith(","):
                ranges.append(MediaRange(match[1].lower(), tuple(parameters), quality))
        comma = header.find(",", position)
        position = len(header) if comma < 0 else comma + 1
    return ranges


def check_content_type(header: str | None, *, body: bool) -> None:
    """Check a request's Content-Type, on any method that carries one.

    `body` says that there is a body, which must have one.
    Raises UnsupportedMediaType with `source.header`.
    """
    if header is None and not body:
        return
    ranges = media_ranges(header or "")
    if len(ranges) == 1 and ranges[0].type == MEDIA_TYPE and ranges[0].applies:
        return
    raise UnsupportedMediaType(
        f"Send the body as {MEDIA_TYPE}, with no parameter but `profile`; this request says {header or 'nothing'}.",
        header="Content-Type",
        headers={"Accept-Patch": MEDIA_TYPE, "Accept-Post": MEDIA_TYPE},
    )


def check_accept(header: str | None) -> None:
    """Check that the Accept header allows JSON:API. Raises NotAcceptable with `source.header`.

    Where JSON:API's own media type is named, one instance of it must be servable: a wildcard beside it doesn't help
    ("all instances of that media type").
    """
    if header is None or not header.strip():
        return
    ranges = media_ranges(header)
    own = [r for r in ranges if r.type == MEDIA_TYPE]
    candidates = [r for r in own if r.applies] if own else [r for r in ranges if r.type in ("*/*", "application/*")]
    if not any(r.quality > 0 for r in candidates):
        raise NotAcceptable(f"This URL answers as {MEDIA_TYPE}, with no parameter but `profile`.", header="Accept")


def accepted_profiles(header: str | None) -> frozenset[str]:
    """The URIs of the profiles that the preferred instance of JSON:API's media type asks for."""
    own = [r for r in media_ranges(header or "") if r.type == MEDIA_TYPE and r.applies and r.quality > 0]
    best = max(own, key=lambda r: r.quality, default=None)
    parameters = best.parameters if best is not None else ()
    return frozenset(uri for name, value in parameters if name == "profile" for uri in value.split())
