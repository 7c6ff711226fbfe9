"""Orders, from draft to placed, and their copies."""
