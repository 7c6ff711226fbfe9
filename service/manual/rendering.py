"""A page as HTML: Markdown by markdown-it, code in colours by Pygments, tables that stay readable on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from service.manual.library import Library, Page

_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:")
_ARROW = re.compile(r"^\s*(\S+) --> ([^\s:]+)(?:: (.*))?$", re.MULTILINE)
"""An arrow of a state diagram in Mermaid's notation, which GitHub draws."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: how deep it is, its anchor and its words."""

    level: int
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as HTML, and its headings below the title."""

    html: Markup
    headings: tuple[Heading, ...]


@lru_cache(maxsize=256)
def render(library: Library, page: Page, up: str) -> Rendered:
    """Render a page; `up` leads from its URL to the service's root: `../`."""
    markdown = MarkdownIt("commonmark", {"html": False, "highlight": _highlight}).enable("table")
    markdown.add_render_rule("table_open", _table_open)
    markdown.add_render_rule("table_close", _table_close)
    markdown.add_render_rule("fence", _fence)
    markdown.add_render_rule("heading_close", _heading_close)
    markdown.add_render_rule("code_inline", _code_inline)
    tokens = markdown.parse(page.text)
    headings = tuple(_name_headings(tokens))
    _label_cells(tokens)
    for token in (child for parent in tokens for child in parent.children or ()):
        if token.type == "link_open":
            token.attrSet("href", href(library, page, str(token.attrGet("href")), up))
        elif token.type == "image":
            token.attrSet("src", href(library, page, str(token.attrGet("src")), up))
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Rendered(Markup(html), headings)  # noqa: S704 -- our own files, and markdown-it escapes what they say


def sections(page: Page) -> Iterator[tuple[Heading, str]]:
    """The text of a page, by the heading that it is below."""
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(page.text)
    list(_name_headings(tokens))
    heading, words = Heading(1, "", page.title), list[str]()
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and after is not None:
            if words or heading.level > 1:
                yield heading, " ".join(words)
            level = int(token.tag[1:])
            heading, words = Heading(level, str(token.attrGet("id")) if level > 1 else "", _plain(after)), []
        elif token.type == "inline" and _plain(token) != heading.text:
            words.append(_plain(token))
    yield heading, " ".join(words)


def href(library: Library, page: Page, link: str, up: str) -> str:
    """A link of a page, as it is below its URL; to what isn't served, it leads to the index."""
    if _ABSOLUTE.match(link) or link.startswith("#"):
        return link
    if link.startswith("/"):
        return f"{up}{link.removeprefix('/')}"
    found = library.leads_to(page, link)
    url = found.url if isinstance(found, Page) else found or library.index.url
    _, mark, anchor = link.partition("#")
    return f"{up}{url}{mark}{anchor}"


def _plain(token: Token) -> str:
    """The words of inline content, without marks."""
    return "".join(child.content or " " for child in token.children or () if child.type != "image")


def _name_headings(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Give headings the anchors that GitHub gives them; yields those below the title."""
    seen: dict[str, int] = {}
    for token, after in pairwise(tokens):
        if token.type != "heading_open":
            continue
        text = _plain(after)
        id_ = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        seen[id_] = seen.get(id_, -1) + 1
        id_ = f"{id_}-{seen[id_]}" if seen[id_] else id_
        token.attrSet("id", id_)
        if token.tag != "h1":
            yield Heading(int(token.tag[1:]), id_, text)


def _label_cells(tokens: Sequence[Token]) -> None:
    """Give each cell the name of its column, which a phone shows beside it, and the roles that it loses there."""
    columns: list[str] = []
    column = 0
    for token, after in pairwise(tokens):
        match token.type:
            case "table_open":
                columns = []
            case "tr_open":
                column = 0
                token.attrSet("role", "row")
            case "thead_open" | "tbody_open":
                token.attrSet("role", "rowgroup")
            case "th_open":
                columns.append(_plain(after))
                token.attrSet("role", "columnheader")
            case "td_open":
                token.attrSet("role", "cell")
                token.attrSet("data-label", columns[column])
                if not after.content:
                    token.attrSet("class", "empty")
                for child in after.children or ():
                    if child.type == "code_inline":
                        child.meta["breaks"] = True
                column += 1


Tokens = Sequence[Token]
Environment = MutableMapping[str, object]


def _table_open(_self: RendererHTML, _tokens: Tokens, _place: int, _options: OptionsDict, _env: Environment) -> str:
    return '<div class="table"><table role="table">\n'


def _table_close(_self: RendererHTML, _tokens: Tokens, _place: int, _options: OptionsDict, _env: Environment) -> str:
    return "</table></div>\n"


def _heading_close(_self: RendererHTML, tokens: Tokens, place: int, _options: OptionsDict, _env: Environment) -> str:
    """A heading's end, with a link to it; readers of screens have the page's list of headings."""
    token = tokens[place]
    if token.tag == "h1":
        return "</h1>\n"
    id_ = escape(str(tokens[place - 2].attrGet("id")))
    return f' <a class="anchor" href="#{id_}" aria-hidden="true" tabindex="-1">#</a></{token.tag}>\n'


def _code_inline(_self: RendererHTML, tokens: Tokens, place: int, _options: OptionsDict, _env: Environment) -> str:
    """Words of code; in a table, long names may break behind their underscores."""
    code = str(escape(tokens[place].content))
    return f"<code>{code.replace('_', '_<wbr>') if tokens[place].meta.get('breaks') else code}</code>"


def _fence(_self: RendererHTML, tokens: Tokens, place: int, _options: OptionsDict, _env: Environment) -> str:
    """A block of code. It can be scrolled by keyboard; a state diagram becomes a list of its arrows."""
    token = tokens[place]
    language = token.info.strip()
    if language == "mermaid":
        arrows = "".join(
            f"<li><code>{escape(source)}</code> → <code>{escape(target)}</code> <span>{escape(label)}</span></li>"
            for source, target, label in _ARROW.findall(token.content)
        )
        return f'<ul class="arrows">{arrows}</ul>\n'
    return f'<pre tabindex="0"><code>{_highlight(token.content, language)}</code></pre>\n'


def _highlight(code: str, language: str, _attributes: str = "") -> str:
    """Code with its parts marked, escaped."""
    try:
        lexer = get_lexer_by_name({"sh": "bash", "": "text"}.get(language, language))
    except ClassNotFound:
        return str(escape(code))
    marked: str = highlight(code, lexer, HtmlFormatter(nowrap=True))
    return marked
