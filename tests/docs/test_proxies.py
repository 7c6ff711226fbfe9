"""The configurations of "Put Reprise behind a proxy", run by the real nginx and Caddy in front of a real server."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2
import orjson
import pytest

from tests.processes import serving
from tests.proxying import HEADERS, PROXIES, need, proxied


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_as_the_page_has_it(name: str, tmp_path: Path) -> None:
    need(name)
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
        with proxied(name, tmp_path / "proxy", [int(service.url.rpartition(":")[2])]) as client:
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
