"""An outside issuer as a process of its own: it publishes what it is told to, and counts how often it is asked.

    python issuer.py

Prints the port that it listens on. `POST /tell` says what to publish: `keys`, and how to answer (`status`, `seconds` to
wait, `issuer` to call itself, `jwks_uri`); `GET /asked` says how often keys were asked for.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLD: dict[str, Any] = {"keys": [], "status": 200, "seconds": 0}
ASKED = {"jwks": 0, "configuration": 0}


class Handler(BaseHTTPRequestHandler):
    """What is published."""

    def do_GET(self) -> None:
        """Publish keys, or where they are."""
        origin = f"http://{self.headers['Host']}"
        if self.path == "/asked":
            self._answer(200, ASKED)
            return
        is_keys = self.path == "/jwks"
        ASKED["jwks" if is_keys else "configuration"] += 1
        time.sleep(TOLD["seconds"])
        described = {"issuer": TOLD.get("issuer", origin), "jwks_uri": TOLD.get("jwks_uri", f"{origin}/jwks")}
        self._answer(TOLD["status"], {"keys": TOLD["keys"]} if is_keys else described)

    def do_POST(self) -> None:
        """Take what is to be published."""
        TOLD.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(200, TOLD)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
