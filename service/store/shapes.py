"""Which statements a pool's connections keep prepared, of those whose text follows from what a client asks for.

A prepared statement keeps its plan in the memory of the database's backend, up to some hundred kilobytes, and a client
can ask in endless ways. So only texts that come again are kept, and a bounded number of them. Others are planned each
time and forgotten.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_KEPT = 128
"""How many such texts are kept: far more than the frontends of a shop send."""
_MOST_SEEN = 1_024


class Shapes:
    """The texts that a pool has seen lately, and those of them that came again."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._kept: OrderedDict[str, None] = OrderedDict()

    def is_kept(self, text: str) -> bool:
        """Whether a text is to be prepared by name: it came before, and there is room or it was there already.

        The text that was not sent for the longest time makes room. A connection forgets it within minutes, as asyncpg
        drops what it prepared a while ago.
        """
        if text in self._kept:
            self._kept.move_to_end(text)
            return True
        mark = hash(text)
        if mark not in self._seen:
            self._seen[mark] = None
            if len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)
            return False
        del self._seen[mark]
        self._kept[text] = None
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return True
