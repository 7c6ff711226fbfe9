"""The contract that clients rely on: `openapi.yaml` and JSON Schemas, from the registry."""
