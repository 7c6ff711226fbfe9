"""What the service says to people: English where it is said, other languages in `<language>.po`.

A sentence is a `Phrase`, whether an error, a page, a facade or a command says it; `say` puts it into a language. Each
language but English has a gettext catalogue: translations by their English template, with the same `{names}` in both.
A new language is a new file here and its code in `LANGUAGES`. A sentence that a catalogue lacks is said in English;
tests/unit/test_translations.py fails for it, and for an entry that nothing says.
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

    `Phrase("{name} - can't be blank", name="email")` reads "email - can't be blank", and catalogues know it by its
    template. A value may be a Phrase itself, a list or tuple, which is said as "a, b, and c", or `Either`. `plural`
    is the template where the value `count` asks for the plural. Without values the text is the template, braces and
    all; `filled` puts values into it later.
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

    def filled(self, **values: Any) -> Self:
        """The same sentence with these values."""
        return type(self)(self.template, plural=self.plural, **values)


def say(sentence: str, locale: str) -> str:
    """A sentence in the language of a locale such as `nl` or `nl_NL`, else in English.

    A plain str is its own template.
    """
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
    """The catalogue of a language other than English, as its file says."""
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
    if plural and values:
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
