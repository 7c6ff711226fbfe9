"""What the search of the documentation looks through: every section of every page, made once."""

from __future__ import annotations

from functools import cache

import orjson

from service.manual.library import Library, library
from service.manual.rendering import sections


@cache
def index() -> bytes:
    """The index of this service's documentation as JSON."""
    return orjson.dumps(entries(library()))


def entries(found: Library) -> list[dict[str, str]]:
    """An entry for each section: its URL below the service's, its page, its heading and its words."""
    return [
        {
            "url": f"{page.url}#{heading.id}" if heading.id else page.url,
            "page": page.title,
            "heading": heading.text,
            "text": " ".join(text.split()),
        }
        for page in (found.index, *(entry.page for entry in found.entries))
        for heading, text in sections(page)
    ]
