"""JSON:API 1.1 without input or output: negotiation, query, body, document, links."""
