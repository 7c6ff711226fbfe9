"""One transaction each: what the service does for its callers."""
