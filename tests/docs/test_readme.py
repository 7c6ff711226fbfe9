"""The README's shell blocks do what it says, on a real `reprise up`; only host, port and data folder differ."""

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

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


class Service(NamedTuple):
    """Where a service answers, and its data folder."""

    url: str
    folder: Path


@pytest.fixture(scope="module")
def service(run_folder: Path, worker_id: str) -> Iterator[Service]:
    """What `make run` starts, with a data folder of its own."""
    folder = run_folder / f"readme-{worker_id}"
    ours = ("DATABASE_URL", "REDIS_URL", "REPRISE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "up", "--port", "0"],
        cwd=ROOT,
        env=inherited | {"REPRISE_DATA_DIR": str(folder), "REPRISE_LOG_LEVEL": "warning"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = re.search(r"http://\S+", process.stdout.readline())
        assert url is not None
        yield Service(url[0], folder)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def examples() -> list[tuple[str, Any]]:
    """Each curl command with the answer that the README shows below it."""
    pairs = re.findall(r"```sh\n(curl .*?)```\s+```json\n(.*?)```", README, re.DOTALL)
    return [(command, orjson.loads(shown)) for command, shown in pairs]


def words(command: str, service: Service) -> list[str]:
    """The words of a curl command as the reader's shell makes them, after the README's exports."""
    exports = "\n".join(re.findall(r"^export .*$", README, re.MULTILINE))
    script = f"{exports}\n" + command.replace("curl", "printf '%s\\0'", 1)
    script = script.replace(".reprise/tokens", str(service.folder / "tokens")).replace(
        "http://127.0.0.1:8000", service.url
    )
    done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def send(command: str, service: Service) -> tuple[dict[str, str], Any]:
    """Do a curl command; its headers, and the JSON of a good answer."""
    options: dict[str, list[str]] = {"-X": [], "-H": [], "-d": []}
    url, rest = "", iter(words(command, service))
    for word in rest:
        if word in options:
            options[word].append(next(rest))
        elif word != "-s":
            url = word
    headers = dict(header.split(": ", 1) for header in options["-H"])
    method = (options["-X"] or ["GET"])[0]
    answer = httpx2.request(method, url, headers=headers, content="".join(options["-d"]) or None)
    assert answer.is_success, answer.text
    return headers, answer.json()


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


def test_there_are_three_requests() -> None:
    assert len(examples()) == 3


@pytest.mark.parametrize(("command", "shown"), examples(), ids=["repeat link", "reorder", "copy"])
def test_a_request_of_the_readme_is_answered_as_shown(command: str, shown: Any, service: Service) -> None:
    _, real = send(command, service)
    expected = orjson.loads(orjson.dumps(shown).decode().replace("http://127.0.0.1:8000", service.url))
    assert shows(expected, real), real


def test_the_copy_is_completed_and_leads_to_the_new_order(service: Service) -> None:
    headers, made = send(examples()[2][0], service)
    url = made["data"]["links"]["self"]
    deadline = time.monotonic() + 20
    while made["data"]["attributes"]["status"] != "completed" and time.monotonic() < deadline:
        time.sleep(0.1)
        made = httpx2.get(url, headers=headers).json()
    assert made["data"]["attributes"]["status"] == "completed"
    order = httpx2.get(f"{url}/target_order?include=line_items", headers=headers).json()
    assert {line["type"] for line in order["included"]} == {"line_items"}
