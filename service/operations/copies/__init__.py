"""Recurring copies of orders, and the orders that they make."""
