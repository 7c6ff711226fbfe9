"""Attempts at payments, and what follows a refused one."""
