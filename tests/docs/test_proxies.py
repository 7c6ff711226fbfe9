"""The configurations of "Put Reprise behind a proxy", run by the real nginx and Caddy in front of a real server."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import orjson
import pytest

from tests.processes import ROOT, serving

PAGE = (ROOT / "docs" / "how-to" / "put-behind-a-proxy.md").read_text()


_SAID = re.search(r"`REPRISE_FORWARDED_HEADERS=(\S+)`", PAGE)
assert _SAID is not None
HEADERS = _SAID[1]


def _block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _nginx(folder: Path, port: int, service: int) -> list[str]:
    server = _block("nginx").replace("listen 80", f"listen 127.0.0.1:{port}").replace(":8000", f":{service}")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{server} }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]


def _caddy(folder: Path, port: int, service: int) -> list[str]:
    server = _block("caddyfile").replace("shop.example:80", f"shop.example:{port}").replace(":8000", f":{service}")
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}}\n{server}")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": _nginx, "caddy": _caddy}


@contextmanager
def _proxied(name: str, folder: Path, service: int) -> Iterator[httpx2.Client]:
    port = _free_port()
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin", "HOME": str(folder)}
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(PROXIES[name](folder, port, service), env=environment, stderr=errors)
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


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_as_the_page_has_it(name: str, tmp_path: Path) -> None:
    if shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip(f"{name} is not installed: make proxies")
    folder = tmp_path / "proxy"
    folder.mkdir()
    with serving(
        "up",
        "--port",
        "0",
        until="answers at",
        REPRISE_DATA_DIR=str(tmp_path / "data"),
        REPRISE_LOG_LEVEL="info",
        REPRISE_TRUSTED_PROXIES="127.0.0.1",
        REPRISE_FORWARDED_HEADERS=HEADERS,
        REPRISE_ALLOWED_HOSTS="*",
    ) as service:
        token = (tmp_path / "data" / "tokens").read_text().split()[1]
        with _proxied(name, folder, int(service.url.rpartition(":")[2])) as client:
            spoofed = {
                "Forwarded": "for=203.0.113.9;host=evil.example",
                "X-Forwarded-For": "203.0.113.9",
                "X-Forwarded-Host": "evil.example",
                "X-Forwarded-Proto": "https",
            }
            answer = client.get("/api/orders?page[size]=1", headers={"Authorization": f"Bearer {token}"} | spoofed)
            assert answer.status_code == 200, answer.text
            assert answer.json()["links"]["self"].startswith(f"http://shop.example:{client.base_url.port}/api/orders")
            assert client.get("/readyz").status_code == 404
            assert client.get("/metrics").status_code == 403
            assert client.get(f"/api/orders?filter[code]={'x' * 4_000}").status_code == 401
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/vnd.api+json"}
            assert client.post("/api/skus", content=b" " * 3_000_000, headers=headers).status_code == 413
            assert _streamed(client, token) == ["id", "event", "data"]
        told = service.stop(signal.SIGTERM).err
    lines = [orjson.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert {line["client"] for line in lines if line.get("path", "").startswith("/api")} == {"127.0.0.1"}
    assert "203.0.113.9" not in told


def _streamed(client: httpx2.Client, token: str) -> list[str]:
    """The fields of an event as they come through, while nothing comes behind it that would push it on."""
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    with client.stream("GET", "/api/events/stream?topics=tags.create", headers=headers, timeout=10) as answer:
        lines = answer.iter_lines()
        assert (answer.status_code, next(lines)) == (200, "retry: 2000")
        document = {"data": {"type": "tags", "attributes": {"name": "through-a-proxy"}}}
        media = {"Content-Type": "application/vnd.api+json"}
        assert client.post("/api/tags", json=document, headers=headers | media).status_code == 201
        return [next(lines).partition(":")[0] for _ in range(3)]
