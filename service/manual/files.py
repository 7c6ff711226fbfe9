"""Files that people read, which lie beside the code: in a checkout at its root, and installed below `sys.prefix`."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOTS = (Path(__file__).parents[2], Path(sys.prefix) / "share" / "reprise")


def root() -> Path:
    """Return the folder that holds `openapi.yaml` and `docs/`."""
    return next((found for found in _ROOTS if (found / "openapi.yaml").is_file()), _ROOTS[0])
