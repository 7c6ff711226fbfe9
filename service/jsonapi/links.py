"""Top-level links: the request's own URL and the pages around it (JSON:API 1.1, "Pagination")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from urllib.parse import quote

from service.jsonapi.query import Page


def url(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    """A URL of an absolute path and query parameters, percent-encoded as RFC 3986 asks.

    Brackets and spaces are encoded, commas kept.
    """
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe=',')}" for name, value in pairs)
    return f"{path}?{query}" if query else path


def pages(path: str, pairs: Sequence[tuple[str, str]], page: Page, total: int) -> dict[str, str]:
    """`self`, `first`, `last` and, where there is such a page, `prev` and `next`; every other parameter is kept."""
    last = max(1, math.ceil(total / page.size))
    kept = [(name, value) for name, value in pairs if name not in ("page[number]", "page[size]")]

    def to(number: int) -> str:
        return url(path, [*kept, ("page[number]", str(number)), ("page[size]", str(page.size))])

    links = {"self": url(path, pairs), "first": to(1), "last": to(last)}
    if page.number > 1:
        links["prev"] = to(min(page.number - 1, last))
    if page.number < last:
        links["next"] = to(page.number + 1)
    return links
