"""Requests made up from openapi.yaml by schemathesis, sent to a real server with demo data."""
