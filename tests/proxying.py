"""nginx and Caddy in front of real servers, with the configurations of "Put Reprise behind a proxy"."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.processes import ROOT

PAGE = (ROOT / "docs" / "how-to" / "put-behind-a-proxy.md").read_text()
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"

_SAID = re.search(r"`REPRISE_FORWARDED_HEADERS=(\S+)`", PAGE)
assert _SAID is not None
HEADERS = _SAID[1]


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _block(language: str, services: Sequence[int]) -> str:
    """The configuration of the page, in front of services at these ports."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].replace(":8000", f":{services[0]}").replace(":8001", f":{services[-1]}")


def _nginx(folder: Path, port: int, services: Sequence[int]) -> list[str]:
    server = _block("nginx", services).replace("listen 80", f"listen 127.0.0.1:{port}")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{server} }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]


def _caddy(folder: Path, port: int, services: Sequence[int]) -> list[str]:
    server = _block("caddyfile", services).replace("shop.example:80", f"shop.example:{port}")
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}}\n{server}")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES: dict[str, Callable[[Path, int, Sequence[int]], list[str]]] = {"nginx": _nginx, "caddy": _caddy}


def need(name: str) -> None:
    """Skip a test where a proxy is not installed."""
    if shutil.which(name, path=PATH) is None:
        pytest.skip(f"{name} is not installed: make proxies")


@contextmanager
def proxied(name: str, folder: Path, services: Sequence[int]) -> Iterator[httpx2.Client]:
    """A client of a proxy in front of services at these ports."""
    folder.mkdir()
    port = free_port()
    environment = {"PATH": PATH, "HOME": str(folder)}
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(PROXIES[name](folder, port, services), env=environment, stderr=errors)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": f"shop.example:{port}"}) as client:
            deadline = time.monotonic() + 20
            while True:
                try:
                    client.get("/healthz")
                    break
                except httpx2.ConnectError:
                    assert process.poll() is None, (folder / "errors").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(20)
