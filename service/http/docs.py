"""The reference, readable where the service runs: errors link to it."""

from __future__ import annotations

import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.errors import NotFound
from service.http.pages import page

PAGES = ("cli", "errors", "scopes", "settings")
"""The pages that are served, by their file's name."""

_FOLDERS = (
    Path(__file__).parents[2] / "docs" / "reference",
    Path(sys.prefix) / "share" / "reprise" / "docs" / "reference",
)
"""Where they are: in a checkout, and installed from a wheel."""


async def show(request: Request) -> Response:
    """GET /docs/{page}."""
    html = reference(request.path_params["page"])
    answer = page(request, "reference.html", {"text": Markup(html)})  # noqa: S704 -- our own files
    answer.headers["Cache-Control"] = "public, max-age=3600"
    answer.headers["Content-Language"] = "en"
    return answer


@cache
def reference(name: str) -> str:
    """A page of the reference as HTML; headings have ids as GitHub gives them. Raises NotFound."""
    path = next((path for folder in _FOLDERS if (path := folder / f"{name}.md").is_file()), None)
    if name not in PAGES or path is None:
        raise NotFound("There is nothing at this URL.")
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    for token, text in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", text.content.lower().replace(" ", "-"))
    for token in [child for parent in tokens for child in parent.children or () if child.type == "link_open"]:
        token.attrSet("href", str(token.attrGet("href")).replace(".md", "", 1))
    html: str = markdown.renderer.render(tokens, markdown.options, {})
    return html


routes = [Route("/docs/{page}", show)]
