"""What errors say, in other languages than English: a gettext catalogue for each, `<language>.po`.

Sentences stand in English where they are raised. A catalogue knows them by their template, with the same `{names}` in
both; a new language is a new file here and its code in `languages.LANGUAGES`. What a catalogue doesn't know is said in
English.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

from service.errors import Phrase
from service.http.languages import LANGUAGES

_FOLDER = Path(__file__).parent


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """The translations of a language by their English templates."""
    with (_FOLDER / f"{language}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file, abort_invalid=True) if message.id}


def say(sentence: str, language: str) -> str:
    """A sentence in a language, its values included where they are sentences themselves."""
    if language == LANGUAGES[0]:
        return str(sentence)
    if not isinstance(sentence, Phrase):
        return catalogue(language).get(sentence, sentence)
    template = catalogue(language).get(sentence.template)
    if template is None:
        return str(sentence)
    values = {
        name: say(value, language) if isinstance(value, str) else value for name, value in sentence.values.items()
    }
    return template.format(**values) if values else template
