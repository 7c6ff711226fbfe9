"""Customers' addresses."""
