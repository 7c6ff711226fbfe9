"""Routes of the JSON:API that are no type's."""

from __future__ import annotations

from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from service.errors import MethodNotAllowed


class Fixed(Route):
    """A URL of its own below /api: a method that it doesn't offer is 405 here, and nothing to the routes of types."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the URL is this one, whatever the method."""
        match, child = super().matches(scope)
        return Match.NONE if match is Match.NONE else Match.FULL, child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises MethodNotAllowed, of which `Allow` lists what is offered."""
        methods = self.methods or set()
        if scope["method"] not in methods:
            allowed = {"Allow": ", ".join(sorted(methods))}
            raise MethodNotAllowed("{method} is not offered here.", method=scope["method"], headers=allowed)
        await super().handle(scope, receive, send)
