"""The tools: what a customer's assistant can do, by the operations that the API calls, in the customer's name.

Who may do it, how often, and what happens when it is asked twice, are as for the request of the API that does the same.
No tool pays, or orders what is paid: what does has a page of its own, on which the customer presses the button.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.http.agents import orders, subscriptions
from service.http.agents.calls import Tool

TOOLS: Mapping[str, Tool[Any]] = {tool.name: tool for tool in (*orders.TOOLS, *subscriptions.TOOLS)}
"""The tools by their names, in the order in which they are listed."""
