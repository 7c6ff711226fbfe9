"""What is left of a limit, as the answer to a counted request says it."""

from __future__ import annotations

from dataclasses import dataclass

from service.store.limits import Limit


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit: requests, and whole seconds until the limit is whole again."""

    limit: Limit
    remaining: int
    seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer that was counted."""
        name = self.limit.name
        return {
            "X-RateLimit-Limit": str(self.limit.amount),
            "X-RateLimit-Remaining": str(self.remaining),
            "RateLimit-Policy": f'"{name}";q={self.limit.amount};w={self.limit.seconds}',
            "RateLimit": f'"{name}";r={self.remaining};t={self.seconds}',
        }
