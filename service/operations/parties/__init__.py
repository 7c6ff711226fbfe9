"""Customers, their addresses and their wallets."""
