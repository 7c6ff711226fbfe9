"""What the chapters on fetching share: asking, following links, and a store of orders to ask about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support import Access

MEDIA_TYPE = "application/vnd.api+json"
PROFILE = "https://jsonapi.org/profiles/ethanresnick/cursor-pagination"


@dataclass(frozen=True)
class Reader:
    """A client with a token."""

    client: httpx2.AsyncClient
    access: Access

    async def get(self, url: str, status: int = 200, *, accept: str = MEDIA_TYPE) -> httpx2.Response:
        """The answer, which must have this status."""
        answer = await self.client.get(url, headers=self.access.headers | {"Accept": accept})
        assert answer.status_code == status, (url, answer.text[:500])
        return answer

    async def document(self, url: str, **parameters: str) -> dict[str, Any]:
        """The document of a successful answer; keyword arguments are query parameters."""
        answer = await self.client.get(url, params=parameters or None, headers=self.access.headers)
        assert answer.status_code == 200, (url, parameters, answer.text[:500])
        document: dict[str, Any] = answer.json()
        return document

    async def ids(self, url: str, parameters: dict[str, str] | None = None) -> list[str]:
        """The ids of the primary data."""
        answer = await self.client.get(url, params=parameters, headers=self.access.headers)
        assert answer.status_code == 200, (url, parameters, answer.text[:500])
        return [resource["id"] for resource in answer.json()["data"]]

    async def refused(
        self, url: str, parameter: str | None, parameters: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The error of an answer that must be 400 and name the parameter."""
        answer = await self.client.get(url, params=parameters, headers=self.access.headers)
        assert answer.status_code == 400, (url, parameters, answer.text[:500])
        assert answer.headers["content-type"].startswith(MEDIA_TYPE)
        error: dict[str, Any] = answer.json()["errors"][0]
        assert error.get("source", {}).get("parameter") == parameter, error
        assert error["status"] == "400"
        return error

    async def walk(self, url: str, link: str = "next", *, most: int = 100) -> list[list[str]]:
        """The ids of the pages from `url` on, following one kind of link until there is none."""
        pages: list[list[str]] = []
        following: str | None = url
        while following:
            document = await self.document(following)
            pages.append([resource["id"] for resource in document["data"]])
            following = document["links"].get(link)
            assert len(pages) <= most, "the pages never end"
        return pages


def flat(pages: Sequence[Sequence[str]]) -> list[str]:
    """All ids of pages, in their order."""
    return [id_ for page in pages for id_ in page]
