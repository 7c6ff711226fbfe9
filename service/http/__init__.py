"""The HTTP surface: routes, handlers, middleware."""
