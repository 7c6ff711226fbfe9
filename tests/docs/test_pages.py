"""The blocks of README, quickstart and guides, run by a real shell and Python on a real `reprise up`; only ports vary.

`make` tells what it would do: the service runs already, and a test starts no tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import orjson
import pytest

from service.demo.showcase import COFFEE
from tests.processes import ROOT, serving

PAGES = {
    "README": ROOT / "README.md",
    "quickstart": ROOT / "docs" / "quickstart.md",
    **{
        name: ROOT / "docs" / "how-to" / f"{name}.md"
        for name in (
            "set-up-your-store",
            "buy-again",
            "hand-out-repeat-links",
            "sell-subscriptions",
            "set-terms",
            "send-action-links",
            "use-test-clocks",
            "serve-assistants",
        )
    },
}
ROUNDS = {
    "quickstart": 3,
    "set-up-your-store": 2,
    "hand-out-repeat-links": 2,
    "buy-again": 2,
    "sell-subscriptions": 2,
    "send-action-links": 2,
    "use-test-clocks": 3,
}
"""How often pages are followed that can be followed again: what they show is compared the last time."""
BACK_BEFORE = {"quickstart": 2, "use-test-clocks": 2}
"""Before which of them somebody presses the demo shop's *Back to real time*."""
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$(?:\s+^```json\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
END = "\x1e"
"""What stands between the output of two blocks."""


def run_by_python(code: str) -> str:
    """Shell that runs Python as it stands in a page; it knows the variables that blocks before it exported."""
    return f"'{sys.executable}' - <<'END_OF_CODE'\n{code}END_OF_CODE\n"


def go_back(url: str) -> None:
    """Press the demo shop's button that lets its store keep real time again."""
    with httpx2.Client(base_url=url, follow_redirects=True) as visitor:
        subscription = f"/demo/subscriptions/{COFFEE}"
        nonce = re.search(r'name="nonce" value="([^"]+)"', visitor.get(subscription).text)
        assert nonce is not None
        form = {"nonce": nonce[1], "do": "back"}
        after = visitor.post(subscription, data=form, headers={"Origin": url}).raise_for_status().text
        assert "Back to real time" not in after


class Page(NamedTuple):
    """What came of a page: where its service answers, its token; each block with its output and what is shown of it."""

    url: str
    token: str
    blocks: list[tuple[str, str, Any]]


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, run_folder: Path, worker_id: str) -> Iterator[Page]:
    """A page followed from its first block to its last, in one shell, in a folder of its own."""
    folder = run_folder / f"page-{request.param}-{worker_id}"
    folder.mkdir()
    for found in ROOT.iterdir():
        if found.name != ".reprise":
            (folder / found.name).symlink_to(found)
    (folder / ".curlrc").write_text("fail-with-body\n")
    data = folder / ".reprise"
    with serving(
        "up", "--port", "0", until="answers at", REPRISE_DATA_DIR=str(data), REPRISE_LOG_LEVEL="warning"
    ) as service:
        text = PAGES[request.param].read_text().replace("http://127.0.0.1:8000", service.url)
        asked = [(block if of == "sh" else run_by_python(block), shown) for of, block, shown in BLOCK.findall(text)]
        assert len(asked) == text.count("```sh") + text.count("```python")
        script = "".join(f"{block}printf '\\036'\n" for block, _ in asked)
        environment = os.environ | {"CURL_HOME": str(folder), "MAKEFLAGS": "--dry-run"}
        for number in range(ROUNDS.get(request.param, 1)):
            if number == BACK_BEFORE.get(request.param):
                go_back(service.url)
            done = subprocess.run(
                ["sh", "-eu", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            outputs = done.stdout.split(END)
            assert done.returncode == 0, (number, asked[len(outputs) - 1][0], outputs[-1], done.stderr)
        token = (data / "tokens").read_text().split()[1]
        blocks = [
            (block, output, orjson.loads(shown) if shown else None)
            for (block, shown), output in zip(asked, outputs, strict=False)
        ]
        yield Page(service.url, token, blocks)


def shows(shown: Any, real: Any) -> bool:
    """Whether an answer is as shown: `...` stands for any text, objects may hold more members."""
    match shown:
        case dict():
            return isinstance(real, dict) and all(name in real and shows(shown[name], real[name]) for name in shown)
        case list():
            return isinstance(real, list) and len(shown) == len(real) and all(map(shows, shown, real))
        case str():
            pattern = ".+".join(map(re.escape, shown.split("...")))
            return isinstance(real, str) and re.fullmatch(pattern, real) is not None
    return bool(shown == real)


def test_each_block_does_what_the_page_shows(page: Page) -> None:
    shown = [block for block in page.blocks if block[2] is not None]
    assert len(shown) >= 3
    for block, output, expected in shown:
        real = orjson.loads(output)
        assert shows(expected, real), (block, real)


def test_every_change_shows_its_answer(page: Page) -> None:
    changes = [block for block in page.blocks if " -d " in block[0]]
    assert changes
    for block, _, expected in changes:
        assert expected is not None, block


def test_every_answer_is_a_good_one(page: Page) -> None:
    for block, output, _ in page.blocks:
        if "\ncurl" in f"\n{block}" and " -o " not in block:
            assert not orjson.loads(output).keys() & {"errors", "errorCode"}, block


@pytest.mark.parametrize("page", ["README", "quickstart"], indirect=True)
def test_the_copies_are_completed_and_lead_to_new_orders(page: Page) -> None:
    headers = {"Authorization": f"Bearer {page.token}"}
    with httpx2.Client(base_url=page.url, headers=headers) as client:
        deadline = time.monotonic() + 20
        while True:
            made = client.get("/api/recurring_order_copies?sort=-created_at&page[size]=1").json()["data"][0]
            if made["attributes"]["status"] == "completed" or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert made["attributes"]["status"] == "completed"
        order = client.get(f"{made['links']['self']}/target_order?include=line_items").json()
    assert {line["type"] for line in order["included"]} == {"line_items"}
