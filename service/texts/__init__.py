"""What the service says to people, in other languages than English: a gettext catalogue for each, `<language>.po`.

Sentences stand in English where they are made, as a `Phrase`. A catalogue knows them by their template, with the same
`{names}` in both; a new language is a new file here and its code in `LANGUAGES`. What a catalogue doesn't know is said
in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from babel.lists import format_list
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("en", "nl")
"""The languages there are texts in; the first one serves where nothing else is known."""

_FOLDER = Path(__file__).parent


class Either(tuple[str, ...]):
    """Words of which one is meant: "a, b, or c"."""

    __slots__ = ()


class Phrase(str):
    """An English sentence that knows what it is made of, so that it can be said in other languages.

    `Phrase("There is no {type} of this id.", type="orders")` reads "There is no orders of this id."; catalogues know
    it by its template. A value may be a Phrase itself, a list or tuple, which is said as "a, b, and c", or `Either`.
    `plural` is the template to use instead where the value `count` asks for it. Without values the template is the
    text, braces and all.
    """

    __slots__ = ("plural", "template", "values")

    template: str
    plural: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, *, plural: str = "", **values: Any) -> Self:
        """The sentence with its values filled in."""
        if isinstance(template, cls) and not values:
            return template
        phrase = super().__new__(cls, _said(template, plural, values, LANGUAGES[0]))
        phrase.template, phrase.plural, phrase.values = template, plural, values
        return phrase


def say(sentence: str, locale: str) -> str:
    """A sentence in the language of a locale such as `nl` or `nl_NL`; what is no Phrase is its own template."""
    language = language_of(locale)
    if language not in LANGUAGES[1:]:
        return str(sentence)
    if isinstance(sentence, Phrase):
        return _said(sentence.template, sentence.plural, sentence.values, language)
    return _said(sentence, "", {}, language)


def language_of(locale: str) -> str:
    """The language of a locale or language tag: `nl` of `nl_NL` and of `NL-be`."""
    return locale.replace("_", "-").partition("-")[0].lower()


@cache
def catalogue(language: str) -> Catalog:
    """The catalogue of a language, as its file says."""
    with (_FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, abort_invalid=True)


@cache
def _translations(language: str) -> NullTranslations:
    if language == LANGUAGES[0]:
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def _said(template: str, plural: str, values: Mapping[str, Any], language: str) -> str:
    known = _translations(language)
    if plural:
        template = known.ngettext(template, plural, values["count"])
    elif template:  # gettext keeps the head of a catalogue under the empty text
        template = known.gettext(template)
    return template.format(**{name: _shown(value, language) for name, value in values.items()}) if values else template


def _shown(value: Any, language: str) -> Any:
    if isinstance(value, Phrase):
        return say(value, language)
    if isinstance(value, (list, tuple)):
        words = [str(_shown(one, language)) for one in value]
        return format_list(words, style="or" if isinstance(value, Either) else "standard", locale=language)
    return value
