"""What is remembered of tokens is forgotten in time."""

from __future__ import annotations

import time
from datetime import timedelta

from service import clock
from service.http.token_cache import TokenCache
from service.principal import Principal, Store

STORE = Store(1, "Shop", "shop", "test", "EUR", "en_US", "UTC")


def holder(lives: float | None) -> Principal:
    """A principal whose token ends in so many seconds."""
    ends = None if lives is None else clock.now() + timedelta(seconds=lives)
    return Principal(STORE, "t", None, frozenset(), expires_at=ends)


def test_a_token_is_believed_for_a_while_and_not_beyond_its_end() -> None:
    cache = TokenCache(60)
    for lives in (None, 0.05, -1):
        cache.put(str(lives), holder(lives))
    assert cache.get("None") is not None
    assert cache.get("-1") is None
    time.sleep(0.06)
    assert cache.get("0.05") is None
    assert cache.get("None") is not None


def test_nothing_is_believed_for_no_time() -> None:
    cache = TokenCache(0)
    cache.put("a", holder(None))
    assert cache.get("a") is None


def test_what_was_asked_for_before_its_store_changed_is_not_remembered() -> None:
    cache = TokenCache(60)
    cache.put("a", holder(None))
    before = cache.changes
    cache.forget(STORE.id + 1)
    assert cache.get("a") is not None
    cache.forget(STORE.id)
    assert cache.get("a") is None
    cache.put("a", holder(None), before)
    assert cache.get("a") is None
    cache.put("a", holder(None), cache.changes)
    assert cache.get("a") is not None
