"""What a create operation gives back to the handler that called it."""

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

    @classmethod
    def of(cls, result: str | Created) -> Created:
        """The result of a hook, most of which give the bare id."""
        return result if isinstance(result, Created) else cls(result)


Create = Callable[[Connection, Principal, Draft], Awaitable[str | Created]]
"""Makes the resource of a draft, in its caller's transaction."""
