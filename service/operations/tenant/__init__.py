"""Stores and their time."""
