"""/docs: the documentation as a site, rendered from the Markdown of `docs/`, and /llms.txt, its list for programs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from service.errors import NotFound
from service.http import urls
from service.http.assets import CACHED, asset
from service.http.pages.front import shows_shop
from service.http.pages.pages import page
from service.manual.library import Library, Page, library
from service.manual.rendering import Heading, render

STYLES = ("base.css", "frame.css", "samples.css", "docs.css")
MARKDOWN = "text/markdown; charset=utf-8"
_MOST_HEADINGS = 40
"""How many headings a page lists beside itself, before it leaves out all but the first level."""
_STRICT = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
"""Who opens a picture by itself sees it, with its own style, and nothing runs."""


async def index(request: Request) -> Response:
    """GET /docs."""
    return await _page(request, library().index, up="")


async def show(request: Request) -> Response:
    """GET /docs/{page}: a page, with `.md` its Markdown. Raises NotFound."""
    return await _answer(request, f"docs/{request.path_params['page']}", up="../")


async def show_in_folder(request: Request) -> Response:
    """GET /docs/{folder}/{page}: a page or its Markdown, or a picture. Raises NotFound."""
    return await _answer(request, f"docs/{request.path_params['folder']}/{request.path_params['page']}", up="../../")


async def search(request: Request) -> Response:
    """GET /docs/search: all topics, among which the page's script searches."""
    found = library()
    topics = [(entry, _headings(render(found, entry.page, "../").headings)) for entry in found.entries]
    return await _show(request, "docs_search.html", {"topics": topics, "here": "docs/search"}, up="../")


async def for_programs(request: Request) -> Response:
    """GET /llms.txt: what there is to read, as https://llmstxt.org describes it; pages are linked as Markdown."""
    origin, found = urls.origin(request), library()
    intro = found.index.text.split("\n\n")[1].replace("\n", " ")
    lines = ["# Reprise", "", f"> {intro}", "", f"The contract of the API is {origin}/openapi.yaml."]
    for group in found.groups:
        lines += ["", f"## {group.title}", ""]
        lines += [
            f"- [{entry.label}]({origin}/{entry.page.url}.md){f': {entry.about}' if entry.about else ''}"
            for entry in group.entries
        ]
    return PlainTextResponse("\n".join(lines) + "\n", headers=CACHED)


async def _answer(request: Request, url: str, *, up: str) -> Response:
    found = library()
    if url in found.by_url:
        return await _page(request, found.by_url[url], up=up)
    markdown = found.by_url.get(url.removesuffix(".md")) if url.endswith(".md") else None
    if markdown is not None:
        return _in_english(asset(request, markdown.text.encode(), MARKDOWN))
    inside = url.removeprefix("docs/reference/")
    if f"docs/{inside.removesuffix('.md')}" in found.by_url and inside != url:
        # As the folders have it, and as links on GitHub do; pages of the reference have shorter URLs.
        return RedirectResponse(f"{urls.origin(request)}/docs/{inside}", 308, headers=CACHED)
    picture = found.picture(url)
    if picture is None:
        raise NotFound("There is nothing at this URL.")
    answer = asset(request, picture, "image/svg+xml")
    answer.headers.update(_STRICT)
    return _in_english(answer)


async def _page(request: Request, shown: Page, *, up: str) -> Response:
    found = library()
    rendered = render(found, shown, up)
    before, after = _around(found, shown)
    values = {
        "title": shown.title,
        "text": rendered.html,
        "headings": _headings(rendered.headings),
        "here": shown.url,
        "before": before,
        "after": after,
    }
    return await _show(request, "docs_page.html", values, up=up)


async def _show(request: Request, template: str, values: dict[str, object], *, up: str) -> Response:
    values = {"groups": library().groups, "up": up, "shop": await shows_shop(request), **values}
    answer = page(request, template, values, styles=STYLES, own=True)
    answer.headers.update(CACHED)
    return _in_english(answer)


def _in_english(answer: Response) -> Response:
    answer.headers["Content-Language"] = "en"
    return answer


def _headings(headings: tuple[Heading, ...]) -> list[Heading]:
    """The headings that a list shows."""
    deepest = 3 if len(headings) <= _MOST_HEADINGS else 2
    return [heading for heading in headings if heading.level <= deepest]


def _around(found: Library, shown: Page) -> tuple[object, object]:
    """The entries before and after a page in the navigation, None where there is none."""
    entries = found.entries
    place = next((number for number, entry in enumerate(entries) if entry.page == shown), -1)
    before = entries[place - 1] if place > 0 else None
    after = entries[place + 1] if place + 1 < len(entries) else None
    return before, after


routes = [
    Route("/docs", index),
    Route("/docs/search", search),
    Route("/docs/{page}", show),
    Route("/docs/{folder}/{page}", show_in_folder),
    Route("/llms.txt", for_programs),
]
