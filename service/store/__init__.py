"""The only database access: connections, statements, rows."""
