"""Which language a reader gets."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from service.http.languages import negotiate


def request(accept: str | None) -> Request:
    headers = [] if accept is None else [(b"accept-language", accept.encode("latin-1"))]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("accept", "store", "locale"),
    [
        (None, "nl_NL", "nl_NL"),
        (None, "nl-BE", "nl_BE"),
        (None, "en", "en"),
        (None, "fr_FR", "en"),
        ("nl", "en_US", "nl"),
        ("nl-BE,nl;q=0.9", "nl_NL", "nl_NL"),
        ("NL-be", "en_GB", "nl"),
        ("en-GB", "en_US", "en_US"),
        ("de, nl;q=0.5, en;q=0.8", "nl_NL", "en"),
        ("de, nl;q=0.5, en;q=0.4", "en", "nl"),
        ("en;q=0, nl;q=0.1", "en_US", "nl"),
        ("en;q=0", "nl_NL", "nl_NL"),
        ("de", "nl_NL", "nl_NL"),
        ("*", "nl_NL", "nl_NL"),
        ("en;q=x, nl;q=2, ;;,", "fr", "en"),
        ("en; q=0.2 , nl ; q=0.3", "fr", "nl"),
    ],
)
def test_negotiate(accept: str | None, store: str, locale: str) -> None:
    assert negotiate(request(accept), store) == locale
