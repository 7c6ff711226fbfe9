"""What a shop does with the client that openapi-python-client makes: reorder, repeat link, recurring copy."""

from __future__ import annotations

import json
import os

from reprise_client.api.recurring_order_copies import create_recurring_order_copy
from reprise_client.api.reorders import create_reorder
from reprise_client.api.repeat_links import create_repeat_link
from reprise_client.client import AuthenticatedClient
from reprise_client.models import RecurringOrderCopyCreate, ReorderCreate, RepeatLinkCreate

known = json.loads(os.environ["REPRISE_KNOWN"])
client = AuthenticatedClient(os.environ["REPRISE_ORIGIN"], os.environ["REPRISE_TOKEN"], raise_on_unexpected_status=True)
order = {"data": {"type": "orders", "id": known["order"]}}
subscription = {"data": {"type": "order_subscriptions", "id": known["subscription"]}}

reorder = create_reorder.sync_detailed(
    client=client,
    body=ReorderCreate.from_dict({"data": {"type": "reorders", "relationships": {"source_order": order}}}),
)
assert reorder.status_code == 201, reorder.content
counts = reorder.parsed.data.attributes
assert counts.added_count + counts.adjusted_count == 2  # adjusted: the lines are in the cart already

link = create_repeat_link.sync_detailed(
    client=client,
    body=RepeatLinkCreate.from_dict({"data": {"type": "repeat_links", "relationships": {"order": order}}}),
)
assert link.status_code == 201, link.content
assert "/repeat-order?id=" in link.parsed.data.attributes.url

data = {
    "type": "recurring_order_copies",
    "relationships": {"source_order": order, "order_subscription": subscription},
}
copy = create_recurring_order_copy.sync_detailed(client=client, body=RecurringOrderCopyCreate.from_dict({"data": data}))
assert copy.status_code == 201, copy.content
assert copy.parsed.data.attributes.status == "pending"
