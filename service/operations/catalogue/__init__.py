"""What is sold: prices, availability, skus."""
