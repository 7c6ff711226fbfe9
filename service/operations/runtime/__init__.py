"""What the running service keeps of itself."""
