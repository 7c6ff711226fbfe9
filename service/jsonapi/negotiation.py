"""Content negotiation to the letter (JSON:API 1.1, "Content Negotiation"; RFC 9110, sections 8.3.1 and 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from service.errors import NotAcceptable, UnsupportedMediaType
from service.jsonapi.headers import TOKEN, elements, parameters
from service.jsonapi.pagination import PROFILE

MEDIA_TYPE = "application/vnd.api+json"

PROFILES: frozenset[str] = frozenset({PROFILE})
"""The URIs of the profiles that a client may ask for with Accept."""
ATOMIC = "https://jsonapi.org/ext/atomic"
"""The URI of the extension that /api/operations speaks."""

_WILDCARDS = ("*/*", "application/*")
_RANGE = re.compile(f"{TOKEN}/{TOKEN}")
_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One media type or range with its parameters (names in lower case) and its weight."""

    type: str
    parameters: tuple[tuple[str, str], ...]
    quality: float

    def uris(self, name: str) -> tuple[str, ...]:
        """The URIs of a parameter, `ext` or `profile`: space-separated, each once."""
        return tuple(dict.fromkeys(uri for key, value in self.parameters if key == name for uri in value.split()))

    def servable(self, extensions: Collection[str]) -> bool:
        """Whether its parameters are `ext`, exactly these, and `profile`, of which unknown ones are ignored."""
        known = all(name in ("profile", "ext") for name, _ in self.parameters)
        return known and set(self.uris("ext")) == set(extensions)


@dataclass(frozen=True, slots=True)
class Media:
    """The URIs of the extensions and profiles that are applied to a document, which its Content-Type then names."""

    extensions: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        """The media type with its parameters, each of them one quoted, space-separated list."""
        named = (("ext", self.extensions), ("profile", self.profiles))
        return "; ".join([MEDIA_TYPE, *(f'{name}="{" ".join(uris)}"' for name, uris in named if uris)])


PLAIN = Media()
"""Nothing applied, which is what most answers are."""


@lru_cache(maxsize=128)
def media_ranges(*lines: str) -> tuple[MediaRange, ...]:
    """The media ranges of the lines of an Accept or Content-Type header; what can't be read is left out.

    Remembered, since clients send the same few headers with every request and a request asks for them more than once.
    """
    read = (parameters(element) for element in elements(lines))
    return tuple(
        MediaRange(
            type_.lower(),
            tuple(pair for pair in pairs if pair[0] != "q"),
            next((_quality(value) for name, value in pairs if name == "q"), 1.0),
        )
        for type_, pairs in filter(None, read)
        if _RANGE.fullmatch(type_)
    )


def _quality(value: str) -> float:
    """A weight between 0 and 1, 0 for what is none."""
    return min(float(value), 1.0) if _QUALITY.fullmatch(value) else 0.0


@lru_cache(maxsize=128)
def check_content_type(*lines: str, body: bool, extensions: tuple[str, ...] = ()) -> None:
    """Check the lines of a request's Content-Type, of which there is at most one.

    `body` says that there is a body, which must have one; `extensions` are those that the URL speaks, which it must
    name. One that is spoken elsewhere is refused here. Without a body any other media type says nothing, and is
    ignored: some clients send one with every request. Raises UnsupportedMediaType with `source.header`.
    """
    ranges = media_ranges(*lines)
    if not body and all(one.type != MEDIA_TYPE for one in ranges):
        return
    if len(ranges) == 1 and ranges[0].type == MEDIA_TYPE and ranges[0].servable(extensions):
        return
    media_type = Media(extensions).content_type
    raise UnsupportedMediaType(
        "Send the body as {media_type}, with no parameter but `profile`; this request says {sent!r}.",
        media_type=media_type,
        sent=", ".join(lines),
        header="Content-Type",
        headers={"Accept-Patch": media_type, "Accept-Post": media_type},
    )


def check_accepts(media_type: str, *lines: str) -> None:
    """Raise NotAcceptable unless the lines of an Accept header take a media type that isn't JSON:API's own.

    The most specific range that fits decides (RFC 9110, section 12.5.1).
    """
    ranges = media_ranges(*lines)
    if not ranges:
        return
    for fitting in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        of_it = [one.quality for one in ranges if one.type == fitting]
        if of_it:
            if max(of_it) > 0:
                return
            break
    raise NotAcceptable("This URL answers as {media_type}.", media_type=media_type, header="Accept")


@lru_cache(maxsize=128)
def check_accept(*lines: str, extensions: tuple[str, ...] = (), profiles: frozenset[str] = PROFILES) -> Media:
    """What is to be applied: the `extensions` that the URL speaks, and of its `profiles` those that are asked for.

    `lines` are those of the Accept header, which are one list (RFC 9110, section 5.3). Where JSON:API's own media type
    is named, one instance of it must be servable: a wildcard beside it doesn't help ("all instances of that media
    type"). Of several the weightiest decides, the first of equals. Raises NotAcceptable with `source.header`.
    """
    spoken = Media(tuple(extensions))
    if not any(line.strip() for line in lines):
        return spoken
    ranges = media_ranges(*lines)
    own = [r for r in ranges if r.type == MEDIA_TYPE]
    candidates = [r for r in own if r.servable(extensions)] if own else [r for r in ranges if r.type in _WILDCARDS]
    best = max(candidates, key=lambda r: r.quality, default=None)
    if best is None or best.quality == 0:
        raise NotAcceptable(
            "This URL answers as {media_type}, with no parameter but `profile`.",
            media_type=spoken.content_type,
            header="Accept",
        )
    if not own:
        return spoken
    return Media(spoken.extensions, tuple(uri for uri in best.uris("profile") if uri in profiles))
