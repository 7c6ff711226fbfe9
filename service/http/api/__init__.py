"""JSON:API over HTTP: generic handlers, and what surrounds them."""
