"""What serialising takes, by the service's own word: the step `render` of `Server-Timing`, of one request at a time."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from statistics import median

from tests.bench.cases import PLAIN
from tests.bench.load import Server

ASKED = 200
PAGES = {
    "1 order": "page[size]=1",
    "100 orders": "page[size]=100",
    "100 orders with lines, customers and addresses": (
        "page[size]=100&include=line_items,customer,billing_address,shipping_address"
    ),
}


def lines(server: Server, token: str) -> list[str]:
    """The median for one whole document of each size, in words."""
    headers = {"Authorization": f"Bearer {token}", "Accept": PLAIN}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        return [
            f"Serialising {what}, whole documents, takes {_microseconds(connection, query, headers):.0f} microseconds."
            for what, query in PAGES.items()
        ]
    finally:
        connection.close()


def _microseconds(connection: http.client.HTTPConnection, query: str, headers: Mapping[str, str]) -> float:
    told = []
    for _ in range(ASKED):
        connection.request("GET", f"/api/orders?sort=id&{query}", headers=dict(headers))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        step = re.search(r"render;dur=([\d.]+)", answer.getheader("Server-Timing", ""))
        assert step is not None
        told.append(float(step[1]) * 1000)
    return median(told)
