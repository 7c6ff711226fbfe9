"""The URLs of repeat links: where they lead, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from service.jsonapi import links
from service.principal import Store
from service.rules.repeat_links import LinkKeys, RepeatLink

PATH = "/repeat-order"
"""Where our own page is, for shops that have none."""


@dataclass(frozen=True, slots=True)
class RepeatUrls:
    """Makes the URLs of a store's links. They lead to `page`, the shop's own or ours."""

    keys: LinkKeys
    store_id: int
    page: str

    @property
    def newest(self) -> str:
        """The id of the key that signs new links."""
        return self.keys.newest

    def url(self, id_: str, key_id: str, token_version: int, order_code: str) -> str | None:
        """The absolute URL of a link; None when the key that signed it is gone."""
        if key_id not in self.keys:
            return None
        return url(self.page, order_code, self.keys.token(RepeatLink(self.store_id, id_, key_id, token_version)))


def of(keys: LinkKeys, store: Store, origin: str) -> RepeatUrls:
    """What makes the URLs of a store's links, of a service at a URL of its own."""
    return RepeatUrls(keys, store.id, store.repeat_order_url or f"{origin}{PATH}")


def url(page: str, order_code: str, token: str, *campaign: tuple[str, str]) -> str:
    """A link's URL below a page; parameters are named and ordered as Ecwid's are, behind those that the page has."""
    parts = urlsplit(page)
    own = parse_qsl(parts.query, keep_blank_values=True)
    found = [*own, ("id", order_code), ("token", token), ("type", "order"), *campaign]
    return parts._replace(query=links.url("", found).removeprefix("?")).geturl()
