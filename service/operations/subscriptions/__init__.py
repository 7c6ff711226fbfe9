"""Subscriptions and their occurrences."""
