"""What an order comes to today, and whether it can be placed: one core for all that orders."""
