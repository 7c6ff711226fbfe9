"""Whole people: what a store knows of a customer, erased."""
