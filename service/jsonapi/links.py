"""Top-level links: the request's own URL, the pages around it, and what describes the document.

The rules are those of JSON:API 1.1, "Top Level" and "Pagination".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from service.jsonapi.pagination import Page, Window

JSON_SCHEMA = "application/schema+json"
"""The media type of JSON Schemas."""


def url(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    """A URL of an absolute path and query parameters, percent-encoded as RFC 3986 asks.

    Brackets and spaces are encoded, commas kept.
    """
    query = "&".join(
        [f"{_name(name)}={value if _PLAIN.fullmatch(value) else quote(value, safe=',')}" for name, value in pairs]
    )
    return f"{path}?{query}" if query else path


@lru_cache(maxsize=512)
def _name(name: str) -> str:
    """Remembered, since the same few parameters are named in every link."""
    return quote(name, safe="")


_PLAIN = re.compile(r"[A-Za-z0-9_.~,-]*")
"""What `quote` leaves as it is."""


def described_by(api: str, name: str) -> dict[str, str]:
    """The link to the JSON Schema of documents about a type, or of `errors`; `api` is the URL of the JSON:API root."""
    return {"href": f"{api}/schemas/{name}.json", "type": JSON_SCHEMA}


def pages(path: str, pairs: Sequence[tuple[str, str]], page: Page, total: int) -> dict[str, str | None]:
    """`self`, `first`, `last` and, where there is such a page, `prev` and `next`; every other parameter is kept."""
    last = max(0, total - 1) // page.size * page.size
    if page.by == "offset":
        place, size = "page[offset]", "page[limit]"
    else:
        place, size = "page[number]", "page[size]"
    kept = [(name, value) for name, value in pairs if name not in (place, size)]

    def to(offset: int) -> str:
        at = offset if page.by == "offset" else offset // page.size + 1
        return url(path, [*kept, (place, str(at)), (size, str(page.size))])

    links: dict[str, str | None] = {"self": url(path, pairs), "first": to(0), "last": to(last)}
    if page.offset > 0:
        links["prev"] = to(max(0, min(page.offset - page.size, last)))
    if page.offset + page.size < total:
        links["next"] = to(page.offset + page.size)
    return links


@lru_cache(maxsize=128)
def _beside(pairs: tuple[tuple[str, str], ...]) -> str:
    """What a link to a page by cursor says before the page. Remembered, since it is the same for all of them."""
    kept = [(name, value) for name, value in pairs if name not in ("page[after]", "page[before]", "page[size]")]
    return f"{url('', kept)[1:]}&" if kept else ""


def windows(
    own: str, pairs: Sequence[tuple[str, str]], window: Window, cursors: Sequence[str], *, more: bool
) -> dict[str, str | None]:
    """The links of a page by cursor: `prev` and `next` are null where there is no such page (the profile, "Links").

    `own` is its own URL, which has the query parameters `pairs`. `cursors` are those of its resources, `more` says that
    there are further ones in the direction they were read.
    """
    path, kept = own.partition("?")[0], _beside(tuple(pairs))

    def to(key: str, cursor: str) -> str:
        return f"{path}?{kept}page%5B{key}%5D={cursor}&page%5Bsize%5D={window.size}"

    back = to("before", cursors[0] if cursors else window.before.text)
    on = to("after", cursors[-1] if cursors else window.after.text)
    if window.backwards:
        there = (more, window.before.position != "end")
    else:
        there = (window.after.position != "start", more or window.is_range)
    return {
        "self": own,
        "first": to("after", "start"),
        "last": to("before", "end"),
        "prev": back if there[0] else None,
        "next": on if there[1] else None,
    }
