"""What changes are held to that were previewed."""

from __future__ import annotations

from schemas.fields import Write
from schemas.kinds import Text


class Previewed:
    """The attribute of types whose changes can be previewed (`subscription_previews`)."""

    expected_digest = Text(
        write=Write.UPDATE,
        trigger=True,
        nullable=False,
        max_length=64,
        harmless=True,
        doc="The digest of a preview: the change is made only if it still leads to the same.",
    )
