"""The watcher: a process of its own that stops an embedded Postgres once nobody uses it.

`python -m service.store.embedded <data folder> <descriptor of its watcher file>`; `service.store.embedded` starts it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from service.store.embedded import watch

if __name__ == "__main__" and os.fork() == 0:
    # Nobody's child: whoever started it does not wait for it.
    os.chdir("/")
    watch(Path(sys.argv[1]), int(sys.argv[2]))
