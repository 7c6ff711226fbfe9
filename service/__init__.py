"""A shop's orders, repeated: the service."""
