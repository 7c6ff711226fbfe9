"""What the running code works for, so that what it leaves behind can be traced back to it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Cause:
    """A request: its `X-Request-Id`, the address that it came from, and the credential that came with it.

    `token_id` and `api_client_id` are None until that has been looked at, and where there is none. What a worker does
    on a request's behalf has the same cause, without the address.
    """

    request_id: str
    address: str | None = None
    token_id: str | None = None
    api_client_id: str | None = None


cause: ContextVar[Cause | None] = ContextVar("cause", default=None)
"""The request that the running code works for; None where it works for none, as in a command."""
