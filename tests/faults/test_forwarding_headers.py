"""Behind proxies: only the headers that they are said to set are believed, and only of them."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from service.app import create_app
from service.errors import StartupError
from service.http.hearing import head_of
from service.http.proxies import Proxies
from service.settings import Settings

PROXY, OUTER, CLIENT, MADE_UP = "10.9.9.9", "10.1.1.1", "198.51.100.7", "203.0.113.9"
FAMILY = "X-Forwarded-For,X-Forwarded-Proto,X-Forwarded-Host"
SPOOFED = {
    "Forwarded": f"for={MADE_UP};proto=https;host=evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": MADE_UP,
}


def seen(headers: Mapping[str, str], *, peer: str = PROXY, **changes: str) -> tuple[str, str, str, set[str]]:
    """Client, scheme and host of a request, and the names of its headers that are heard."""
    proxies = Proxies(Settings().model_copy(update={"trusted_proxies": "10.0.0.0/8", **changes}))
    raw = [(name.lower().encode(), value.encode()) for name, value in {"Host": "shop.example", **headers}.items()]
    scope: Scope = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": raw}
    heard = proxies.look_behind(scope, head_of(raw)).heard
    return scope["client"][0], scope["scheme"], heard[b"host"].decode(), {name.decode() for name in heard}


@pytest.mark.rule("FM-146")
def test_behind_a_proxy_that_sets_one_header_a_client_s_others_count_for_nothing() -> None:
    client, scheme, host, heard = seen({**SPOOFED, "X-Forwarded-For": f"{MADE_UP}, {CLIENT}"})
    assert (client, scheme, host) == (CLIENT, "http", "shop.example")
    assert heard == {"host", "x-forwarded-for", "x-forwarded-prefix", "x-real-ip"}
    client, scheme, host, _ = seen(
        {**SPOOFED, "Forwarded": f"for={MADE_UP};proto=https, for={CLIENT}", "X-Forwarded-For": MADE_UP},
        forwarded_headers="Forwarded",
    )
    assert (client, scheme, host) == (CLIENT, "http", "shop.example")


@pytest.mark.rule("FM-146")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            {"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"}, (CLIENT, "https", "shop.example"), id="one"
        ),
        pytest.param(
            {
                "X-Forwarded-For": f"{MADE_UP}, {CLIENT}, {OUTER}",
                "X-Forwarded-Host": f"evil.example, a.example, {OUTER}",
            },
            (CLIENT, "http", "a.example"),
            id="two that append",
        ),
        pytest.param(
            {"X-Forwarded-For": f"{CLIENT}, {OUTER}", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"},
            (CLIENT, "https", "a.example"),
            id="two of which the first says scheme and host",
        ),
        pytest.param(
            {"X-Forwarded-For": CLIENT, "X-Forwarded-Host": "evil.example, a.example"},
            (CLIENT, "http", "a.example"),
            id="one that appends the host alone",
        ),
        pytest.param({"X-Forwarded-For": "nonsense"}, (PROXY, "http", "shop.example"), id="none that can be read"),
    ],
)
def test_proxies_in_a_row_are_read_from_the_end(headers: dict[str, str], expected: tuple[str, str, str]) -> None:
    assert seen(headers, forwarded_headers=FAMILY)[:3] == expected


@pytest.mark.rule("FM-146")
@given(made_up=st.lists(st.sampled_from([MADE_UP, OUTER, "unknown", "", "10.0.0.1:80", "[2001:db8::1]"]), max_size=5))
def test_nothing_that_a_client_sends_moves_its_address(made_up: list[str]) -> None:
    assert seen({"X-Forwarded-For": ", ".join([*made_up, CLIENT, OUTER])})[0] == CLIENT


@pytest.mark.rule("FM-146")
def test_who_goes_around_the_proxies_is_believed_nothing() -> None:
    told = SPOOFED | {
        "X-Forwarded-For": MADE_UP,
        "X-Request-Id": "made-up",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    client, scheme, host, heard = seen(told, peer=CLIENT)
    assert (client, scheme, host) == (CLIENT, "http", "shop.example")
    assert heard == {"host", "x-forwarded-prefix", "x-real-ip"}
    assert {"x-request-id", "traceparent"} <= seen(told)[3], "a proxy that is trusted gives ids"
    assert {"x-request-id", "traceparent"} <= seen(told, peer=CLIENT, trusted_proxies="")[3], (
        "and so do clients of none"
    )


@pytest.mark.parametrize("wrong", ["", "X-Real-IP", "Forwarded, X-Forwarded-For"])
def test_headers_that_contradict_each_other_are_told_at_the_start(settings: Settings, wrong: str) -> None:
    with pytest.raises(StartupError, match="REPRISE_FORWARDED_HEADERS"):
        create_app(settings.model_copy(update={"forwarded_headers": wrong}))


@pytest.mark.rule("FM-146")
async def test_a_proxy_that_is_not_trusted_is_noted(settings: Settings) -> None:
    app = create_app(settings)
    transport = httpx2.ASGITransport(app, client=(PROXY, 1))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        assert "untrusted_proxy" not in (await client.get("/readyz")).text
        with structlog.testing.capture_logs() as told:
            await client.get("/healthz", headers={"Forwarded": f"for={CLIENT}"})
        assert [line["address"] for line in told if line["log_level"] == "warning"] == [PROXY]
        assert "untrusted_proxy" in [note["code"] for note in (await client.get("/readyz")).json()["notes"]]
