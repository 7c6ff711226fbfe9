"""Which request the running code works for, so that what it leaves behind can be traced back to it."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The `X-Request-Id` of the request; None outside of one, as in a worker."""
