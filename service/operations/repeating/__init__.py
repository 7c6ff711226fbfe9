"""Reorders and repeat links."""
