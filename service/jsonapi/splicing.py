"""Text of which some parts are always the same: the source of what puts it together, in Python or in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Spliced:
    """A text as a list of expressions, as few as can be: what is always the same is one literal.

    `literal` writes one in the language of the expressions.
    """

    def __init__(self, literal: Callable[[str], str]) -> None:
        self._literal = literal
        self._parts: list[str] = []
        self._constant = ""

    def constant(self, text: str) -> Spliced:
        """Go on with text that is always the same."""
        self._constant += text
        return self

    def value(self, *expressions: str) -> Spliced:
        """Go on with the values of expressions."""
        self._flush()
        self._parts += expressions
        return self

    @property
    def parts(self) -> Sequence[str]:
        """The expressions of all its parts, in their order."""
        self._flush()
        return self._parts

    def _flush(self) -> None:
        if self._constant:
            self._parts.append(self._literal(self._constant))
            self._constant = ""
