"""Which pages there are, and in which order: `docs/README.md` is the index, by task, and the navigation follows it.

A heading of the index is a group, a link below it a page. A page that the index doesn't list shows up by itself, in a
group for its folder before the last one, which is for contributors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from posixpath import dirname, normpath
from urllib.parse import quote

from service.manual import files

INDEX = "docs/README.md"
_ROOT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages at the root of the repository, where GitHub looks for them."""
_FOLDERS = {"how-to": "More how-tos", "reference": "More reference", "explanation": "More explanation"}
"""The groups of pages that the index doesn't list, by their folder."""
_SHORT = ("docs/reference/", "docs/")
"""Folders that URLs leave out: errors link to pages of the reference, and those URLs stay as they are."""

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)]+)\)(?:: )?(.*?)(?=^-|^\s*$|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its path in the repository, its URL below the service's, its title and its Markdown."""

    path: str
    url: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the navigation: what it is called there, and what it is about."""

    page: Page
    label: str
    about: str


@dataclass(frozen=True, slots=True)
class Group:
    """Pages for one kind of task."""

    title: str
    entries: Sequence[Entry]


@dataclass(frozen=True, eq=False)
class Library:
    """All pages of a folder, with the index first."""

    folder: Path
    pages: Mapping[str, Page]
    """By path."""

    @property
    def index(self) -> Page:
        """The index."""
        return self.pages[INDEX]

    @cached_property
    def by_url(self) -> Mapping[str, Page]:
        """The pages by their URLs."""
        return {page.url: page for page in self.pages.values()}

    @cached_property
    def groups(self) -> Sequence[Group]:
        """The navigation: the groups of the index, and before the last one those of pages that it doesn't list."""
        _, *parts = re.split(r"^## (.+)$", self.index.text, flags=re.MULTILINE)
        listed = [Group(title, list(self._entries(text))) for title, text in zip(parts[::2], parts[1::2], strict=True)]
        known = {entry.page.path for group in listed for entry in group.entries} | {INDEX}
        others: dict[str, list[Entry]] = {}
        for path, page in sorted(self.pages.items()):
            if path not in known:
                title = _FOLDERS.get(Path(path).parent.name, "More")
                others.setdefault(title, []).append(Entry(page, page.title, ""))
        more = [Group(title, entries) for title, entries in others.items()]
        return [group for group in (*listed[:-1], *more, *listed[-1:]) if group.entries]

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """All entries of the navigation in their order."""
        return [entry for group in self.groups for entry in group.entries]

    def _entries(self, text: str) -> Iterator[Entry]:
        for label, link, about in _ENTRY.findall(text):
            page = self.leads_to(self.index, link)
            if isinstance(page, Page):
                yield Entry(page, label, " ".join(about.split()))

    def leads_to(self, page: Page, link: str) -> Page | str | None:
        """Where a link of a page leads: to a page, to a picture (its URL), or None for what isn't served."""
        path = normpath(f"{dirname(page.path)}/{link.partition('#')[0]}").removeprefix("/") if link else page.path
        if path in self.pages:
            return self.pages[path]
        return path if path.endswith(".svg") and self.picture(path) is not None else None

    def picture(self, url: str) -> bytes | None:
        """The picture at a URL, None when there is none."""
        path = self._pictures.get(url)
        return None if path is None else path.read_bytes()

    @cached_property
    def _pictures(self) -> Mapping[str, Path]:
        """Where the pictures are, by their URLs: what a client asks for is never made a path."""
        found = (self.folder / "docs").rglob("*.svg")
        return {path.relative_to(self.folder).as_posix(): path for path in found if path.is_file()}


@cache
def library() -> Library:
    """The documentation of this service."""
    return read(files.root())


def read(folder: Path) -> Library:
    """Every page below a folder; it must hold the index."""
    paths = [*(path for path in _ROOT_PAGES if (folder / path).is_file())]
    paths += sorted(str(path.relative_to(folder)) for path in (folder / "docs").rglob("*.md"))
    return Library(folder, {path: _page(folder, path) for path in paths})


def _page(folder: Path, path: str) -> Page:
    text = (folder / path).read_text(encoding="utf-8")
    title = _TITLE.search(text)
    return Page(path, _url(path), path if title is None else title[1].replace("`", ""), text)


def _url(path: str) -> str:
    if path == INDEX:
        return "docs"
    short = path.removesuffix(".md") if path.startswith("docs/") else path.removesuffix(".md").lower()
    for folder in _SHORT:
        short = short.removeprefix(folder)
    return f"docs/{quote(short)}"
