"""What every writer shares."""
