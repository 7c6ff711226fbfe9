"""The Model Context Protocol at /mcp: what a customer's assistant can do, each thing as one tool."""
