"""What a resource is: one Schema per type."""
