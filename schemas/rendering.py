"""What a document depends on besides its rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Protocol

import orjson


class LinkUrls(Protocol):
    """Makes the URLs of a store's repeat links, which the service's keys sign."""

    @property
    def newest(self) -> str:
        """The id of the key that signs new links."""

    def url(self, id_: str, key_id: str, token_version: int, order_code: str) -> str | None:
        """The absolute URL of a link; None when the key that signed it is gone."""


class Rendering(NamedTuple):
    """What a document depends on besides its rows.

    `base` is the absolute URL of the API without a trailing slash (`https://shop.example/api`), `mode` the store's mode
    (`test` or `live`), `locale` the store's locale for formatted amounts (`nl_NL`). `at` is the instant that it is for
    the store (aware UTC), `links` makes the URLs of repeat links, `calendar_url` that of a subscription's calendar from
    the subscription's id, `action_url` that of an action link from what it does and its id, `webhook_secret` opens that
    of a webhook from its id and what is kept; without them nothing is over, and neither URL nor secret is shown.
    `secrets` says whether attributes that are credentials are shown, `everything` whether those are that repeat what
    other types show; else they are null. `attachment_url` makes the URL of an export's file from its id and the type of
    what was exported, for who may read that.
    """

    base: str
    mode: str = "test"
    locale: str = "en_US"
    at: datetime | None = None
    links: LinkUrls | None = None
    calendar_url: Callable[[str], str] | None = None
    action_url: Callable[[str, str], str] | None = None
    webhook_secret: Callable[[str, str], str | None] | None = None
    secrets: bool = True
    everything: bool = True
    attachment_url: Callable[[str, str | None], str | None] | None = None

    @property
    def root(self) -> bytes:
        """`base` as it stands within a string of JSON."""
        return _within_json(self.base)


@lru_cache(maxsize=256)
def _within_json(text: str) -> bytes:
    """Remembered, since each resource of a document begins with it, and there are few."""
    return orjson.dumps(text)[1:-1]
