"""What an operation that creates a resource returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.jsonapi.body import Draft
from service.principal import Principal
from service.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Created:
    """The id of the new resource, and attributes that are disclosed in this one answer only.

    A token is such an attribute: only its hash is kept.
    """

    id: str
    disclosed: Mapping[str, Any] = field(default_factory=dict)


Create = Callable[[Connection, Principal, Draft], Awaitable[Created]]
"""Makes the resource of a draft, in its caller's transaction."""
