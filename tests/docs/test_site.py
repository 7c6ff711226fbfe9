"""The documentation as a site: which pages there are, how they hang together, and what search knows of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import httpx2
import orjson
import pytest

from service.manual import searching
from service.manual.library import INDEX, library, read
from tests.processes import ROOT


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the documentation, to write into."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


async def test_every_page_is_served_with_links_and_anchors_that_lead_somewhere(client: httpx2.AsyncClient) -> None:
    pages = {}
    for path, page in library().pages.items():
        answer = await client.get(f"/{page.url}")
        assert answer.status_code == 200, path
        pages[f"/{page.url}"] = answer.text
    base = httpx2.URL("http://localhost")
    for url, html in pages.items():
        assert '"None' not in html
        for attribute, link in re.findall(r'(href|src)="([^"]+)"', html):
            found = base.join(url).join(link)
            if found.host != "localhost":
                continue
            if found.path in pages:
                assert not found.fragment or f'id="{found.fragment}"' in pages[found.path], (url, link)
            elif found.path not in ("/", "/demo"):  # which need a database that has a demo store
                assert (await client.get(found.path)).status_code == 200, (url, attribute, link)


async def test_headings_have_ids_of_their_own(client: httpx2.AsyncClient) -> None:
    for page in library().pages.values():
        ids = re.findall(r' id="([^"]+)"', (await client.get(f"/{page.url}")).text)
        assert len(ids) == len(set(ids)), page.path


def test_a_new_page_shows_up_by_itself(copied: Path) -> None:
    (copied / "docs" / "how-to" / "juggle.md").write_text("# Juggle\n\nWith three balls.\n")
    (copied / "docs" / "tales").mkdir()
    (copied / "docs" / "tales" / "one.md").write_text("# A tale\n")
    groups = {group.title: group.entries for group in read(copied).groups}
    assert ("Juggle", "docs/how-to/juggle") in [(one.label, one.page.url) for one in groups["More how-tos"]]
    assert [one.label for one in groups["More"]] == ["A tale"]
    assert list(groups)[-1] == "For contributors"
    assert any(one["heading"] == "Juggle" and "three balls" in one["text"] for one in searching.entries(read(copied)))


def test_the_navigation_has_every_page_once() -> None:
    paths = [entry.page.path for entry in library().entries]
    assert sorted([*paths, INDEX]) == sorted(library().pages)


def test_pages_for_contributors_come_last() -> None:
    last = library().groups[-1]
    assert last.title == "For contributors"
    assert {"conformance.md", "dependencies.md", "add-a-resource-type.md"} <= {
        Path(entry.page.path).name for entry in last.entries
    }


async def test_programs_get_a_list_and_the_markdown_behind_it(client: httpx2.AsyncClient) -> None:
    listed = (await client.get("/llms.txt")).text
    assert listed.startswith("# Reprise\n\n> ")
    links = re.findall(r"\]\(([^)]+)\)", listed)
    assert len(links) == len(library().entries)
    for link in links:
        assert (await client.get(link)).text.startswith("# ")


async def test_what_lies_outside_is_not_served(client: httpx2.AsyncClient) -> None:
    for path in (
        "/docs/nope",
        "/docs/nope.md",
        "/docs/how-to/..%2f..%2fREADME.md",
        "/docs/..%2fREADME.md",
        "/docs/..svg",
        "/docs/%00",
        "/docs/how-to/%00.svg",
        f"/docs/{300 * 'a'}.svg",
    ):
        assert (await client.get(path)).status_code == 404, path


@pytest.mark.parametrize("name", ["resources", "resources.md"])
async def test_pages_of_the_reference_are_found_by_their_folder_too(client: httpx2.AsyncClient, name: str) -> None:
    moved = await client.get(f"/docs/reference/{name}")
    assert (moved.status_code, str(moved.next_request and moved.next_request.url.path)) == (308, f"/docs/{name}")
    assert (await client.get(f"/docs/{name}")).status_code == 200
    assert (await client.get("/docs/reference/quickest")).status_code == 404


async def test_browsers_that_ask_for_an_icon_get_one(client: httpx2.AsyncClient) -> None:
    found = await client.get("/favicon.ico")
    assert (found.status_code, found.headers["content-type"].partition(";")[0]) == (200, "image/svg+xml")
    assert found.content.startswith(b"<svg")


async def test_parts_have_one_order_in_every_menu(client: httpx2.AsyncClient) -> None:
    for path in ("/", "/docs", "/docs/api", "/docs/quickstart"):
        html = (await client.get(path)).text
        assert 0 < html.index(">Docs</a>") < html.index(">API reference</a>"), path
        assert html.find(">Demo shop</a>") == -1 or html.index(">API reference</a>") < html.index(">Demo shop</a>"), (
            path
        )


async def test_every_section_can_be_found(client: httpx2.AsyncClient) -> None:
    found = orjson.loads((await client.get("/docs/assets/search.json")).content)
    assert {one["url"].partition("#")[0] for one in found} == {page.url for page in library().pages.values()}
    sections = [one for one in found if one["url"] == "docs/errors#invalid_filter_value"]
    assert [one["page"] for one in sections] == ["Errors"]
    assert sections[0]["text"]


async def test_a_state_diagram_is_told_as_its_arrows(client: httpx2.AsyncClient) -> None:
    html = (await client.get("/docs/states")).text
    assert "stateDiagram" not in html
    assert "<code>draft</code> → <code>pending</code>" in html
