"""docs/how-to/use-a-client.md: its examples, run as they stand; only the address differs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from tests.clients.conftest import FOLDER, NODE, Shop
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "how-to" / "use-a-client.md").read_text()
COMMANDS = {
    "js": [str(NODE), "--input-type=module"],
    "python": [sys.executable, "-"],
}
EXAMPLES = re.findall(r"^### (\S+)\n.*?^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_each_client_has_its_example() -> None:
    dependencies = ["kitsu", "devour-client", "@commercelayer/sdk", "jsonapi-client", "jsonapi-requests"]
    assert [client for client, _, _ in EXAMPLES] == dependencies


@pytest.mark.parametrize(("language", "example"), [one[1:] for one in EXAMPLES], ids=[one[0] for one in EXAMPLES])
def test_an_example_does_what_it_says(language: str, example: str, shop: Shop) -> None:
    here = urlsplit(shop.url)
    done = subprocess.run(
        COMMANDS[language],
        input=example.replace("http://127.0.0.1:8000", f"{here.scheme}://{here.netloc}"),
        cwd=FOLDER,
        env=os.environ | {"SECRET": shop.token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    order, *_, refused = done.stdout.splitlines()
    assert re.fullmatch(r"\d+ ada@example.com 2 of .*1", order)
    assert re.search(r"FILTER_NOT_ALLOWED|/data/attributes/email", refused)
