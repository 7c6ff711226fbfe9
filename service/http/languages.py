"""In which language a reader is answered (RFC 9110, "Accept-Language")."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from service.jsonapi.headers import elements, parameters
from service.texts import LANGUAGES, language_of


def negotiate(request: Request, locale: str = LANGUAGES[0]) -> str:
    """The locale to answer in: the reader's most wanted language that we have, else that of `locale`, else the first.

    The language of `locale` (`nl_NL`) comes with its country, since countries write amounts differently.
    """
    fallback = locale.replace("-", "_")
    for language in [*_wanted(request.headers.getlist("accept-language")), language_of(fallback)]:
        if language in LANGUAGES:
            return fallback if language_of(fallback) == language else language
    return LANGUAGES[0]


def language(request: Request) -> str:
    """The language to answer in where no store says otherwise: `en`, `nl`."""
    return language_of(negotiate(request))


def _wanted(lines: Sequence[str]) -> list[str]:
    """The languages of the lines of an Accept-Language header without their countries, the most wanted first."""
    ranges = []
    for tag, pairs in filter(None, map(parameters, elements(lines))):
        weight = next((_weight(value) for name, value in pairs if name == "q"), 1.0)
        if tag and weight > 0:
            ranges.append((weight, language_of(tag)))
    return [language for _, language in sorted(ranges, key=lambda one: -one[0])]


def _weight(text: str) -> float:
    """A quality value, 0 for what is none."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
