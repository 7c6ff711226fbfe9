"""Reprise as it runs on several machines, all of it on this one."""
