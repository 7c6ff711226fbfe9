"""Tokens of repeat links, and when a link works."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules.repeat_links import LinkKeys, Named, RepeatLink, read

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEYS = LinkKeys(["first secret"])
LINK = RepeatLink(1003, "01J8Z0000000000000000000AB", KEYS.newest, 1)

ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(store_id=st.integers(1, 2**63 - 1), link_id=ids, version=st.integers(1, 2**63 - 1))
def test_a_token_names_its_store_and_link_and_opens_that_link_only(store_id: int, link_id: str, version: int) -> None:
    link = RepeatLink(store_id, link_id, KEYS.newest, version)
    token = KEYS.token(link)
    assert read(token) == Named(store_id, link_id)
    assert KEYS.verify(token, link)
    assert KEYS.token(link) == token
    for other in (
        replace(link, store_id=store_id + 1),
        replace(link, id=link_id + "x"),
        replace(link, token_version=version + 1),
    ):
        assert not KEYS.verify(token, other)
        assert not KEYS.verify(KEYS.token(other), link)


def test_every_changed_character_breaks_a_token() -> None:
    token = KEYS.token(LINK)
    for place, character in enumerate(token):
        for other in "Aa0-_.=":
            if other != character:
                assert not KEYS.verify(token[:place] + other + token[place + 1 :], LINK)
    for changed in (token[:-1], token + "A", token + "=", "", token.lower()):
        assert not KEYS.verify(changed, LINK)


@given(st.text())
def test_what_is_no_token_names_nothing(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "token",
    [
        f"01003.{LINK.id}.{'A' * 43}",
        f"0.{LINK.id}.{'A' * 43}",
        f"{2**63}.{LINK.id}.{'A' * 43}",
        f"1003.{LINK.id}.{'A' * 42}",
        f"1003..{'A' * 43}",
        f"1003.{'x' * 65}.{'A' * 43}",
        f"1003.{LINK.id}.{'A' * 43}\n",
        f"\u0661.{LINK.id}.{'A' * 43}",
    ],
)
def test_almost_tokens_name_nothing(token: str) -> None:
    assert read(token) is None


def test_a_new_key_changes_no_token_and_a_lost_one_verifies_none() -> None:
    token = KEYS.token(LINK)
    rotated = LinkKeys(["second secret", "first secret"])
    assert rotated.newest != KEYS.newest
    assert rotated.token(LINK) == token
    assert rotated.verify(token, LINK)
    lost = LinkKeys(["second secret"])
    assert LINK.key_id not in lost
    assert not lost.verify(token, LINK)
    with pytest.raises(KeyError):
        lost.token(LINK)


def test_a_key_id_tells_nothing_of_the_key() -> None:
    assert LinkKeys(["a" * 40]).newest not in "a" * 40
    assert LinkKeys(["a", "b"]).newest == LinkKeys(["a"]).newest != LinkKeys(["b"]).newest


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "live"),
        ({"expires_at": AT}, "expired"),
        ({"expires_at": AT + timedelta(milliseconds=1)}, "live"),
        ({"max_uses": 2, "uses": 1}, "live"),
        ({"max_uses": 2, "uses": 2}, "used_up"),
        ({"uses": 1000}, "live"),
        ({"revoked_at": AT - timedelta(days=1)}, "revoked"),
        ({"revoked_at": AT, "expires_at": AT, "max_uses": 1, "uses": 1}, "revoked"),
    ],
)
def test_states(changes: dict[str, object], state: str) -> None:
    assert replace(LINK, **changes).state(AT) == state  # type: ignore[arg-type]
